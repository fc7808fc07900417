"""Pictures of images: sample grids, comparisons and animations.

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
from PIL import Image, ImageDraw, ImageFont

from ms_gan.evaluation import fonts
from ms_gan.files import write_file

GAP = 3  # pixels of the picture, between cells
SPACING = 10  # between a grid and its text
MARGIN = 24  # around pages and panels
MOST_FRAMES = 100
FRAME_MILLISECONDS = 200
LAST_FRAME_MILLISECONDS = 2000


def compose_grid(images: np.ndarray, columns: int, width: int | None = None) -> np.ndarray:
    """Return the images row by row, on white, as one array: uint8, (height, width, 3).

    Every pixel of an image becomes a square, 1 to 16 pixels wide, so that the grid is at most about `width` wide, by
    default 600, or 900 with eight columns or more, and 1,400 high. Raises ValueError for images of another form than
    the module says.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype not in (np.float32, np.uint8):
        raise ValueError(f"images must be N×C×H×W, C 1 or 3, float32 or uint8, not {images.shape} of {images.dtype}")
    if images.dtype == np.float32:
        if not (images.min() >= 0 and images.max() <= 1):  # put so that NaN is refused too
            raise ValueError(f"float32 images must lie in [0, 1], not [{images.min()}, {images.max()}]")
        images = np.rint(images * 255).astype(np.uint8)
    width = width or (600 if columns < 8 else 900)
    rows = -(-len(images) // columns)
    scale = int(np.clip(min(width // (columns * images.shape[3]), 1400 // (rows * images.shape[2])), 1, 16))
    cells = images.transpose(0, 2, 3, 1).repeat(scale, axis=1).repeat(scale, axis=2)
    down, right = cells.shape[1] + GAP, cells.shape[2] + GAP
    grid = np.full((rows * down - GAP, columns * right - GAP, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * down, index % columns * right
        grid[top : top + down - GAP, left : left + right - GAP] = cell
    return grid


def plain(path: Path, images: np.ndarray, columns: int) -> None:
    """Write a PNG of the images alone, row by row. Raises what `compose_grid` raises."""
    _write(path, Image.fromarray(compose_grid(images, columns)))


def sheet(
    path: Path,
    images: np.ndarray,
    columns: int,
    title: str,
    caption: str | None = None,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> None:
    """Write a PNG: the images row by row, with labels beside the rows and above the columns, on end where too long.

    Raises ValueError for another number of labels, and what `compose_grid` raises.
    """
    grid = Image.fromarray(compose_grid(images, columns))
    rows = -(-len(images) // columns)
    for labels, count, kind in ((row_labels, rows, "row"), (column_labels, columns, "column")):
        if labels and len(labels) != count:
            raise ValueError(f"{len(labels)} {kind} labels for {count} {kind}s")
    down, right = (grid.height + GAP) // rows, (grid.width + GAP) // columns
    beside, above = ([text_block(label, 14) for label in labels] for labels in (row_labels, column_labels))
    if any(block.width >= right for block in above):
        above = [block.transpose(Image.Transpose.ROTATE_90) for block in above]
    left = max((block.width + SPACING for block in beside), default=0)
    top = max((block.height + SPACING for block in above), default=0)
    panel = grid
    if left or top:  # a copy of a large grid takes hundreds of megabytes
        panel = Image.new("RGB", (left + grid.width, top + grid.height), "white")
        panel.paste(grid, (left, top))
    for row, block in enumerate(beside):
        centred = top + row * down + (down - GAP - block.height) // 2
        panel.paste(block, (left - SPACING - block.width, centred))
    for column, block in enumerate(above):
        centred = left + column * right + (right - GAP - block.width) // 2
        panel.paste(block, (centred, top - SPACING - block.height))
    _write_page(path, panel, title, caption)


def captioned(
    path: Path, images: np.ndarray, columns: int, labels: Sequence[str], title: str, caption: str | None = None
) -> None:
    """Write a PNG: the images row by row, with a label below each. Raises what `sheet` raises."""
    if len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} images")
    rows = []
    for start in range(0, len(images), columns):
        row = images[start : start + columns]
        white = np.full((columns - len(row), *row.shape[1:]), 1 if row.dtype == np.float32 else 255, row.dtype)
        pictures = Image.fromarray(compose_grid(np.concatenate((row, white)), columns, width=900))
        right = (pictures.width + GAP) // columns
        texts = [text_block(label, 13, right - GAP) for label in labels[start : start + columns]]
        strip = Image.new("RGB", (pictures.width, max(text.height for text in texts)), "white")
        for number, text in enumerate(texts):
            strip.paste(text, (number * right + (right - GAP - text.width) // 2, 0))
        rows.append(_stack([pictures, strip], GAP))
    _write_page(path, _stack(rows, SPACING), title, caption)


def compare(
    path: Path,
    first: tuple[str, np.ndarray],
    second: tuple[str, np.ndarray],
    columns: int,
    title: str,
    caption: str | None = None,
    above: bool = False,
) -> None:
    """Write a PNG with two grids of images, each with its heading: side by side, or the first above the second.

    Raises ValueError if they differ in number, height or width, and what `compose_grid` raises.
    """
    both = first, second
    one, other = ((len(images), *images.shape[2:]) for _, images in both)
    if one != other:
        raise ValueError(f"images to compare must agree in number, height and width: {one}, {other}")
    grids = [Image.fromarray(compose_grid(images, columns, width=600)) for _, images in both]
    blocks = [_stack([text_block(heading, 16, grid.width), grid], SPACING) for (heading, _), grid in zip(both, grids)]
    if above:
        panel = _stack(blocks, MARGIN)
    else:
        lying = [block.transpose(Image.Transpose.TRANSPOSE) for block in blocks]
        panel = _stack(lying, MARGIN).transpose(Image.Transpose.TRANSPOSE)
    _write_page(path, panel, title, caption)


def gif(path: Path, frames: Sequence[Path]) -> None:
    """Write an endless animation of PNG files, each shown for a fifth of a second, the last for two seconds.

    At most `MOST_FRAMES` are taken, evenly, the first and the last among them; all get the size
    of the first. Equal neighbours become one longer frame.
    """
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


def _write_page(path: Path, panel: Image.Image, title: str, caption: str | None) -> None:
    width = max(panel.width, 450)
    blocks = [text_block(title, 20, width, bold=True), panel] + ([text_block(caption, 14, width)] if caption else [])
    _write(path, _stack(blocks, SPACING, MARGIN))


def _write(path: Path, picture: Image.Image) -> None:
    content = io.BytesIO()
    picture.save(content, "PNG")
    write_file(path, content.getvalue())


def _stack(blocks: Sequence[Image.Image], spacing: int, margin: int = 0) -> Image.Image:
    """Put pictures below one another at their left edges, with a white margin around them."""
    height = sum(block.height + spacing for block in blocks) - spacing
    width = max(block.width for block in blocks)
    stack = Image.new("RGB", (width + 2 * margin, height + 2 * margin), "white")
    top = margin
    for block in blocks:
        stack.paste(block, (margin, top))
        top += block.height + spacing
    return stack


def text_block(text: str, size: int, width: int | None = None, bold: bool = False) -> Image.Image:
    """Return text on white, of a size in pixels, in lines of at most `width` pixels."""
    text, path = fonts.written(text, bold)
    # only the usual font looks the same on every machine; others take the shapes that a script asks for, if they can
    layout = ImageFont.Layout.BASIC if path == fonts.dejavu(bold) else None
    font = ImageFont.truetype(path, size, layout_engine=layout)
    characters, lines = len(text), text.split("\n")
    while width is not None and characters > 1 and any(font.getlength(line) > width for line in lines):
        lines, characters = textwrap.wrap(text, characters), characters - 1
    height = sum(font.getmetrics())
    block = Image.new("RGB", (math.ceil(max(map(font.getlength, lines))) or 1, height * len(lines)), "white")
    draw = ImageDraw.Draw(block)
    for number, line in enumerate(lines):
        # neutral colours, so that a sheet of grey images is grey throughout
        draw.text((0, number * height), line, "#1E1E1E" if bold else "#5F5F5F", font)
    return block
