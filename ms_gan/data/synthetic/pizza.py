"""Drawn pizzas: coloured images with up to nine of 28 tags each, their ingredients. They need no network."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.data.synthetic.drawn import STREAMS, draw_once
from ms_gan.data.synthetic.toppings import INGREDIENTS, Stamp, arc, piece
from ms_gan.errors import Setting, UserError

VERSION = 1  # counts the changes of what is drawn, so that no cache outlives one
COUNTS = {"train": 6_000, "test": 1_500}
MAX_TAGS = 9  # most ingredients of a pizza
HOW_MANY = (0.05, 0.15, 0.2, 0.2, 0.16, 0.11, 0.06, 0.04, 0.03)  # shares of the pizzas with 1, 2, ... ingredients

CANVAS = 256  # pixels to draw on
GROUND = 128  # pixels to draw the dough and what is on all pizzas on: they are soft, and it saves time
MARGIN = 8  # of these: how far a pizza, or its shade, may be off the middle at most
STAMPS = 24  # drawn pieces of each ingredient, for the pizzas to choose from

CLASSES = tuple(ingredient.name for ingredient in INGREDIENTS)


def load_pizza(split: str, size: int, channels: int = 3, seed: int = 0, count: int | None = None) -> ImageData:
    """Load the drawn pizzas: 6,000 for "train", 1,500 for "test", or `count` of them.

    Images uint8 N x channels x size x size, RGB or, with one channel, their luminance; labels int32 (N, 9) as
    `draw_pizzas` returns them. They are drawn once and then kept in the cache folder, see `draw_once`. Train and test
    come from different random streams.
    Raises UserError for a size that cannot be drawn.
    """
    if size > CANVAS:
        problem = f"pizzas are drawn in sizes up to {CANVAS}, not {size} (data.rotate_and_mirror doubles data.size)"
        raise UserError(problem, "give a smaller ", Setting("data.size"))
    count = COUNTS[split] if count is None else count
    name = f"pizza-{VERSION}-{split}-{count}-3x{size}x{size}-seed-{seed}"
    images, labels = draw_once("pizzas", name, lambda: draw_pizzas(count, size, seed, STREAMS[split]))
    images = images if channels == 3 else _grey(images)
    return ImageData("pizza", split, f"the pizzas drawn from seed {seed}", images, labels, CLASSES, MAX_TAGS)


def draw_pizzas(
    count: int, size: int, seed: int, stream: int = 0, recipes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pizzas: RGB images uint8 (count, 3, size, size), labels int32 (count, 9).

    A label is 1 + the indices of the ingredients in CLASSES in rising order, then zeros. `recipes` are such labels, or
    all zeros for a pizza without ingredients; without `recipes`, they are drawn at random. The result depends on the
    arguments alone. A pizza is the same in every size, 1 to 256, and every count; another recipe changes only what is
    on it. Raises ValueError for other recipes.
    """
    from tqdm import tqdm

    if recipes is not None and not _are_labels(recipes, count):
        raise ValueError(f"recipes must be whole numbers up to {len(CLASSES)}, rising, then 0: ({count}, {MAX_TAGS})")
    board = _Board()
    images = np.empty((count, 3, size, size), np.uint8)
    labels = np.empty((count, MAX_TAGS), np.int32)
    for index in tqdm(range(count), desc="drawing pizzas", unit=" images", delay=1, mininterval=1):
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, index)))
        own = random_recipe(random)  # drawn in any case, so that the pizza is the same
        labels[index] = own if recipes is None else recipes[index]
        canvas = board.draw(labels[index][labels[index] > 0] - 1, random)
        small = np.stack([cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA) for plane in canvas])
        images[index] = np.rint(small).astype(np.uint8)
    return images, labels


def _are_labels(recipes: np.ndarray, count: int) -> bool:
    """Tell whether these are labels as `draw_pizzas` returns them."""
    if recipes.shape != (count, MAX_TAGS) or recipes.dtype.kind not in "iu":
        return False
    before, after = recipes[:, :-1], recipes[:, 1:]
    rising = (after == 0) | (before > 0) & (after > before)
    return bool(rising.all() and (recipes >= 0).all() and (recipes <= len(CLASSES)).all())


def _grey(images: np.ndarray) -> np.ndarray:
    return np.stack([cv2.cvtColor(image.transpose(1, 2, 0), cv2.COLOR_RGB2GRAY)[None] for image in images])


def random_recipe(random: np.random.Generator) -> np.ndarray:
    """Return the label of one pizza drawn at random, int32 (9,), as `draw_pizzas` returns it."""
    number = 1 + random.choice(MAX_TAGS, p=HOW_MANY)
    # The smallest of exponential waiting times are a draw without putting back.
    waiting = random.exponential(1 / np.array([ingredient.popularity for ingredient in INGREDIENTS]))
    label = np.zeros(MAX_TAGS, np.int32)
    label[:number] = 1 + np.sort(np.argsort(waiting)[:number])
    return label


