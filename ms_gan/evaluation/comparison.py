"""Two or more runs side by side: their scores as a table, and their curves in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ms_gan.evaluation import curves, figures
from ms_gan.evaluation.score_picture import number

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


def table(runs: Sequence[Compared]) -> list[str]:
    """Return the scores as lines of text: name, and the score of each run; – for one that a run does not have."""
    names = _in_order([run.scores for run in runs])
    rows = [("", *(run.name for run in runs))]
    rows += [(name, *(number(run.scores[name]) if name in run.scores else "–" for run in runs)) for name in names]
    first, *others = [max(len(row[column]) for row in rows) for column in range(len(runs) + 1)]
    return [
        " ".join([f"{row[0]:{first}}", *(f"{cell:>{max(12, width)}}" for cell, width in zip(row[1:], others))])
        for row in rows
    ]


def picture(path: Path, runs: Sequence[Compared], title: str) -> bool:
    """Write a PNG: the scores, if there are any, and for each column a panel with the curves of the runs over steps.

    Returns whether there was anything to draw; if not, there is no file. Raises ValueError for more runs than colours.
    """
    if len(runs) > len(COLOURS):
        raise ValueError(f"at most {len(COLOURS)} runs have different colours, not {len(runs)}")
    columns = _in_order([run.curves for run in runs])
    lines = table(runs) if any(run.scores for run in runs) else []
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
        curves.dress(axes, curves.Panel(curves.kind_of(column), [column]), drawn)
        axes.set(xlabel="step", ylabel=column.replace("_", " "))
    figures.save(figure, path)
    return True


def _in_order(mappings: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the keys of all, each once, as they come."""
    return list(dict.fromkeys(key for each in mappings for key in each))
