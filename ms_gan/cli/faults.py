"""What went wrong that a person can mend, in one line; anything else keeps its stack.

Foreseen are UserError, faults of the machine such as a full disk, names that are not UTF-8, and packages that are
missing or broken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ms_gan
from ms_gan import runtime
from ms_gan.errors import Command, Setting, UserError, quoted
from ms_gan.files import cache_folder
from ms_gan.signals import handled

# Of a file that is named: the machine's, or those of whoever wrote the name.
OF_FILES = {
    *(errno.EACCES, errno.EBUSY, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENODEV),
    *(errno.ENOENT, errno.ENOTCONN, errno.ENOTDIR, errno.ENOTEMPTY, errno.ENXIO, errno.EOPNOTSUPP, errno.EPERM),
    *(errno.EROFS, errno.ESTALE, errno.ETIMEDOUT, errno.ETXTBSY),
}
# A file that is open already says these without its name.
OF_RESOURCES = {errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC}
SERVING = {  # packages that only `serve` needs
    "fastapi",
    "grpc",
    "grpc_health",
    "grpc_reflection",
    "mlserver",
    "orjson",
    "prometheus_client",
    "tritonclient",
    "uvicorn",
}
PACKAGES = {
    "cv2",
    "download",
    "fastjsonschema",
    "matplotlib",
    "mindspore",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "safetensors",
    "tensorboardX",
    "tqdm",
    *SERVING,
}
# Settings of recipes, and arguments in Python, whose options have another name.
OPTIONS_OF = {
    "schedule.epochs": "--epochs",
    "schedule.batch_size": "--batch-size",
    "data.dataset": "--dataset",
    "labels": "--label",
    "count": "--num",
}
# What to type in place of a function of the Python API.
COMMANDS = {
    "train": "train",
    "resume": "train --resume {path}",
    "load": "infer {path} --num 25 --output images.png",
    "eval": "eval {path}",
    "export": "export {path}",
    "judge": "judge --output-dir {path}",
    "runs": "runs",
}
WITH_CACHE = ("train", "eval", "judge")  # commands that keep data in it


def told(error: BaseException) -> str | None:
    """Return the message for an error that the user can fix; None for any other, such as one of this program."""
    if isinstance(error, UserError):
        return error.told(option)
    if isinstance(error, MemoryError):
        return "not enough memory for that; ask for less"
    if isinstance(error, UnicodeEncodeError):
        name = re.search("[^\n\"']*[\udc80-\udcff][^\n\"']*", error.object)  # so Python reads bytes that are not UTF-8
        return str(_fault_of_name(name[0])) if name else None
    return (_of_the_machine(error) if isinstance(error, OSError) else None) or _broken_package(error)


def option(setting: Setting | Command) -> str:
    """Return what a setting is called on the command line: an option, or, for one of a recipe, what --set takes.

    In place of a function of the Python API it is a command for copying.
    """
    if isinstance(setting, Command):
        command, gap, rest = COMMANDS[setting.name].partition(" ")
        path = "" if setting.path is None else quoted(setting.path)
        return runtime.command_line(command) + gap + rest.format(path=path)
    if "." in setting.name and setting.name not in OPTIONS_OF:
        return f"--set {setting}"
    name = OPTIONS_OF.get(setting.name, f"--{setting.name.replace('_', '-')}")
    return f"{name} {setting.value}" if setting.value else name


def report(error: BaseException, debug: bool) -> None:
    """Print what `told` says of a mistake as one line on stderr, after its stack where that is wanted."""
    if debug:
        traceback.print_exception(type(error), error, error.__traceback__)
    print(f"error: {one_line(told(error) or str(error))}", file=sys.stderr)


def one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def refuse_names(command: str, arguments: Sequence[str]) -> None:
    """Raise UserError for an argument, or a folder that the command uses unasked, whose name is not UTF-8.

    MindSpore opens no such file, and no JSON can name it.
    """
    given = [text.partition("=")[2] if text.startswith("--") else text for text in arguments]
    try:
        folders = [os.path.realpath(text) for text in (*given, "runs")]  # where the newest run is looked for
    except FileNotFoundError:
        raise UserError("the current folder is gone", "go to another") from None
    if command in WITH_CACHE:
        with contextlib.suppress(UserError):  # the code that needs the cache reports it
            folders.append(os.path.realpath(cache_folder()))
    for fault in filter(None, map(_fault_of_name, (*given, *folders))):
        raise fault


def _fault_of_name(name: str) -> UserError | None:
    """Return the error for a name that is not UTF-8, or that this locale may read as another; None for a good one."""
    if name.isascii():
        return None
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        return UserError(f"{shown}: this locale reads names as {encoding}", "set LC_ALL=C.UTF-8, or PYTHONUTF8=1")
    if re.search("[\udc80-\udcff]", name):
        return UserError(f"{shown}: a name that is not UTF-8", "rename it")
    return None


def _of_the_machine(error: OSError) -> str | None:
    """Say which file of the user's cannot be used and why, or what has run out; None for anything else."""
    said, name = error.strerror or str(error), error.filename
    if isinstance(name, (str, bytes, os.PathLike)):
        name = os.fsdecode(name)
        if error.errno in OF_FILES | OF_RESOURCES and not _installed(name):
            return f"{name}: {said}"
    return said if error.errno in OF_RESOURCES else None


def _installed(name: str) -> bool:
    """Return whether a file belongs to this package, to another, or to Python: that is no fault of the user's."""
    file = Path(os.path.realpath(name))
    homes = (os.path.realpath(home) for home in (Path(ms_gan.__file__).parent, sysconfig.get_path("stdlib")))
    return any(Path(home) in file.parents for home in homes) or bool({"site-packages", "dist-packages"} & {*file.parts})


def _broken_package(error: BaseException) -> str | None:
    """Say which package is missing, or cannot be imported, and how to install it; None where it is something else."""
    if isinstance(error, ModuleNotFoundError) and error.name in PACKAGES:
        return f"{error.name} is not installed; {runtime.install_command(error.name in SERVING)}"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in PACKAGES:  # the outermost is what was imported, or used wrongly
            if frame.f_code.co_name != "<module>":
                return None
            text = f"{type(error).__name__}: {one_line(str(error))[:300]}"
            install = runtime.install_command(package in SERVING)
            return f"{package} cannot be imported ({text}); install the packages again: {install}"
    return None


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C ends the command; what was begun is cleared away on the way out."""

    def __init__(self, number: int):
        super().__init__()
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def ending(command: str) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, by Ended.

    Not so where they are ignored, and for the commands that have ways of their own.
    """
    if command in ("train", "serve") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: Any) -> None:
        raise Ended(number)

    with handled(end, (signal.SIGTERM, signal.SIGHUP)):
        yield
