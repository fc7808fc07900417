"""Pictures that explain themselves: contact sheets, comparisons, loss curves and animations.

Images are N×C×H×W with one (grey) or three (RGB) channels, float32 in [0, 1] or uint8.
The same input gives the same bytes, and a file appears whole or not at all.
"""

from __future__ import annotations

import io
import math
import textwrap
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ms_gan.files import write_file

GAP, SPACING, MARGIN = 3, 10, 24  # screen pixels: between cells; grid and text; around pages and panels
MOST_FRAMES, FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS = 100, 200, 2000
# Okabe and Ito's palette, which colour-blind people can tell apart.
PLAYER_COLOURS = {"loss_d": "#0072B2", "loss_g": "#E69F00"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
READERS = {"accuracy_class": "by D", "class_accuracy": "by the judge"}  # of the classes of generated images
SHARES = ("accuracy_", "fool_rate")  # how the names of other columns between 0 and 1 begin
DISTANCES = "fd_"  # and those of Fréchet distances


def compose_grid(images: np.ndarray, columns: int, width: Optional[int] = None) -> np.ndarray:
    """Return the images row by row as one uint8 array, height × width × 3, on white, cells `GAP` apart.

    Every image pixel becomes a square of equal pixels, 1 to 16 wide, as fits into about
    `width`; when that is not given, a few images take less room than many. Raises ValueError
    for images that are not as the module says, or no column.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"images must be N×C×H×W with C 1 or 3 and none of them 0, not {images.shape}")
    if images.dtype not in (np.float32, np.uint8):
        raise ValueError(f"images must be float32 or uint8, not {images.dtype}")
    if images.dtype == np.float32:
        if not (images.min() >= 0 and images.max() <= 1):  # put so that NaN is refused too
            raise ValueError(f"float32 images must lie in [0, 1], not [{images.min()}, {images.max()}]")
        images = np.rint(images * 255).astype(np.uint8)
    if columns < 1:
        raise ValueError(f"a grid needs at least one column, not {columns}")
    if width is None:
        width = 600 if columns < 8 else 900
    rows = -(-len(images) // columns)
    scale = int(np.clip(min(width // (columns * images.shape[3]), 1400 // (rows * images.shape[2])), 1, 16))
    cells = images.transpose(0, 2, 3, 1).repeat(scale, axis=1).repeat(scale, axis=2)
    down, right = cells.shape[1] + GAP, cells.shape[2] + GAP
    grid = np.full((rows * down - GAP, columns * right - GAP, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * down, index % columns * right
        grid[top:top + down - GAP, left:left + right - GAP] = cell
    return grid


def sheet(path: Path, images: np.ndarray, columns: int, title: str, caption: Optional[str] = None,
          row_labels: Optional[Sequence[str]] = None, column_labels: Optional[Sequence[str]] = None) -> None:
    """Write a PNG contact sheet of the images, row by row.

    Labels stand beside the rows and above the columns, one for each. Raises ValueError
    for another number of labels, and what `compose_grid` raises.
    """
    grid = Image.fromarray(compose_grid(images, columns))
    rows = -(-len(images) // columns)
    _write_page(path, _labelled(grid, rows, columns, row_labels, column_labels), title, caption)


def captioned(path: Path, images: np.ndarray, columns: int, labels: Sequence[str], title: str,
              caption: Optional[str] = None) -> None:
    """Write a PNG contact sheet with a label below each image. Raises what `sheet` raises."""
    if len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} images")
    rows = []
    for start in range(0, len(images), columns):
        row = images[start:start + columns]
        white = np.full((columns - len(row), *row.shape[1:]), 1 if row.dtype == np.float32 else 255, row.dtype)
        pictures = Image.fromarray(compose_grid(np.concatenate((row, white)), columns, width=900))
        right = (pictures.width + GAP) // columns
        texts = [_text(label, 13, right - GAP) for label in labels[start:start + columns]]
        strip = Image.new("RGB", (pictures.width, max(text.height for text in texts)), "white")
        for number, text in enumerate(texts):
            strip.paste(text, (number * right + (right - GAP - text.width) // 2, 0))
        rows.append(_stack([pictures, strip], GAP))
    _write_page(path, _stack(rows, SPACING), title, caption)


def compare(path: Path, generated: np.ndarray, real: np.ndarray, columns: int, generated_title: str, real_title: str,
            title: str, caption: Optional[str] = None, above: bool = False) -> None:
    """Write a PNG with two contact sheets side by side, or the first above the second.

    Raises ValueError when these differ in number, height or width, and what `compose_grid` raises.
    """
    grids = [Image.fromarray(compose_grid(images, columns, width=600)) for images in (generated, real)]
    if (len(generated), generated.shape[2:]) != (len(real), real.shape[2:]):
        raise ValueError(f"images to compare must agree in number and size: {generated.shape}, {real.shape}")
    blocks = [_stack([_text(heading, 16, grid.width), grid], SPACING)
              for heading, grid in zip((generated_title, real_title), grids)]
    if above:
        panel = _stack(blocks, MARGIN)
    else:
        lying = [block.transpose(Image.Transpose.TRANSPOSE) for block in blocks]
        panel = _stack(lying, MARGIN).transpose(Image.Transpose.TRANSPOSE)
    _write_page(path, panel, title, caption)


def losses(path: Path, history: Dict[str, Sequence[float]], title: str,
           equilibrium: Optional[Dict[str, Tuple[float, str]]] = None) -> None:
    """Write a PNG of the columns `loss` and `loss_*` of a history and, below, of the shares and distances in it.

    Shares, in [0, 1], are D's judgements, `accuracy_*` and `fool_rate`, and in how many images the asked-for class is
    read, `accuracy_class` and `class_accuracy`; distances, on a logarithmic axis, are `fd_*`.
    `history` maps column → values, None where there is none, `epoch` and `step` among them; the x axis is the epoch, or
    the step where different steps share an epoch. Losses ten times smaller than others get a panel of their own.
    `equilibrium` maps columns → where they would stand, were neither player the stronger, and how that
    number is written. The legend counts the values left out for not being finite. Raises ValueError for
    a missing column, or unequal lengths.
    """
    from matplotlib.figure import Figure

    panels = [("loss", names) for names in _by_magnitude(history)]
    others = [name for name in history if any(value is not None for value in history[name])]
    panels += [(kind, names) for kind, names in (
        ("share of images", [name for name in history if name.startswith(SHARES) and name not in READERS]),
        ("asked-for class is read", [name for name in others if name in READERS]),
        ("Fréchet distance", [name for name in others if name.startswith(DISTANCES)])) if names]
    if not (panels and {"epoch", "step"} <= set(history) and len(set(map(len, history.values()))) == 1):
        raise ValueError("a history needs epoch, step, and loss_* or accuracy_*, all of one length")
    one_for_each = len(set(history["epoch"])) == len(set(history["step"]))
    time = "epoch" if one_for_each else "step"
    figure = Figure(figsize=(10, 1 + 3 * len(panels)), dpi=100, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)
    figure.suptitle(textwrap.fill(title, 80), fontsize=14, fontweight="bold", parse_math=False)
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (kind, names) in zip(all_axes, panels):
        colours = iter(OTHER_COLOURS * len(history))
        levels: Dict[Tuple[float, str], List[Tuple[str, str]]] = {}
        for name in names:
            colour = PLAYER_COLOURS.get(name) or next(colours)
            legend = READERS.get(name, name.replace("_", " "))
            there = [row for row, value in enumerate(history[name]) if value is not None]
            curve, times = (np.asarray(history[column], np.float64)[there] for column in (name, time))
            lost = np.sum(~np.isfinite(curve))
            legend += f"\n({lost:,} not finite, left out)" if lost else ""
            if len(curve) > 200:
                axes.plot(times, curve, color=colour, linewidth=0.7, alpha=0.25)
                curve = _running_mean(curve, len(curve) // 50)
            style = "-" if len(curve) > 1 else "."
            axes.plot(times, curve, style, color=colour, linewidth=1.8, label=legend)
            if name in (equilibrium or {}):
                level, formula = equilibrium[name]
                levels.setdefault((level, formula), []).append((legend, colour))
        for (level, formula), players in levels.items():  # one line where two players share it
            whose = " and ".join(player for player, _ in players)
            axes.axhline(level, color=players[0][1] if len(players) == 1 else "#777777", linestyle="--", linewidth=1,
                         label=f"{whose} at equilibrium,\n{formula} = {level:.3f}")
        if kind == "Fréchet distance":
            axes.set_yscale("log")
        elif kind != "loss":
            if kind == "share of images":
                axes.axhline(0.5, color="#777777", linestyle="--", linewidth=1, label="50%, a coin toss")
            axes.set_ylim(-0.03, 1.03)
            axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set(ylabel=kind, xmargin=0.01)
        axes.grid(color="#E3E3E3", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    all_axes[-1].set_xlabel(time)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_file(path, content.getvalue())


def gif(path: Path, frames: Sequence[Path]) -> None:
    """Write an endless animation of PNG files, each shown for a fifth of a second, the last for two seconds.

    At most `MOST_FRAMES` are taken, evenly, the first and the last among them; all get the size
    of the first. Equal neighbours become one longer frame. Raises ValueError when there are none.
    """
    if not frames:
        raise ValueError("an animation needs at least one frame")
    pictures: List[Image.Image] = []
    for index in np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).round().astype(int):
        with Image.open(frames[index]) as file:
            picture = file.convert("RGB")
        if pictures and picture.size != pictures[0].size:
            picture = picture.resize(pictures[0].size, Image.Resampling.LANCZOS)
        grey = picture.convert("L")
        if grey.convert("RGB") == picture:
            pictures.append(grey.point(lambda level: level // 4 * 255 // 63))  # 64 greys compress far better
        else:
            pictures.append(picture.quantize(256, dither=Image.Dither.NONE))
    content = io.BytesIO()
    pictures[0].save(content, "GIF", save_all=True, append_images=pictures[1:], loop=0, optimize=True,
                     duration=[FRAME_MILLISECONDS] * (len(pictures) - 1) + [LAST_FRAME_MILLISECONDS])
    write_file(path, content.getvalue())


def _labelled(grid: Image.Image, rows: int, columns: int, row_labels: Optional[Sequence[str]],
              column_labels: Optional[Sequence[str]]) -> Image.Image:
    """Return the grid with labels beside its rows and above its columns, on end where these are narrow."""
    for labels, count, kind in ((row_labels, rows, "row"), (column_labels, columns, "column")):
        if labels is not None and len(labels) != count:
            raise ValueError(f"{len(labels)} {kind} labels for {count} {kind}s")
    down, right = (grid.height + GAP) // rows, (grid.width + GAP) // columns
    beside, above = ([_text(label, 14) for label in labels or ()] for labels in (row_labels, column_labels))
    if any(block.width >= right for block in above):
        above = [block.transpose(Image.Transpose.ROTATE_90) for block in above]
    left = max((block.width + SPACING for block in beside), default=0)
    top = max((block.height + SPACING for block in above), default=0)
    panel = Image.new("RGB", (left + grid.width, top + grid.height), "white")
    panel.paste(grid, (left, top))
    for row, block in enumerate(beside):
        centred = top + row * down + (down - GAP - block.height) // 2
        panel.paste(block, (left - SPACING - block.width, centred))
    for column, block in enumerate(above):
        centred = left + column * right + (right - GAP - block.width) // 2
        panel.paste(block, (centred, top - SPACING - block.height))
    return panel


def _write_page(path: Path, panel: Image.Image, title: str, caption: Optional[str]) -> None:
    width = max(panel.width, 450)
    blocks = [_text(title, 20, width, bold=True), panel] + ([_text(caption, 14, width)] if caption else [])
    content = io.BytesIO()
    ImageOps.expand(_stack(blocks, SPACING), MARGIN, "white").save(content, "PNG")
    write_file(path, content.getvalue())


def _stack(blocks: Sequence[Image.Image], spacing: int) -> Image.Image:
    """Put pictures below one another at their left edges."""
    height = sum(block.height + spacing for block in blocks) - spacing
    stack = Image.new("RGB", (max(block.width for block in blocks), height), "white")
    top = 0
    for block in blocks:
        stack.paste(block, (0, top))
        top += block.height + spacing
    return stack


def _text(text: str, size: int, width: Optional[int] = None, bold: bool = False) -> Image.Image:
    """Return text on white, in as many lines as `width` screen pixels ask for."""
    import matplotlib  # for its font, which is the same on every machine

    file = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
    font = ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
    characters, lines = len(text), text.split("\n")
    while width is not None and characters > 1 and any(font.getlength(line) > width for line in lines):
        lines, characters = textwrap.wrap(text, characters), characters - 1
    line_height, longest = sum(font.getmetrics()), math.ceil(max(map(font.getlength, lines)))
    block = Image.new("RGB", (longest or 1, line_height * len(lines)), "white")
    colour = "#1E1E1E" if bold else "#5F5F5F"  # neutral, so that a sheet of grey images is grey throughout
    for number, line in enumerate(lines):
        ImageDraw.Draw(block).text((0, number * line_height), line, colour, font)
    return block


def _by_magnitude(history: Dict[str, Sequence[float]]) -> List[List[str]]:
    """Return the names of the losses in groups, the largest first; in each, no median is a tenth of the largest."""
    sizes = {}
    for name in history:
        if name == "loss" or name.startswith("loss_"):
            curve = np.abs(np.asarray(history[name], np.float64))
            curve = curve[np.isfinite(curve)]
            sizes[name] = np.median(curve) if len(curve) else np.nan
    greatest = np.nanmax([0.0, *sizes.values()])
    sizes = {name: greatest if np.isnan(size) else size for name, size in sizes.items()}  # these need no panel
    groups: List[List[str]] = []
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if not groups or sizes[name] < sizes[groups[-1][0]] / 10:
            groups.append([])
        groups[-1].append(name)
    return [sorted(group, key=list(sizes).index) for group in groups]


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return the mean of the finite ones among the `width` values around each; NaN where none is."""
    known, window = np.isfinite(values), np.ones(width)
    counts = np.convolve(known, window, mode="same")
    sums = np.convolve(np.where(known, values, 0), window, mode="same")
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)
