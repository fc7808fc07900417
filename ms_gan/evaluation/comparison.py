"""Two or more runs side by side: their scores as a table, and their curves in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ms_gan.evaluation import curves, figures
from ms_gan.evaluation.table import table

COLOURS = (figures.BLUE, figures.ORANGE, *figures.OTHER_COLOURS)


class Compared(NamedTuple):
    """What is compared of a run.

    Attributes:
        name: as a reader calls it, such as "mlp/1".
        curves: column of its history → steps, whole numbers (N,), and values (N,).
        scores: name → score; may be empty.
    """

    name: str
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]
    scores: Mapping[str, float]


def picture(path: Path, runs: Sequence[Compared], title: str) -> bool:
    """Write a PNG: the scores, if there are any, and for each column a panel with the curves of the runs over steps.

    Returns whether there was anything to draw; if not, there is no file. Raises ValueError for more runs than colours.
    """
    if len(runs) > len(COLOURS):
        raise ValueError(f"at most {len(COLOURS)} runs have different colours, not {len(runs)}")
    columns = dict.fromkeys(column for run in runs for column in run.curves)
    lines = table([(run.name, run.scores) for run in runs]) if any(run.scores for run in runs) else []
    if not columns and not lines:
        return False
    heights = [0.19 * (len(lines) + 1)] * bool(lines) + [2.4] * len(columns)
    figure, all_axes = figures.new(title, heights, margin=0.9)
    if lines:
        axes, *all_axes = all_axes
        figures.write_lines(axes, lines)
    for axes, column in zip(all_axes, columns):
        drawn = []
        for run, colour in zip(runs, COLOURS):
            if column in run.curves:
                steps, values = (np.asarray(numbers, np.float64) for numbers in run.curves[column])
                curves.draw_curve(axes, steps, values, colour, run.name)
                drawn.append(values)
        curves.dress(axes, curves.kind_of(column), drawn)
        axes.set(xlabel="step", ylabel=column.replace("_", " "))
    figures.save(figure, path)
    return True
