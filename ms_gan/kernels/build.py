"""The library of `convolution.cc`: compiled for this machine once, checked, and kept in the cache folder.

Whatever goes wrong, there is just no library, and a reason that fits on one line.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ms_gan.files import cache_folder
from ms_gan.kernels.check import check

SOURCE = Path(__file__).with_name("convolution.cc")
SWITCH = "MS_GAN_KERNELS"  # 0 switches them off
ALLOWED = "MS_CUSTOM_AOT_WHITE_LIST"  # where MindSpore loads libraries from, if this is set
# Without -ffast-math, which is no faster here, and with which GCC below 13 lets the library switch denormal numbers off
# for the whole process.
FLAGS = ("-O3", "-std=c++17", "-ffp-contract=fast", "-shared", "-fPIC", "-fvisibility=hidden", "-s", "-pthread")
COMPILERS = ("c++", "g++", "clang++")
SECONDS = {"compile": 600, "check": 60}


@dataclass(frozen=True)
class Library:
    """The compiled functions, or why there are none."""

    path: Path | None
    reason: str  # with a path: what it was compiled with

    def __str__(self) -> str:
        return f"ms_gan's kernels, {self.reason}" if self.path else f"MindSpore's kernels ({self.reason})"


class _Failure(Exception):
    """Why there is no library."""


@functools.cache
def library() -> Library:
    """Return the library for this machine; the first call on it compiles for some seconds. Never raises."""
    if os.environ.get(SWITCH) == "0":
        return Library(None, f"{SWITCH}=0")
    if platform.system() != "Linux":
        return Library(None, "MindSpore takes own operators on Linux only")
    try:
        compiler = _compiler()
        path = cache_folder() / "kernels" / f"convolution-{_key(compiler)}.so"
        allowed = os.environ.get(ALLOWED)
        if allowed is not None and os.path.realpath(allowed) not in os.path.realpath(path):
            raise _Failure(f"{ALLOWED} does not allow {path.parent}")
        if not _is_right(path):
            print("compiling convolutions for this machine, once", flush=True)
            _build(compiler, path)
            if not _is_right(path):
                raise _Failure(f"{path} does not load")
        return Library(path, f"compiled by {_name(compiler)}")
    except Exception as error:  # this is only about speed
        return Library(None, " ".join((str(error) or type(error).__name__).split())[:200])


def _compiler() -> tuple[str, ...]:
    """Return how a C++ compiler is called."""
    for name in COMPILERS:
        found = shutil.which(name)
        if found:
            return (found,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "c++")
    raise _Failure("no C++ compiler: install g++, or ziglang with pip")


def _name(compiler: tuple[str, ...]) -> str:
    return "zig" if len(compiler) > 1 else os.path.basename(compiler[0])


def _key(compiler: tuple[str, ...]) -> str:
    """Return what stands for source, compiler and processor: where one of them differs, another library is due."""
    if len(compiler) > 1:
        from importlib import metadata

        version = metadata.version("ziglang")
    else:
        binary = os.path.realpath(compiler[0])
        facts = os.stat(binary)
        version = f"{binary} {facts.st_size} {facts.st_mtime_ns}"
    parts = [SOURCE.read_text(), version, " ".join(FLAGS), platform.machine(), *_processor(), *platform.libc_ver()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _processor() -> list[str]:
    """Return the lines by which Linux tells what a processor can do, and which it is."""
    told = ("flags", "Features", "model name", "cpu family", "model", "CPU part", "CPU implementer")
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return sorted({line for line in lines if line.partition(":")[0].strip() in told})
    return [platform.processor()]


def _build(compiler: tuple[str, ...], path: Path) -> None:
    """Compile the library, check it in a process of its own, and only then give it its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build.") as folder:
        made = Path(folder) / path.name
        native = "-march=native" if platform.machine() in ("x86_64", "AMD64", "i686") else "-mcpu=native"
        compiled = _run("compile", [*compiler, *FLAGS, native, str(SOURCE), "-o", str(made)])
        if compiled.returncode != 0:
            errors = [line for line in compiled.stderr.splitlines() if "error" in line] or compiled.stderr.splitlines()
            raise _Failure(f"{_name(compiler)} failed: {errors[0] if errors else compiled.returncode}")
        checked = _run("check", [sys.executable, "-m", "ms_gan.kernels.check", str(made)])
        if checked.returncode != 0:
            lines = checked.stderr.splitlines()
            raise _Failure(f"wrong when checked: {lines[-1] if lines else checked.returncode}")
        os.replace(made, path)


def _run(what: str, command: list[str]) -> subprocess.CompletedProcess:
    home = str(SOURCE.parents[2])  # of the package, which the check imports
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    variables, nothing = {**os.environ, "PYTHONPATH": paths}, subprocess.DEVNULL
    try:
        return subprocess.run(
            command, env=variables, stdin=nothing, capture_output=True, text=True, timeout=SECONDS[what], check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _Failure(f"{what} took more than {SECONDS[what]} s") from error


def _is_right(path: Path) -> bool:
    """Load a library into this process and check it: a moment's work."""
    if not path.is_file():
        return False
    try:
        check(str(path))
    except (OSError, AttributeError, RuntimeError, ArithmeticError):
        return False
    return True
