"""`history.csv`: what a replay of the run would repeat, one row for every ten steps."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ms_gan.errors import UserError
from ms_gan.files import write_file

STEPS_PER_ROW = 10


class History:
    """The mean of each scalar over ten steps, appended to a CSV file as the run goes.

    A step with `scores`, each `every` steps, adds a row with these alone, behind that of its scalars, if it has one.
    With `every` 0 no more of them come; rows of a file that exists stay.
    `pending` holds the values of the steps since the last row, float32, and belongs
    into a checkpoint: with it, a resumed run writes the rows of an undisturbed one.
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
        """Begin the file, or cut it back to the rows up to `step`, and take up the pending values.

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
                f"{self.path}: damaged or missing, the rows up to step {step:,} are not all there; "
                f"put the run's own file back"
            )
        write_file(self.path, _csv([self.columns, *rows]).encode())
        self.pending = [list(values) for values in pending]

    def add(self, step: int, values: Sequence[float]) -> None:
        """Take the scalars of step number `step` (counted from 1); write a row when it completes one.

        Raises UserError for a value that is not finite: such a run cannot recover.
        """
        self.pending.append([float(value) for value in values])
        for column, value in zip(self.scalars, self.pending[-1]):
            if not math.isfinite(value):
                raise UserError(
                    f"training diverged: {column} is {value} at step {step:,}; start again with another "
                    f"--seed or a smaller learning rate (--set); the checkpoints before it are sound"
                )
        if step % STEPS_PER_ROW == 0:
            means = np.mean(np.array(self.pending, dtype=np.float64), axis=0)
            self._append(step, [*(f"{mean:.7g}" for mean in means), *[""] * len(self.scores)])
            self.pending = []

    def add_scores(self, step: int, values: Sequence[float | None]) -> None:
        """Write a row of the scores after step number `step`, whose scalars were added; None stands for no value."""
        numbers = ["" if value is None else f"{value:.7g}" for value in values]
        self._append(step, [*[""] * len(self.scalars), *numbers])

    def first_scored(self) -> int | None:
        """Return the step of the first row of scores, None where the file has none."""
        if not self.path.exists():
            return None
        return next(
            (
                int(row[0])
                for row in csv.reader(io.StringIO(self.path.read_text(errors="replace")))
                if len(row) > 2 and row[0].isdecimal() and not row[2]
            ),
            None,
        )

    def recorded_scores(self) -> tuple[str, ...] | None:
        """Return which scores the file has columns for; None where there is no file, or its header is damaged."""
        if not self.path.exists():
            return None
        header = next(csv.reader(io.StringIO(self.path.read_text(encoding="utf-8", errors="replace"))), [])
        known = len(self.scalars) + 2
        return tuple(header[known:]) if tuple(header[:known]) == self.columns[:known] else None

    def sync(self) -> None:
        """Put the rows on the disk: a checkpoint relies on those before it."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())

    def read(self) -> dict[str, list[float | None]]:
        """Return every column as numbers, None where a row has none."""
        columns = list(zip(*self._rows())) or [()] * len(self.columns)
        return {
            name: [float(value) if value else None for value in column] for name, column in zip(self.columns, columns)
        }

    def _append(self, step: int, values: Sequence[str]) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_csv([[step, f"{step / self.steps_per_epoch:.4f}", *values]]))

    def _rows(self) -> list[list[str]]:
        """The whole rows; a last line that a crash cut short is none."""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]
        return [row for row in list(csv.reader(io.StringIO(whole)))[1:] if len(row) == len(self.columns)]


def _csv(rows) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
