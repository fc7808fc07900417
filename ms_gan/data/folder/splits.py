"""Which images of a folder are the test split.

Sub-folders are splits, however train/ and test/ are spelt. Without any, a tenth of the images is chosen by their
relative paths.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ms_gan.data.faults import DataFault
from ms_gan.data.folder.tables import LABELS, Labels, tables_in
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
NAMELESS = re.compile(f"(?:{AFFIXES})+")  # such as images/: it names no class
SPELLINGS = {kind: re.compile(f"(?:{AFFIXES})*(?:{words})(?:{AFFIXES})*") for kind, words in WORDS.items()}
# Folders that systems and network drives add, with thumbnails or what was deleted; compared without regard to case
NO_IMAGES = {"__macosx", "@eadir", "#recycle", "@recycle", "$recycle.bin", "system volume information", "lost+found"}
NOT_TRAINED_ON = ("test", "val")  # where there are both, the first is the split
ONE_IN = 10  # images


class Splits(NamedTuple):
    """The sub-folders that are the splits, and one of validation images, if there is a third, which is left out."""

    train: str
    test: str
    left_out: str | None


def find_splits(home: Path, names: Sequence[str], trained: bool = False) -> Splits | None:
    """Return which sub-folders of a folder are its splits, by their names, or None where there are none.

    `names` are the relative paths of the folder's images. Raises DataFault for splits that cannot be taken: images
    beside them, one of them alone, two of a kind, or all of them within another folder. What merely may be splits is
    not refused where a run has `trained` on the folder as it is.
    """
    folders = sorted({name.split("/")[0] for name in names if "/" in name})
    kinds = {kind: [name for name in folders if kind_of(name) == kind] for kind in WORDS}
    apart = [kinds[kind] for kind in NOT_TRAINED_ON if kinds[kind]]
    found = None
    if kinds["train"] and apart:
        _refuse_same(home, [kinds["train"], *apart])
        found = Splits(kinds["train"][0], apart[0][0], apart[1][0] if len(apart) > 1 else None)
        _check(home, found, names)
    else:
        _refuse_one_alone(home, names)
        if not trained:
            _refuse_doubtful(home, kinds, names)
    _refuse_deeper(home, names, found)
    return found


def kind_of(name: str) -> str | None:
    """Return which split a folder of that name holds, "train", "test" or "val"; None for any other name."""
    return next((kind for kind, spelling in SPELLINGS.items() if spelling.fullmatch(_letters(name))), None)


def _letters(name: str) -> str:
    return re.sub(r"[\W\d_]+", "", unicodedata.normalize("NFKC", name).casefold())


def _check(home: Path, found: Splits, names: Sequence[str]) -> None:
    """Raise DataFault where it is not clear what belongs to which split."""
    both = f"{found.train}/ and {found.test}/"
    tables = tables_in(home)
    if tables:
        raise DataFault(f"{home / tables[0]}: lies beside {both}", f"give each of them a {LABELS} of its own")
    real = [os.path.join(os.path.realpath(home / part), "") for part in found[:2]]
    if os.path.commonprefix(real) in real:
        what = f"its {both} are links to one folder, or one is inside the other: test images would be trained on"
        raise DataFault(f"{home}: {what}", "put other images into one of them")
    stray = next((name for name in names if name.split("/")[0] not in found), None)
    if stray:
        mend = f"move it into one of them or out of {home}, or rename these"
        raise DataFault(f"{home / stray}: lies beside {both}, which are taken for the splits", mend)


def _refuse_same(home: Path, kinds: Iterable[Sequence[str]]) -> None:
    """Raise DataFault where folders of one kind are two."""
    for same in kinds:
        if len(same) > 1:
            what = f"holds both {same[0]}/ and {same[1]}/, which are two names of one split"
            raise DataFault(f"{home}: {what}", "put their images into one of them, or rename one")


def _refuse_doubtful(home: Path, kinds: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    """Raise DataFault for folders that may be splits, in a folder without two that are."""
    # test1/, test2/, … are kept apart by somebody; test/ and testing/ are not
    plain = {kind: [name for name in there if not re.search(r"\d", name)] for kind, there in kinds.items()}
    _refuse_same(home, plain.values())
    apart = plain["test"] + plain["val"]
    tops = {name.split("/")[0] for name in names if "/" in name}
    nameless = sorted(name for name in tops if NAMELESS.fullmatch(_letters(name)))
    loose = [name for name in names if "/" not in name]
    unlabelled = [] if tables_in(home) else [*(nameless if tops <= {*nameless, *apart} else []), *loose]
    beside = [*apart[1:], *unlabelled]
    if apart and beside:
        what = f"lies beside {apart[0]}/, whose name says that it is not trained on, and there is no train/"
        mend = f"move the images to train on into train/, or rename {apart[0]}/"
        raise DataFault(f"{home / beside[0]}: {what}", mend)
    classes: dict[str, set[str]] = {}
    for top, inside, *_ in (name.split("/") for name in names if name.count("/") > 1):
        classes.setdefault(top, set()).add(inside)
    for split in sorted(classes.keys() & {*plain["train"], *apart}):
        for top in sorted(classes[split] & tops - {split}):
            mend = f"move them into {'test' if split in plain['train'] else 'train'}/, or rename {split}/"
            raise DataFault(f"{home / top}: lies beside {split}/, which has images of {top}/, too", mend)
        for other in sorted(classes.keys() - {split}):
            for shared in sorted(classes[split] & classes[other]):
                mend = f"name it as the other split, such as train/ or test/, or move it out of {home}"
                raise DataFault(f"{home / other}: holds the same folders as {split}/, such as {shared}/", mend)


def _refuse_one_alone(home: Path, names: Sequence[str]) -> None:
    """Raise DataFault where all images lie in a folder that one split is named after."""
    above = os.path.commonpath([os.path.dirname(name) for name in names]).split("/")
    for depth, name in enumerate(above, start=1):
        kind = kind_of(name)
        if kind and not (kind == "train" and tables_in(home)):  # a table says what is in it
            other = "test/" if kind == "train" else "train/"
            place = home.joinpath(*above[:depth])
            problem = f"{place}: holds all images, and none are in {other} beside it"
            named = Setting("data_path", quoted(place))
            raise DataFault(problem, "name that folder itself, ", named, f", or put some into {other} beside it")


def _refuse_deeper(home: Path, names: Sequence[str], found: Splits | None) -> None:
    """Raise DataFault for what looks like splits, but was not found as such: their images would be mixed."""
    children: dict[str, set[str]] = {}
    for folder in {os.path.dirname(name) for name in names}:
        parts = folder.split("/")
        for depth, part in enumerate(parts):
            children.setdefault("/".join(parts[:depth]), set()).add(part)
    for above in sorted(children, key=lambda folder: (folder.count("/"), folder)):
        pair = _pair(sorted(children[above])) if above or not found else None
        if pair:
            place = home / above
            what = f"holds {pair[0]}/ and {pair[1]}/, which look like splits, but in another place, or by other names"
            mend = ("name that folder itself, ", Setting("data_path", quoted(place)), ", or ") if above else ()
            where = f"move their images into {home}/train/ and {home}/test/, or, if they are classes, rename them"
            raise DataFault(f"{place}: {what}", *mend, where)


def _pair(folders: Iterable[str]) -> tuple[str, str] | None:
    """Return two folders that are named like splits, or alike but for the word of the split (seg_train, seg_test)."""
    seen: dict[tuple[str, ...], dict[str | None, str]] = {}
    for name in folders:
        words = tuple(word.casefold() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+|[0-9]+", name))
        kinds = {(*words[:place], "", *words[place + 1 :]): kind_of(word) for place, word in enumerate(words)}
        for rest, kind in {**kinds, (): kind_of(name)}.items():
            seen.setdefault(rest, {})[kind] = name
    for found in seen.values():
        apart = found.get("test") or found.get("val")
        if apart and "train" in found:
            return found["train"], apart
    return None


class Tenth(NamedTuple):
    """The images whose digests are at most `up_to`, 64 hexadecimal digits or "", except those with the names `but`.

    A name's digest depends on no other file, nor on the order of listing, nor on the machine. So a record of the two
    finds the same images in a folder that has changed since.
    """

    up_to: str
    but: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Tell whether the image of that relative path is in the tenth."""
        return _digest(name) <= self.up_to and name not in self.but


def choose_tenth(names: Sequence[str], labels: Labels | str) -> Tenth:
    """Choose a tenth of the names, but never the last image of a class or tag: none would be left to train on.

    Of the last images of a class, the one with the largest digest stays for training. `labels` may also say why
    there are none.
    """
    by_digest = sorted(names, key=_digest)
    chosen, others = by_digest[: len(names) // ONE_IN], by_digest[len(names) // ONE_IN :]
    but = []
    if isinstance(labels, Labels):
        trained = {label for name in others for label in labels.rows[name].labels}
        for name in reversed(chosen):
            if not trained.issuperset(labels.rows[name].labels):
                but.append(name)
                trained.update(labels.rows[name].labels)
    return Tenth(_digest(chosen[-1]) if chosen else "", tuple(sorted(but)))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
