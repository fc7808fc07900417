"""Image files as arrays: upright, cropped at the centre, on white, in grey or colour."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ms_gan.data.folder.files import FORMATS
from ms_gan.data.storage import ROWS, let_go, room_for

MOST_PIXELS = 130_000_000  # of one file: as cameras make; 2 GB while it is decoded
MOST_IN_JPEG = 2 * MOST_PIXELS  # which is decoded as finely as is needed: as telephones make
ONE_AT_A_TIME = 25_000_000  # pixels from which on files are decoded one after the other
FINENESS = 8  # times as fine as wanted a JPEG is decoded: it is cropped at whole pixels of what is decoded
WORKERS = min(4, os.cpu_count() or 1)  # images that are decoded at a time
BLOCK = 256  # images that wait to be decoded

ORIENTATION = 0x0112  # the tag in EXIF; its values from 2 on are undone by:
TURNS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90".split()
UPRIGHT = {value: Image.Transpose[turn] for value, turn in enumerate(TURNS, start=2)}

FACTORS = {"1": 255, "L;2": 85, "L;4": 17}  # by which Pillow brings pixels of 1, 2 and 4 bits to 8
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of TIFF, and one of its values, which Pillow heeds for 8 bits alone
COLOURED = ("RGB", "RGBA", "P", "PA")  # modes whose colours an ICC profile may be of
DIM = 4096  # no number of a 16-bit image that is seen as anything but black is below

_large_file = threading.Lock()
_opening = threading.Lock()

Square = tuple[np.ndarray, "Found"]  # the middle square of an image, uint8 side×side or side×side×3, and what it was


class Found(NamedTuple):
    """What an image file held.

    size: width and height, as it is seen. grey: it has no colours. transparent: some of it is. dim: it has 16 bits a
    number, and uses no more than the lowest 12. other_colours: its colours are not those of sRGB, and were converted.
    """

    size: tuple[int, int]
    grey: bool = False
    transparent: bool = False
    dim: bool = False
    other_colours: bool = False


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
    with _opened(path) as image:
        size, grey = image.size, image.mode in ("1", "L", "LA") or image.mode.startswith("I")
        most = MOST_IN_JPEG if image.format in ("JPEG", "MPO") else MOST_PIXELS
        pixels_of_file = _pixels(image)
        # decodes a JPEG only as finely as is needed
        image.draft("L" if channels == 1 else None, (FINENESS * side, FINENESS * side))
        for pixels_there, limit in ((math.prod(size), most), (math.prod(image.size), MOST_PIXELS)):
            if pixels_there > limit:
                raise ValueError(f"it has more than {limit:,} pixels, as decompression bombs have")
        held = size if image.info.get("progressive") else image.size  # whose coefficients are all held at once
        profile = image.info.get("icc_profile") if channels == 3 and image.mode in COLOURED else None
        with _large_file if math.prod(held) > ONE_AT_A_TIME else contextlib.nullcontext():
            image.load()
            orientation = _orientation(image)
            edge = min(image.size)
            left, top = ((length - edge) // 2 for length in image.size)
            square, found = _flattened(image.crop((left, top, left + edge, top + edge)), pixels_of_file, channels)
            if orientation in UPRIGHT:
                square = square.transpose(UPRIGHT[orientation])
            pixels = np.asarray(square)
            if edge != side:
                way = cv2.INTER_AREA if edge > side else cv2.INTER_CUBIC
                pixels = cv2.resize(pixels, (side, side), interpolation=way)
    converted = None if profile is None else _in_srgb(pixels, profile)
    seen = size[::-1] if orientation in (5, 6, 7, 8) else size
    found = found._replace(size=seen, grey=grey, other_colours=converted is not None)
    return pixels if converted is None else converted, found


def _opened(path: Path) -> Image.Image:
    """Open an image file, of any size: `_read_square` says which are too large."""
    try:
        return Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError:  # Pillow's own limit is a setting of the whole process
        with _opening:
            most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return Image.open(path, formats=FORMATS)
            finally:
                Image.MAX_IMAGE_PIXELS = most


class Pixels(NamedTuple):
    """What Pillow does not apply to pixels: their number, or colour, for transparency, and whether 0 is white."""

    transparent: int | tuple[int, ...] | None
    inverted: bool


def _pixels(image: Image.Image) -> Pixels:
    """Return what is to be known of the pixels of an image that is not loaded yet."""
    tags = getattr(image, "tag_v2", {})
    return Pixels(_transparent_colour(image), tags.get(PHOTOMETRIC) == WHITE_IS_ZERO)


def _transparent_colour(image: Image.Image) -> int | tuple[int, ...] | None:
    """Return the number, or colour, that stands for transparency in a PNG that is not loaded yet, as its pixels are.

    Pillow brings pixels of 1, 2 and 4 bits, and colours of 16, to 8 bits, and leaves this number as the file has it;
    from 12.1 on that of 1 bit is 255, as its pixels are. None for files that say it otherwise, or not at all.
    """
    key = image.info.get("transparency")
    if key is None or image.format != "PNG":
        return None
    raw = image.tile[0][3]  # type: ignore[attr-defined]  # how its pixels are encoded
    if raw in FACTORS and isinstance(key, int):
        return 255 if raw == "1" and key else key * FACTORS[raw]
    if raw == "RGB;16B" and isinstance(key, tuple):
        return tuple(number >> 8 for number in key)
    return key if raw == "I;16B" else None


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF makes no image unreadable
        return 1


def _flattened(image: Image.Image, pixels: Pixels, channels: int) -> tuple[Image.Image, Found]:
    """Return the image on white, in mode L or RGB, and what it held."""
    transparent = dim = False
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers")
    if pixels.transparent is not None:
        image.info["transparency"] = pixels.transparent
    if image.mode.startswith("I"):  # up to 16 bits; Pillow itself would cut off what is above 255
        values = np.asarray(image).astype(np.int32)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("it holds numbers of more than 16 bits")
        white_here = values == pixels.transparent
        transparent = bool(white_here.any())
        values = 65535 - values if pixels.inverted else values
        dim = 0 < np.where(white_here, 0, values).max() < DIM
        image = Image.fromarray(np.where(white_here, 255, (values + 128) // 257).astype(np.uint8))
    elif image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        transparent = bool(np.asarray(image.getchannel("A")).min() < 255)
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return image.convert("L" if channels == 1 else "RGB"), Found(image.size, transparent=transparent, dim=bool(dim))


def _in_srgb(pixels: np.ndarray, profile: bytes) -> np.ndarray | None:
    """Return pixels, uint8 H×W×3, of an ICC profile in sRGB; None where they are so, or it cannot be used."""
    transform = _to_srgb(profile)
    return None if transform is None else np.asarray(transform.apply(Image.fromarray(pixels)))


@functools.lru_cache(maxsize=64)
def _to_srgb(profile: bytes) -> Any:
    """Return what converts colours of a profile to sRGB, for any thread; None where nothing is to be converted."""
    from PIL import ImageCms

    no_cache = 0x40  # of the last pixel, which threads would share
    try:
        own = ImageCms.getOpenProfile(io.BytesIO(profile))
        called = ImageCms.getProfileDescription(own).casefold()
        if own.profile.xcolor_space.strip() != "RGB" or "srgb" in called and "linear" not in called:
            return None
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(own, srgb, "RGB", "RGB", flags=no_cache)  # type: ignore[arg-type]
    except (ImageCms.PyCMSError, OSError, ImportError):
        return None


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        with open(path, "rb") as file:
            heic = file.read(12)[4:].startswith((b"ftyphe", b"ftypmif1", b"ftypmsf1"))  # phones and people rename them
        return f"it is {'HEIC, and not' if heic else 'damaged, or none of'} {', '.join(FORMATS)}"
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
