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

from ms_gan.errors import UserError
from ms_gan.files import write_file
from ms_gan.runs.diverged import diverged
from ms_gan.runs.records import PUT_BACK

STEPS_PER_ROW = 10


class History:
    """The mean of each scalar over ten steps, appended to a CSV file as the run goes.

    A scored step, one in every `every` steps, adds a row with the scores alone, behind the row of its scalars if there
    is one. With `every` 0 no more scores come; rows of a file that exists stay.

    Args:
        path: the file.
        scalars: the names of the step's scalars.
        steps_per_epoch: how many steps make an epoch.
        scores: the names of the scores.
        every: how many steps are between two scores.

    Attributes:
        pending: the values of the steps since the last row, float32. It belongs into a checkpoint: with it a resumed
            run writes the rows of an undisturbed one.
    """

    def __init__(
        self, path: Path, scalars: Sequence[str], steps_per_epoch: int, scores: Sequence[str] = (), every: int = 0
    ):
        self.path = path
        self.scalars, self.scores, self.every = tuple(scalars), tuple(scores), every
        self.columns = ("step", "epoch", *scalars, *scores)
        self.steps_per_epoch = steps_per_epoch
        self.pending: list[list[float]] = []

    def start(self, step: int, pending: Sequence[Sequence[float]]) -> None:
        """Begin the file, or cut it back to the rows up to `step`, and take over the pending values.

        Raises UserError for a file that does not hold just the rows that lead to `step`.
        """
        steps = list(range(STEPS_PER_ROW, step + 1, STEPS_PER_ROW))
        rows = self._rows() if self.path.exists() else []
        if self.scores and self.every:
            steps += range(self.every, step + 1, self.every)
        elif self.scores:  # whichever there are
            steps += [int(row[0]) for row in rows if row[0].isdecimal() and not row[2] and int(row[0]) <= step]
        wanted = [str(row) for row in sorted(steps)]
        rows = rows[: len(wanted)]
        if [row[0] for row in rows] != wanted or len(pending) != step % STEPS_PER_ROW:
            raise UserError(
                f"{self.path}: damaged or missing, the rows up to step {step:,} are not all there", PUT_BACK
            )
        write_file(self.path, _csv([self.columns, *rows]).encode())
        self.pending = [list(values) for values in pending]

    def add(self, step: int, values: Sequence[float]) -> None:
        """Take the scalars of step number `step`, counted from 1; write a row when it completes one.

        Raises UserError for a value that is not finite: such a run cannot recover.
        """
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

    def recorded(self) -> tuple[tuple[str, ...] | None, int | None]:
        """Return the names of the scores that the file has columns for, and the step of the first row of scores.

        The names are None if there is no file, or if its header is damaged; the step is None if there is no such row.
        """
        if not self.path.exists():
            return None, None
        rows = list(csv.reader(io.StringIO(self.path.read_text(encoding="utf-8", errors="replace"))))
        header = rows[0] if rows else []
        known = len(self.scalars) + 2
        names = tuple(header[known:]) if tuple(header[:known]) == self.columns[:known] else None
        return names, next(
            (int(row[0]) for row in rows[1:] if len(row) > 2 and row[0].isdecimal() and not row[2]), None
        )

    def sync(self) -> None:
        """Put the rows on the disk: a checkpoint relies on those before it."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())

    def read(self) -> dict[str, list[float | None]]:
        """Return every column as numbers, None for an empty cell."""
        columns = list(zip(*self._rows())) or [()] * len(self.columns)
        return {
            name: [float(value) if value else None for value in column] for name, column in zip(self.columns, columns)
        }

    def _append(self, step: int, values: Sequence[str]) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_csv([[step, f"{step / self.steps_per_epoch:.4f}", *values]]))

    def _rows(self) -> list[list[str]]:
        """Return the whole rows; a last line that a crash cut short is left out."""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]
        return [row for row in list(csv.reader(io.StringIO(whole)))[1:] if len(row) == len(self.columns)]


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
