"""Flecks and broken strokes: counted in pictures drawn by hand, in drawn digits, and among the scores."""

from __future__ import annotations

import numpy as np
import pytest

from ms_gan.data.description import ImageData
from ms_gan.data.synthetic.digits import CLASSES, draw_digits
from ms_gan.evaluation import flecks
from ms_gan.evaluation.flecks import faulty, has_dark_ground
from ms_gan.evaluation.protocol import Subject
from ms_gan.evaluation.scores import Options, measure
from ms_gan.schema.recipe import Latent

LEVELS = {"#": 255, "+": 64, "-": 63, ".": 0}  # + is just above a quarter of white, - just below
WHOLE = """
........
.####...
.#..#...
.#..#...
.####...
........
........
........
"""


def picture(text):
    """A picture, uint8, 1×H×W, of one character for each pixel."""
    return np.array([[[LEVELS[character] for character in line] for line in text.split()]], np.uint8)


def with_pixels(*places, level=255):
    """WHOLE, where these pixels (row, column) have a level."""
    image = picture(WHOLE)
    for place in places:
        image[0][place] = level
    return image


FLECKED = with_pixels((6, 6))
BROKEN = with_pixels(*((row, 6) for row in range(2, 7)))


def found(*images):
    return tuple(faulty(np.stack(images)))


@pytest.mark.parametrize(
    "image, expected",
    [
        (picture(WHOLE), (0, 0)),
        (0 * picture(WHOLE), (0, 0)),  # nothing is drawn
        (FLECKED, (1, 0)),
        (with_pixels((0, 0)), (0, 0)),  # it touches by a corner
        (with_pixels((5, 6)), (1, 0)),  # one pixel is between them
        (with_pixels((6, 6), level=64), (1, 0)),
        (with_pixels((6, 6), level=63), (0, 0)),
        (with_pixels((6, 0), (6, 1), (7, 0), (7, 1)), (1, 0)),
        (with_pixels((6, 0), (6, 1), (7, 0), (7, 1), (7, 2)), (0, 1)),
        (with_pixels((7, 0), (7, 2), (7, 4), (2, 7)), (1, 0)),  # four flecks are one flecked image
        (with_pixels((0, 7), (7, 0), (7, 7)), (1, 0)),  # in the corners
        (with_pixels(*((row, 6) for row in range(1, 6)), (7, 0)), (1, 1)),
        (with_pixels((2, 1), (2, 4), level=0), (1, 0)),  # cut into 4 and 6 pixels
        (with_pixels((1, 2), (4, 3), level=0), (0, 1)),  # cut into 5 and 5 pixels
    ],
)
def test_each_fault_is_found_in_a_picture_that_has_it(image, expected):
    assert found(image) == expected


def test_of_flecks_alone_the_largest_is_the_drawing():
    empty = 0 * picture(WHOLE)
    one, two = empty.copy(), empty.copy()
    one[0, 3, 3] = two[0, 3, 3] = two[0, 6, 6] = 255
    assert found(one) == (0, 0) and found(two) == (1, 0)


def test_shares_are_of_images_in_any_order_and_any_blocks(monkeypatch):
    images = [FLECKED, BROKEN, picture(WHOLE), FLECKED, 0 * FLECKED, with_pixels((7, 7)), FLECKED[:, ::-1], BROKEN]
    assert found(*images) == (4 / 8, 2 / 8)
    assert found(*images[::-1]) == (4 / 8, 2 / 8)
    monkeypatch.setattr(flecks, "BLOCK", 3)
    assert found(*images) == (4 / 8, 2 / 8)


def test_parts_of_neighbours_in_memory_do_not_touch():
    full = np.full((1, 8, 8), 255, np.uint8)
    assert found(full, full, full) == (0, 0)
    assert found(full, with_pixels((0, 7)), full) == (1 / 3, 0)


def test_images_need_not_be_square():
    wide = [np.pad(image, ((0, 0), (0, 0), (0, 12))) for image in (FLECKED, BROKEN, picture(WHOLE), FLECKED)]
    assert found(*wide * 10) == (1 / 2, 1 / 4)
    assert found(*[np.swapaxes(image, 1, 2) for image in wide] * 10) == (1 / 2, 1 / 4)


def test_where_a_drawing_lies_makes_no_difference():
    wide = [np.pad(image, ((0, 0), (4, 4), (4, 4))) for image in (FLECKED, BROKEN, picture(WHOLE))]
    for shift in ((0, 0), (-4, 3), (4, -4), (1, 2)):
        assert found(*(np.roll(image, shift, (1, 2)) for image in wide)) == (1 / 3, 1 / 3)


