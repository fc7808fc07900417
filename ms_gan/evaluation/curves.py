"""Curves of a training: losses, shares, distances and other values over epochs or steps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_gan.evaluation import figures
from ms_gan.evaluation.figures import BLUE, GREY, ORANGE, OTHER_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

History = Mapping[str, Sequence["float | None"]]  # column to values, None where there is none
Equilibrium = Mapping[str, "tuple[float, str]"]  # column to its value if neither player is stronger, and its formula

PLAYER_COLOURS = {"loss_d": BLUE, "loss_g": ORANGE}
READERS = {"accuracy_class": "by D", "class_accuracy": "by the judge"}  # of the classes of generated images
LOSS, SHARE, READ = "loss", "share of images", "asked-for class, or tags, are read"
DISTANCE, OTHER = "Fréchet distance", "other values"
KINDS = {  # of panels, and how the names of their columns begin
    LOSS: "loss($|_)",
    READ: f"({'|'.join(READERS)})$",
    SHARE: "accuracy_|fool_rate",
    DISTANCE: "fd_",
    OTHER: "",
}
MOST_IN_PANEL = len(OTHER_COLOURS)  # of other values, so that no two have one colour
LOGARITHMIC_FROM = {DISTANCE: 1, OTHER: 100}  # ratio of the greatest value to the least


def losses(path: Path, history: History, title: str, equilibrium: Equilibrium | None = None) -> bool:
    """Write a PNG of all columns of a history: the losses, and below them shares, distances and other values.

    Losses and other values that are ten times smaller than the rest get a panel of their own. Of long curves the
    running mean is drawn. The legend counts values that are not finite.

    Args:
        path: the file.
        history: column → values, None where there is none, all of one length, `epoch` and `step` among them. The x axis
            is the epoch, or the step if different steps share an epoch. Losses are called `loss` or `loss_*`; shares,
            from 0 to 1, `accuracy_*`, `fool_rate` and `class_accuracy`; distances `fd_*`.
        title: of the picture.
        equilibrium: column → its value if neither player is stronger, and the formula of this value.

    Returns:
        Whether there was a value to draw; if not, there is no file.
    """
    values = {name: column for name, column in history.items() if name not in ("epoch", "step")}
    if all(value is None for column in values.values() for value in column):
        return False
    panels = _panels(values)
    one_for_each = len(set(history["epoch"])) == len(set(history["step"]))
    time = "epoch" if one_for_each else "step"
    figure, all_axes = figures.new(title, [3] * len(panels), margin=1, one_x=True)
    for axes, (kind, names) in zip(all_axes, panels):
        _draw_panel(axes, kind, names, history, time, equilibrium or {})
    all_axes[-1].set_xlabel(time)
    figures.save(figure, path)
    return True


def draw_curve(axes: Axes, times: np.ndarray, curve: np.ndarray, colour: str, label: str) -> None:
    """Draw one curve, float64 (N,), over times, (N,). Of more than 200 values the running mean stands out."""
    lost = np.sum(~np.isfinite(curve))
    label += f"\n({lost:,} not finite, left out)" if lost else ""
    if len(curve) > 200:
        axes.plot(times, curve, color=colour, linewidth=0.7, alpha=0.25)
        curve = running_mean(curve, len(curve) // 50)
    axes.plot(times, curve, "-" if len(curve) > 1 else ".", color=colour, linewidth=1.8, label=label)


def dress(axes: Axes, kind: str, values: Sequence[np.ndarray]) -> None:
    """Give a panel the axis, the grid and the legend of its kind; `values` are its curves, float64 (N,)."""
    if kind in LOGARITHMIC_FROM:
        if _spans(values, LOGARITHMIC_FROM[kind]):
            axes.set_yscale("log")
    elif kind != LOSS:
        if kind == SHARE:
            axes.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="50%, a coin toss")
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set(ylabel=kind, xmargin=0.01)
    axes.grid(color="#E3E3E3", linewidth=0.8)
    figures.dress(axes)


def kind_of(name: str) -> str:
    """Return the kind of panel that a column belongs to."""
    return next(kind for kind, start in KINDS.items() if re.match(start, name))


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return the mean of the finite ones among the `width` values around each, float64 (N,); NaN where none is."""
    known, window = np.isfinite(values), np.ones(width)
    counts = np.convolve(known, window, mode="same")
    sums = np.convolve(np.where(known, values, 0), window, mode="same")
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


def _panels(values: History) -> list[tuple[str, list[str]]]:
    """Return the kind of each panel, and its columns. Losses and shares have a place even if they have no value yet."""
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name, column in values.items():
        kind = kind_of(name)
        if kind in (LOSS, SHARE) or any(value is not None for value in column):
            kinds[kind].append(name)
    panels = [(LOSS, names) for names in _by_magnitude(values, kinds[LOSS])]
    panels += [(kind, kinds[kind]) for kind in (SHARE, READ, DISTANCE) if kinds[kind]]
    panels += [
        (OTHER, names[start : start + MOST_IN_PANEL])
        for names in _by_magnitude(values, kinds[OTHER])
        for start in range(0, len(names), MOST_IN_PANEL)
    ]
    return panels


def _draw_panel(
    axes: Axes, kind: str, names: Sequence[str], history: History, time: str, equilibrium: Equilibrium
) -> None:
    colours = iter(OTHER_COLOURS * len(history))
    levels: dict[tuple[float, str], list[tuple[str, str]]] = {}
    for name in names:
        colour, label = PLAYER_COLOURS.get(name) or next(colours), READERS.get(name, name.replace("_", " "))
        rows = [row for row, value in enumerate(history[name]) if value is not None]
        curve, times = (np.asarray(history[column], np.float64)[rows] for column in (name, time))
        draw_curve(axes, times, curve, colour, label)
        if name in equilibrium:
            levels.setdefault(equilibrium[name], []).append((label, colour))
    for (level, formula), players in levels.items():  # one line if two players share it
        whose = " and ".join(player for player, _ in players)
        colour = players[0][1] if len(players) == 1 else GREY
        label = f"{whose} at equilibrium,\n{formula} = {level:.3f}"
        axes.axhline(level, color=colour, linestyle="--", linewidth=1, label=label)
    dress(axes, kind, [np.asarray(history[name], np.float64) for name in names])


def _by_magnitude(history: History, names: Sequence[str]) -> list[list[str]]:
    """Group the columns, the largest first: within a group no median is below a tenth of the largest."""
    sizes = {}
    for name in names:
        curve = np.abs(_finite(np.asarray(history[name], np.float64)))  # None becomes NaN
        sizes[name] = np.median(curve) if len(curve) else np.nan
    greatest = np.nanmax([0.0, *sizes.values()])
    sizes = {name: greatest if np.isnan(size) else size for name, size in sizes.items()}  # these need no panel
    groups: list[list[str]] = []
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if not groups or sizes[name] < sizes[groups[-1][0]] / 10:
            groups.append([])
        groups[-1].append(name)
    return [sorted(group, key=list(sizes).index) for group in groups]


def _spans(values: Sequence[np.ndarray], ratio: float) -> bool:
    """Return whether all finite values are positive, and the greatest is at least `ratio` times the least."""
    found = np.concatenate([_finite(curve) for curve in values])
    return len(found) > 0 and found.min() > 0 and found.max() / ratio >= found.min()


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
