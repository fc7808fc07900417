"""What went wrong that a person can mend, in one line; anything else keeps its stack.

Foreseen are UserError, faults of the machine such as a full disk, names that are not UTF-8, and packages that are
missing or broken.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
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
from ms_gan.errors import Setting, UserError
from ms_gan.files import cache_folder

# Of a file that is named. They are the machine's, or those of whoever wrote the name.
OF_FILES = {
    getattr(errno, name)
    for name in (
        "EACCES",
        "EBUSY",
        "EEXIST",
        "EISDIR",
        "ELOOP",
        "ENAMETOOLONG",
        "ENODEV",
        "ENOENT",
        "ENOTCONN",
        "ENOTDIR",
        "ENOTEMPTY",
        "ENOTSUP",
        "ENXIO",
        "EOPNOTSUPP",
        "EPERM",
        "EROFS",
        "ESTALE",
        "ETIMEDOUT",
        "ETXTBSY",
    )
}
# A file that is open already says these without its name.
OF_RESOURCES = {
    getattr(errno, name) for name in ("EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ENOLCK", "ENOMEM", "ENOSPC")
}
SERVING = {"fastapi", "grpc", "mlserver", "orjson", "tritonclient", "uvicorn"}  # packages that only `serve` needs
PACKAGES = {"cv2", "download", "matplotlib", "mindspore", "numpy", "onnx", "onnxruntime", "PIL", "tqdm", *SERVING}
# Settings of recipes, and arguments in Python, whose options have another name.
OPTIONS_OF = {
    "schedule.epochs": "--epochs",
    "schedule.batch_size": "--batch-size",
    "data.dataset": "--dataset",
    "labels": "--label",
    "count": "--num",
}
MOST_TOLD = 300  # characters of what a package said
WITH_CACHE = ("train", "eval", "judge")  # commands that keep data in it


def told(error: BaseException) -> str | None:
    """Return the message for an error that the user can fix; None for any other, such as one of this program."""
    if isinstance(error, UserError):
        return error.told(option)
    if isinstance(error, MemoryError):
        return "not enough memory for that; ask for less"
    if isinstance(error, UnicodeEncodeError):
        return _not_utf8_in(error)
    if isinstance(error, OSError) and (error.errno in OF_RESOURCES or _of_the_machine(error)):
        return _of_the_machine(error)
    return _broken_package(error)


def option(setting: Setting) -> str:
    """Return what a setting is called on the command line: an option, or, for one of a recipe, what --set takes."""
    if setting.name in OPTIONS_OF:
        name = OPTIONS_OF[setting.name]
    elif "." in setting.name:
        return f"--set {setting.name}={setting.value}" if setting.value else f"--set {setting.name}"
    else:
        name = f"--{setting.name.replace('_', '-')}"
    return f"{name} {setting.value}" if setting.value else name


def report(error: BaseException, text: str, debug: bool) -> None:
    """Print a mistake as one line on stderr, after its stack where that is wanted."""
    if debug:
        traceback.print_exception(type(error), error, error.__traceback__)
    print(f"error: {one_line(text)}", file=sys.stderr)


def one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def refuse_names(command: str, arguments: Sequence[str]) -> None:
    """Raise UserError for an argument, or a folder that the command uses unasked, whose name is not UTF-8.

    MindSpore opens no such file, and no JSON can name it.
    """
    try:
        fault = _fault_of_name(os.getcwd())
    except FileNotFoundError:
        raise UserError("the current folder is gone", "go to another") from None
    if fault:
        raise UserError(f"the current folder, {fault.problem}", *fault.mend)
    for text in arguments:
        if text.startswith("--"):
            text = text.partition("=")[2]
        fault = _fault_of_name(text) or _fault_of_name(os.path.realpath(text))
        if fault:
            raise fault
    fault = _fault_of_name(os.path.realpath("runs"))  # where the newest run is looked for
    if command in WITH_CACHE and not fault:
        try:
            fault = _fault_of_name(os.path.realpath(cache_folder()))
            if fault:
                other = ", or set MS_GAN_CACHE to another folder"
                fault = UserError(f"the cache, {fault.problem}", *fault.mend, other)
        except UserError:  # the code that needs the cache reports it
            pass
    if fault:
        raise fault


def _fault_of_name(text: str) -> UserError | None:
    """Return the error for a name that is not UTF-8, or that this locale reads as another; None for a good one."""
    try:
        raw = os.fsencode(text)
        if raw.decode("utf-8") == text:
            return None
    except UnicodeDecodeError:
        return UserError(f"{raw.decode('utf-8', 'backslashreplace')}: a name that is not UTF-8", "rename it")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "backslashreplace")
    problem = f"{raw.decode('utf-8')}: this locale reads names as {sys.getfilesystemencoding()}"
    return UserError(problem, "set LC_ALL=C.UTF-8, or PYTHONUTF8=1")


def _not_utf8_in(error: UnicodeEncodeError) -> str | None:
    """Say which name in a text is not UTF-8, or beyond the locale; None where the text has another fault."""
    if "\ud800" <= error.object[error.start] <= "\udc7f":  # no name gives such a character
        return None
    before, after = (re.split("[\n\"']", part) for part in (error.object[: error.start], error.object[error.start :]))
    fault = _fault_of_name(before[-1] + after[0])
    return None if fault is None else str(fault)


def _of_the_machine(error: OSError) -> str | None:
    name: object = error.filename
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if not isinstance(name, (str, os.PathLike)):
        return error.strerror or str(error) if error.errno in OF_RESOURCES else None
    if error.errno in OF_FILES | OF_RESOURCES and not _installed(os.fspath(name)):
        return f"{name}: {error.strerror or error}"
    return None


def _installed(path: str) -> bool:
    """Return whether a file belongs to this package, to Python or to another package."""
    paths = sysconfig.get_paths()
    folders = [str(Path(ms_gan.__file__).parent)]
    folders += [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    real = Path(os.path.realpath(path))
    return any(Path(os.path.realpath(folder)) in (real, *real.parents) for folder in folders) or (
        bool({"site-packages", "dist-packages"} & set(real.parts))
    )


def _broken_package(error: BaseException) -> str | None:
    """Say which package is missing, or cannot be imported, and how to install it; None where it is something else."""
    modules = _modules_of_stack(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        root = error.name.partition(".")[0]
        needed_by = [name for name, _ in modules if name in PACKAGES]
        own = not modules or modules[-1][0] in ("ms_gan", "__main__")
        if root in sys.builtin_module_names or root in getattr(sys, "stdlib_module_names", ()) or root == "ms_gan":
            return None
        if (error.name in PACKAGES) or (needed_by and not own and (error.name == root or not _there(root))):
            package = f"{error.name}, which {needed_by[0]} needs," if error.name not in PACKAGES else error.name
            serving = not SERVING.isdisjoint((error.name, *needed_by))
            return f"{package} is not installed; {runtime.install_command(serving)}"
    for place, (name, within) in enumerate(modules):
        if name in PACKAGES:
            inner = {module for module, _ in modules[place:]}
            if within != "<module>" or "ms_gan" in inner:
                return None
            text = one_line(str(error))[:MOST_TOLD]
            return (
                f"{name} cannot be imported ({type(error).__name__}: {text}); install the packages again: "
                f"{runtime.install_command(name in SERVING)}"
            )
    return None


def _modules_of_stack(error: BaseException) -> list[tuple]:
    """Return, from the outside in, whose code ran when the error came: the outermost package, and the function."""
    found = [
        (str(frame.f_globals.get("__name__")).partition(".")[0], frame.f_code.co_name)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    return [(name, within) for name, within in found if name not in ("importlib", "_frozen_importlib")]


def _there(package: str) -> bool:
    """Return whether a package itself is installed: a name like `google` is shared by several."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C, of this `number`, ends the command; what was begun is cleared away on the way out."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number
        self.name = signal.Signals(number).name


@contextlib.contextmanager
def ending(command: str) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: unless ignored, and but for those with ways of their own."""
    if command in ("train", "serve") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: Any) -> None:
        raise Ended(number)

    before = {
        number: signal.signal(number, end)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
