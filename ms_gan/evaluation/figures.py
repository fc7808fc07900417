"""The frame of every matplotlib picture: a title, panels below one another, legends on the right.

The same input gives the same bytes, and a file appears whole or not at all.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ms_gan.evaluation import fonts
from ms_gan.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, whose colours colour-blind people can tell apart.
BLUE, ORANGE = "#0072B2", "#E69F00"
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
GREY = "#777777"
WIDTH = 10  # inches, of 100 pixels


def new(title: str, heights: Sequence[float], margin: float, one_x: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure, and a panel for each of `heights`, in inches; `margin` is the height of the title and the rest.

    With `one_x` all panels have one x axis.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12)
    figure = Figure(figsize=(WIDTH, margin + sum(heights)), dpi=100, layout=layout)
    title, font = fonts.in_matplotlib(textwrap.fill(title, 80))
    figure.suptitle(title, fontsize=14, fontweight="bold", parse_math=False, **font)
    return figure, list(figure.subplots(len(heights), sharex=one_x, height_ratios=heights, squeeze=False)[:, 0])


def dress(axes: Axes) -> None:
    """Take off a panel's upper and right edges, and put its legend on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    for entry in legend.get_texts():
        text, font = fonts.in_matplotlib(entry.get_text())
        entry.set(text=text, parse_math=False, **font)


def write_lines(axes: Axes, lines: Sequence[str]) -> None:
    """Write lines of text, in columns of equal width, into an empty panel."""
    axes.axis("off")
    text, font = fonts.in_matplotlib("\n".join(lines))
    family = ["DejaVu Sans Mono", *font.get("family", ())]
    axes.text(0, 1, text, family=family, fontsize=10, va="top", parse_math=False)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_file(path, content.getvalue())
