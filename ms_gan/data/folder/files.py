"""Which files of a folder are images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import features

from ms_gan.data.faults import DataFault
from ms_gan.data.folder.splits import NO_IMAGES
from ms_gan.data.folder.tables import LABELS
from ms_gan.data.mnist.files import IDX
from ms_gan.errors import Setting
from ms_gan.labels import natural_order

AVIF = "avif" in features.modules and bool(features.check("avif"))  # Pillow 11.3 and later
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", *[".avif"] * AVIF)
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", *["AVIF"] * AVIF)
OF_SYSTEMS = ("thumbs.db", "desktop.ini")  # files that a system adds to folders of images
MOST_LISTED = 100_000  # files, for a hint


def image_names(folder: Path, notes: list[str]) -> list[str]:
    """Return the relative paths, with slashes, of all images in the folder and below it, sorted; note other files.

    Raises DataFault for a folder without images, or one that cannot be read.
    """
    files = list(_files(folder))
    names = sorted(name for name in files if name.lower().endswith(SUFFIXES))
    if not names:
        raise _no_images(folder, files)
    others = natural_order(
        name for name in set(files) - set(names) if os.path.basename(name).casefold() not in (LABELS, *OF_SYSTEMS)
    )
    if others:
        notes.append(f"left out {len(others)} file(s) that are no {', '.join(FORMATS)}, such as {others[0]}")
    return names


def _no_images(folder: Path, files: list[str]) -> DataFault:
    if any(IDX.search(os.path.basename(name)) for name in files):
        return DataFault(
            f"{folder}: holds files in MNIST's IDX format, and no image files",
            "leave out ",
            Setting("dataset", "folder"),
            ", or give ",
            Setting("dataset", "mnist"),
        )
    what = (
        f"holds {len(files)} file(s), but no image"
        if files
        else "holds nothing but empty folders and hidden files"
        if os.listdir(folder)
        else "is empty"
    )
    return DataFault(
        f"{folder}: {what}", f"name a folder with images ({', '.join(FORMATS)}) with ", Setting("data_path")
    )


def _files(folder: Path, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the relative paths of all files that are not hidden; links are followed, but never in a circle."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in NO_IMAGES]
        for entry in visible:
            if entry.is_dir():
                yield from _files(folder / entry.name, f"{prefix}{entry.name}/", (*above, real))
            elif entry.is_file() or not os.path.exists(entry.path):  # a broken link is to be complained about
                yield prefix + entry.name
    except OSError as error:
        raise DataFault(
            f"{error.filename or folder}: cannot be read ({error.strerror or error})",
            "give yourself access, or move it out of the folder of images",
        ) from error


def images_hint(folder: Path) -> tuple[str | Setting, ...]:
    """Say how many images are in a folder and below it, and how to use them, in pieces; () where there are none."""
    count = listed = 0
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        count += sum(name.lower().endswith(SUFFIXES) and not name.startswith(".") for name in names)
        listed += len(names)
        if listed > MOST_LISTED:
            break
    more = "over " if listed > MOST_LISTED else ""
    it_holds = f"it holds {more}{count:,} image{'' if count == 1 else 's'}: add "
    return (it_holds, Setting("dataset", "folder")) if count else ()
