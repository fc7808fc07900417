"""Messages about files, whose names may hold anything, in one line; and folders that are not where they should be."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from ms_gan.errors import UserError, quoted


def one_line(text: str) -> str:
    """Spell out whatever could break a line, as the name of a file may hold anything."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def user_error(text: str) -> UserError:
    """Return a UserError with the text in one line."""
    return UserError(one_line(text))


def folder_at(data_path: str | Path, holds: str) -> Path:
    """Return the folder that --data-path names; `holds` says what it should hold, such as "the images".

    Raises UserError where there is none, with what is there in its place, or a name that is like it.
    """
    mend = f"--data-path must name the folder that holds {holds}"
    if not str(data_path).strip():
        raise user_error(
            f"--data-path {str(data_path)!r}: names nothing, as a shell's variable does that is not set; {mend}"
        )
    folder = Path(data_path)
    try:
        os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise user_error(f"{folder}: does not exist{_why(folder)}; {mend}{_nearest(folder)}") from None
    except (OSError, ValueError) as error:
        raise user_error(f"{folder}: cannot be read ({getattr(error, 'strerror', None) or error}); {mend}") from error
    if not os.path.isdir(folder):
        raise user_error(f"{folder}: is a file, not a folder; {mend}")
    return folder


def _why(folder: Path) -> str:
    """Say in brackets why a path leads nowhere, where that is known."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and not os.path.exists(place):
            return f" ({'it' if place == folder else place} is a link to {os.readlink(place)}, which is not there)"
        if os.path.exists(place):
            return "" if os.path.isdir(place) else f" ({place} is a file)"
    return ""


def _nearest(folder: Path) -> str:
    """Return a suggestion for a path that leads nowhere: the existing one that is most like it, or ""."""
    if os.path.expanduser(folder) != str(folder):
        return (
            f" (the shell puts your home in place of ~ only at the start of a word; write "
            f"{quoted(os.path.expanduser(folder))})"
        )
    found = _alike(folder)
    return f" (did you mean {quoted(found)}?)" if found else ""


def _alike(folder: Path) -> Path | None:
    """Return the folder whose path differs in one name, which is like the one that leads nowhere; None if none does."""
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
