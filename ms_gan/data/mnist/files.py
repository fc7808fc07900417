"""Where MNIST's files are in a folder, and under which names; and what is there instead of them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ms_gan.data.faults import DataFault, folder_at
from ms_gan.errors import Setting, quoted

PREFIXES = {"train": "train", "test": "t10k"}
STEMS = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}
RAW = ("raw", "MNIST/raw")  # where torchvision puts them, looked into if they are nowhere else
IDX = re.compile(r"idx\d[-_. ]?(ubyte|int)", re.IGNORECASE)
ALIKE = re.compile(
    r"(?P<set>.*?)(?P<split>train|t10k|test)(ing)?[-_. ]*(?P<content>images|labels)[-_. ]*idx.*", re.IGNORECASE
)
DEPTH, MOST_LISTED = 3, 20_000  # sub-folders below one another, and files, among which others are looked for
MORE_LABELS = re.compile("letters|balanced|byclass|bymerge", re.IGNORECASE)  # of EMNIST: with labels beyond 9
FITTING = "of EMNIST only the sets digits and mnist have labels 0 to 9"


def find_mnist(folder: str | Path) -> dict[str, Path]:
    """Find MNIST's files in `folder` or its `train/` and `test/`, or else where torchvision puts them, gzipped or not.

    Returns those found, by "train-images", "train-labels", "t10k-images" and
    "t10k-labels". Raises UserError when the folder is missing or has none of them.
    """
    folder = folder_at(folder, "MNIST")
    found = _found(folder)
    if found:
        return found
    there = _alike(folder)
    said = _in_other_folders(folder, there) or _by_other_names(folder, there)
    if said:
        raise DataFault(f"{folder}: holds no MNIST, but {said[0]}", *said[1:])
    expected = " and ".join(spellings("train", content)[0] for content in STEMS)
    expected = f"expected {expected} (or .gz), there or in train/ and test/"
    from ms_gan.data.folder.files import images_hint  # heavy

    hint = images_hint(folder)
    if hint:
        raise DataFault(f"{folder}: holds no MNIST", *hint, f"; or, for MNIST, {expected}")
    raise DataFault(f"{folder}: {'holds no MNIST' if any(folder.iterdir()) else 'is empty'}", expected)


def holds_mnist(folder: Path) -> bool:
    """Tell whether any of MNIST's files is where `find_mnist` looks."""
    return bool(_found(folder))


def missing_files(folder: Path, split: str, content: str) -> DataFault:
    """Return the fault that MNIST's images or labels of a split are missing; it names a file that may be meant."""
    prefix, missing = PREFIXES[split], f"{folder}: the {split} {content} are missing"
    for file in _alike(folder):
        if file.key == f"{prefix}-{content}" and not _unfit([file]):
            return DataFault(f"{missing}, but there is {file.name}", f"rename or link it to {file.wanted}")
    return DataFault(missing, f"expected {' or '.join(spellings(prefix, content))}, there or in {split}/")


def spellings(prefix: str, content: str) -> list[str]:
    """Return the names that a file of MNIST may have."""
    stem = STEMS[content]
    return [f"{prefix}-{content}{mark}{stem}{packed}" for mark in "-." for packed in ("", ".gz")]


def _found(folder: Path) -> dict[str, Path]:
    """Return MNIST's files by what they hold, all from the first place in which there is any."""
    for places in (("", "{split}"), *((place,) for place in RAW)):
        found: dict[str, Path] = {}
        for split, prefix in PREFIXES.items():
            for content in STEMS:
                for place, name in itertools.product(places, spellings(prefix, content)):
                    path = folder / place.format(split=split) / name
                    if os.path.isfile(path):
                        found.setdefault(f"{prefix}-{content}", path)
        if found:
            return found
    return {}


class _File(NamedTuple):
    """A file named like one of MNIST's.

    name: its path below the folder. set: what it belongs to. key: which file of it, such as "train-images". wanted: the
    name under which it would be found.
    """

    name: str
    set: str
    key: str
    wanted: str


