"""Where the files of MNIST lie in a folder, and under which names; and what is there in their place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ms_gan.data.words import folder_at, user_error
from ms_gan.errors import quoted

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
    what, mend = _in_other_folders(folder, there) or _by_other_names(folder, there) or ("", "")
    if what:
        raise user_error(f"{folder}: holds no MNIST, but {what}; {mend}")
    expected = " and ".join(spellings("train", content)[0] for content in STEMS)
    expected = f"expected {expected} (or .gz), there or in train/ and test/"
    from ms_gan.data.folder import images_hint  # heavy

    hint = images_hint(folder)
    if hint:
        raise user_error(f"{folder}: holds no MNIST; {hint}; or, for MNIST, {expected}")
    raise user_error(f"{folder}: {'holds no MNIST' if any(folder.iterdir()) else 'is empty'}; {expected}")


def holds_mnist(folder: Path) -> bool:
    """Tell whether any of MNIST's files is where `find_mnist` looks."""
    return bool(_found(folder))


def missing_files(folder: Path, split: str, content: str) -> str:
    """Say that MNIST's images or labels of a split are missing, and which file might be meant for them."""
    prefix = PREFIXES[split]
    for file in _alike(folder):
        if file.key == f"{prefix}-{content}" and not _unfit([file]):
            return (
                f"{folder}: the {split} {content} are missing, but there is {file.name}; rename or link it to "
                f"{file.wanted}"
            )
    expected = " or ".join(spellings(prefix, content))
    return f"{folder}: the {split} {content} are missing; expected {expected}, there or in {split}/"


def spellings(prefix: str, content: str) -> list[str]:
    """Return the names that a file of MNIST may have."""
    stem = STEMS[content]
    return [f"{prefix}-{content}{mark}{stem}{packed}" for mark in "-." for packed in ("", ".gz")]


def _found(folder: Path) -> dict[str, Path]:
    """Return MNIST's files by what they hold, all from the first place in which there is any."""
    for places in (("", None), *((place,) for place in RAW)):
        found = {}
        for split, prefix in PREFIXES.items():
            for content in STEMS:
                candidates = (
                    folder / (split if place is None else place) / name
                    for place in places
                    for name in spellings(prefix, content)
                )
                path = next(filter(os.path.isfile, candidates), None)
                if path is not None:
                    found[f"{prefix}-{content}"] = path
        if found:
            return found
    return {}


class _File(NamedTuple):
    """A file named like one of MNIST's.

    Its path below the folder; the set that it is of; which file of it, such as "train-images"; where it would be found.
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
                raise user_error(
                    f"{Path(place, name)}: is a link to a file that is not there; put that back, or name "
                    "another folder with --data-path"
                )
            prefix, content = "train" if like["split"].lower() == "train" else "t10k", like["content"].lower()
            wanted = [
                path
                for path in spellings(prefix, content)[name.lower().endswith(".gz") :: 2]
                if not os.path.isdir(folder / path)
            ]  # archives are unpacked into folders of such names
            found.append(
                _File(
                    (below / name).as_posix(),
                    (below / like["set"]).as_posix() if like["set"] else "",
                    f"{prefix}-{content}",
                    (wanted or [f"{prefix}-{content}"])[0],
                )
            )
        if listed > MOST_LISTED:
            break
    return found


def _in_other_folders(folder: Path, there: Iterable[_File]) -> tuple[str, str] | None:
    """Say in which sub-folders MNIST's files lie, and how to name one; None where they lie in none."""
    places: list[Path] = []
    for file in there:
        place = (folder / file.name).parent
        place = next((above for above in (place.parent, place) if above != folder and _holds_a_split(above)), None)
        if place and place not in places:
            places.append(place)
    if not places:
        return None
    which = " and ".join(f"{place.relative_to(folder).as_posix()}/" for place in places)
    mend = " or ".join(f"--data-path {quoted(place)}" for place in places)
    return f"{which} {'does' if len(places) == 1 else 'do'}", f"name {'it' if len(places) == 1 else 'one'}: {mend}"


def _by_other_names(folder: Path, there: Sequence[_File]) -> tuple[str, str] | None:
    """Say which files are named nearly like MNIST's, and what to rename them to; None where none is."""
    sets: dict[str, list[_File]] = {}
    for file in there:
        sets.setdefault(file.set, []).append(file)
    if not sets:
        return None
    fitting = {name: files for name, files in sets.items() if not _unfit(files)}
    if not fitting:
        files = sorted(file for files in sets.values() for file in files)
        return _listed(files), _unfit(files)
    name, files = min(fitting.items(), key=lambda item: (-len({file.key for file in item[1]}), item[0]))
    renamed = ", ".join(f"{file.name} to {file.wanted}" for file in files)
    others = sorted(set(sets) - {name})
    which = f", or likewise those of {' or '.join(sorted(set(fitting) - {name}))}" if len(fitting) > 1 else ""
    not_fitting = f" ({FITTING})" if set(others) - set(fitting) else ""
    return _listed(files), f"rename or link {renamed}{which}{not_fitting}"


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
