"""Stacked digits: three digits make an image and a label, and modes are counted by what is read in each channel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.commands import write_mnist
from helpers.idx_files import contents, idx_bytes
from helpers.idx_files import fill as write
from helpers.refusals import refused

from ms_gan import data
from ms_gan.data.description import ImageData
from ms_gan.data.synthetic import stacked
from ms_gan.evaluation import judge, modes, scores
from ms_gan.evaluation.modes import add_modes
from ms_gan.evaluation.protocol import Subject
from ms_gan.labels import LabelNames
from ms_gan.schema.recipe import Latent

COUNTS = dict(stacked.COUNTS)  # before they are made fewer


@pytest.fixture(scope="module", autouse=True)
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacked, "COUNTS", {"train": 900, "test": 400})
        yield


@pytest.fixture(scope="module")
def readable():
    """Test images of one grey each, from which the digit can be told."""
    labels = np.arange(60, dtype=np.int32) % 10
    images = np.full((60, 1, 4, 4), 20, np.uint8) * labels[:, None, None, None].astype(np.uint8)
    return stacked.stack(ImageData("mnist", "test", "a test", images, labels, tuple("0123456789")))


def test_the_label_is_the_number_that_the_colours_make(readable):
    digits = readable.images[:, :, 0, 0] // 20
    assert readable.images.shape == (400, 3, 4, 4) and readable.images.dtype == np.uint8
    assert readable.labels[:5].tolist() == [789, 667, 667, 999, 605], "the same ones for ever"
    assert np.array_equal(readable.labels, digits @ [100, 10, 1]) and readable.labels.dtype == np.int32
    assert [readable.classes[label] for label in readable.labels[:20]] == [
        "".join(map(str, row)) for row in digits[:20]
    ]
    assert (readable.name, readable.channels_from, len(readable.classes)) == ("stacked_mnist", "mnist", 1000)


def test_it_is_always_the_same_and_its_splits_are_not(tmp_path):
    folder = write_mnist(tmp_path / "data", 64)
    first, again, test = (data.load("stacked_mnist", split, folder) for split in ("train", "train", "test"))
    assert first.sha256 == again.sha256 and len(first.images) == 900 and len(test.images) == 400
    assert not np.array_equal(first.labels[:400], test.labels)
    first.require(28, 3, 0)
    assert "channels are read" in judge.why_no_judge(first)


def test_there_are_as_many_as_published_protocols_have():
    assert COUNTS == {"train": 128_000, "test": 26_000} and modes.STACKED == 26_000


def test_drawn_digits_are_not_taken_for_mnist(readable):
    labels = np.arange(20, dtype=np.int32) % 10
    images = np.zeros((20, 1, 4, 4), np.uint8)
    made = stacked.stack(ImageData("digits", "test", "a test", images, labels, tuple("0123456789")))
    assert (made.name, made.channels_from) == ("stacked_digits", "digits")


def test_a_conditional_generator_is_asked_for_the_modes_of_the_reference_images(readable):
    judge = SimpleNamespace(classes=range(10), read=lambda images: images[:, 0, 0, 0].astype(int) // 20)
    image_of = dict(zip(readable.labels.tolist(), readable.images))
    found = scores.Scores()

    def draw(inputs):
        latents, labels = inputs
        return np.float32(np.stack([image_of[int(label)] for label in labels])) / 255

    add_modes(found, Subject(draw, Latent(2), LabelNames(readable.classes)), judge, readable, 1)
    assert found.generated == found.real


def test_other_data_than_digits_are_stacked_of_ten_classes_only(tmp_path):
    write(tmp_path, contents())
    stacked_others = data.load("stacked_mnist", "train", tmp_path)
    assert (stacked_others.name, stacked_others.channels_from) == ("stacked_mnist", "idx")
    write(tmp_path, {"train-labels-idx1-ubyte": idx_bytes(np.arange(12))})
    assert "has 12 classes, and stacked images are made of ten" in refused(
        data.load, "stacked_mnist", "train", tmp_path
    )


@pytest.mark.parametrize("modes", ["as the test images", "one"])
def test_modes_are_read_channel_by_channel(modes, readable):
    judge = SimpleNamespace(classes=range(10), read=lambda images: images[:, 0, 0, 0].astype(int) // 20)
    drawn = readable.images if modes != "one" else np.repeat(readable.images[:1], 400, 0)
    found = scores.Scores()
    state = {"at": 0}

    def draw(inputs):
        state["at"] += len(inputs[0])
        return np.float32(drawn[state["at"] - len(inputs[0]) : state["at"]]) / 255

    add_modes(found, Subject(draw, Latent(2)), judge, readable, 1)
    assert set(found.generated) == set(found.real) == {"modes_400", "kl_400"}
    assert found.real["modes_400"] == len(np.unique(readable.labels))
    if modes == "one":
        assert found.generated == {"modes_400": 1, "kl_400": pytest.approx(np.log(1000))}
    else:
        assert found.generated == found.real