def _alike(folder: Path) -> list[_File]:
    """Return the files in the folder and a little below it that are named like those of MNIST, by their paths.

    Raises UserError for a link to a file that is not there.
    """
    found, listed = [], 0
    for place, folders, names in os.walk(folder):
        below = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if len(below.parts) < DEPTH else []
        listed += len(names)
        for name in sorted(names):
            like = ALIKE.fullmatch(name)
            if not like or name.startswith("."):
                continue
            if not os.path.exists(os.path.join(place, name)):
                raise DataFault(
                    f"{Path(place, name)}: is a link to a file that is not there",
                    "put that back, or name another folder with ",
                    Setting("data_path"),
                )
            prefix, content = "train" if like["split"].lower() == "train" else "t10k", like["content"].lower()
            key, names_of_it = f"{prefix}-{content}", spellings(prefix, content)[name.lower().endswith(".gz") :: 2]
            # archives are unpacked into folders of such names
            wanted = next((path for path in names_of_it if not os.path.isdir(folder / path)), key)
            whose = (below / like["set"]).as_posix() if like["set"] else ""
            found.append(_File((below / name).as_posix(), whose, key, wanted))
        if listed > MOST_LISTED:
            break
    return found


def _in_other_folders(folder: Path, there: Iterable[_File]) -> tuple[str | Setting, ...]:
    """Say in which sub-folders MNIST's files are, then, in pieces, how to name one; () where they are in none."""
    places: list[Path] = []
    for file in there:
        own = (folder / file.name).parent
        place = next((above for above in (own.parent, own) if above != folder and _holds_a_split(above)), None)
        if place and place not in places:
            places.append(place)
    if not places:
        return ()
    which = " and ".join(f"{place.relative_to(folder).as_posix()}/" for place in places)
    named = [piece for place in places for piece in (" or ", Setting("data_path", quoted(place)))][1:]
    return (f"{which} {'does' if len(places) == 1 else 'do'}", f"name {'it' if len(places) == 1 else 'one'}: ", *named)


def _by_other_names(folder: Path, there: Sequence[_File]) -> tuple[str, ...]:
    """Say which files are named nearly like MNIST's, then what to rename them to; () where there are none."""
    sets: dict[str, list[_File]] = {}
    for file in there:
        sets.setdefault(file.set, []).append(file)
    if not sets:
        return ()
    fitting = {name: files for name, files in sets.items() if not _unfit(files)}
    if not fitting:
        files = sorted(file for files in sets.values() for file in files)
        return _listed(files), _unfit(files)
    name, files = min(fitting.items(), key=lambda item: (-len({file.key for file in item[1]}), item[0]))
    renamed = ", ".join(f"{file.name} to {file.wanted}" for file in files)
    others = f", or likewise those of {' or '.join(sorted(set(fitting) - {name}))}" if len(fitting) > 1 else ""
    not_fitting = f" ({FITTING})" if len(sets) > len(fitting) else ""
    return _listed(files), f"rename or link {renamed}{others}{not_fitting}"


def _holds_a_split(folder: Path) -> bool:
    found = _found(folder)
    return any(all(f"{prefix}-{content}" in found for content in STEMS) for prefix in PREFIXES.values())


def _listed(files: Sequence[_File]) -> str:
    return ", ".join(file.name for file in files)


def _unfit(files: Sequence[_File]) -> str:
    """Say why files of such names cannot be MNIST's, and what to do; "" where they can."""
    for file in files:
        if MORE_LABELS.search(file.set):
            return f"labels beyond 9 are not taken: {FITTING}"
        if re.search(r"idx\d[-_. ]?int", file.name, re.IGNORECASE):
            return (
                f"{file.name} holds numbers of several bytes, as QMNIST's labels: write the digits alone into "
                f"{file.wanted}, as unsigned bytes"
            )
    return ""
