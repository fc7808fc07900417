"""The drawn digits: the same each time, varied, laid out like MNIST, and kept."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ms_gan.data.synthetic import digits
from ms_gan.errors import UserError
from ms_gan.evaluation.judge import load_judge
from ms_gan.evaluation.judge_training import SHIPPED

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def drawn():
    return digits.draw_digits(1200, seed=5)


def rows(images):
    return {image.tobytes() for image in images}


def test_shapes_and_classes(drawn):
    images, labels = drawn
    assert images.shape == (1200, 1, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (1200,) and labels.dtype == np.int32
    assert np.bincount(labels, minlength=10).min() > 60
    assert labels.max() == 9


def test_drawing_is_a_function_of_the_seed(drawn):
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # nor does the number of threads change anything
    try:
        images, labels = digits.draw_digits(1200, seed=5)
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(images, drawn[0]) and np.array_equal(labels, drawn[1])
    assert len(rows(images)) == 1200 and not rows(digits.draw_digits(600, seed=6)[0]) & rows(drawn[0])


def test_layout_is_that_of_mnist(drawn):
    images = drawn[0][:, 0].astype(float)
    assert 25 < images.mean() < 42  # MNIST: 33
    assert images.max(axis=(1, 2)).min() > 150
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (images.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        assert abs(centre.mean() - 13.5) < 0.5 and abs(centre - 13.5).max() < 3
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert (border.max(axis=1) > 0).mean() < 0.15


def test_classes_can_be_told_apart(drawn):
    images, labels = drawn
    vectors = images.reshape(len(images), -1).astype(np.float32)
    known, asked = vectors[:900], vectors[900:]
    distances = (known**2).sum(1) - 2 * asked @ known.T
    assert (labels[:900][distances.argmin(1)] == labels[900:]).mean() > 0.85


@pytest.mark.parametrize(
    "split, labels, first",
    [
        (
            "train",
            [4, 9, 9, 4],
            [[0] * 7, [0, 0, 0, 10, 101, 0, 0], [0, 0, 15, 173, 62, 0, 0], [0, 11, 165, 160, 19, 0, 0]]
            + [[0, 61, 86, 158, 25, 0, 0], [0, 0, 34, 40, 0, 0, 0], [0] * 7],
        ),
        (
            "test",
            [1, 2, 6, 1],
            [[0, 0, 0, 65, 1, 0, 0], [0, 0, 62, 206, 0, 0, 0], [0, 0, 34, 126, 0, 0, 0], [0, 0, 0, 120, 0, 0, 0]]
            + [[0, 0, 0, 102, 0, 0, 0], [0, 0, 78, 168, 54, 0, 0], [0] * 7],
        ),
    ],
)
def test_they_stay_what_they_were(split, labels, first):
    """Caches and runs hold them. Whoever draws others raises VERSION, and writes these anew."""
    drawn = digits.load_digits(split, count=4)
    squares = drawn.images[0, 0].reshape(7, 4, 7, 4).mean((1, 3))
    assert drawn.labels.tolist() == labels and abs(squares - first).max() < 2  # other OpenCVs round otherwise
    assert digits.VERSION == 1


def test_they_are_read_as_what_they_are_drawn_as(drawn, device):
    images, labels = drawn
    judge = load_judge(SHIPPED[-1] / "mnist")
    assert (judge.read(images[:200]) == labels[:200]).mean() > 0.9, "by the judge of MNIST"


def test_train_and_test_share_nothing():
    assert digits.COUNTS == {"train": 60_000, "test": 10_000}
    train = digits.load_digits("train", count=400)
    test = digits.load_digits("test", count=400)
    assert not rows(train.images) & rows(test.images)
    assert (train.name, train.split, train.source) == ("digits", "train", "the digits drawn from seed 0")
    assert train.classes == tuple("0123456789")
    assert train.sha256 != test.sha256
    train.require(28, 1, 10)
    with pytest.raises(UserError, match="28x28, but 3 of 32x32"):
        train.require(32, 3, 0)


@pytest.mark.parametrize("name", ["labels.npy", "SHA256SUMS"])
@pytest.mark.parametrize("damage", [lambda old: old[:-20], lambda old: b"\x07" + old[1:], None])
def test_a_damaged_cache_is_drawn_again(own_cache, name, damage):
    first = digits.load_digits("train", count=50)
    (path,) = own_cache.glob(f"digits-*/{name}")
    whole = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(whole))
    assert digits.load_digits("train", count=50).sha256 == first.sha256
    assert path.read_bytes() == whole
    assert [entry.name for entry in own_cache.iterdir()] == [path.parent.name]


def test_an_old_cache_is_left_alone_when_the_drawing_changes(own_cache, monkeypatch):
    digits.load_digits("train", count=20)
    monkeypatch.setattr(digits, "VERSION", digits.VERSION + 1)
    digits.load_digits("train", count=20)
    assert len(list(own_cache.iterdir())) == 2


def test_goes_on_without_a_cache(own_cache, capsys):
    own_cache.write_text("a file where the folder should be")
    assert len(digits.load_digits("test", count=20).images) == 20
    (line,) = capsys.readouterr().err.splitlines()
    assert str(own_cache) in line and "MS_GAN_CACHE" in line
