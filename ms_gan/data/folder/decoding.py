"""Image files as arrays: upright, cropped at the centre, on white, in grey or colour."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ms_gan.data.folder.files import FORMATS
from ms_gan.data.storage import ROWS, let_go, room_for

MOST_PIXELS = 130_000_000  # of one file: as cameras make; 2 GB while it is decoded
ONE_AT_A_TIME = 25_000_000  # pixels from which on files are decoded one after the other
FINENESS = 8  # times as fine as wanted a JPEG is decoded: it is cropped at whole pixels of what is decoded
WORKERS = min(4, os.cpu_count() or 1)  # images that are decoded at a time
BLOCK = 256  # images that wait to be decoded

ORIENTATION = 0x0112  # the tag in EXIF; its values from 2 on are undone by:
TURNS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90".split()
UPRIGHT = {value: Image.Transpose[turn] for value, turn in enumerate(TURNS, start=2)}

_large_file = threading.Lock()

Square = tuple[np.ndarray, "Found"]  # the middle square of an image, uint8 side×side or side×side×3, and what it was


class Found(NamedTuple):
    """What an image file held; the size is width and height, as it is seen."""

    size: tuple[int, int]
    grey: bool
    transparent: bool


def read_images(
    home: Path, names: Sequence[str], side: int, channels: int
) -> tuple[np.ndarray, list[Found], dict[Path, str]]:
    """Read images: uint8 (N, channels, side, side) of those that can be read, what they held, and the others' faults.

    Raises MemoryError, or UserError, where there is no room for them.
    """
    images = room_for((len(names), channels, side, side))
    found: list[Found] = []
    faults: dict[Path, str] = {}
    for path, read in read_squares([home / name for name in names], side, channels):
        if isinstance(read, str):
            faults[path] = read
        else:
            square, what = read
            images[len(found)] = square.reshape(side, side, channels).transpose(2, 0, 1)
            found.append(what)
            if len(found) % ROWS == 0:
                let_go(images)
    let_go(images)
    return images[: len(found)], found, faults


def read_squares(paths: Sequence[Path], side: int, channels: int) -> Iterator[tuple[Path, Square | str]]:
    """Yield each path, in their order, with its middle square and what it held, or with why it cannot be read.

    Some are decoded at a time.
    """
    from tqdm import tqdm

    def read(path: Path) -> tuple[Path, Square | str]:
        try:
            return path, _read_square(path, side, channels)
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises nearly anything for damaged files
            return path, _reason(path, error)

    with warnings.catch_warnings(), ThreadPoolExecutor(WORKERS) as pool:
        warnings.simplefilter("ignore")  # what Pillow reads in spite of a flaw is good enough
        with tqdm(total=len(paths), desc="reading images", unit=" images", delay=1, mininterval=1) as bar:
            for start in range(0, len(paths), BLOCK):
                for one in pool.map(read, paths[start : start + BLOCK]):
                    bar.update()
                    yield one


def _read_square(path: Path, side: int, channels: int) -> Square:
    with Image.open(path, formats=FORMATS) as image:
        size, grey = image.size, image.mode in ("1", "L", "LA") or image.mode.startswith("I")
        if math.prod(size) > MOST_PIXELS:
            raise ValueError(f"it has more than {MOST_PIXELS:,} pixels, as decompression bombs have")
        # decodes a JPEG only as finely as is needed
        image.draft("L" if channels == 1 else None, (FINENESS * side, FINENESS * side))
        with _large_file if math.prod(image.size) > ONE_AT_A_TIME else contextlib.nullcontext():
            image.load()
            orientation = _orientation(image)
            edge = min(image.size)
            left, top = ((length - edge) // 2 for length in image.size)
            square, transparent = _flattened(image.crop((left, top, left + edge, top + edge)), channels)
            if orientation in UPRIGHT:
                square = square.transpose(UPRIGHT[orientation])
            pixels = np.asarray(square)
            if edge != side:
                way = cv2.INTER_AREA if edge > side else cv2.INTER_CUBIC
                pixels = cv2.resize(pixels, (side, side), interpolation=way)
    return pixels, Found(size[::-1] if orientation in (5, 6, 7, 8) else size, grey, transparent)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF makes no image unreadable
        return 1


def _flattened(image: Image.Image, channels: int) -> tuple[Image.Image, bool]:
    """Return the image on white, in mode L or RGB, and whether any of the white shows."""
    transparent = False
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers")
    if image.mode.startswith("I"):  # up to 16 bits; Pillow itself would cut off what is above 255
        values = np.asarray(image).astype(np.int32)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("it holds numbers of more than 16 bits")
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    elif image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        transparent = bool(np.asarray(image.getchannel("A")).min() < 255)
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return image.convert("L" if channels == 1 else "RGB"), transparent


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        with open(path, "rb") as file:
            heic = file.read(12)[4:].startswith((b"ftyphe", b"ftypmif1", b"ftypmsf1"))  # phones and people rename them
        return f"it is {'HEIC, and not' if heic else 'damaged, or none of'} {', '.join(FORMATS)}"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