class _Board:
    """Where pizzas are made; it keeps what is the same for all of them."""

    def __init__(self) -> None:
        y, x = np.mgrid[: GROUND + 2 * MARGIN, : GROUND + 2 * MARGIN] - (GROUND - 1) / 2 - MARGIN
        self._distance = np.hypot(x, y).astype(np.float32)
        self._angle = (np.arctan2(y, x) / (2 * math.pi) % 1 * 512).astype(int) % 512
        self._waves = np.concatenate([arc(0, 360 * waves, count=512).T * waves**-0.5 for waves in range(2, 14)])
        self._across = np.linspace(-1, 1, CANVAS, dtype=np.float32)
        self._piece = functools.cache(piece)  # all of them take 30 MB and save most of the time

    def draw(self, ingredients: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Draw one pizza with the ingredients of these indices; returns float32 (3, 256, 256), 0 to 255."""
        radius = random.uniform(0.4, 0.45)  # of the canvas
        middle = random.integers(-3, 4, 2)
        bright, across, down = random.uniform((0.96, -0.05, -0.05), (1.05, 0.05, 0.05)).astype(np.float32)
        ground = self._ground(radius * GROUND, middle, random)
        canvas = np.stack([cv2.resize(plane, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR) for plane in ground])
        centre = CANVAS / 2 + middle * (CANVAS / GROUND)
        for (colours, keep, corner), place in self._pieces(ingredients, 0.85 * radius * CANVAS, random):
            left, top = (centre + place + corner).round().astype(int)
            part = canvas[:, top : top + keep.shape[0], left : left + keep.shape[1]]
            part *= keep
            part += colours
        canvas *= bright + across * self._across + down * self._across[:, None]
        return canvas.clip(0, 255, out=canvas)

    def _ground(self, radius: float, middle: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Draw the board, the dough, the sauce and the cheese."""

        def around(picture: np.ndarray, below: int = 0) -> np.ndarray:
            left, top = MARGIN - middle - below
            return picture[top : top + GROUND, left : left + GROUND]

        def outlined(strength: float) -> np.ndarray:
            """Return the distance from the middle, 1 on an uneven outline that the pizza could have."""
            outline = 1 + random.normal(0, strength, len(self._waves)) @ self._waves
            return distance * outline.astype(np.float32).take(angle)

        distance, angle = around(self._distance) / np.float32(radius), around(self._angle)
        shade = 1 - 0.4 * _ramp(around(self._distance, below=3), 1.1 * radius, 0.93 * radius)
        ground = (random.uniform(228, 246) + random.normal(0, 4, (3, 1, 1))).astype(np.float32) * shade

        dough = outlined(0.009)
        crust = np.interp(np.linspace(0, 1.2, 512), (0.78, 0.84, 0.91, 0.97, 1), (0.72, 0.92, 1.12, 0.9, 0.66))
        baked = crust.astype(np.float32).take((dough * (511 / 1.2)).astype(int), mode="clip")
        tan = np.array((230, 182, 108)) * random.uniform(0.92, 1.05) + random.normal(0, 3, 3)
        _lay(ground, tan, _ramp(dough, 1.01, 0.99), baked)
        scorched = _ramp(_noise(random, 20), 0.45, 1) * _ramp(dough, 0.82, 0.92) * _ramp(dough, 1.01, 0.99)
        _lay(ground, (122, 62, 18), 0.6 * scorched)

        sauce = np.array((200, 48, 22)) + random.normal(0, 8, 3)
        _lay(ground, sauce, _ramp(outlined(0.014), 0.88, 0.84))
        cheese = np.array((252, 214, 124)) + random.normal(0, 4, 3) + random.uniform(-10, 10) * np.array((0, 1, 2))
        molten = _ramp(outlined(0.02), 0.86, 0.8)
        _lay(ground, cheese, molten * (0.95 - 0.5 * _ramp(_noise(random, 18), 0.75, 0.95)))
        _lay(ground, (214, 140, 52), 0.4 * molten * _ramp(_noise(random, 22), 0.65, 0.95))
        return ground

    def _pieces(
        self, ingredients: np.ndarray, radius: float, random: np.random.Generator
    ) -> Iterator[tuple[Stamp, np.ndarray]]:
        """Yield stamps and their places, (x, y) from the pizza's middle, the large ones first."""
        share = min(1, 2.5 / max(1, len(ingredients)))  # of the pieces, so that the pizza does not overflow
        radii = np.array([ingredient.radius for ingredient in INGREDIENTS])
        counts = [max(1, round(INGREDIENTS[index].pieces * share)) for index in ingredients]
        pieces = np.repeat(ingredients, counts)
        pieces = pieces[np.argsort(-radii[pieces], kind="stable")]
        # Places are complex numbers, x + iy. Of some random ones each piece gets the one with most room.
        turn, distance = random.random((2, len(pieces), 16))
        choice = np.sqrt(distance) * np.exp(2j * math.pi * turn) * (radius - radii[pieces])[:, None]
        stamps = random.integers(STAMPS, size=len(pieces))
        taken = np.empty(len(pieces), complex)
        for number, (index, which, places) in enumerate(zip(pieces, stamps, choice)):
            room = abs(places[:, None] - taken[:number]) - radii[pieces[:number]]
            taken[number] = place = places[room.min(1, initial=CANVAS).argmax()]
            yield self._piece(index, which), np.array((place.real, place.imag))


def _ramp(values: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Return 0 where the values are before `start`, 1 where they are beyond `stop`, and a ramp between."""
    return ((values - np.float32(start)) * np.float32(1 / (stop - start))).clip(0, 1)


def _noise(random: np.random.Generator, cells: int) -> np.ndarray:
    """Return smooth random values, mostly between 0 and 1: float32 (128, 128)."""
    return cv2.resize(random.random((cells, cells), np.float32), (GROUND, GROUND), interpolation=cv2.INTER_CUBIC)


def _lay(ground: np.ndarray, colour: Iterable[float], cover: np.ndarray, light: np.ndarray | None = None) -> None:
    """Cover the ground, as far as `cover` says, with a colour, which `light` makes lighter or darker."""
    for plane, value in zip(ground, colour):
        layer = np.float32(value) if light is None else np.float32(value) * light
        plane += cover * (layer - plane)
