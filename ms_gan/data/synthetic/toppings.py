"""The ingredients of pizzas: 28, each drawn as pieces of its own shape and colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Callable, NamedTuple, Union

import cv2
import numpy as np

FINE = 3  # pixels across to draw a stamp on, for each of the canvas

Colour = tuple[int, int, int]  # red, green, blue
Points = Union[np.ndarray, Sequence[tuple[float, float]]]
Spots = Sequence[tuple[int, float, Colour]]  # how many, how large, and their colour
Stamp = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Easel:
    """A square to draw one piece on, about as large as the circle of radius 1 around (0, 0), and turned at random."""

    def __init__(self, radius: float, random: np.random.Generator):
        self.random = random
        self._half = math.ceil(radius * 1.6 + 8)
        self._scale = FINE * radius * random.uniform(0.9, 1.1)
        angle = random.uniform(0, 2 * math.pi)
        self._turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        self._picture = np.zeros((2 * self._half * FINE, 2 * self._half * FINE, 3), np.uint8)
        self._mask = np.zeros(self._picture.shape[:2], np.uint8)

    def fill(self, points: Points, colour: Colour) -> None:
        """Add the inside of a polygon, points (M, 2), to the piece."""
        self.mark(points, colour)
        cv2.fillPoly(self._mask, [self._pixels(points)], 255)

    def mark(self, points: Points, colour: Colour) -> None:
        """Colour the inside of a polygon as far as it is on the piece."""
        cv2.fillPoly(self._picture, [self._pixels(points)], colour)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Colour a disc as far as it is on the piece."""
        (middle,) = self._pixels([(x, y)]).tolist()
        cv2.circle(self._picture, middle, round(radius * self._scale), colour, cv2.FILLED)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Colour a line as far as it is on the piece."""
        cv2.polylines(self._picture, [self._pixels(points)], False, colour, max(1, round(width * self._scale)))

    def cut(self, points: Points) -> None:
        """Take the inside of a polygon away."""
        cv2.fillPoly(self._mask, [self._pixels(points)], 0)

    def stamp(self) -> Stamp:
        """Return what to add to the canvas and, before, to multiply it with, and their corner from the middle.

        float32 (3, H, W), float32 (H, W), and (x, y) in pixels of the canvas.
        """
        inside = cv2.erode(self._mask, np.ones((5, 5), np.uint8))
        layers = [cv2.bitwise_and(self._picture, self._picture, mask=self._mask), self._mask, inside]
        size = (2 * self._half, 2 * self._half)
        picture, mask, inside = (
            cv2.resize(layer, size, interpolation=cv2.INTER_AREA) / np.float32(255) for layer in layers
        )
        soft = cv2.GaussianBlur(mask, (0, 0), 2.5)
        # Light from the upper left: a bright and a dark side, a dark outline, and a shade on what is below.
        light = 255 * (1 + 0.5 * (_moved(soft, -2) - _moved(soft, 2))) * (0.6 + 0.4 * inside / mask.clip(0.01))
        keep = (1 - mask) * (1 - 0.55 * _moved(soft, 3))
        left, top, width, height = cv2.boundingRect((keep < 0.98).astype(np.uint8))
        used = (slice(top, top + height), slice(left, left + width))
        colours = (picture * light[..., None])[used].transpose(2, 0, 1)
        return np.ascontiguousarray(colours), keep[used].copy(), np.array((left, top)) - self._half

    def _pixels(self, points: Points) -> np.ndarray:
        return np.rint(np.asarray(points, float) @ self._turn * self._scale + self._half * FINE).astype(np.int32)


def _moved(picture: np.ndarray, by: int) -> np.ndarray:
    return np.roll(picture, (by, by), (0, 1))


def arc(start: float, stop: float, radius: float = 1, x: float = 0, y: float = 0, count: int = 20) -> np.ndarray:
    """Return points (count, 2) of a circle from one angle in degrees, clockwise from the right, to another."""
    angle = np.radians(np.linspace(start, stop, count))
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def _ray(angle: float, start: float, stop: float, x: float = 0) -> np.ndarray:
    return np.concatenate([arc(angle, angle, radius, x, count=1) for radius in (start, stop)])


def _round(x: float = 0, y: float = 0, radius: float = 1, waves: int = 0, depth: float = 0) -> np.ndarray:
    """Return the points of a circle, or of one with so many waves, `depth` of the radius high."""
    wavy = 1 + depth * np.cos(waves * np.linspace(0, 2 * math.pi, 40))[:, None]
    return arc(0, 360, radius, count=40) * wavy + (x, y)


def _band(line: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Return the points of a band of those widths along a line, points (M, 2)."""
    way = np.gradient(line, axis=0)
    side = way[:, ::-1] * (-1, 1) / np.linalg.norm(way, axis=1, keepdims=True) * np.reshape(widths, (-1, 1)) / 2
    return np.concatenate([line + side, (line - side)[::-1]])


