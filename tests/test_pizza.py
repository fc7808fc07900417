"""The drawn pizzas: the same each time and in every size, labelled as drawn, ingredients to be told apart, and kept."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from ms_gan.data.synthetic import pizza, toppings
from ms_gan.errors import UserError

pytestmark = pytest.mark.usefixtures("own_cache")

KINDS = len(pizza.CLASSES)
PIZZAS = 8  # of each kind with a single ingredient


@pytest.fixture(scope="module")
def drawn():
    return pizza.draw_pizzas(60, 64, seed=5)


@pytest.fixture(scope="module")
def single():
    """The same pizzas without ingredients, and with each ingredient alone: int (1 + KINDS, PIZZAS, 3, 32, 32)."""
    recipes = np.zeros((1 + KINDS, PIZZAS, pizza.MAX_TAGS), np.int32)
    recipes[..., 0] = np.arange(1 + KINDS)[:, None]
    return np.stack([pizza.draw_pizzas(PIZZAS, 32, 1, recipes=same)[0] for same in recipes]).astype(int)


def rows(images):
    return {image.tobytes() for image in images}


def well_formed(labels):
    rising = np.diff(labels, axis=1) > 0
    return bool(np.all(rising | (labels[:, 1:] == 0)) and np.all(labels[:, 0] > 0) and labels.max() <= KINDS)


def changed(images, others):
    """Share of the pixels that anyone sees are different: a sixth of the range in some colour."""
    return (abs(images - others).max(axis=-3) > 40).mean(axis=(-2, -1))


def test_shapes_and_ranges(drawn):
    images, labels = drawn
    assert images.shape == (60, 3, 64, 64) and images.dtype == np.uint8
    assert labels.shape == (60, 9) and labels.dtype == np.int32 and well_formed(labels)
    assert 110 < images.mean() < 220 and images.std() > 30
    corners = images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() > 130  # the board is light and no pizza reaches a corner
    assert len(rows(images)) == 60


def test_drawing_is_a_function_of_the_seed(drawn):
    images, labels = drawn
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # nor does the number of threads change anything
    try:
        again = pizza.draw_pizzas(20, 64, seed=5)
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(again[0], images[:20]) and np.array_equal(again[1], labels[:20])
    for seed, stream in ((6, 0), (5, 1)):
        other = pizza.draw_pizzas(20, 64, seed, stream)
        assert not rows(other[0]) & rows(images) and not np.array_equal(other[1], labels[:20])


@pytest.mark.parametrize(
    "split, recipe, red, blue",
    [
        (
            "train",
            [1, 2, 4, 7, 8, 19, 24, 25, 0],
            [[239, 213, 224, 224], [220, 186, 194, 206], [215, 182, 228, 192], [231, 209, 207, 216]],
            [[220, 120, 121, 210], [127, 98, 97, 140], [140, 126, 140, 132], [219, 132, 144, 210]],
        ),
        (
            "test",
            [3, 11, 21, 0, 0, 0, 0, 0, 0],
            [[226, 207, 231, 237], [213, 145, 174, 194], [210, 160, 158, 212], [224, 198, 188, 228]],
            [[220, 125, 140, 228], [141, 45, 71, 124], [151, 60, 69, 132], [227, 135, 126, 228]],
        ),
    ],
)
def test_they_stay_what_they_were(split, recipe, red, blue):
    """Caches and runs hold them. Whoever draws others raises VERSION, and writes these anew."""
    drawn = pizza.load_pizza(split, 32, count=4)
    squares = drawn.images[0].reshape(3, 4, 8, 4, 8).mean((2, 4))
    assert drawn.labels[0].tolist() == recipe
    assert abs(squares[0] - red).max() < 2 and abs(squares[2] - blue).max() < 2  # other OpenCVs round otherwise


def test_all_sizes_show_the_same_pizzas(drawn):
    images, labels = drawn
    small, same = pizza.draw_pizzas(30, 32, seed=5)
    assert np.array_equal(same, labels[:30])
    halved = images[:30].reshape(30, 3, 32, 2, 32, 2).mean(axis=(3, 5))
    assert abs(halved - small).max() <= 1  # each of the two is rounded once
    whole = pizza.draw_pizzas(2, pizza.CANVAS, seed=5)[0]
    assert abs(whole.reshape(2, 3, 64, 4, 64, 4).mean(axis=(3, 5)) - images[:2]).max() <= 1


def test_every_ingredient_occurs_often():
    labels = np.stack([pizza.random_recipe(np.random.default_rng((9, index))) for index in range(3000)])
    assert well_formed(labels)
    share = np.bincount(labels.ravel(), minlength=KINDS + 1)[1:] / len(labels)
    popular = sorted(pizza.CLASSES, key=lambda name: -share[pizza.CLASSES.index(name)])[:3]
    assert share.min() > 0.04 and set(popular) == {"tomato", "mozzarella", "pepperoni"}
    many = np.bincount((labels > 0).sum(axis=1), minlength=10) / len(labels)
    assert many[0] == 0 and many[1:].min() > 0.01 and many[2:7].sum() > 0.7
    assert len(set(pizza.CLASSES)) == KINDS == 28
    assert all(name == name.lower().strip() and not set(name) & set(",;=") for name in pizza.CLASSES)


def test_recipes_are_drawn_as_given(drawn):
    images, labels = drawn
    again = pizza.draw_pizzas(5, 64, seed=5, recipes=labels[:5])
    assert np.array_equal(again[0], images[:5]) and np.array_equal(again[1], labels[:5])
    swapped = pizza.draw_pizzas(5, 64, seed=5, recipes=labels[5:10].astype(np.int64))
    assert np.array_equal(swapped[1], labels[5:10]) and not rows(swapped[0]) & rows(images)
    assert np.array_equal(swapped[0][..., 0], images[:5, ..., 0])  # only what lies on the pizza is another


def test_every_ingredient_is_visible_at_the_smallest_size(single):
    visible = changed(single[1:], single[0])
    # The smallest is the one egg: as large as a ninth of the pizza's radius squared, 4 % of the picture.
    assert visible.min() > 0.03, pizza.CLASSES[visible.min(axis=1).argmin()]


def test_no_two_ingredients_look_alike(single):
    for index in range(1, KINDS):
        # Each changes at least 3 % (see above), so two that lie apart and differ change 6 % against one another.
        assert changed(single[index + 1 :], single[index]).min() > 0.06, pizza.CLASSES[index - 1]


def test_ingredients_can_be_told_apart_by_colour_alone(single):
    """Wherever the pieces lie; what lies on half of the pizzas is known, and what is on the others guessed."""
    profiles = np.empty((KINDS, PIZZAS, 512))
    for kind, number in np.ndindex(KINDS, PIZZAS):
        image = single[kind + 1, number]
        piece = image[:, abs(image - single[0, number]).max(axis=0) > 25] // 32
        counts = np.bincount(piece[0] * 64 + piece[1] * 8 + piece[2], minlength=512)
        profiles[kind, number] = np.sqrt(counts / counts.sum())
    known = profiles[:, : PIZZAS // 2].mean(axis=1)
    distances = ((profiles[:, PIZZAS // 2 :, None] - known) ** 2).sum(axis=3)
    # Guessing blindly would find 4 %.
    assert (distances.argmin(axis=2) == np.arange(KINDS)[:, None]).mean() > 0.93


def test_every_stamp_stays_on_its_easel_and_on_the_canvas():
    for index, ingredient in enumerate(toppings.INGREDIENTS):
        for which in range(pizza.STAMPS):
            _, keep, corner = toppings.piece(index, which)
            farthest = max(-corner.min(), (corner + keep.shape[::-1]).max())
            assert farthest < np.ceil(1.6 * ingredient.radius + 8), ingredient.name
            assert 0.45 * 0.85 * pizza.CANVAS - ingredient.radius + 6 + farthest < pizza.CANVAS / 2, ingredient.name


@pytest.mark.parametrize(
    "wanted", [dict(size=28, channels=1, classes=0), dict(size=32, channels=3, classes=10, max_tags=9)]
)
def test_the_settings_that_a_refusal_names_fix_it(wanted):
    train = pizza.load_pizza("train", 32, count=12)
    with pytest.raises(UserError) as refused:
        train.require(**wanted)
    named = {name: int(value) for name, value in re.findall(r"data\.(\w+)=(\d+)", str(refused.value))}
    assert named
    train.require(**{**wanted, **named})


def test_loads_colour_and_grey():
    train, test = (pizza.load_pizza(split, 32, count=12) for split in ("train", "test"))
    assert not rows(train.images) & rows(test.images) and train.sha256 != test.sha256
    assert (train.name, train.split, train.source) == ("pizza", "train", "the pizzas drawn from seed 0")
    assert (train.classes, train.max_tags, train.labels.shape) == (pizza.CLASSES, 9, (12, 9))
    train.require(32, 3, KINDS, max_tags=9)
    grey = pizza.load_pizza("train", 32, channels=1, count=12)
    assert grey.images.shape == (12, 1, 32, 32) and grey.images.dtype == np.uint8
    assert np.array_equal(grey.labels, train.labels)
    luminance = np.tensordot(train.images, (0.299, 0.587, 0.114), (1, 0))
    assert abs(grey.images[:, 0] - luminance).max() <= 1
    assert pizza.COUNTS == {"train": 6_000, "test": 1_500}


@pytest.mark.parametrize("recipe", [[2, 1], [3, 3], [0, 4], [5, 0, 2], [KINDS + 1], [-1], [1.5], [1] + [0] * 9])
def test_bad_recipes_are_refused(recipe):
    with pytest.raises(ValueError, match=r"recipes .* \(1, 9\)"):
        pizza.draw_pizzas(1, 32, seed=0, recipes=np.array([recipe + [0] * (9 - len(recipe))]))


def test_larger_sizes_are_refused():
    with pytest.raises(UserError, match="up to 256"):
        pizza.load_pizza("train", 512)


def test_the_cache_is_read_and_not_drawn_again(monkeypatch):
    first = pizza.load_pizza("train", 32, count=6)
    with monkeypatch.context() as without:
        without.setattr(pizza, "draw_pizzas", None)
        assert pizza.load_pizza("train", 32, count=6).sha256 == first.sha256
    others = [dict(size=16), dict(size=32, channels=1), dict(size=32, seed=1)]
    assert len({pizza.load_pizza("train", count=6, **other).sha256 for other in others} | {first.sha256}) == 4
