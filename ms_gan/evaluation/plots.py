"""Pictures that explain themselves: contact sheets, comparisons, loss curves and animations.

Images are N×C×H×W with one (grey) or three (RGB) channels, float32 in [0, 1] or uint8.
The same input gives the same bytes, and a file appears whole or not at all.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ms_gan.evaluation import fonts
from ms_gan.files import write_file

GAP, SPACING, MARGIN = 3, 10, 24  # screen pixels: between cells; grid and text; around pages and panels
MOST_FRAMES, FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS = 100, 200, 2000
# Okabe and Ito's palette, which colour-blind people can tell apart.
PLAYER_COLOURS = {"loss_d": "#0072B2", "loss_g": "#E69F00"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
READERS = {"accuracy_class": "by D", "class_accuracy": "by the judge"}  # of the classes of generated images
SHARES = ("accuracy_", "fool_rate")  # how the names of other columns between 0 and 1 begin
DISTANCES = "fd_"  # and those of Fréchet distances
MOST_IN_PANEL = len(OTHER_COLOURS)  # of other values, so that no two have one colour


def compose_grid(images: np.ndarray, columns: int, width: int | None = None) -> np.ndarray:
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
        grid[top : top + down - GAP, left : left + right - GAP] = cell
    return grid


def sheet(
    path: Path,
    images: np.ndarray,
    columns: int,
    title: str,
    caption: str | None = None,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
) -> None:
    """Write a PNG contact sheet of the images, row by row.

    Labels stand beside the rows and above the columns, one for each; those that no font of this machine can write are
    numbered, and the caption says so. Raises ValueError for another number of labels, and what `compose_grid` raises.
    """
    grid = Image.fromarray(compose_grid(images, columns))
    rows = -(-len(images) // columns)
    labels, caption = _legible([*(row_labels or ()), *(column_labels or ())], caption)
    beside = row_labels if row_labels is None else labels[: len(row_labels)]
    above = column_labels if column_labels is None else labels[len(row_labels or ()) :]
    _write_page(path, _labelled(grid, rows, columns, beside, above), title, caption)


def captioned(
    path: Path, images: np.ndarray, columns: int, labels: Sequence[str], title: str, caption: str | None = None
) -> None:
    """Write a PNG contact sheet with a label, as `sheet` has them, below each image. Raises what `sheet` raises."""
    if len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} images")
    labels, caption = _legible(labels, caption)
    rows = []
    for start in range(0, len(images), columns):
        row = images[start : start + columns]
        white = np.full((columns - len(row), *row.shape[1:]), 1 if row.dtype == np.float32 else 255, row.dtype)
        pictures = Image.fromarray(compose_grid(np.concatenate((row, white)), columns, width=900))
        right = (pictures.width + GAP) // columns
        texts = [_text(label, 13, right - GAP) for label in labels[start : start + columns]]
        strip = Image.new("RGB", (pictures.width, max(text.height for text in texts)), "white")
        for number, text in enumerate(texts):
            strip.paste(text, (number * right + (right - GAP - text.width) // 2, 0))
        rows.append(_stack([pictures, strip], GAP))
    _write_page(path, _stack(rows, SPACING), title, caption)


def compare(
    path: Path,
    generated: np.ndarray,
    real: np.ndarray,
    columns: int,
    generated_title: str,
    real_title: str,
    title: str,
    caption: str | None = None,
    above: bool = False,
) -> None:
    """Write a PNG with two contact sheets side by side, or the first above the second.

    Raises ValueError when these differ in number, height or width, and what `compose_grid` raises.
    """
    grids = [Image.fromarray(compose_grid(images, columns, width=600)) for images in (generated, real)]
    if (len(generated), generated.shape[2:]) != (len(real), real.shape[2:]):
        raise ValueError(f"images to compare must agree in number and size: {generated.shape}, {real.shape}")
    blocks = [
        _stack([_text(heading, 16, grid.width), grid], SPACING)
        for heading, grid in zip((generated_title, real_title), grids)
    ]
    if above:
        panel = _stack(blocks, MARGIN)
    else:
        lying = [block.transpose(Image.Transpose.TRANSPOSE) for block in blocks]
        panel = _stack(lying, MARGIN).transpose(Image.Transpose.TRANSPOSE)
    _write_page(path, panel, title, caption)


def losses(
    path: Path,
    history: dict[str, Sequence[float | None]],
    title: str,
    equilibrium: dict[str, tuple[float, str]] | None = None,
) -> bool:
    """Write a PNG of all columns of a history: the losses and, below, shares, distances and whatever else is in it.

    Losses are `loss` and `loss_*`. Shares, in [0, 1], are D's judgements, `accuracy_*` and `fool_rate`, and in how many
    images the asked-for class is read, `accuracy_class` and `class_accuracy`; distances are `fd_*`; all others are
    drawn as "other values". Losses, and other values, ten times smaller than the rest get a panel of their own. The
    axis of distances, and of other values that span two powers of ten, is logarithmic where all are positive.
    `history` maps column → values, None where there is none, `epoch` and `step` among them; the x axis is the epoch, or
    the step where different steps share an epoch. `equilibrium` maps columns → where they would stand, were neither
    player the stronger, and how that number is written. The legend counts the values left out for not being finite.
    Returns whether there was anything to draw: of a history without a value nothing is written. Raises ValueError for
    a missing column, or unequal lengths.
    """
    from matplotlib.figure import Figure

    if not ({"epoch", "step"} < set(history) and len(set(map(len, history.values()))) == 1):
        raise ValueError("a history needs epoch, step, and columns of values, all of one length")
    values = {name: column for name, column in history.items() if name not in ("epoch", "step")}
    there = [name for name in values if any(value is not None for value in values[name])]
    if not there:
        return False
    of_losses = [name for name in values if name == "loss" or name.startswith("loss_")]
    shares = [name for name in values if name.startswith(SHARES) and name not in READERS]
    readers = [name for name in there if name in READERS]
    distances = [name for name in there if name.startswith(DISTANCES)]
    others = [name for name in there if name not in {*of_losses, *shares, *readers, *distances}]
    panels = [("loss", names) for names in _by_magnitude(values, of_losses)]
    panels += [
        (kind, names)
        for kind, names in (
            ("share of images", shares),
            ("asked-for class is read", readers),
            ("Fréchet distance", distances),
        )
        if names
    ]
    panels += [
        ("other values", names[start : start + MOST_IN_PANEL])
        for names in _by_magnitude(values, others)
        for start in range(0, len(names), MOST_IN_PANEL)
    ]
    one_for_each = len(set(history["epoch"])) == len(set(history["step"]))
    time = "epoch" if one_for_each else "step"
    figure = Figure(figsize=(10, 1 + 3 * len(panels)), dpi=100, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)
    title, font = fonts.in_matplotlib(textwrap.fill(title, 80))
    figure.suptitle(title, fontsize=14, fontweight="bold", parse_math=False, **font)
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (kind, names) in zip(all_axes, panels):
        colours = iter(OTHER_COLOURS * len(history))
        levels: dict[tuple[float, str], list[tuple[str, str]]] = {}
        for name in names:
            colour = PLAYER_COLOURS.get(name) or next(colours)
            legend = READERS.get(name, name.replace("_", " "))
            rows = [row for row, value in enumerate(history[name]) if value is not None]
            curve, times = (np.asarray(history[column], np.float64)[rows] for column in (name, time))
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
            axes.axhline(
                level,
                color=players[0][1] if len(players) == 1 else "#777777",
                linestyle="--",
                linewidth=1,
                label=f"{whose} at equilibrium,\n{formula} = {level:.3f}",
            )
        if kind in ("Fréchet distance", "other values"):
            if _logarithmic(values, names, least=100 if kind == "other values" else 1):
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
    return True


def gif(path: Path, frames: Sequence[Path]) -> None:
    """Write an endless animation of PNG files, each shown for a fifth of a second, the last for two seconds.

    At most `MOST_FRAMES` are taken, evenly, the first and the last among them; all get the size
    of the first. Equal neighbours become one longer frame. Raises ValueError when there are none.
    """
    if not frames:
        raise ValueError("an animation needs at least one frame")
    pictures: list[Image.Image] = []
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
    pictures[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        loop=0,
        optimize=True,
        duration=[FRAME_MILLISECONDS] * (len(pictures) - 1) + [LAST_FRAME_MILLISECONDS],
    )
    write_file(path, content.getvalue())


def _labelled(
    grid: Image.Image, rows: int, columns: int, row_labels: Sequence[str] | None, column_labels: Sequence[str] | None
) -> Image.Image:
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


def _write_page(path: Path, panel: Image.Image, title: str, caption: str | None) -> None:
    width = max(panel.width, 450)
    blocks = [_text(title, 20, width, bold=True), panel] + ([_text(caption, 14, width)] if caption else [])
    content = io.BytesIO()
    ImageOps.expand(_stack(blocks, SPACING), MARGIN, "white").save(content, "PNG")
    write_file(path, content.getvalue())


def _legible(labels: Sequence[str], caption: str | None) -> tuple[list[str], str | None]:
    """Return labels that can be written, and the caption, which says so where they are not those of the caller."""
    labels, note = fonts.legible(labels, "are numbered in the order in which they stand here")
    return labels, f"{caption}. {note}" if caption and note else caption or note


def _stack(blocks: Sequence[Image.Image], spacing: int) -> Image.Image:
    """Put pictures below one another at their left edges."""
    height = sum(block.height + spacing for block in blocks) - spacing
    stack = Image.new("RGB", (max(block.width for block in blocks), height), "white")
    top = 0
    for block in blocks:
        stack.paste(block, (0, top))
        top += block.height + spacing
    return stack


def _text(text: str, size: int, width: int | None = None, bold: bool = False) -> Image.Image:
    """Return text on white, in as many lines as `width` screen pixels ask for."""
    usual = ImageFont.truetype(fonts.dejavu(bold), size, layout_engine=ImageFont.Layout.BASIC)

    def pieces(line: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
        return [(piece, face.load(size) if face else usual) for piece, face in fonts.runs(line, bold)]

    def length(line: str) -> float:
        return sum(font.getlength(piece) for piece, font in pieces(line))

    text = "".join(piece for piece, _ in fonts.runs(text, bold))  # what no font has is longer as it is written
    characters, lines = len(text), text.split("\n")
    while width is not None and characters > 1 and any(length(line) > width for line in lines):
        lines, characters = textwrap.wrap(text, characters), characters - 1
    written = [pieces(line) for line in lines]
    rising, falling = (max(heights) for heights in zip(*(font.getmetrics() for line in written for _, font in line)))
    block = Image.new("RGB", (math.ceil(max(map(length, lines))) or 1, (rising + falling) * len(lines)), "white")
    colour = "#1E1E1E" if bold else "#5F5F5F"  # neutral, so that a sheet of grey images is grey throughout
    draw = ImageDraw.Draw(block)
    for number, line in enumerate(written):
        left, baseline = 0.0, number * (rising + falling) + rising
        for piece, font in line:
            draw.text((left, baseline - font.getmetrics()[0]), piece, colour, font)
            left += font.getlength(piece)
    return block


def _by_magnitude(history: dict[str, Sequence[float | None]], names: Sequence[str]) -> list[list[str]]:
    """Return the names of columns in groups, the largest first; in each, no median is a tenth of the largest."""
    sizes = {}
    for name in names:
        curve = np.abs(_finite(history[name]))
        sizes[name] = np.median(curve) if len(curve) else np.nan
    greatest = np.nanmax([0.0, *sizes.values()])
    sizes = {name: greatest if np.isnan(size) else size for name, size in sizes.items()}  # these need no panel
    groups: list[list[str]] = []
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if not groups or sizes[name] < sizes[groups[-1][0]] / 10:
            groups.append([])
        groups[-1].append(name)
    return [sorted(group, key=list(sizes).index) for group in groups]


def _logarithmic(history: dict[str, Sequence[float | None]], names: Sequence[str], least: float) -> bool:
    """Tell whether the finite values of columns are all positive, and the greatest is `least` times the least."""
    found = np.concatenate([_finite(history[name]) for name in names])
    return len(found) > 0 and found.min() > 0 and found.max() / least >= found.min()


def _finite(column: Sequence[float | None]) -> np.ndarray:
    numbers = np.asarray(column, np.float64)  # None becomes NaN
    return numbers[np.isfinite(numbers)]


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return the mean of the finite ones among the `width` values around each; NaN where none is."""
    known, window = np.isfinite(values), np.ones(width)
    counts = np.convolve(known, window, mode="same")
    sums = np.convolve(np.where(known, values, 0), window, mode="same")
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)
