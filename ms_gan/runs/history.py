"""`history.csv`: what a replay of the run would repeat, one row for every ten steps."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan.errors import Setting, UserError
from ms_gan.files import write_file
from ms_gan.runs.records import PUT_BACK

STEPS_PER_ROW = 10


def diverged(what: str) -> UserError:
    """Return the error for a training whose numbers are no longer finite; `what` says which ones."""
    return UserError(
        f"training diverged: {what}",
        "start again with another ",
        Setting("seed"),
        " or a lower learning rate; the checkpoints before it are sound",
    )


def read_rows(file: Path) -> list[list[str]]:
    """Return the rows of a history, the header first; none where there is no file.

    A last line that a crash cut short is left out.
    """
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))


def read_columns(file: Path) -> dict[str, list[float | None]]:
    """Return every column of a history as numbers, None for an empty cell. Raises UserError for what is no number."""
    header, *rows = read_rows(file) or [[]]
    numbers = _numbers(file, (row for row in rows if len(row) == len(header)))
    return dict(zip(header, map(list, zip(*numbers)))) if numbers else {name: [] for name in header}


def _numbers(file: Path, rows: Iterable[Sequence[str]]) -> list[list[float | None]]:
    try:
        return [[float(cell) if cell else None for cell in row] for row in rows]
    except ValueError as error:
        raise UserError(f"{file}: damaged ({error})", PUT_BACK) from error


class History:
    """The mean of each scalar over ten steps, appended to a CSV file as the run goes.

    A scored step adds a row with the scores alone, behind the row of its scalars if there is one.

    Args:
        path: the file.
        scalars: the names of the step's scalars.
        steps_per_epoch: how many steps make an epoch.
        scores: the names of the scores; a file that exists keeps its own.

    Attributes:
        scores: the names of the scores that the file has columns for.
        pending: the values of the steps since the last row, float32. It belongs into a checkpoint: with it a resumed
            run writes the rows of an undisturbed one.
    """

    def __init__(self, path: Path, scalars: Sequence[str], steps_per_epoch: int, scores: Sequence[str] = ()):
        self.path, self.scalars, self.steps_per_epoch = path, tuple(scalars), steps_per_epoch
        own = ("step", "epoch", *scalars)
        header = tuple((read_rows(path) or [[]])[0])
        self.scores = header[len(own) :] if header[: len(own)] == own else tuple(scores)
        self.columns = (*own, *self.scores)
        self.pending: list[list[float]] = []

    def start(self, step: int, pending: Sequence[Sequence[float]], every: int = 0) -> None:
        """Begin the file, or cut it back to the rows up to `step`, and take over the pending values.

        Raises UserError for a file that lacks a row of scalars up to `step`, or the scores of one in `every` steps, and
        for one with what is no number up to there. 0 asks for no scores; more scores than that are those of earlier
        versions.
        """
        rows = [row for row in self._rows() if row[0].isdecimal() and int(row[0]) <= step]
        _numbers(self.path, rows)
        means = [int(row[0]) for row in rows if row[2]]
        scored = {int(row[0]) for row in rows if not row[2]}
        whole = means == list(range(STEPS_PER_ROW, step + 1, STEPS_PER_ROW)) and len(pending) == step % STEPS_PER_ROW
        if not whole or every and not scored.issuperset(range(every, step + 1, every)):
            raise UserError(
                f"{self.path}: damaged or missing, the rows up to step {step:,} are not all there", PUT_BACK
            )
        write_file(self.path, _csv([self.columns, *rows]).encode())
        self.pending = [list(values) for values in pending]

    def add(self, step: int, values: Sequence[float]) -> None:
        """Take the scalars of step number `step`, counted from 1; write a row when it completes one.

        Raises UserError for a value that is not finite, as such a run cannot recover, and for more or fewer scalars
        than there are names.
        """
        if len(values) != len(self.scalars):
            fault = f"the step returns {len(values)} scalars and names {len(self.scalars)}: {', '.join(self.scalars)}"
            raise UserError(fault, "let its `scalars` name each number that its `construct` returns")
        self.pending.append([float(value) for value in values])
        for column, value in zip(self.scalars, self.pending[-1]):
            if not math.isfinite(value):
                raise diverged(f"{column} is {value} at step {step:,}")
        if step % STEPS_PER_ROW == 0:
            means = np.mean(np.array(self.pending, dtype=np.float64), axis=0)
            self._append(step, [*(f"{mean:.7g}" for mean in means), *[""] * len(self.scores)])
            self.pending = []

    def add_scores(self, step: int, values: Sequence[float | None]) -> None:
        """Write a row of the scores after step number `step`, whose scalars were added; None is an empty cell."""
        numbers = ["" if value is None else f"{value:.7g}" for value in values]
        self._append(step, [*[""] * len(self.scalars), *numbers])

    def sync(self) -> None:
        """Put the rows on the disk: a checkpoint relies on those before it."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())

    def _append(self, step: int, values: Sequence[str]) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_csv([[step, f"{step / self.steps_per_epoch:.4f}", *values]]))

    def _rows(self) -> list[list[str]]:
        return [row for row in read_rows(self.path)[1:] if len(row) == len(self.columns)]


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
