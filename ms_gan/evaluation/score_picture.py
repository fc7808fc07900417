"""Scores as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_gan.evaluation import figures, fonts
from ms_gan.evaluation.figures import BLUE, GREY, ORANGE
from ms_gan.evaluation.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"generated": BLUE, "real": ORANGE}
MOST_CLASSES = 60  # whose names stand below the bars


def picture(path: Path, scores: Scores, classes: Sequence[str], title: str, caption: str) -> None:
    """Write a PNG: the table and, if there are any, classes read, distances to training images, and D's logits."""
    lines = scores.table()
    if scores.shares is not None and len(classes) <= MOST_CLASSES:
        classes, note = fonts.legible(classes, "are numbered in the order of the classes in metrics.json")
        caption = f"{caption} {note}." if note else caption
    caption, font = fonts.in_matplotlib("\n".join(textwrap.wrap(caption, 125)))
    text_height = 0.19 * (len(lines) + caption.count("\n") + 3)
    drawn = [values is not None for values in (scores.shares, scores.nearest, scores.logits)]
    beside = 0.6 + 0.6 * sum(drawn)  # the title, and what stands below each panel
    if scores.shares is not None and _is_crowded(classes):
        beside += 0.085 * max(map(len, classes))  # names on end
    figure, (first, *others) = figures.new(title, [text_height, *[2.4] * sum(drawn)], margin=beside)
    figures.write_lines(first, lines)
    first.text(0, 0, caption, fontsize=9, color="#5F5F5F", va="bottom", parse_math=False, **font)
    panels = iter(others)
    if scores.shares is not None:
        _classes(next(panels), scores.shares, classes)
    if scores.nearest is not None:
        _histogram(next(panels), scores.nearest, 0.0, "distance to the nearest training image")
    if scores.logits is not None:
        _logits(next(panels), scores.logits, scores.threshold)
    for axes in others:
        figures.dress(axes)
    figures.save(figure, path)


def _classes(axes: Axes, shares: Mapping[str, Sequence[float]], classes: Sequence[str]) -> None:
    for number_of, (kind, values) in enumerate(shares.items()):
        axes.bar(np.arange(len(values)) + 0.4 * number_of - 0.2, values, 0.4, color=COLOURS[kind], label=kind)
    axes.set(xlabel="class, or tag, that the judge reads", ylabel="share of images")
    if len(classes) <= MOST_CLASSES:
        _, font = fonts.in_matplotlib("".join(classes))
        axes.set_xticks(
            range(len(classes)), classes, rotation=90 if _is_crowded(classes) else 0, parse_math=False, **font
        )


def _is_crowded(classes: Sequence[str]) -> bool:
    """Return whether names have no room below the bars side by side."""
    return len(classes) <= MOST_CLASSES and sum(map(len, classes)) > 80


def _logits(axes: Axes, logits: Mapping[str, np.ndarray], threshold: float | None) -> None:
    says = "the higher, the more real" if threshold is None else f"above {threshold:.2g} it says real"
    lowest = min(float(some.min()) for some in logits.values())
    _histogram(axes, logits, lowest, f"logit of the model's discriminator: {says}")
    if threshold is not None:
        axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1)


def _histogram(axes: Axes, values: Mapping[str, np.ndarray], low: float, what: str) -> None:
    high = max(float(some.max()) for some in values.values())
    bins = np.linspace(low, high if high > low else low + 1, 80).tolist()
    for kind, some in values.items():
        axes.hist(some.ravel(), bins, density=True, histtype="step", linewidth=1.6, color=COLOURS[kind], label=kind)
    axes.set(xlabel=what, ylabel="density")
