"""The library of `operators.cc`: compiled for this machine once, checked, and kept in the cache folder.

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
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ms_gan.files import cache_folder, sha256_of_file, write_file
from ms_gan.kernels.check import check

SOURCE = Path(__file__).with_name("operators.cc")  # and the headers beside it
MINDSPORE = "MindSpore's kernels"
SWITCH = "MS_GAN_KERNELS"  # 0 switches them off
ALLOWED = "MS_CUSTOM_AOT_WHITE_LIST"  # where MindSpore loads libraries from, if this is set
# Without -ffast-math, which is no faster here, and with which GCC below 13 lets the library switch denormal numbers off
# for the whole process.
FLAGS = (
    "-O3",
    "-std=c++17",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-s",
    "-pthread",
)
COMPILERS = ("c++", "g++", "clang++")
SECONDS = {"compile": 300, "check": 60}
UNFINISHED = ".build."  # how folders begin in which a library is made


@dataclass(frozen=True)
class Library:
    """The compiled functions, or why there are none."""

    path: Path | None
    reason: str  # with a path: what it was compiled with

    def __str__(self) -> str:
        return f"ms_gan's kernels, {self.reason}" if self.path else f"{MINDSPORE} ({self.reason})"


class _Failure(Exception):
    """Why there is no library."""


@functools.cache
def library() -> Library:
    """Return the library for this machine; the first call on it compiles for some seconds. Never raises."""
    if os.environ.get(SWITCH) == "0":
        return Library(None, f"{SWITCH}=0")
    if platform.system() != "Linux":
        return Library(None, "MindSpore takes own operators on Linux only")
    reasons = []
    tried = set()
    for compiler in _compilers():
        try:
            key = _key(compiler)
            if key not in tried:  # c++ may be g++ itself
                tried.add(key)
                return _library_by(compiler, key)
        except Exception as error:  # this is only about speed
            reasons.append(" ".join((str(error) or type(error).__name__).split())[:200])
    return Library(None, reasons[0] if reasons else "no C++ compiler: install g++, or ziglang with pip")


def _library_by(compiler: tuple[str, ...], key: str) -> Library:
    path = (cache_folder() / "kernels" / f"operators-{key}.so").absolute()
    if ":" in str(path):
        raise _Failure(f"MindSpore loads no library from a path with a colon, {path.parent}")
    allowed = os.environ.get(ALLOWED)
    if allowed is not None and os.path.realpath(allowed) not in os.path.realpath(path):
        raise _Failure(f"{ALLOWED} does not allow {path.parent}")
    if not _is_whole(path):
        print("compiling kernels for this machine, once", flush=True)
        _build(compiler, path)
    check(str(path))
    return Library(path, f"compiled by {_name(compiler)}, {key}")


def _compilers() -> Iterator[tuple[str, ...]]:
    """Give each way to call a C++ compiler that is here."""
    yield from ((found,) for found in map(shutil.which, COMPILERS) if found)
    if importlib.util.find_spec("ziglang"):
        yield (sys.executable, "-m", "ziglang", "c++")


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
    parts = [
        *(file.read_text(encoding="utf-8") for file in sorted([SOURCE, *SOURCE.parent.glob("*.h")])),
        version,
        " ".join(FLAGS),
        platform.machine(),
        *_processor(),
        *platform.libc_ver(),
    ]
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
    for left in path.parent.glob(f"{UNFINISHED}*"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > sum(SECONDS.values()):
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=UNFINISHED) as folder:
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
        with open(made, "rb") as file:
            os.fsync(file.fileno())
        write_file(_digest_of(path), sha256_of_file(made).encode())
        os.replace(made, path)


def _run(what: str, command: list[str]) -> subprocess.CompletedProcess:
    home = str(SOURCE.parents[2])  # of the package, which the check imports
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that what it starts ends with it
    )
    try:
        output, errors = process.communicate(timeout=SECONDS[what])
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise _Failure(f"{what} took more than {SECONDS[what]} s") from error
        raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _is_whole(path: Path) -> bool:
    """Return whether a library is this user's, and has the bytes that were checked: it is run in this process."""
    try:
        own = path.stat().st_uid in (os.getuid(), _owner_of_new_files(path.parent))
        return own and _digest_of(path).read_text() == sha256_of_file(path)
    except (OSError, ValueError):
        return False


def _owner_of_new_files(folder: Path) -> int | None:
    """Return whose a file is that this process makes: on some network drives another's. None where it makes none."""
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_uid
    return None


def _digest_of(path: Path) -> Path:
    return path.with_suffix(".sha256")
