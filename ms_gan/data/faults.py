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
        raise DataFault(f"{folder}: does not exist{_why(folder)}", *mend, _suggestion(folder)) from None
    except (OSError, ValueError) as error:
        raise DataFault(f"{folder}: cannot be read ({getattr(error, 'strerror', None) or error})", *mend) from error
    if not os.path.isdir(folder):
        raise DataFault(f"{folder}: is a file, not a folder", *mend)
    return folder


def _why(folder: Path) -> str:
    """Say in brackets why a path leads nowhere, where that is known."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and not os.path.exists(place):
            return f" ({'it' if place == folder else place} is a link to {os.readlink(place)}, which is not there)"
        if os.path.exists(place):
            return "" if os.path.isdir(place) else f" ({place} is a file)"
    return ""


def _suggestion(folder: Path) -> str:
    """Suggest in brackets the existing folder that is most like a path that leads nowhere; "" where none is."""
    if os.path.expanduser(folder) != str(folder):
        return (
            f" (the shell puts your home in place of ~ only at the start of a word; write "
            f"{quoted(os.path.expanduser(folder))})"
        )
    found = _alike(folder)
    return f" (did you mean {quoted(found)}?)" if found else ""


def _alike(folder: Path) -> Path | None:
    """Return an existing folder whose path differs in one name, and there only slightly; None where there is none."""
    for place in (folder, *folder.parents):
        if place.parent == place or not os.path.isdir(place.parent):
            continue
        try:
            there = sorted(entry.name for entry in os.scandir(place.parent) if entry.is_dir())
        except OSError:
            return None
        same = [name for name in there if name.strip().casefold() == place.name.strip().casefold()]
        for name in same or difflib.get_close_matches(place.name, there, n=1, cutoff=0.6):
            rest = folder.relative_to(place)
            return place.parent / name / rest if os.path.isdir(place.parent / name / rest) else place.parent / name
        return None
    return None
