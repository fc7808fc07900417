"""The labels of a folder's images as numbers, in the vocabulary of the folder or of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ms_gan.data.description import DataRequest
from ms_gan.data.folder.tables import LABELS, LabelFault, Labels, composed, read_labels
from ms_gan.errors import Setting
from ms_gan.labels import natural_order

MOST_LISTED = 60  # classes in a note


class Numbered(NamedTuple):
    """Labels in ImageData's form and the names behind them; or None, () and why there are none."""

    labels: np.ndarray | None
    classes: tuple[str, ...] = ()
    why_none: str | None = None


class FolderLabels:
    """Finds the labels of the splits of a folder, `top`, as a request wants them.

    Labels that were not asked for are read, too, if there is one class an image; if they are faulty, there are none.
    """

    def __init__(self, top: Path, request: DataRequest):
        self.top = top
        self.asked_for = request.classes > 0
        self.max_tags = request.max_tags if self.asked_for else 0
        self.run_classes = tuple(map(composed, request.class_names or ()))

    def of(self, home: Path, names: Sequence[str]) -> Labels | str:
        """Return what the split in the folder `home` states, or why it states nothing.

        Raises LabelFault for faults in labels asked for.
        """
        try:
            labels = read_labels(home, names, self.max_tags if self.asked_for else None)
        except LabelFault as error:
            return self._excused(error)
        none = f"no image of {self._called(home)} is in a class's folder directly in it, and there is no {LABELS}"
        return labels or none

    def numbered(self, own: Labels | str, known: Labels | str, names: Sequence[str]) -> Numbered:
        """Return the labels of a split's names.

        `known` is what the training split states: its vocabulary counts, unless the run has one. Raises LabelFault for
        faults in labels asked for.
        """
        for stated in (own, known):
            if isinstance(stated, str):
                return Numbered(None, why_none=stated)
            if stated.tags and not self.asked_for:
                return Numbered(None, why_none=f"the labels of {self._called(stated.home)} are tags")
        assert not isinstance(own, str) and not isinstance(known, str)
        there = natural_order({label for row in known.rows.values() for label in row.labels})
        classes = self.run_classes or tuple(there)
        if not classes:
            return Numbered(None, why_none=f"{LABELS} of {self._called(known.home)} gives no image a tag")
        try:
            if self.run_classes:
                _require_known(known, classes, "the run")
            _require_known(own, classes, self._called(known.home))
            return Numbered(label_array(own, names, classes, self.max_tags), classes)
        except LabelFault as error:
            return Numbered(None, why_none=self._excused(error))

    def _called(self, home: Path) -> str:
        return "the folder" if home == self.top else f"{home.name}/"

    def _excused(self, error: LabelFault) -> str:
        """Return what is wrong with labels that were not asked for; raise it for others."""
        if self.asked_for:
            raise error
        return error.below(self.top)


def _require_known(labels: Labels, classes: Sequence[str], where: str) -> None:
    """Raise LabelFault for a label that is none of the classes, which occur in `where`."""
    known = set(classes)
    for label, place in ((label, row.place) for row in labels.rows.values() for label in row.labels):
        if label not in known:
            raise LabelFault(
                place, f"{label!r} does not occur in {where}", "correct it, or use data with the same labels"
            )


def label_array(labels: Labels, names: Sequence[str], classes: Sequence[str], max_tags: int) -> np.ndarray:
    """Return the labels of the names in ImageData's form: int32 (N,), or (N, max_tags) where that is not 0.

    All of them are among the classes. Raises LabelFault for too many tags.
    """
    rows = labels.rows
    numbers = {label: number for number, label in enumerate(classes)}
    if not max_tags:
        return np.array([numbers[rows[name].labels[0]] for name in names], np.int32)
    fullest = max(rows, key=lambda name: len(rows[name].labels))
    most = len(rows[fullest].labels)
    if max_tags < most:
        what = f"{fullest} has {most} tags, but at most {max_tags} are taken"
        raise LabelFault(rows[fullest].place, what, "give ", Setting("data.max_tags", str(most)))
    array = np.zeros((len(names), max_tags), np.int32)
    for line, name in zip(array, names):
        line[: len(rows[name].labels)] = sorted(1 + numbers[label] for label in rows[name].labels)
    return array


def vocabulary_notes(labels: np.ndarray, classes: Sequence[str], max_tags: int, split: str) -> list[str]:
    """Return notes: each class or tag with its number of images, which shows typing errors; and what is bad."""
    numbers = labels[labels > 0] - 1 if max_tags else labels
    counts = np.bincount(numbers, minlength=len(classes))
    kind = "tags" if max_tags else "classes"
    listed = ", ".join(f"{name} ({count})" for name, count in zip(classes, counts[:MOST_LISTED]))
    notes = [f"{len(classes)} {kind}: {listed}{', …' if len(classes) > MOST_LISTED else ''}"]
    none = [name for name, count in zip(classes, counts) if count == 0]
    if none and split == "train":
        what = f"no image to train on is left of {len(none)} of the {kind}, such as {none[0]}"
        notes.append(f"{what}: what is drawn of these means nothing")
    return notes
