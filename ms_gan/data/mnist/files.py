"""Where MNIST's files are in a folder, and under which names; those of data sets in its format, too."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from pathlib import Path
from typing import NamedTuple

from ms_gan.data.faults import DataFault, folder_at
from ms_gan.errors import Setting, quoted

PREFIXES = {"train": "train", "test": "t10k"}
STEMS = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}
NAME = re.compile(  # EMNIST's are emnist-letters-test-images-idx3-ubyte and so on, QMNIST's labels qmnist-…-idx2-int
    r"(?P<title>(?:.+-)?)(?P<split>train|t10k|test)-(?P<content>images(?=.idx3)|labels(?=.idx[12]))"
    r"[-.](?:idx3-ubyte|idx1-ubyte|idx2-int)(?:\.gz)?"
)
PLACES = (("", "train", "test"), ("raw",), ("MNIST/raw",))  # the last two are torchvision's, looked into in this order
ALIKE = re.compile(r"(train|t10k|test).*(images|labels).*idx", re.IGNORECASE)
MOST_LOOKED_AT, MOST_NAMED = 20_000, 4  # files


class MNISTFiles(NamedTuple):
    """The files of one data set, by "train-images", "train-labels", "test-images" and "test-labels": those found.

    title: how all of their names begin: "" for MNIST's own, "emnist-letters-" for EMNIST's letters. home: the folder.
    """

    home: Path
    title: str
    paths: dict[str, Path]

    def spellings(self, split: str, content: str) -> list[str]:
        """Return the names that the file with the "images" or "labels" of a split may have."""
        part = split if self.title else PREFIXES[split]
        return [f"{self.title}{part}-{content}{mark}{STEMS[content]}{pack}" for mark in "-." for pack in ("", ".gz")]


def find_mnist(folder: str | Path) -> MNISTFiles:
    """Find MNIST's files in `folder` or its `train/` and `test/`, or else where torchvision puts them, gzipped or not.

    Files of another data set in MNIST's format may have a title before their names, as EMNIST's have. Where a folder
    holds several data sets, DIR/emnist-letters names one. Raises DataFault when the folder is missing or has none of
    them, or several without MNIST's own names.
    """
    above, title = Path(folder).parent, f"{Path(folder).name}-"
    if not os.path.isdir(folder) and title in (sets := _sets(above)):
        return MNISTFiles(above, title, sets[title])
    folder = folder_at(folder, "MNIST")
    sets = _sets(folder)
    if "" in sets or len(sets) == 1:
        title = "" if "" in sets else next(iter(sets))
        return MNISTFiles(folder, title, sets[title])
    if sets:
        named = [part for title in sorted(sets) for part in (" or ", Setting("data_path", quoted(folder / title[:-1])))]
        raise DataFault(f"{folder}: holds {len(sets)} data sets in MNIST's format", "name ", *named[1:])
    raise _fault_of(folder)


def _fault_of(folder: Path) -> DataFault:
    """Return what a message says of a folder without MNIST: what it holds instead."""
    files = itertools.islice(folder.rglob("*"), MOST_LOOKED_AT)
    alike = sorted(path for path in files if ALIKE.search(path.name) and path.is_file())
    places = sorted(set(filter(None, (_home_of(file, folder) for file in alike))))
    if places:
        named = [piece for place in places for piece in (" or ", Setting("data_path", quoted(place)))][1:]
        return DataFault(f"{folder}: holds no MNIST, but folders below it do", "name ", *named)
    none = MNISTFiles(folder, "", {})
    wanted = [none.spellings(split, content)[0] for split in PREFIXES for content in STEMS]
    expected = f"expected {', '.join(wanted)} (or .gz), there or in train/ and test/"
    if alike:
        names = ", ".join(file.relative_to(folder).as_posix() for file in alike[:MOST_NAMED])
        return DataFault(f"{folder}: holds no MNIST, but {names}", f"rename or link such files: {expected}")
    own = "for images of your own add "
    return DataFault(f"{folder}: holds no MNIST", own, Setting("dataset", "folder"), f"; for MNIST, {expected}")


def _sets(folder: Path) -> dict[str, dict[str, Path]]:
    """Return files by title and by what they hold, all from the first of PLACES in which there is any."""
    for places in PLACES:
        sets: dict[str, dict[str, Path]] = {}
        for place in places:
            for name in _names_in(folder / place):
                match = NAME.fullmatch(name)
                if match:
                    content = f"{'train' if match['split'] == 'train' else 'test'}-{match['content']}"
                    sets.setdefault(match["title"], {}).setdefault(content, folder / place / name)
        if sets:
            return sets
    return {}


def _names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder, sorted; none where it cannot be read."""
    with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
        # a broken link is to be complained about
        return sorted(entry.name for entry in entries if entry.is_symlink() or entry.is_file())
    return []


def _home_of(file: Path, folder: Path) -> Path | None:
    """Return the sub-folder of a folder that holds images and labels of one data set, where a file is one of these."""
    above = (file.parents[1], file.parent)  # the file may be in train/ or raw/
    places = (place for place in above if folder in place.parents)
    return next((place for place in places if any(len(paths) > 1 for paths in _sets(place).values())), None)
