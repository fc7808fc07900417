"""Which sub-folders of a folder of images are its splits, however train/ and test/ are spelt."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ms_gan.data.faults import DataFault
from ms_gan.data.folder.tables import LABELS, tables_in
from ms_gan.errors import Setting, quoted

WORDS = {
    "train": "trains?|trainings?|trn|trainval|trainvalid|traindev|训练|訓練",
    "test": "tests?|testing|tst|testdev|holdouts?|heldout|测试|測試",
    "val": "vals?|vali|valid|validate|validations?|crossval|crossvalidation|dev|devel|development|eval|evaluate"
    "|evaluations?|验证|驗證",
}
AFFIXES = (
    "sets?|images?|imgs?|pics?|pictures?|photos?|data|datasets?|splits?|folder|dir|directory|files?|samples?"
    "|examples?|partition|subset|public|private|集|数据|图像|图片"
)
SPELLINGS = {kind: re.compile(f"(?:{AFFIXES})*(?:{words})(?:{AFFIXES})*") for kind, words in WORDS.items()}
NO_IMAGES = {"__MACOSX"}  # folders that a system adds to archives
NOT_TRAINED_ON = ("test", "val")  # where there are both, the first is the split


class Splits(NamedTuple):
    """The sub-folders that are the splits, and one of validation images, if there is a third, which is left out."""

    train: str
    test: str
    left_out: str | None


def find_splits(home: Path, names: Sequence[str], exactly: bool = False) -> Splits | None:
    """Return which sub-folders of a folder are its splits, by their names, or None where there are none.

    `names` are the relative paths of the folder's images. With `exactly`, only train/ beside test/ are splits: the rule
    for runs that were recorded when no other spelling was known. Raises DataFault for splits that cannot be taken:
    images beside them, one of them alone, two of a kind, or all of them within another folder.
    """
    folders = _sub_folders(home, lenient=exactly)
    if exactly:
        found = Splits("train", "test", None) if {"train", "test"} <= set(folders) else None
    else:
        found = _by_kind(home, folders, names)
    if found is None:
        if not exactly:
            _refuse_one_alone(home, names)
            _refuse_deeper(home, names)
        return None
    both = f"{found.train}/ and {found.test}/"
    tables = tables_in(home)
    if tables:
        raise DataFault(f"{home / tables[0]}: lies beside {both}", f"give each of them a {LABELS} of its own")
    real = [os.path.join(os.path.realpath(home / part), "") for part in found[:2]]
    if os.path.commonprefix(real) in real:
        raise DataFault(
            f"{home}: its {both} are links to one folder, or one of them is inside the other: test images "
            "would be trained on",
            "put other images into one of them",
        )
    for name in names:
        if name.split("/")[0] not in found:
            raise DataFault(
                f"{home / name}: lies beside {both}, which are taken for the splits",
                f"move it into one of them or out of {home}, or rename these",
            )
    if not exactly:
        _refuse_deeper(home, names)
    return found


def kind_of(name: str) -> str | None:
    """Return which split a folder of that name holds, "train", "test" or "val"; None for any other name."""
    letters = re.sub(r"[\W\d_]+", "", unicodedata.normalize("NFKC", name).casefold())
    return next((kind for kind, spelling in SPELLINGS.items() if spelling.fullmatch(letters)), None)


def _sub_folders(home: Path, lenient: bool) -> list[str]:
    """Return the names of the folders in a folder. Raises DataFault, unless lenient, for a split's link to nowhere."""
    found = []
    with os.scandir(home) as entries:
        for entry in entries:
            if entry.is_dir() and not entry.name.startswith(".") and entry.name not in NO_IMAGES:
                found.append(entry.name)
            elif not lenient and entry.is_symlink() and kind_of(entry.name) and not os.path.exists(entry.path):
                raise DataFault(
                    f"{home / entry.name}: is a link to {os.readlink(entry.path)}, which is not there",
                    "put that back, or remove the link",
                )
    return sorted(found)


def _kinds(folders: Iterable[str]) -> dict[str, list[str]]:
    """Return the folders of each kind, in their order."""
    kinds: dict[str, list[str]] = {kind: [] for kind in WORDS}
    for name in folders:
        kind = kind_of(name)
        if kind:
            kinds[kind].append(name)
    return kinds


def _pair(folders: Iterable[str]) -> tuple[str, str] | None:
    """Return two folders whose names differ only in the word of the split, such as seg_train and seg_test."""
    seen: dict[tuple[str | None, ...], dict[str, str]] = {}
    for name in folders:
        parts = [part.casefold() for part in re.findall("[A-Z]?[a-z]+|[A-Z]+|[0-9]+", name)]
        kinds = [next((kind for kind, words in WORDS.items() if re.fullmatch(words, part)), None) for part in parts]
        if sum(kind is not None for kind in kinds) == 1:
            rest = tuple(None if kind else part for part, kind in zip(parts, kinds))
            seen.setdefault(rest, {})[next(filter(None, kinds))] = name
    for found in seen.values():
        held_out = next((found[kind] for kind in NOT_TRAINED_ON if kind in found), None)
        if "train" in found and held_out:
            return found["train"], held_out
    return None