def test_colour_counts_by_luminance_and_floats_as_bytes():
    red, green, blue = (np.zeros((3, 8, 8), np.uint8) for _ in range(3))
    for channel, image in enumerate((red, green, blue)):
        image[1], image[channel, 6, 6] = picture(WHOLE)[0], 255
    assert [found(image)[0] for image in (red, green, blue)] == [1, 1, 0]  # blue of 255 has a luminance of .114
    assert found(np.float32(FLECKED) / 255) == (1, 0) and found(np.float32(picture(WHOLE)) / 255) == (0, 0)


def test_more_faults_give_higher_shares_and_each_its_own():
    images, _ = draw_digits(400, 0, 1)
    flecked, broken = faulty(images)
    assert flecked < 0.05 and broken < 0.05
    for count in (40, 100, 400):
        some = images.copy()
        some[:count, :, 1, 1] = 255
        more = faulty(some)
        assert more.flecked > flecked and more.broken == broken
        assert more.flecked == pytest.approx(count / 400, abs=0.05)
        flecked = more.flecked
    for count in (40, 100, 400):
        some = images.copy()
        some[:count, :, 13:15] = 0  # cut through the middle
        more = faulty(some).broken
        assert more > broken + 0.04
        broken = more


@pytest.mark.parametrize(
    "lit, dark", [(0, True), (6, True), (7, True), (8, False), (28, False)], ids="none few quarter more all".split()
)
def test_a_ground_is_dark_if_most_of_the_border_is(lit, dark):
    image = np.full((1, 1, 8, 8), 255, np.uint8)
    ring = [(0, x) for x in range(8)] + [(7, x) for x in range(8)] + [(y, x) for y in range(1, 7) for x in (0, 7)]
    for place in ring[lit:]:
        image[0, 0][place] = 63
    assert has_dark_ground(image) == dark


@pytest.mark.parametrize("side", range(4))
def test_each_side_of_the_border_counts(side):
    image = np.zeros((1, 1, 8, 8), np.uint8)
    np.rot90(image[0, 0], side)[0] = 255
    assert not has_dark_ground(image), "8 of 28 pixels are lit"
    image = np.zeros((1, 1, 8, 8), np.uint8)
    np.rot90(image[0, 0], side)[0, 1:-1] = 255
    assert has_dark_ground(image), "6 of 28"


def data(split, images):
    return ImageData("pictures", split, "pictures of a test", images, None, CLASSES)


def scored(train, test, generated):
    subject = Subject(lambda inputs: np.float32(np.resize(generated, (len(inputs[0]), *generated.shape[1:]))) / 255,
                      Latent(size=4))  # fmt: skip
    return measure(subject, data("train", train), data("test", test), None, "no labels", Options(), lambda line: None)


def pictures(whole, flecked, broken, repeats):
    return np.stack(([picture(WHOLE)] * whole + [FLECKED] * flecked + [BROKEN] * broken) * repeats)


def test_shares_and_their_ratios_stand_among_the_scores():
    """Half of the generated images are flecked, a quarter broken; of the real ones a tenth and a twentieth."""
    of_draws, test = pictures(17, 2, 1, 60), pictures(16, 4, 0, 5)
    scores = scored(of_draws, test, pictures(1, 2, 1, 1))
    assert scores.generated["flecked_100_test"] == 0.5 and scores.generated["broken_100_test"] == 0.25
    assert scores.generated["flecked_100_test_ratio"] == pytest.approx(0.5 / 0.2)
    in_draws = scores.real["flecked_100_test"]
    assert in_draws == pytest.approx(0.1, abs=0.04) and scores.real["broken_100_test"] == pytest.approx(0.05, abs=0.03)
    assert scores.real["flecked_100_test_ratio"] == pytest.approx(in_draws / 0.2)
    assert "broken_100_test_ratio" not in {**scores.generated, **scores.real}
    assert "undefined" in scores.left_out["broken_100_test_ratio"]


@pytest.mark.parametrize("change", [lambda images: 255 - images, lambda images: np.repeat(images, 3, 1)])
def test_images_on_a_bright_ground_and_colour_images_are_left_out(change):
    scores = scored(*(change(pictures(18, 1, 1, repeats)) for repeats in (60, 5, 5)))
    assert not [name for name in scores.generated if "flecked" in name or "broken" in name]
    assert "dark ground" in scores.left_out["flecked, broken"]
    assert "sharpness_100_test_ratio" in scores.generated