def _spots(easel: _Easel, spots: Spots, within: float = 0.75) -> None:
    for count, size, colour in spots:
        for _ in range(count):
            ((x, y),) = arc(easel.random.uniform(0, 360), 0, within * math.sqrt(easel.random.random()), count=1)
            easel.dot(x, y, size * easel.random.uniform(0.6, 1.3), colour)


def _slice(
    easel: _Easel,
    rim: Colour,
    flesh: Colour,
    spots: Spots = (),
    hole: float = 0,
    width: float = 0.2,
    wavy: tuple[int, float] = (0, 0),
) -> None:
    """Draw a round slice with a rim of that width, a hole, and as many waves, so high, of its outline."""
    outline = _round(0, 0, 1, *wavy) * (1, easel.random.uniform(0.85, 1))
    easel.fill(outline, rim)
    easel.mark(outline * (1 - width), flesh)
    _spots(easel, spots)
    if hole:
        easel.cut(outline * hole)


def _lump(easel: _Easel, colour: Colour, roughness: float, spots: Spots = ()) -> None:
    outline = _round() * (1, 0.8)
    for waves in (2, 3, 4, 5):  # bent in and out at random
        outline *= 1 + arc(0, 360 * waves, count=40) @ easel.random.normal(0, roughness, (2, 1))
    easel.fill(outline, colour)
    _spots(easel, spots)


def _block(
    easel: _Easel,
    corners: Points,
    rim: Colour,
    colour: Colour,
    stripes: tuple[Sequence[float], Colour] = ((), (0, 0, 0)),
    spots: Spots = (),
    shake: float = 0.06,
) -> None:
    """Draw a polygon whose corners are shaken, with a rim, and with stripes across: at which x, and their colour."""
    shaken = np.asarray(corners) + easel.random.normal(0, shake, np.shape(corners))
    easel.fill(shaken, rim)
    easel.mark(shaken * 0.8 + shaken.mean(0) * 0.2, colour)
    for x in stripes[0]:
        easel.line([(x - 0.15, -1), (x + 0.15, 1)], stripes[1], 0.14)
    _spots(easel, spots, 1)


def _strip(
    easel: _Easel,
    colour: Colour,
    widths: Sequence[float],
    bend: float,
    waves: float = 0.5,
    stripes: Sequence[tuple[float, float, Colour]] = (),
    tip: Colour | None = None,
) -> None:
    """Draw a wavy strip with these widths along it; stripes are (place, share of the width, colour) each."""
    along = np.linspace(0, 1, 24)
    line = np.stack([2 * along - 1, bend * np.cos(2 * math.pi * waves * (along - 0.5))], 1)
    width = np.interp(along, np.linspace(0, 1, len(widths)), widths)
    easel.fill(_band(line, width), colour)
    for place, share, stripe in stripes:
        easel.mark(_band(line + (0, place * width.max()), width * share), stripe)
    if tip:
        easel.mark(_band(line[:6], width[:6] * 1.2), tip)


def _leaf(easel: _Easel, colour: Colour, vein: Colour, width: float, stem: float = 0) -> None:
    along = np.linspace(0, 1, 16)
    line = np.stack([2 * along - 1, easel.random.uniform(-0.3, 0.3) * np.sin(math.pi * along)], 1)
    easel.fill(_band(line, 0.02 + width * np.sin(math.pi * along**0.75) ** 0.8), colour)
    if stem:
        easel.fill(_band(line[-4:] + (0.35, 0), np.full(4, stem)), vein)
    easel.line(line, vein, 0.1)
    for x in (-0.4, 0, 0.4):
        easel.line([(x - 0.2, -width * 0.4), (x + 0.2, 0), (x - 0.2, width * 0.4)], vein, 0.05)


def _grains(easel: _Easel, count: int, size: float, colour: Colour, light: Colour) -> None:
    """Draw a few round grains close together."""
    start = easel.random.uniform(0, 360)
    for turn in range(count):
        ((x, y),) = arc(start + 360 * turn / count, 0, easel.random.uniform(0.55, 0.9), count=1)
        easel.fill(_round(x, y, size * easel.random.uniform(0.85, 1.1)), colour)
        easel.dot(x - 0.1, y - 0.1, size * 0.4, light)


def _tomato(easel: _Easel) -> None:
    _slice(easel, (200, 22, 12), (236, 58, 36), width=0.13)
    for start in range(0, 360, 90):
        wedge = arc(start + 14, start + 76, 0.7)
        easel.mark(np.concatenate([wedge, wedge[9:11] * 0.3]), (250, 140, 84))
        for x, y in arc(start + 28, start + 62, 0.52, count=2):
            easel.dot(x, y, 0.09, (255, 226, 130))


