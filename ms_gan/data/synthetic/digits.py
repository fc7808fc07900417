"""Handwritten-looking digits, drawn on the spot: MNIST's layout without a network."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.data.synthetic.drawn import STREAMS, draw_once

VERSION = 1  # counts the changes of what is drawn, so that no cache outlives one
COUNTS = {"train": 60_000, "test": 10_000}
CLASSES = tuple("0123456789")

SIZE = 28
CANVAS = 112  # pixels to draw on: 4 for each that is kept
DRAWN = 72  # height of a digit on the canvas
BLOCK = 500  # images that share one random generator
HAND_SHARE = 0.75  # of the digits follow HAND, the others a Hershey font

# The pen's way for each digit: variants, each of strokes, each of points (x, y)
# in a box about 66 wide and 100 high. A smooth curve passes through the points;
# a point given twice is a corner.
HAND = (
    (
        [[(58, 4), (30, 2), (6, 28), (2, 62), (22, 96), (48, 98), (68, 70), (70, 34), (54, 6), (36, 2)]],
        [[(45, 0), (20, 14), (8, 50), (18, 88), (40, 100), (58, 84), (64, 48), (56, 14), (40, 1)]],
    ),
    (
        [[(30, 0), (31, 50), (30, 100)]],
        [[(12, 24), (34, 0), (34, 0), (35, 50), (34, 100)]],
        [[(14, 22), (34, 0), (34, 0), (34, 50), (34, 100)], [(10, 100), (34, 99), (58, 100)]],
    ),
    (
        [[(6, 26), (16, 6), (40, 0), (62, 14), (60, 40), (36, 70), (4, 98), (4, 98), (34, 95), (70, 98)]],
        [[(8, 22), (28, 2), (56, 8), (60, 34), (40, 68), (14, 94), (4, 84), (16, 74), (36, 90), (70, 94)]],
        [[(4, 16), (34, 0), (62, 18), (52, 48), (6, 100), (6, 100), (66, 100)]],
    ),
    (
        [[(8, 10), (34, 0), (58, 14), (52, 36), (26, 46), (26, 46), (56, 54), (66, 76), (46, 98), (2, 88)]],
        [[(6, 2), (60, 2), (60, 2), (28, 40), (28, 40), (60, 52), (64, 80), (40, 100), (4, 90)]],
        [[(10, 8), (44, 0), (58, 20), (36, 42), (24, 46), (40, 48), (64, 70), (46, 98), (4, 94)]],
    ),
    (
        [[(16, 0), (6, 34), (10, 54), (32, 56), (68, 50)], [(58, 4), (54, 50), (50, 100)]],
        [[(50, 0), (4, 64), (4, 64), (38, 64), (74, 64)], [(50, 0), (50, 50), (50, 100)]],
        [[(10, 0), (6, 48), (6, 48), (60, 48)], [(60, 0), (60, 50), (58, 100)]],
    ),
    (
        [[(62, 0), (16, 2), (16, 2), (10, 44), (10, 44), (38, 38), (64, 58), (58, 88), (30, 100), (2, 90)]],
        [[(14, 2), (10, 42), (42, 40), (62, 64), (46, 94), (4, 96)], [(14, 2), (40, 2), (66, 0)]],
        [[(62, 2), (30, 4), (14, 24), (22, 42), (50, 56), (56, 80), (34, 100), (4, 92)]],
    ),
    (
        [[(52, 0), (22, 24), (4, 64), (16, 96), (44, 100), (60, 78), (46, 58), (20, 62), (6, 76)]],
        [[(34, 0), (10, 40), (6, 80), (28, 100), (54, 88), (54, 64), (34, 56), (10, 72)]],
    ),
    (
        [[(4, 6), (34, 4), (68, 2), (68, 2), (46, 40), (28, 100)]],
        [[(4, 6), (34, 4), (68, 2), (68, 2), (46, 44), (30, 100)], [(24, 52), (44, 50), (64, 48)]],
        [[(4, 20), (6, 4), (6, 4), (66, 4), (66, 4), (42, 48), (34, 100)]],
    ),
    (
        [[(58, 12), (32, 0), (10, 18), (50, 58), (60, 82), (34, 100), (8, 84), (18, 60), (60, 20), (54, 8)]],
        [
            [(34, 46), (14, 34), (16, 8), (38, 0), (56, 14), (52, 38), (34, 46)],
            [(34, 46), (10, 62), (8, 88), (34, 100), (60, 88), (58, 62), (34, 46)],
        ],
    ),
    (
        [[(60, 22), (40, 4), (12, 14), (6, 40), (30, 52), (56, 38), (62, 14), (62, 14), (58, 60), (50, 100)]],
        [[(58, 20), (36, 2), (10, 18), (14, 44), (40, 48), (60, 22), (62, 50), (48, 88), (10, 98)]],
        [[(56, 8), (24, 6), (6, 28), (22, 50), (50, 40), (58, 6), (58, 6), (58, 50), (58, 100)]],
    ),
)


def load_digits(split: str, seed: int = 0, count: int | None = None) -> ImageData:
    """Load the drawn digits: 60,000 for "train", 10,000 for "test", or `count` of them.

    Images uint8 N x 1 x 28 x 28, white on black; labels int32 (N,). They are drawn once and then kept in the cache
    folder, see `draw_once`. Train and test come from different random streams.
    """
    count = COUNTS[split] if count is None else count
    name = f"digits-{VERSION}-{split}-{count}-seed-{seed}"
    arrays = draw_once("digits", name, lambda: draw_digits(count, seed, STREAMS[split]))
    return ImageData("digits", split, f"the digits drawn from seed {seed}", *arrays, CLASSES)


def draw_digits(count: int, seed: int, stream: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw digits with random labels: images uint8 (count, 1, 28, 28), labels int32 (count,).

    The result depends on the arguments alone. Different streams of one seed are
    independent of each other.
    """
    from tqdm import tqdm

    pen = _Pen()
    images = np.empty((count, 1, SIZE, SIZE), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int32)
    with tqdm(total=count, desc="drawing digits", unit=" images", delay=1, mininterval=1) as progress:
        for start in range(0, count, BLOCK):
            block = slice(start, min(start + BLOCK, count))
            random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, start)))
            labels[block] = random.integers(0, len(CLASSES), block.stop - start)
            thickness = random.gamma(9.0, 0.95, block.stop - start).clip(4, 15).astype(int)
            maps = _maps(thickness, random)
            for index in range(start, block.stop):
                offset = index - start
                images[index, 0] = pen.draw(labels[index], int(thickness[offset]), maps[offset], random)
            progress.update(block.stop - start)
    return images, labels


