"""Scores as text and as a picture."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_gan.evaluation import figures, fonts
from ms_gan.evaluation.figures import BLUE, GREY, ORANGE
from ms_gan.evaluation.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"generated": BLUE, "real": ORANGE}
MOST_CLASSES = 60  # whose names stand below the bars


def table(scores: Scores) -> list[str]:
    """Return the scores as lines of equal width: name, generated, real."""
    width = max(map(len, scores.generated), default=0)
    lines = [f"{'':{width}} {'generated':>12} {'real':>12}"]
    for name, score in scores.generated.items():
        real = number(scores.real[name]) if name in scores.real else "–"
        lines.append(f"{name:{width}} {number(score):>12} {real:>12}")
    return lines


def number(score: float) -> str:
    """Return a score with the digits that mean something."""
    return f"{score:,.1f}" if abs(score) >= 100 else f"{score:.4f}" if abs(score) < 10 else f"{score:.2f}"


def picture(path: Path, scores: Scores, classes: Sequence[str], title: str, caption: str) -> None:
    """Write a PNG: the table and, if there are any, classes read, distances to training images, and D's logits."""
    logits = functools.partial(_logits, threshold=scores.threshold)
    panels: list[Any] = [
        (draw, values)
        for draw, values in ((_classes, scores.shares), (_nearest, scores.nearest), (logits, scores.logits))
        if values is not None
    ]
    lines = table(scores)
    if scores.shares is not None and len(classes) <= MOST_CLASSES:
        classes, note = fonts.legible(
            classes, "are numbered in the order of the classes in metrics.json", matplotlib=True
        )
        caption = f"{caption} {note}." if note else caption
    caption, font = fonts.in_matplotlib("\n".join(textwrap.wrap(caption, 125)))
    text_height = 0.19 * (len(lines) + caption.count("\n") + 3)
    figure, axes = figures.new(title, [text_height, *[2.4] * len(panels)], margin=0.6)
    figures.write_lines(axes[0], lines)
    axes[0].text(0, 0, caption, fontsize=9, color="#5F5F5F", va="bottom", parse_math=False, **font)
    for of, (draw, values) in zip(axes[1:], panels):
        draw(of, values, classes)
        figures.dress(of)
    figures.save(figure, path)


def _classes(axes: Axes, shares: Mapping[str, Sequence[float]], classes: Sequence[str]) -> None:
    for number_of, (kind, values) in enumerate(shares.items()):
        axes.bar(np.arange(len(values)) + 0.4 * number_of - 0.2, values, 0.4, color=COLOURS[kind], label=kind)
    axes.set(xlabel="class that the judge reads", ylabel="share of images")
    if len(classes) <= MOST_CLASSES:
        crowded = sum(map(len, classes)) > 80
        _, font = fonts.in_matplotlib("".join(classes))
        axes.set_xticks(range(len(classes)), classes, rotation=90 if crowded else 0, parse_math=False, **font)


def _nearest(axes: Axes, nearest: Mapping[str, np.ndarray], classes: Sequence[str]) -> None:
    bins = np.linspace(0, max(float(distances.max()) for distances in nearest.values()) or 1.0, 80).tolist()
    for kind, distances in nearest.items():
        axes.hist(
            distances,
            bins,
            density=True,
            histtype="step",
            linewidth=1.6,
            color=COLOURS[kind],
            label=kind if kind == "generated" else "real, of the test split",
        )
    axes.set(xlabel="distance to the nearest training image", ylabel="density", xlim=(0, None))


def _logits(axes: Axes, logits: Mapping[str, np.ndarray], classes: Sequence[str], threshold: float | None) -> None:
    values = np.concatenate([some.ravel() for some in logits.values()])
    low, high = float(values.min()), float(values.max())
    bins = np.linspace(low, high if high > low else low + 1, 80).tolist()
    for kind, some in logits.items():
        axes.hist(some.ravel(), bins, density=True, histtype="step", linewidth=1.6, color=COLOURS[kind], label=kind)
    axes.set(xlabel="logit of the model's discriminator: the higher, the more real", ylabel="density")
    if threshold is not None:
        axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel=f"logit of the model's discriminator: above {threshold:.2g} it says real")