def _by_kind(home: Path, folders: Sequence[str], names: Sequence[str]) -> Splits | None:
    """Return the splits directly in a folder. Raises DataFault for splits that cannot be told apart."""
    kinds = _kinds(folders)
    train, held_out = kinds["train"], [kinds[kind] for kind in NOT_TRAINED_ON if kinds[kind]]
    if train and held_out:
        for same in (train, *held_out):
            _refuse_same(home, same)
        return Splits(train[0], held_out[0][0], held_out[1][0] if len(held_out) > 1 else None)
    with_images = {name.split("/")[0] for name in names if "/" in name}
    pair = _pair(sorted(with_images))
    if pair:
        raise DataFault(
            f"{home / pair[0]}: lies beside {pair[1]}/, and both look like splits",
            "rename them to train/ and test/, or, if they are classes, so that they do not",
        )
    # test1/, test2/, … are kept apart by somebody; test/ and testing/ are not
    plain = {
        kind: [name for name in there if name in with_images and not re.search(r"\d", name)]
        for kind, there in kinds.items()
    }
    for same in plain.values():
        _refuse_same(home, same)
    if plain["test"] and plain["val"]:
        raise DataFault(
            f"{home}: holds {plain['test'][0]}/ and {plain['val'][0]}/, but no train/",
            "put the images to train on into train/, or rename these if they are classes",
        )
    _refuse_alike(home, [name for there in plain.values() for name in there], names)
    beside = next((name for name in names if "/" not in name), None)
    alone = (plain["test"] + plain["val"])[:1]
    if beside and alone and not tables_in(home):
        raise DataFault(
            f"{home / beside}: lies beside {alone[0]}/, whose name says that it is held out",
            f"move the other images into train/, or rename {alone[0]}/",
        )
    return None


def _refuse_alike(home: Path, splits: Sequence[str], names: Sequence[str]) -> None:
    """Raise DataFault for a folder with the classes of another one that is named after a split."""
    inside: dict[str, set] = {}
    for name in names:
        parts = name.split("/")
        if len(parts) > 2:
            inside.setdefault(parts[0], set()).add(parts[1])
    for split in splits:
        for other in sorted(set(inside) - {split}):
            shared = sorted(inside.get(split, set()) & inside[other])
            if shared:
                raise DataFault(
                    f"{home / other}: holds the same folders as {split}/, such as {shared[0]}/",
                    f"rename it to {'train/' if kind_of(split) != 'train' else 'test/'} if it is the other split, "
                    f"or move it out of {home}",
                )


def _refuse_same(home: Path, same: Sequence[str]) -> None:
    if len(same) > 1:
        raise DataFault(
            f"{home}: holds both {same[0]}/ and {same[1]}/, which are two names of one split",
            "put their images into one of them, or rename one",
        )


def _refuse_one_alone(home: Path, names: Sequence[str]) -> None:
    """Raise DataFault where all images lie in a folder that one split is named after."""
    above = os.path.commonpath([os.path.dirname(name) for name in names]).split("/")
    for depth, name in enumerate(above, start=1):
        kind = kind_of(name)
        if kind and not (kind == "train" and tables_in(home)):  # a table says what is in it
            other = "test/" if kind == "train" else "train/"
            place = home.joinpath(*above[:depth])
            raise DataFault(
                f"{place}: holds all images, and there is no {other} beside it",
                "name that folder itself, ",
                Setting("data_path", quoted(place)),
                f", or put {other} beside it",
            )


def _refuse_deeper(home: Path, names: Sequence[str]) -> None:
    """Raise DataFault for splits within a sub-folder, whose images would be mixed."""
    children: dict[tuple[str, ...], set[str]] = {}
    for folder in {os.path.dirname(name) for name in names}:
        parts = tuple(folder.split("/"))
        for depth in range(1, len(parts)):
            children.setdefault(parts[:depth], set()).add(parts[depth])
    for above, folders in sorted(children.items(), key=lambda item: (len(item[0]), item[0])):
        kinds = _kinds(sorted(folders))
        held_out = kinds["test"] + kinds["val"]
        pair = (kinds["train"][0], held_out[0]) if kinds["train"] and held_out else _pair(sorted(folders))
        if not pair:
            continue
        train, test = pair
        place, inside = home.joinpath(*above), "/".join(above)
        if all(name.startswith(inside + "/") for name in names):
            mend = "name that folder itself, "
        else:
            mend = f"move them to {home / 'train' / inside} and {home / 'test' / inside}, or name one such folder, "
        raise DataFault(
            f"{place}: holds {train}/ and {test}/, which look like splits, and splits are only found directly in the "
            "folder that is named",
            mend,
            Setting("data_path", quoted(place)),
        )
