"""Files that appear whole or not at all, and checksums that prove it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ms_gan.errors import Setting, UserError

CHECKSUMS = "SHA256SUMS"  # the format of sha256sum: `sha256sum -c SHA256SUMS` checks it
LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](\./)?(?P<name>.+)")  # also of `find .`, and of -b


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return where data that can be made or fetched again is kept between runs.

    `MS_GAN_CACHE` if set, else `ms_gan` below `XDG_CACHE_HOME` or `~/.cache`.
    """
    own = os.environ.get("MS_GAN_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME")
    try:
        if own:
            return Path(own).expanduser()
        return (Path(shared) if shared else Path.home() / ".cache") / "ms_gan"
    except RuntimeError as error:
        raise UserError("this user has no home folder to keep a cache in", "set MS_GAN_CACHE to a folder") from error


def require_free(file: Path, overwrite: bool) -> None:
    """Raise UserError if a file is a folder, is there already without `overwrite`, or has no folder to lie in.

    Whether the folder can be written to is not checked.
    """
    if file.is_dir():
        raise UserError(f"{file}: is a folder", "name a file")
    if file.exists() and not overwrite:
        raise UserError(f"{file}: is there already", "add ", Setting("overwrite"), ", or name another file")
    if not file.parent.is_dir():
        raise UserError(f"{file.parent}: no such folder to write to")


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    with new_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Fill a file under a hidden name; it takes its own name, in place of what had it, only when whole.

    Yields the hidden file, open for writing. If the body raises, nothing is left; an OSError is taken for one of
    writing.
    """
    path = Path(path)
    with _errors_name(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_hidden(path), suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _sync_folder(path.parent)


@contextlib.contextmanager
def new_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Fill a folder under a hidden name; it takes its own name only when whole.

    Yields the hidden folder. On leaving, every file is made readable to others and flushed to disk, and the folder is
    renamed to `path`. That must not exist or be empty, unless `replace`. Where a folder cannot be renamed over, since a
    disk is mounted there or it is the working folder, the files are moved into it one by one. If the body raises,
    nothing is left, not even parents that were made for it, and what was at `path` is untouched.
    """
    path = Path(path)
    there = path.is_dir()
    inside = there and (os.path.ismount(path) or not os.access(path.parent, os.W_OK))
    fixed = inside or there and _is_working_folder(path)
    made = [parent for parent in path.parents if not parent.exists()]
    hidden: Path | None = None
    try:
        with _errors_name(path):
            if there and not replace and any(path.iterdir()):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
            path.parent.mkdir(parents=True, exist_ok=True)
            hidden = _hidden_folder(path if inside else path.parent, path, ".part")
        yield hidden
        with _errors_name(path):
            _make_readable(hidden)
            if there and (fixed or replace):
                _exchange(hidden, path, replace, fixed)
            else:
                os.replace(hidden, path)
                _sync_folder(path.parent)
    except BaseException:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):  # somebody else uses it already
                folder.rmdir()
        raise


def _is_working_folder(path: Path) -> bool:
    try:
        return os.path.samefile(path, os.curdir)
    except OSError:  # the working folder was deleted
        return False


def _make_readable(folder: Path) -> None:
    """Give all below a folder the modes that the user's umask asks for (MindSpore writes 0400); flush it to disk."""
    umask = _umask()
    for place, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(place, name)
            os.chmod(file, 0o666 & ~umask)
            with open(file, "rb") as opened:
                os.fsync(opened.fileno())
        os.chmod(place, 0o777 & ~umask)
        _sync_folder(Path(place))


def _exchange(hidden: Path, path: Path, replace: bool, fixed: bool) -> None:
    """Put what is in `hidden` in the place of the folder `path`, or, where that is `fixed`, of what is in it.

    If that fails, everything is as it was.
    """
    before = [entry for entry in path.iterdir() if entry.name != hidden.name]
    if before and not replace:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
    old = _hidden_folder(hidden.parent, path, ".old")
    moves = [(path, old), (hidden, path)]
    if fixed:
        moves = [(entry, old / entry.name) for entry in before]
        moves += [(entry, path / entry.name) for entry in hidden.iterdir()]
    with contextlib.ExitStack() as undo:
        undo.callback(_remove_if_there, old)
        for source, target in moves:
            undo.callback(_move_back, target, source)  # before, as a signal may come right after the move
            os.replace(source, target)
        _sync_folder(path if fixed else path.parent)
        undo.pop_all()
    shutil.rmtree(hidden, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _move_back(target: Path, source: Path) -> None:
    """Undo a move, if it happened."""
    if os.path.lexists(target) and not os.path.lexists(source):
        os.replace(target, source)


def _remove_if_there(folder: Path) -> None:
    if folder.is_dir():
        folder.rmdir()


def _hidden_folder(home: Path, path: Path, suffix: str) -> Path:
    return Path(tempfile.mkdtemp(dir=home, prefix=_hidden(path), suffix=suffix))


def _hidden(path: Path) -> str:
    """Return how a hidden name begins: short enough for whatever follows."""
    return f".{path.name[:50]}."


def stays_below(name: str) -> bool:
    """Return True if a relative path stays inside its folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def write_checksums(folder: Path, changed: Iterable[str] | None = None) -> None:
    """Write `SHA256SUMS`, which covers every other file below a folder; with `changed` anew for these names alone."""
    digests = {} if changed is None else read_checksums(folder)
    if changed is None:
        changed = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    digests.update({name: sha256_of_file(folder / name) for name in changed if name != CHECKSUMS})
    lines = [f"{digests[name]}  {name}\n" for name in sorted(digests)]
    write_file(folder / CHECKSUMS, "".join(lines).encode())


def read_checksums(folder: Path) -> dict[str, str]:
    """Return what a folder's `SHA256SUMS` says: file name → SHA-256. Raises UserError when it cannot be read."""
    listing = folder / CHECKSUMS
    try:
        lines = listing.read_text(encoding="utf-8").rstrip("\n").split("\n")
        found = [LINE.fullmatch(line) for line in lines]
        digests = {match["name"]: match["digest"] for match in found if match}
        if len(digests) < len(lines) or not all(map(stays_below, digests)):
            raise ValueError("no list, or of files elsewhere")
        return digests
    except (OSError, ValueError) as error:
        raise UserError(f"{listing}: the checksums are missing or damaged", f"use another copy of {folder}") from error


def verify_checksums(folder: Path) -> dict[str, str]:
    """Check every file of a folder without sub-folders against its `SHA256SUMS`.

    Returns file name → SHA-256. Raises UserError that names the first entry that is missing, differs or is not listed
    (hidden ones aside), or a list that cannot be read. A sub-folder counts as not listed.
    """
    folder = Path(folder)
    expected, another = read_checksums(folder), f"use another copy of {folder}"
    for entry in sorted(folder.iterdir()):
        if entry.name not in expected and entry.name != CHECKSUMS and not entry.name.startswith("."):
            raise UserError(f"{entry}: not in the list of checksums", another)
    for name, digest in expected.items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file}: missing", another)
        if sha256_of_file(file) != digest:
            raise UserError(f"{file}: damaged (its SHA-256 is not the recorded one)", another)
    return expected


@contextlib.contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let an OSError name the path that the user knows, and not a hidden one."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