def _mushroom(easel: _Easel) -> None:
    flesh = (240, 226, 200)
    easel.fill([(-0.26, 0), (0.26, 0), (0.36, 0.95), (-0.36, 0.95)], flesh)
    easel.fill(
        np.concatenate([arc(180, 360), arc(0, 60, 0.3, 0.7, 0.05), arc(120, 180, 0.3, -0.7, 0.05)]), (206, 174, 132)
    )
    easel.mark(np.concatenate([arc(185, 355, 0.66, 0, 0.14), [(0.3, 0.12), (-0.3, 0.12)]]), (104, 68, 44))
    easel.mark([(-0.2, -0.3), (0.2, -0.3), (0.28, 0.9), (-0.28, 0.9)], flesh)


def _onion(easel: _Easel) -> None:
    for radius in (1.0, 0.56):
        start = easel.random.uniform(-10, 10)
        for inwards, width, colour in ((0, 0.28, (140, 36, 120)), (0.04, 0.11, (236, 196, 230))):
            ring = _band(arc(start, start + 190, radius - inwards, 0, -0.3), np.full(20, width))
            (easel.mark if inwards else easel.fill)(ring, colour)


def _shrimp(easel: _Easel) -> None:
    widths = np.interp(np.arange(20), (0, 12, 17, 19), (0.52, 0.66, 0.34, 0.24))
    easel.fill(_band(arc(-30, 230, 0.68), widths), (255, 118, 78))
    for angle in range(0, 210, 34):
        easel.line(_ray(angle, 0.4, 1), (255, 220, 198), 0.1)
    easel.fill(np.concatenate([arc(222, 272, 1), arc(252, 235, 0.4)]), (222, 60, 34))


def _egg(easel: _Easel) -> None:
    _lump(easel, (255, 253, 246), 0.04)
    x, y = easel.random.uniform(-0.15, 0.15, 2)
    for inwards, radius, colour in ((0, 0.45, (236, 140, 10)), (0, 0.39, (255, 178, 22)), (0.13, 0.1, (255, 226, 130))):
        easel.dot(x - inwards, y - inwards, radius, colour)


def _broccoli(easel: _Easel) -> None:
    easel.fill([(-0.18, 0), (0.18, 0), (0.3, 1), (-0.3, 1)], (170, 206, 108))
    for x, y, size in ((-0.55, -0.1, 0.42), (0.55, -0.1, 0.42), (-0.3, -0.5, 0.45), (0.3, -0.5, 0.45), (0, -0.1, 0.45)):
        easel.fill(_round(x, y, size, waves=6, depth=0.1), (24, 96, 30))
        easel.mark(_round(x - 0.1, y - 0.1, size * 0.5, waves=5, depth=0.2), (84, 164, 60))


def _artichoke(easel: _Easel) -> None:
    for size, colour in ((1, (106, 118, 52)), (0.82, (200, 206, 122)), (0.58, (132, 140, 66)), (0.42, (238, 234, 176))):
        petals = np.concatenate([arc(-34, 34, 1.8 * size, -0.9), [(-0.9 - 0.1 * size, 0)]])
        (easel.fill if size == 1 else easel.mark)(petals, colour)
    for angle in (-18, 0, 18):
        easel.line(_ray(angle, 1, 1.9, -0.9), (112, 66, 92), 0.1)


class Ingredient(NamedTuple):
    """popularity: weight in the draw; pieces: how many where it is alone; radius: of a piece, in canvas pixels."""

    name: str
    popularity: float
    pieces: int
    radius: float
    draw: Callable[..., None]
    options: dict = {}


