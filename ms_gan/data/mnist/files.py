"""Where MNIST's files are in a folder, and under which names."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

from ms_gan.data.faults import DataFault, folder_at
from ms_gan.errors import Setting, quoted

PREFIXES = {"train": "train", "test": "t10k"}
STEMS = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}
PLACES = (("", "{split}"), ("raw",), ("MNIST/raw",))  # the last two are torchvision's, looked into in this order
ALIKE = re.compile(r"(train|t10k|test).*(images|labels).*idx", re.IGNORECASE)
MOST_LOOKED_AT, MOST_NAMED = 20_000, 4  # files


def find_mnist(folder: str | Path) -> dict[str, Path]:
    """Find MNIST's files in `folder` or its `train/` and `test/`, or else where torchvision puts them, gzipped or not.

    Returns those found, by "train-images", "train-labels", "t10k-images" and
    "t10k-labels". Raises UserError when the folder is missing or has none of them.
    """
    folder = folder_at(folder, "MNIST")
    found = _found(folder)
    if found:
        return found
    files = itertools.islice(folder.rglob("*"), MOST_LOOKED_AT)
    alike = sorted(path for path in files if ALIKE.search(path.name) and path.is_file())
    places = sorted(set(filter(None, (_home_of(file, folder) for file in alike))))
    if places:
        named = [piece for place in places for piece in (" or ", Setting("data_path", quoted(place)))][1:]
        raise DataFault(f"{folder}: holds no MNIST, but folders below it do", "name ", *named)
    wanted = [spellings(prefix, content)[0] for prefix in PREFIXES.values() for content in STEMS]
    expected = f"expected {', '.join(wanted)} (or .gz), there or in train/ and test/"
    if alike:
        names = ", ".join(file.relative_to(folder).as_posix() for file in alike[:MOST_NAMED])
        raise DataFault(f"{folder}: holds no MNIST, but {names}", f"rename or link such files: {expected}")
    own = "for images of your own add "
    raise DataFault(f"{folder}: holds no MNIST", own, Setting("dataset", "folder"), f"; for MNIST, {expected}")


def spellings(prefix: str, content: str) -> list[str]:
    """Return the names that a file of MNIST may have."""
    stem = STEMS[content]
    return [f"{prefix}-{content}{mark}{stem}{packed}" for mark in "-." for packed in ("", ".gz")]


def _found(folder: Path) -> dict[str, Path]:
    """Return MNIST's files by what they hold, all from the first place in which there is any."""
    for places in PLACES:
        found: dict[str, Path] = {}
        for (split, prefix), content, place in itertools.product(PREFIXES.items(), STEMS, places):
            for name in spellings(prefix, content):
                path = folder / place.format(split=split) / name
                if os.path.isfile(path) or os.path.islink(path):  # a broken link is to be complained about
                    found.setdefault(f"{prefix}-{content}", path)
        if found:
            return found
    return {}


def _home_of(file: Path, folder: Path) -> Path | None:
    """Return the sub-folder of a folder that holds images and labels of MNIST, where a file is one of these."""
    above = (file.parents[1], file.parent)  # the file may be in train/ or raw/
    return next((place for place in above if folder in place.parents and len(_found(place)) > 1), None)
