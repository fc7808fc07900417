"""Which files of a folder are images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import features

from ms_gan.data.faults import DataFault
from ms_gan.data.folder.splits import NO_IMAGES
from ms_gan.data.folder.tables import LABELS
from ms_gan.errors import Setting
from ms_gan.labels import natural_order

AVIF = "avif" in features.modules and bool(features.check("avif"))  # Pillow 11.3 and later
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", *[".avif"] * AVIF)
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", *["AVIF"] * AVIF)
EXPECTED = (LABELS, "thumbs.db", "desktop.ini")  # other files: the last two a system adds to folders of images


class Foreign(NamedTuple):
    """What phones put among photographs, and how images are made of it."""

    suffixes: tuple[str, ...]
    called: str
    command: str


FOREIGN = (
    Foreign((".heic", ".heif", ".hif"), "HEIC", "heif-convert PHOTO.heic PHOTO.jpg"),
    Foreign((".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm"), "video", "ffmpeg -i VIDEO -vf fps=1 IMAGES/%04d.png"),
)


def image_names(folder: Path, notes: list[str]) -> list[str]:
    """Return the relative paths, with slashes, of all images in the folder and below it, sorted; note other files.

    Raises DataFault for a folder without images, or one that cannot be read.
    """
    files = list(_files(folder))
    names = sorted(name for name in files if name.lower().endswith(SUFFIXES))
    conversions = _conversions(files)
    if not names:
        first = "".join(f"make images of the {what}: {command}, or " for what, command in conversions)
        idx = any(name.removesuffix(".gz").endswith("-ubyte") for name in files)
        other = ("add ", Setting("dataset", "idx"), " for files in MNIST's format, or ") if idx else ()
        mend = (*other, f"{first}name a folder with images ({', '.join(FORMATS)}) with ", Setting("data_path"))
        raise DataFault(f"{folder}: holds no image among its {len(files)} file(s)", *mend)
    others = natural_order(name for name in set(files).difference(names) if not _is_told_of_or_expected(name))
    if others:
        endings = ", ".join(SUFFIXES)
        notes.append(f"left out {len(others)} file(s), such as {others[0]}: the name of an image ends in {endings}")
    notes.extend(f"left out {what}; to make images of them: {command}" for what, command in conversions)
    return names


def _is_told_of_or_expected(name: str) -> bool:
    return os.path.basename(name).casefold() in EXPECTED or any(
        name.lower().endswith(kind.suffixes) for kind in FOREIGN
    )


def _conversions(files: Sequence[str]) -> list[tuple[str, str]]:
    """Return how many files are HEIC, or videos, if there are some, each with the command that makes images of them."""
    counts = [(kind, sum(name.lower().endswith(kind.suffixes) for name in files)) for kind in FOREIGN]
    return [(f"{count} {kind.called} file(s)", kind.command) for kind, count in counts if count]


def _files(folder: Path, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the relative paths of all files that are not hidden; links are followed, but never in a circle."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:
            named = ((entry, entry.name.casefold()) for entry in entries)
            visible = [entry for entry, name in named if not name.startswith(".") and name not in NO_IMAGES]
        for entry in visible:
            if entry.is_dir():
                yield from _files(folder / entry.name, f"{prefix}{entry.name}/", (*above, real))
            elif entry.is_file() or not os.path.exists(entry.path):  # a broken link is to be complained about
                yield prefix + entry.name
    except OSError as error:
        problem = f"{error.filename or folder}: cannot be read ({error.strerror or error})"
        raise DataFault(problem, "give yourself access, or move it out of the folder of images") from error