SQUARE = ((-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75))
WEDGE = ((-1, 0.55), (-0.35, -0.6), (0.35, -0.6), (1, 0.55), (0, 0.85))
OBLONG = ((-1, -0.3), (-0.5, -0.55), (0.6, -0.55), (1, -0.1), (0.7, 0.5), (-0.7, 0.55))
HALF = arc(0, 180, 1, 0, -0.4)
CLOVE = np.concatenate([arc(20, 160, 1, 0, -0.35), [(-0.5, -0.5), (0.5, -0.5)]])
# a table: one or two lines for each ingredient
# fmt: off
INGREDIENTS = (
    Ingredient("tomato", 6, 8, 20, _tomato),
    Ingredient("mozzarella", 5.5, 8, 20, _lump, dict(colour=(255, 252, 240), roughness=0.09)),
    Ingredient("pepperoni", 5, 10, 18, _slice, dict(
        rim=(122, 16, 14), flesh=(168, 32, 24), spots=((7, 0.1, (226, 116, 84)), (4, 0.09, (96, 8, 10))))),
    Ingredient("mushroom", 2, 9, 20, _mushroom),
    Ingredient("olive", 2, 12, 13, _slice, dict(rim=(22, 20, 28), flesh=(62, 54, 70), width=0.5, hole=0.42)),
    Ingredient("onion", 1.6, 9, 20, _onion),
    Ingredient("bell pepper", 1.6, 7, 22, _slice, dict(
        rim=(30, 124, 20), flesh=(128, 200, 70), width=0.14, hole=0.68, wavy=(4, 0.1))),
    Ingredient("basil", 1.6, 8, 21, _leaf, dict(colour=(56, 160, 40), vein=(160, 220, 110), width=1.05)),
    Ingredient("ham", 1.6, 8, 20, _block, dict(corners=SQUARE, rim=(255, 206, 206), colour=(246, 138, 156))),
    Ingredient("bacon", 1.4, 8, 24, _strip, dict(
        colour=(138, 36, 26), widths=(0.54, 0.6, 0.54), bend=0.16, waves=1.5,
        stripes=((-0.22, 0.22, (250, 196, 160)), (0.3, 0.16, (250, 196, 160))))),
    Ingredient("sausage", 1.2, 10, 15, _lump, dict(
        colour=(122, 72, 40), roughness=0.06, spots=((7, 0.14, (84, 44, 22)), (4, 0.12, (176, 116, 70))))),
    Ingredient("pineapple", 1.2, 9, 18, _block, dict(
        corners=WEDGE, rim=(236, 164, 0), colour=(255, 226, 40), stripes=((-0.4, 0, 0.4), (240, 180, 10)))),
    Ingredient("corn", 1.2, 14, 10, _grains, dict(count=3, size=0.52, colour=(252, 190, 0), light=(255, 240, 110))),
    Ingredient("spinach", 1.1, 7, 22, _leaf, dict(colour=(14, 74, 34), vein=(90, 140, 80), width=1.5, stem=0.14)),
    Ingredient("chicken", 1.1, 8, 22, _block, dict(
        corners=OBLONG, rim=(176, 106, 44), colour=(246, 214, 156), stripes=((-0.55, 0, 0.55), (108, 56, 20)))),
    Ingredient("salami", 1.1, 8, 22, _block, dict(
        corners=HALF, rim=(120, 24, 40), colour=(200, 72, 88), spots=((18, 0.09, (252, 220, 212)),), shake=0.01)),
    Ingredient("shrimp", 1, 8, 19, _shrimp),
    Ingredient("anchovy", 1, 7, 26, _strip, dict(
        colour=(66, 80, 102), widths=(0.16, 0.32, 0.36, 0.28, 0.12, 0.36), bend=0.14, waves=0.8,
        stripes=((0.1, 0.4, (212, 222, 234)),))),
    Ingredient("egg", 1, 1, 36, _egg),
    Ingredient("broccoli", 1, 8, 20, _broccoli),
    Ingredient("artichoke", 1, 8, 21, _artichoke),
    Ingredient("jalapeno", 1, 10, 15, _slice, dict(
        rim=(76, 160, 12), flesh=(206, 232, 130), width=0.3, spots=((6, 0.16, (255, 250, 214)),))),
    Ingredient("chili", 1, 8, 24, _strip, dict(
        colour=(226, 16, 10), widths=(0.14, 0.14, 0.36, 0.34, 0.26, 0.04), bend=0.3, tip=(60, 140, 30))),
    Ingredient("capers", 1, 13, 9, _grains, dict(count=2, size=0.66, colour=(92, 100, 30), light=(166, 172, 92))),
    Ingredient("garlic", 1, 10, 16, _block, dict(
        corners=CLOVE, rim=(150, 92, 36), colour=(255, 246, 206), shake=0.01)),
    Ingredient("feta", 1, 11, 13, _block, dict(corners=SQUARE, rim=(206, 214, 230), colour=(255, 255, 255))),
    Ingredient("blue cheese", 1, 8, 19, _lump, dict(
        colour=(238, 236, 214), roughness=0.06, spots=((9, 0.17, (60, 104, 136)),))),
    Ingredient("eggplant", 1, 7, 20, _slice, dict(
        rim=(62, 16, 82), flesh=(226, 214, 172), width=0.2, spots=((9, 0.07, (150, 116, 76)),))),
)
# fmt: on


def piece(index: int, which: int) -> Stamp:
    """Return one of the drawn pieces of the ingredient of that index, as `_Easel.stamp` does, the same each time."""
    ingredient = INGREDIENTS[index]
    easel = _Easel(ingredient.radius, np.random.default_rng((index, which)))
    ingredient.draw(easel, **ingredient.options)
    return easel.stamp()
