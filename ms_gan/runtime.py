"""The machine: which device, in graph mode, and which versions of what is installed."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import platform
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ms_gan.errors import Setting, UserError, quoted
from ms_gan.signals import ASKING

DEVICE_TARGETS = ("auto", "Ascend", "GPU", "CPU")
PRECISIONS = ("float32", "bfloat16")  # of products: of matrices, and in convolutions


@dataclass(frozen=True)
class Device:
    """The device that everything after `set_up` runs on."""

    target: str  # "Ascend", "GPU" or "CPU"
    id: int
    count: int = 1  # devices that train together
    rank: int = 0  # which of them this is

    def __str__(self) -> str:
        if self.count > 1:
            return f"{self.count} × {self.target}"
        return self.target if self.target == "CPU" else f"{self.target} {self.id}"


_device: Device | None = None
_precision = "float32"  # that Ascend was told


def set_up(
    target: str | None = None, device_id: int | None = None, together: bool = False, precision: str = "float32"
) -> Device:
    """Choose the device and static graph mode, before anything else of MindSpore runs.

    A process has one device: a second call can only confirm it.

    Args:
        target: one of DEVICE_TARGETS; "auto" takes Ascend, else GPU, else CPU. None is the device that this process
            has, or else "auto".
        device_id: which of several devices, from 0; None is the first.
        together: whether this is one of several processes that train together, each on a device of its own.
        precision: of products, one of PRECISIONS. On a CPU it changes nothing here, nor where the process has a
            device and no other is named.

    Raises:
        UserError: for a device that this machine, or this installation of MindSpore, does not have.
    """
    global _device, _precision
    if _device is not None and target is None and device_id is None and not together:
        return _device
    import_mindspore()
    import mindspore as ms

    target, count = _available(target or "auto")
    device_id = device_id or 0
    if together:
        device_id = 0 if target == "CPU" else int(os.environ.get("DEVICE_ID") or max(rank(), 0))
    if not 0 <= device_id < count:
        mend = ("give a smaller ", Setting("device_num")) if together else ("they are counted from 0",)
        raise UserError(f"there is no {target} {device_id}: this machine has {count} in all", *mend)
    chosen = Device(target, device_id)
    if _device is None:
        if target == "CPU":
            give_back_memory()
            _keep_freed_memory()
            _choose_quick_convolutions(ms.__version__)
        ms.set_context(mode=ms.GRAPH_MODE)
        ms.set_device(target, device_id)
        ms.set_deterministic(True)  # the same seed gives the same bytes: on Ascend that has to be asked for
        if target == "Ascend":
            _keep_precision(precision)
        _precision = precision
        if together:
            from mindspore import communication

            communication.init()
            chosen = Device(target, device_id, communication.get_group_size(), communication.get_rank())
        _device = chosen
    if not together and chosen != _device:
        raise UserError(f"this process already runs on {_device}", f"start another for {chosen}")
    if target == "Ascend" and precision != _precision:
        raise UserError(f"this process already multiplies in {_precision}", f"start another for {precision}")
    return _device


def devices() -> dict[str, int]:
    """Return how many devices of each kind MindSpore has here, the quickest kind first."""
    import mindspore as ms

    contexts = {"Ascend": ms.device_context.ascend, "GPU": ms.device_context.gpu, "CPU": ms.device_context.cpu}
    return {
        name: 1 if name == "CPU" else context.device_count()
        for name, context in contexts.items()
        if context.is_available()
    }


def _available(target: str) -> tuple[str, int]:
    """Return the device target that is meant, and how many such devices there are."""
    import mindspore as ms

    if target not in DEVICE_TARGETS:
        raise UserError(f"unknown device target {target!r}", f"choose one of {', '.join(DEVICE_TARGETS)}")
    available = devices()
    target = next(iter(available)) if target == "auto" else target
    if target not in available:
        raise UserError(
            f"device target {target} is not available to MindSpore {ms.__version__} on this machine",
            "use ",
            Setting("device_target", next(iter(available))),
            " or auto",
        )
    return target, available[target]


LAUNCHER = "MS_GAN_LAUNCHER"  # the process that started this one to train together with others, by its id


def launched() -> bool:
    """Whether this process is one of several that were started to train together, by `ms_gan` or by `msrun`."""
    return "MS_ROLE" in os.environ


def require_count(devices: int | None) -> None:
    """Raise UserError in one of several processes that were not started for so many devices, or not told which it is.

    None stands for any number.
    """
    started = os.environ.get("MS_WORKER_NUM", "")
    if devices is not None and started != str(devices):
        problem = f"this is one of {started} processes that train together, not of {devices}"
        raise UserError(problem, "leave out ", Setting("device_num"), ", or start as many")
    if os.environ["MS_ROLE"] == "MS_WORKER" and not {"RANK_ID", "MS_NODE_ID"} & set(os.environ):
        raise UserError(
            "several processes train together, and this one is not told which it is",
            "give `msrun` on each machine its --node_rank",
        )


def import_mindspore() -> None:
    """Import MindSpore while signals wait: an exception within its import would bring the process down.

    It makes 250,000 objects that stay. The garbage collector would look through them again and again, a sixth of the
    time until the first step, so they are put out of its sight.
    """
    if "mindspore" in sys.modules:
        return
    waiting = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    collecting = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module("mindspore")
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)


def give_back_memory() -> None:
    """Give memory back to the system that only an import or a compilation needed (Linux, with glibc). It takes 20 ms.

    It is what malloc keeps for later, and the code of MindSpore's libraries: loading them touches 220 MB, training
    60 MB. Code is only read, so what is needed after all is mapped again when it runs.
    On Ascend and GPU nothing is done.
    """
    if platform.libc_ver()[0] != "glibc" or (_device is not None and _device.target != "CPU"):
        return
    libc, unneeded = ctypes.CDLL(None), 4  # MADV_DONTNEED, from sys/mman.h
    home = re.escape(os.path.realpath(os.path.dirname(sys.modules["mindspore"].__file__ or "")))
    for code in re.finditer(rf"^([0-9a-f]+)-([0-9a-f]+) r-xp .* {home}/.*\.so", _mappings(), re.MULTILINE):
        start, end = (int(number, 16) for number in code.groups())
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), unneeded)
    libc.malloc_trim(ctypes.c_size_t(0))


def _mappings() -> str:
    """Return what of this process is mapped where, a line for each; nothing where that is not told."""
    try:
        return Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def rank() -> int:
    """Return which of several processes that train together this is, from 0; 0 for one alone, -1 for the scheduler."""
    if os.environ.get("MS_ROLE") == "MS_SCHED":
        return -1
    if not launched():  # a cluster may set RANK_ID for single processes, too
        return 0
    return int(os.environ.get("RANK_ID") or os.environ.get("MS_NODE_ID") or "0")


def _keep_freed_memory() -> None:
    """Let glibc keep what a kernel frees for the next one, instead of asking the system anew each time.

    Buffers of a few megabytes come and go at every step; their page faults cost 5% of it on CPU.
    Elsewhere than with glibc, nothing is done.
    """
    trim_threshold, mmap_threshold = -1, -3  # mallopt's parameter numbers, from malloc.h
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 << 20)  # the largest that glibc takes
        libc.mallopt(trim_threshold, 1 << 30)


def _keep_precision(precision: str) -> None:
    """Tell Ascend's compiler in which precision to multiply; by default it decides, and not as one would guess.

    Its convolutions run in HF32, of 11 bits for 24, and on the first generation matrices go to float16. With bfloat16
    only products are in it: weights, sums and the optimizers' state stay float32.
    """
    import mindspore as ms

    settings = ms.device_context.ascend.op_precision
    settings.precision_mode("must_keep_origin_dtype" if precision == "float32" else "allow_fp32_to_bf16")
    settings.conv_allow_hf32(False)
    settings.matmul_allow_hf32(False)


ONEDNN_ISA, QUICK_ISA = "ONEDNN_MAX_CPU_ISA", "AVX2"
OLD_ONEDNN_ISA = "DNNL_MAX_CPU_ISA"  # which oneDNN reads, too
QUICK_ISAS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")


def _choose_quick_convolutions(version: str) -> None:
    """Let oneDNN of MindSpore 2.9 and later take the kernels that 2.8 takes, unless the user has chosen others.

    With AVX-512 their convolutions run in its reference code (measured with 2.10.0: 80 channels, 5x5, 1,078 ms; so 16
    ms). It has to be said before oneDNN's first operator. Elsewhere than on x86-64 it changes nothing.
    """
    if _version(version) >= (2, 9) and OLD_ONEDNN_ISA not in os.environ:
        os.environ.setdefault(ONEDNN_ISA, QUICK_ISA)


def slow_convolutions(device: Device, version: str) -> str | None:
    """Return a warning where the user has chosen slow convolutions in this version of MindSpore; else None."""
    name = ONEDNN_ISA if ONEDNN_ISA in os.environ else OLD_ONEDNN_ISA
    chosen = os.environ.get(name, QUICK_ISA)
    if device.target != "CPU" or _version(version) < (2, 9) or chosen.upper() in QUICK_ISAS:
        return None
    return f"with {name}={chosen} convolutions of MindSpore {version} may take 60 times as long: leave it out"


def _version(version: str) -> tuple[int, int]:
    major, minor = (int(part) for part in version.split(".")[:2])
    return major, minor


def environment() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    packages = {"ms_gan": "ms_gan", "mindspore": "mindspore", "numpy": "numpy", "opencv": "cv2", "pillow": "PIL"}
    return {
        **{name: importlib.import_module(module).__version__ for name, module in packages.items()},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
    }


def python() -> str:
    """Return how the Python that runs this is called in a command that is offered for copying."""
    found = shutil.which("python") or ""
    if os.path.dirname(found) == os.path.dirname(sys.executable) and os.path.samefile(found, sys.executable):
        return "python"
    below = os.path.relpath(sys.executable)
    return quoted(below if not below.startswith("..") else sys.executable)


def silence(stream: TextIO) -> None:
    """Let all that is printed to a stream vanish: nobody reads it any more, and Python's end would fail at it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def command_line(command: str) -> str:
    """Return how a command of this package is typed here, for copying.

    It is the clone's script in the clone, and where a script started this; else a call of the module.
    """
    clone = Path(__file__).resolve().parent.parent
    script = Path("scripts", f"run_{command}.sh")
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    at_home, by_path = clone == Path.cwd(), str(clone) in map(os.path.realpath, named)
    if (at_home or by_path) and (clone / script).is_file():
        return f"bash {script if at_home else quoted(clone / script)}"
    found = f"PYTHONPATH={quoted(clone)} " if by_path and not at_home else ""
    return f"{found}{python()} -m ms_gan {command}"


def install_command(serving: bool = False) -> str:
    """Return how to install what this package needs, with `serving` also what `serve` needs, as it stands behind "; ".

    In a clone it is the command for its requirements; of an installed package that for what its metadata list.
    """
    from importlib import metadata

    clone = Path(__file__).resolve().parent.parent
    listing = clone / ("requirements-serve.txt" if serving else "requirements.txt")
    if listing.is_file() and (clone / "pyproject.toml").is_file():
        what = f"-r {quoted(listing.name if clone == Path.cwd() else listing)}"
    else:
        try:
            wanted = [line.partition(";") for line in metadata.requires("ms_gan") or []]
        except metadata.PackageNotFoundError:
            return "install the packages that the pyproject.toml of ms_gan's clone lists"
        needed = [name for name, _, when in wanted if "extra" not in when or (serving and "serve" in when)]
        what = " ".join(quoted(name.strip()) for name in needed)
    own = clone / ".venv" / "bin" / "python"
    instead = f", or use {quoted(own)}" if own.is_file() and sys.prefix != str(own.parent.parent) else ""
    return f"{python()} -m pip install {what}{instead}"
