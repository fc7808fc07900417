"""Files that appear whole or not at all, and checksums that prove it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Dict, Iterator, Optional, Sequence

from ms_gan.errors import UserError

CHECKSUMS = "SHA256SUMS"  # the format of sha256sum: `sha256sum -c SHA256SUMS` checks it


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
        raise UserError("this user has no home folder to keep a cache in; set MS_GAN_CACHE to a folder") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    path = Path(path)
    with _errors_name(path):
        _write_file(path, content)


def _write_file(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
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

    Yields the hidden folder. On leaving, every file is made readable to others
    (MindSpore writes mode 0400), flushed to disk, and the folder is renamed to
    `path`, which must not exist or be empty, unless it is to be replaced. If the
    body raises, nothing is left, and what was at `path` is untouched.
    """
    path = Path(path)
    with _errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield hidden
        with _errors_name(path):
            umask = _umask()
            for folder, _, names in os.walk(hidden):
                for name in names:
                    file = os.path.join(folder, name)
                    os.chmod(file, 0o666 & ~umask)
                    with open(file, "rb") as opened:
                        os.fsync(opened.fileno())
                os.chmod(folder, 0o777 & ~umask)
                _sync_folder(Path(folder))
            if replace and path.exists():
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
                os.replace(path, old)
                os.replace(hidden, path)
                shutil.rmtree(old)
            else:
                os.replace(hidden, path)
            _sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def stays_below(name: str) -> bool:
    """Tell whether a file's name in a list leads nowhere but below the folder that the list is of."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def write_checksums(folder: Path, names: Optional[Sequence[str]] = None) -> None:
    """Write `SHA256SUMS`, which covers these files below `folder`, or every other one directly in it."""
    if names is None:
        names = [entry.name for entry in Path(folder).iterdir() if entry.name != CHECKSUMS]
    lines = [f"{sha256_of_file(Path(folder) / name)}  {name}\n" for name in sorted(names)]
    (Path(folder) / CHECKSUMS).write_text("".join(lines))


def read_checksums(folder: Path) -> Dict[str, str]:
    """Return what a folder's `SHA256SUMS` says: file name → SHA-256. Raises UserError when it cannot be read."""
    listing = folder / CHECKSUMS
    try:
        lines = listing.read_text(encoding="utf-8").rstrip("\n").split("\n")
        digests: Dict[str, str] = dict(reversed(line.split("  ", 1)) for line in lines)
        if not all(map(stays_below, digests)):
            raise ValueError("a file elsewhere")
        return digests
    except (OSError, ValueError) as error:
        raise UserError(f"{listing}: the checksums are missing or damaged; use another copy of {folder}") from error


def verify_checksums(folder: Path) -> Dict[str, str]:
    """Check every file of a folder against its `SHA256SUMS`.

    Returns file name → SHA-256. Raises UserError that names the first file that is
    missing, differs or is not listed (hidden files aside), or a list that cannot be read.
    """
    folder = Path(folder)
    expected = read_checksums(folder)
    for entry in sorted(folder.iterdir()):
        if entry.name not in expected and entry.name != CHECKSUMS and not entry.name.startswith("."):
            raise UserError(f"{entry}: not in the list of checksums; use another copy of {folder}")
    for name, digest in expected.items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file}: missing; use another copy of {folder}")
        if sha256_of_file(file) != digest:
            raise UserError(f"{file}: damaged (its SHA-256 is not the recorded one); use another copy of {folder}")
    return expected


@contextlib.contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let an OSError speak of the path that the user knows, and not of a hidden one."""
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
