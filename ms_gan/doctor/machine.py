"""What a machine is, as far as it matters to a training; nothing that tells whose it is."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import ms_gan

PUBLIC = re.compile(r"-?[0-9.,]{1,20}|true|false|on|off|(avx|sse)[0-9a-z_]*", re.IGNORECASE)  # values that name nobody
ADDRESS = re.compile(r"\d+(\.\d+){3}(:\d+)?")
PRIVATE = re.compile(  # in an error: paths, addresses, and names of hosts and users where they can be told
    rf"'[^']*/[^']*'|\"[^\"]*/[^\"]*\"|(?<!\w)~?/\S*|{ADDRESS.pattern}|[0-9a-f]*(:[0-9a-f]*){{3,}}|\S+@\S+"
    r"|[\w-]+(\.[\w-]+)*:\d{2,5}\b|(?<=\bhost )\S+|(?<=\bhostname: )\S+"
)
PACKAGES = ("mindspore", "numpy", "pillow")
VARIABLES = re.compile(r"(ASCEND|HCCL|CUDA|GLOG|MS|OMP|ONEDNN|DEVICE|RANK)_\w+")
SMI = "npu-smi"
SMI_SECONDS = 60
INSTALLED = (  # where Ascend's packages say their versions, below a folder that a variable or a custom names
    ("driver", "ASCEND_DRIVER_PATH", "/usr/local/Ascend/driver", ("version.info",)),
    (
        "CANN",
        "ASCEND_HOME_PATH",
        "/usr/local/Ascend/ascend-toolkit/latest",
        ("version.info", "*-linux/ascend_toolkit_install.info", "compiler/version.info"),
    ),
)


def software() -> Iterator[tuple[str, str]]:
    """Give names and versions of what is installed, without importing it, and the variables that it heeds."""
    yield "ms_gan", ms_gan.__version__
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"
    yield "python", platform.python_version()
    yield "platform", f"{platform.system()} {platform.machine()}"
    yield "cores", str(os.cpu_count())
    with contextlib.suppress(OSError, ValueError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        yield "memory", f"{memory / 2**30:.0f} GiB"
    for name in sorted(filter(VARIABLES.fullmatch, os.environ)):
        value = os.environ[name]
        yield f"variable {name}", value if PUBLIC.fullmatch(value) and not ADDRESS.search(value) else "(set)"


def told(error: Exception) -> str:
    """Return what an error is, in one line, without names."""
    why = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {without_names(why)}"


def without_names(text: str) -> str:
    """Return a text without paths, addresses, and names of hosts and users, as far as they can be recognised."""
    return PRIVATE.sub("…", text)


def has_ascend() -> bool:
    """Return whether anything of Ascend's is on this machine, whatever MindSpore makes of it."""
    return shutil.which(SMI) is not None or any(
        variable in os.environ or Path(custom).exists() for _, variable, custom, _ in INSTALLED
    )


def ascend() -> Iterator[tuple[str, str]]:
    """Give what an Ascend machine says of its driver, of CANN and of its devices."""
    for name, variable, custom, files in INSTALLED:
        home = Path(os.environ.get(variable, custom))
        found = [line for pattern in files for file in sorted(home.glob(pattern)) for line in _versions(file)]
        yield name, found[0] if found else f"no version found; is {variable} set?"
    command = shutil.which(SMI)
    if command is None:
        yield SMI, "not found: is the driver installed, and its tools on the PATH?"
        return
    try:
        done = subprocess.run([command, "info"], capture_output=True, text=True, errors="replace", timeout=SMI_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield SMI, f"gave no answer ({type(error).__name__})"
        return
    said = (done.stdout.strip() or done.stderr.strip()).partition("Process id")[0].rstrip("| \n")  # nobody's processes
    yield SMI, f"status {done.returncode}\n{said}" if done.returncode else said


def _versions(file: Path) -> list[str]:
    with contextlib.suppress(OSError):
        text = file.read_text(encoding="utf-8", errors="replace")
        return [found.strip() for found in re.findall(r"(?im)^\s*version\s*=\s*\[?([^\]\n]+)", text)]
    return []