class _Stroke:
    """A smooth curve through points that tremble."""

    def __init__(self, points: Sequence[tuple[int, int]], steps: int = 6):
        repeated = [index > 0 and points[index] == points[index - 1] for index in range(len(points))]
        knot = np.cumsum(np.logical_not(repeated)) - 1  # a corner's two points are one knot and move together
        self.knots = np.array([point for point, again in zip(points, repeated) if not again], dtype=float)
        self.weights = np.zeros(((len(points) - 1) * steps + 1, len(self.knots)))
        for row in range(len(self.weights)):
            segment = min(row // steps, len(points) - 2)
            t = row / steps - segment
            around = np.clip(np.arange(segment - 1, segment + 3), 0, len(points) - 1)
            catmull_rom = (
                (-t + 2 * t**2 - t**3) / 2,
                (2 - 5 * t**2 + 3 * t**3) / 2,
                (t + 4 * t**2 - 3 * t**3) / 2,
                (-(t**2) + t**3) / 2,
            )
            np.add.at(self.weights[row], knot[around], catmull_rom)

    def curve(self, random: np.random.Generator) -> np.ndarray:
        """Return the points, (M, 2), of one trembling run of the pen, in pixels from the canvas's middle."""
        trembling = self.knots + random.normal(0.0, 3.2, self.knots.shape)
        return (self.weights @ trembling - (34, 50)) * (DRAWN / 100)


class _Pen:
    def __init__(self) -> None:
        self._hand = [[[_Stroke(points) for points in variant] for variant in variants] for variants in HAND]
        upright = (
            cv2.FONT_HERSHEY_SIMPLEX,
            cv2.FONT_HERSHEY_DUPLEX,
            cv2.FONT_HERSHEY_COMPLEX,
            cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
            cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
        )
        self._fonts = upright + tuple(font | cv2.FONT_ITALIC for font in upright[:3])

    def draw(self, digit: int, thickness: int, grid: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Draw one digit and warp it by `grid`, float32 (2, 28, 28); returns uint8 (28, 28)."""
        canvas = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
        if random.random() < HAND_SHARE:
            self._write(canvas, digit, thickness, random)
        else:
            self._print(canvas, digit, thickness, random)
        # A quarter of the pixels first: the bilinear reading below then averages all that it skips.
        half = cv2.resize(canvas, (CANVAS // 2, CANVAS // 2), interpolation=cv2.INTER_AREA)
        moments = cv2.moments(half)
        x, y = (np.float32(moments[name] / moments["m00"]) for name in ("m10", "m01"))
        return cv2.remap(half, grid[0] + x, grid[1] + y, cv2.INTER_LINEAR)

    def _write(self, canvas: np.ndarray, digit: int, thickness: int, random: np.random.Generator) -> None:
        variants = self._hand[digit]
        for stroke in variants[random.integers(len(variants))]:
            points = np.rint((stroke.curve(random) + CANVAS / 2) * 16).astype(np.int32)
            cv2.polylines(canvas, [points], False, 255, thickness, cv2.LINE_AA, shift=4)

    def _print(self, canvas: np.ndarray, digit: int, thickness: int, random: np.random.Generator) -> None:
        font = self._fonts[random.integers(len(self._fonts))]
        (_, height), _ = cv2.getTextSize(CLASSES[digit], font, 1.0, 1)
        scale = DRAWN / height
        (width, height), _ = cv2.getTextSize(CLASSES[digit], font, scale, 1)
        corner = ((CANVAS - width) // 2, (CANVAS + height) // 2)
        cv2.putText(canvas, CLASSES[digit], corner, font, scale, 255, thickness, cv2.LINE_AA)


def _maps(thickness: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the x and y that each pixel reads: float32 (N, 2, 28, 28), half-canvas pixels from the centre.

    For each of the N strokes' thicknesses a random slant, rotation and scale that
    make the digit about 20 pixels high, and a smooth elastic distortion on top.
    """
    count = len(thickness)
    slant = random.normal(0.16, 0.17, count).clip(-0.2, 0.6)
    angle = random.normal(0.0, 0.09, count)
    # Pixels read for one that is kept.
    height = (DRAWN + thickness) / 2 / random.normal(19.5, 0.9, count).clip(17, 21)
    width = height / random.normal(0.98, 0.13, count).clip(0.7, 1.3)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrices = np.stack(
        [
            np.stack([width * (cosine + slant * sine), width * (slant * cosine - sine)], axis=1),
            np.stack([height * sine, height * cosine], axis=1),
        ],
        axis=1,
    )
    x = np.arange(SIZE) - (SIZE - 1) / 2
    straight = matrices[:, :, 0, None, None] * x + matrices[:, :, 1, None, None] * x[:, None]
    bumps = _smooth_basis(5)
    elastic = bumps @ random.normal(0.0, 1.5, (count, 2, 5, 5)) @ bumps.T
    return (straight + elastic).astype(np.float32)


def _smooth_basis(knots: int) -> np.ndarray:
    """Return weights (28, knots) of Gaussian bumps that spread a coarse grid smoothly over the image."""
    pixel = np.linspace(0, knots - 1, SIZE)[:, None]
    bumps = np.exp(-((pixel - np.arange(knots)) ** 2))
    return bumps / np.linalg.norm(bumps, axis=1, keepdims=True)
