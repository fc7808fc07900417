"""Faults of files, whose names may hold anything, told in one line; and folders that are not where they should be."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from ms_gan.errors import Setting, UserError, quoted


def one_line(text: str) -> str:
    """Escape every character that could break a line: the name of a file may hold any."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


class DataFault(UserError):
    """A UserError about files: both of its parts stay in one line, whatever the files are called."""

    def __init__(self, problem: str, *mend: str | Setting):
        super().__init__(one_line(problem), *(one_line(part) if isinstance(part, str) else part for part in mend))


def folder_at(path: str | Path, holds: str) -> Path:
    """Return `path` as a folder; `holds` says what it should hold, such as "the images".

    Raises DataFault where there is no such folder. It says what is there instead, or suggests a similar name.
    """
    mend = ("name the folder that holds ", holds, " with ", Setting("data_path"))
    if not str(path).strip():
        raise DataFault(f"{str(path)!r}: names no folder, as a shell's variable does that is not set", *mend)
    folder = Path(path)
    try:
        os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise DataFault(f"{folder}: does not exist{_hint(folder)}", *mend) from None
    except (OSError, ValueError) as error:
        raise DataFault(f"{folder}: cannot be read ({getattr(error, 'strerror', None) or error})", *mend) from error
    if not os.path.isdir(folder):
        other = ("add ", Setting("dataset", "arrays"), ", or ") if folder.suffix == ".npz" else ()
        raise DataFault(f"{folder}: is a file, not a folder", *other, *mend)
    return folder


def _hint(folder: Path) -> str:
    """Say in brackets why a path leads nowhere, or which folder may be meant; "" where neither is known."""
    home = os.path.expanduser(folder)
    if home != str(folder):
        return f" (the shell puts your home in place of ~ only at the start of a word; write {quoted(home)})"
    missing = folder
    while not os.path.exists(missing.parent):
        missing = missing.parent
    if missing.is_symlink():
        return f" ({missing} is a link to {os.readlink(missing)}, which is not there)"
    if not missing.parent.is_dir():
        return f" ({missing.parent} is a file)"
    there = {place.name.strip().casefold(): place for place in missing.parent.glob("*") if place.is_dir()}
    near = difflib.get_close_matches(missing.name.strip().casefold(), there, n=1)
    return f" (did you mean {quoted(there[near[0]])}?)" if near else ""
