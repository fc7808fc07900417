"""Data sets in MNIST's format that are not MNIST: their files' names, labels, classes, and which way up they are."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from helpers.idx_files import NAMES, contents, fill, idx_bytes
from helpers.refusals import refused

from ms_gan import data, recipes
from ms_gan.data import mnist
from ms_gan.data.changes import Fingerprint, what_changed
from ms_gan.data.mnist import load_mnist
from ms_gan.training.request import DataChoice, ResumeRequest, TrainRequest

LETTERS = 1 + np.arange(52) % 26  # as EMNIST numbers them
MAPPING = "".join(f"{number + 1} {65 + number} {97 + number}\n" for number in range(26))


def emnist(title="emnist-letters-", labels=LETTERS, place=""):
    """Return the files of a tiny EMNIST, whose images hold their column numbers where MNIST has row numbers."""
    images = np.tile(np.arange(28), (len(labels), 28, 1))
    files = {}
    for split in ("train", "test"):
        files[f"{place}{title}{split}-images-idx3-ubyte.gz"] = idx_bytes(images)
        files[f"{place}{title}{split}-labels-idx1-ubyte.gz"] = idx_bytes(labels)
    return files


@pytest.mark.parametrize("named", ["", "emnist-letters"])
@pytest.mark.parametrize("place", ["", "raw/"])
def test_letters_are_upright_and_numbered_from_0(tmp_path, named, place):
    fill(tmp_path, emnist(place=place))
    for split in ("train", "test"):
        data = load_mnist(split, tmp_path / named)
        assert (data.images[:, 0] == np.arange(28)[:, None]).all(), "rows and columns are exchanged in the files"
        assert data.labels.dtype == np.int32 and data.labels.tolist() == (LETTERS - 1).tolist()
        assert data.classes == tuple(map(str, range(1, 27))), "a class is called by its label"
        assert data.source == f"the files {tmp_path}/emnist-letters-*" and "turned upright" in data.notes[0]


def test_data_that_are_not_mnist_are_not_called_so(tmp_path):
    fill(tmp_path, emnist())
    assert load_mnist("train", tmp_path).name == data.load("idx", "test", tmp_path).name == "idx"
    assert "read from a folder" in refused(data.load, "idx", "train")


def test_the_labels_tell_mnist_where_the_files_have_its_names(tmp_path, monkeypatch):
    fill(tmp_path, {**emnist(""), **emnist("qmnist-")})
    monkeypatch.setitem(mnist.LABELS, "train", hashlib.sha256(LETTERS.astype(np.uint8).tobytes()).hexdigest())
    assert load_mnist("train", tmp_path).name == "mnist"
    assert load_mnist("train", tmp_path / "qmnist").name == load_mnist("test", tmp_path).name == "idx"


def test_a_run_may_be_resumed_by_either_name(tmp_path):
    fill(tmp_path, emnist(""))
    images = load_mnist("train", tmp_path)
    settings = TrainRequest(recipes.load("rpgan"), steps=1).settings(images)
    for asked in (None, "mnist", "idx"):
        assert ResumeRequest(tmp_path, data=DataChoice(asked)).applied_to(settings) == settings
    assert ResumeRequest(tmp_path, data=DataChoice("digits")).applied_to(settings).dataset == "digits"
    before = Fingerprint.of(replace(images, name="mnist"))
    assert "data set is" not in what_changed(before, images.only(np.arange(3)))
    assert "data set is idx" in what_changed(replace(before, name="digits"), images)


def test_images_under_mnists_names_stay_as_they_are(tmp_path):
    fill(tmp_path, emnist(""))
    data = load_mnist("test", tmp_path)
    assert (data.images[:, 0] == np.arange(28)).all() and data.notes == ()


def test_of_several_data_sets_one_has_to_be_named(tmp_path):
    both = {**emnist(), **emnist("emnist-digits-", np.arange(10))}
    fill(tmp_path, both)
    message = refused(load_mnist, "train", tmp_path)
    assert "holds 2 data sets" in message
    assert message.endswith(f"data_path={tmp_path}/emnist-digits or data_path={tmp_path}/emnist-letters")
    assert len(load_mnist("train", tmp_path / "emnist-digits").classes) == 10
    assert len(load_mnist("train", tmp_path / "emnist-letters").classes) == 26
    assert "emnist-letter: does not exist" in refused(load_mnist, "train", tmp_path / "emnist-letter")
    fill(tmp_path, contents())
    assert len(load_mnist("train", tmp_path).images) == 12, "MNIST's own names come first"


def test_a_missing_file_is_called_as_the_others(tmp_path):
    fill(tmp_path, {name: content for name, content in emnist().items() if "test-images" not in name})
    assert "expected emnist-letters-test-images-idx3-ubyte or " in refused(load_mnist, "test", tmp_path)


@pytest.mark.parametrize("kind", ["idx2-int", "idx1-ubyte"])
def test_labels_of_qmnist_are_the_first_of_their_numbers(tmp_path, kind):
    digits = np.arange(20) % 10
    labels = idx_bytes(digits if kind == "idx1-ubyte" else np.stack([digits, digits + 300], 1).astype(">i4"))
    files = {f"qmnist-{split}-labels-{kind}": labels for split in ("train", "test")}
    images = np.tile(np.arange(28), (20, 28, 1))
    fill(tmp_path, {**files, **{f"qmnist-{split}-images-idx3-ubyte": idx_bytes(images) for split in ("train", "test")}})
    data = load_mnist("test", tmp_path)
    assert data.labels.tolist() == digits.tolist() and data.classes == tuple("0123456789")
    assert (data.images[:, 0] == np.arange(28)).all() and data.notes == (), "only EMNIST's are turned"


def test_classes_are_the_labels_of_both_splits(tmp_path):
    files = contents()
    files[NAMES[1]] = idx_bytes([3, 7] * 6)
    files[NAMES[3]] = idx_bytes([3, 3, 3, 3, 40])
    fill(tmp_path, files)
    train, test = (load_mnist(split, tmp_path) for split in ("train", "test"))
    assert train.classes == test.classes == ("3", "7", "40")
    assert train.labels.tolist() == [0, 1] * 6 and test.labels.tolist() == [0, 0, 0, 0, 2]


@pytest.mark.parametrize("place", ["", "raw/"])
def test_a_mapping_of_emnist_names_the_classes(tmp_path, place):
    fill(tmp_path, {**emnist(place=place), f"{place}emnist-letters-mapping.txt": MAPPING.encode()})
    for split in ("train", "test"):
        assert "".join(load_mnist(split, tmp_path).classes) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize("place", ["", "raw/"])
def test_a_file_of_names_names_the_classes(tmp_path, place):
    files = {place + name: content for name, content in contents().items()}
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "靴"]
    fill(tmp_path, {**files, "label_names.txt": "\n".join([*names, ""]).encode()})
    assert load_mnist("test", tmp_path).classes == tuple(names)


@pytest.mark.parametrize(
    "name, content, complaint",
    [
        ("label_names.txt", "a\nb\n", "must name each of the 26 classes once, not 2"),
        ("label_names.txt", "a\n" * 26, "(1 different ones)"),
        ("label_names.txt", b"\xff", "cannot be read"),
        ("mapping.txt", "1 65\n", "is no table of all labels and their characters"),
        ("mapping.txt", "one 65\n", "is no table"),
        ("mapping.txt", "1\n", "is no table"),
        ("mapping.txt", MAPPING.replace("26 90", "26 89"), "must name each of the 26 classes once"),
        ("mapping.txt", MAPPING.replace("26 90", "26 -1"), "is no table"),
    ],
)
def test_bad_names_of_classes_are_refused(tmp_path, name, content, complaint):
    content = content if isinstance(content, bytes) else content.encode()
    fill(tmp_path, {**emnist(), f"emnist-letters-{name}": content})
    message = refused(load_mnist, "train", tmp_path)
    assert complaint in message and f"emnist-letters-{name}" in message
