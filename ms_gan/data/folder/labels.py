"""The labels of a folder's images as numbers, in the vocabulary of the folder or of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ms_gan.data.description import DataRequest, nothing_to_learn
from ms_gan.data.folder.tables import LABELS, LabelFault, Labels, composed, read_labels
from ms_gan.errors import Setting
from ms_gan.labels import natural_order


class Stated(NamedTuple):
    """The labels that a split states, or why it states none; `place` is its folder, such as "test/", or ""."""

    labels: Labels | None
    why_none: str | None
    place: str


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
        self.run_classes = request.class_names and tuple(map(composed, request.class_names))

    def of(self, home: Path, names: Sequence[str]) -> Stated:
        """Return what the split in the folder `home` states. Raises LabelFault for faults in labels asked for."""
        place = "" if home == self.top else f"{home.name}/"
        try:
            labels = read_labels(home, names, self.max_tags if self.asked_for else None)
        except LabelFault as error:
            if self.asked_for:
                raise
            return Stated(None, self._relative(error), place)
        if labels is not None:
            return Stated(labels, None, place)
        above = os.path.commonpath([os.path.dirname(name) for name in names] or [""])
        if above and all(name.count("/") == above.count("/") + 2 for name in names):
            why_none = f"its classes' folders are in {place}{above}/ and not in {place or 'the folder'} itself"
            return Stated(None, why_none, place)
        images = f"the images of {place}" if place else "its images"
        return Stated(None, f"{images} are in no class's folder, and there is no {place}{LABELS}", place)

    def numbered(self, own: Stated, known: Stated, names: Sequence[str]) -> Numbered:
        """Return the labels of a split's names.

        `known` is what the training split states: its vocabulary counts, unless the run has one. Raises LabelFault for
        faults in labels asked for.
        """
        for stated in (own, known):
            if stated.labels is None:
                return Numbered(None, why_none=stated.why_none)
            if stated.labels.tags and not self.asked_for:
                whose = f"the labels of {stated.place}" if stated.place else "its labels"
                return Numbered(None, why_none=f"{whose} are tags")
        assert own.labels is not None and known.labels is not None
        of_folder = vocabulary(known.labels)
        if not of_folder:
            return Numbered(None, why_none=f"{known.place}{LABELS} gives no image a tag")
        try:
            self._refuse_others(known.labels)
            classes = self.run_classes or of_folder
            where = known.place or "the folder"
            return Numbered(label_array(own.labels, names, classes, self.max_tags, where), classes)
        except LabelFault as error:
            if self.asked_for:
                raise
            return Numbered(None, why_none=self._relative(error))

    def _refuse_others(self, labels: Labels) -> None:
        """Raise LabelFault for labels that the run does not have."""
        if not self.run_classes:
            return
        for row in labels.rows.values():
            for label in row.labels:
                if label not in self.run_classes:
                    which = f"folder, the folder {self.top}: has" if self.asked_for else "it has"
                    raise LabelFault(
                        f"{which} other labels than the run, such as {label!r} ({row.place})",
                        "use the run's own data, or data with the same labels",
                    )

    def _relative(self, error: LabelFault) -> str:
        """Return what is wrong; a path in it becomes relative to the folder."""
        start = f"{self.top}{os.sep}"
        return error.problem[len(start) :] if error.problem.startswith(start) else error.problem


def vocabulary(labels: Labels) -> tuple[str, ...]:
    """Return every class or tag that occurs, in natural order."""
    return tuple(natural_order({label for row in labels.rows.values() for label in row.labels}))


def label_array(
    labels: Labels, names: Sequence[str], classes: tuple[str, ...], max_tags: int, where: str
) -> np.ndarray:
    """Return the labels of the names in ImageData's form: int32 (N,), or (N, max_tags) where that is not 0.

    `where` says where the classes occur. Raises LabelFault for an unknown label, and for too many tags.
    """
    rows = labels.rows
    numbers = {label: number for number, label in enumerate(classes)}
    for row in rows.values():
        for label in row.labels:
            if label not in numbers:
                raise LabelFault(
                    f"{row.place}: {label!r} does not occur in {where}", "correct it, or add such images there"
                )
    fullest = max(rows, key=lambda name: len(rows[name].labels))
    most = len(rows[fullest].labels)
    if 0 < max_tags < most:
        raise LabelFault(
            f"{rows[fullest].place}: {fullest} has {most} tags, but at most {max_tags} are taken",
            "set ",
            Setting("data.max_tags", str(most)),
        )
    if not max_tags:
        return np.array([numbers[rows[name].labels[0]] for name in names], np.int32)
    array = np.zeros((len(names), max_tags), np.int32)
    for line, name in zip(array, names):
        line[: len(rows[name].labels)] = sorted(1 + numbers[label] for label in rows[name].labels)
    return array


def vocabulary_notes(labels: np.ndarray, classes: Sequence[str], max_tags: int, split: str) -> list[str]:
    """Return notes: each class or tag with its number of images, which shows typing errors; and what is bad."""
    count = len(classes)
    counts = np.bincount(labels.ravel(), minlength=count + 1)[1:] if max_tags else np.bincount(labels, minlength=count)
    kind = "tags" if max_tags else "classes"
    listed = ", ".join(f"{name} ({number})" for name, number in zip(classes, counts[:60]))
    notes = [f"{count} {kind}: {listed}{', …' if count > 60 else ''}"]
    none = [name for name, number in zip(classes, counts) if number == 0]
    if none and split == "train":
        notes.append(nothing_to_learn(kind, none))
    return notes
