"""Walks between latents as films: which latents come after which, and GIF and MP4 files of the images."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ms_gan.errors import UserError
from ms_gan.files import write_file
from ms_gan.latents import interpolate

FRAMES_A_SECOND = 20  # a GIF's frames last a whole number of hundredths of a second
CODEC = "vp09"  # which OpenCV's wheel can write, and browsers play
SIDE = 256  # pixels, at least, of an image in a film


def closed_walk(distribution: str, stops: np.ndarray, steps: int) -> np.ndarray:
    """Return latents, float32 (N · steps, size), that lead from stop to stop and back to the first.

    stops: float32 (N, size). steps: latents from one stop to the next, the first included, the last not.
    """
    following = np.roll(stops, -1, axis=0)
    legs = [interpolate(distribution, start, end, steps + 1)[:-1] for start, end in zip(stops, following)]
    return np.concatenate(legs)


def frame_size(image: tuple[int, ...], columns: int) -> tuple[int, int]:
    """Return the height and width of a frame of so many images, C×H×W each; even, as video wants it."""
    _, height, width = image
    scale = -(-SIDE // width)
    scale += scale % 2
    return height * scale, width * scale * columns


def frames(images: np.ndarray, columns: int) -> Iterator[np.ndarray]:
    """Yield the frames of a film, uint8 (height, width, 3), even in size: `columns` images side by side in each.

    images: uint8 N×C×H×W, the images of a frame one after another. A pixel becomes a square.
    """
    scale = frame_size(images.shape[1:], 1)[1] // images.shape[3]
    for start in range(0, len(images), columns):
        row = np.concatenate(images[start : start + columns].transpose(0, 2, 3, 1).repeat(scale, 1).repeat(scale, 2), 1)
        yield row if row.shape[2] == 3 else row.repeat(3, 2)


def write_film(path: Path, images: np.ndarray, columns: int) -> None:
    """Write images, as `frames` takes them, as the film that the suffix names, endless where it is a GIF.

    Raises UserError where OpenCV cannot write videos.
    """
    content = _gif(images, columns) if path.suffix.lower() == ".gif" else _mp4(images, columns)
    write_file(path, content)


def _gif(images: np.ndarray, columns: int) -> bytes:
    first, *rest = (Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in frames(images, columns))
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=rest, loop=0, duration=1000 // FRAMES_A_SECOND)
    return content.getvalue()


def _mp4(images: np.ndarray, columns: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # OpenCV takes names apart, so it is given one without surprises
        file, writer = Path(folder) / "film.mp4", None
        for frame in frames(images, columns):
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*CODEC), FRAMES_A_SECOND, size)
                if not writer.isOpened():
                    raise UserError("this OpenCV writes no videos", "name a .gif, or install opencv-python-headless")
            writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
        assert writer is not None, "at least one frame"
        writer.release()
        return file.read_bytes()
