"""What is said where the path of the data names something else than it should: what is there, and what to do."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from helpers.idx_files import contents, idx_bytes
from helpers.idx_files import fill as write
from helpers.image_folders import WANTED, fill
from helpers.refusals import refused

from ms_gan import data
from ms_gan.data.mnist import load_mnist

READ = ("mnist", "stacked_mnist", "folder")


def refusal(dataset, path, *parts, split="train"):
    message = refused(data.load, dataset, split, path, WANTED)
    for part in parts:
        assert str(part) in message, message
    return message


def named(fashion, place=""):
    """The files of a tiny MNIST under other names: {} stands for their own."""
    return {place + fashion(name): content for name, content in contents().items()}


# Paths that lead nowhere


@pytest.mark.parametrize("dataset", READ)
def test_a_missing_path_is_explained(dataset, tmp_path, monkeypatch):
    fill(tmp_path, ["photos/cat/1.png", "a file"][:1], {"a file": ""})
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for path, parts in (
        ("link", [f"(it is a link to {tmp_path}/gone, which is not there)"]),
        ("link/below", [f"({tmp_path}/link is a link to {tmp_path}/gone"]),
        ("a file/below", [f"({tmp_path}/a file is a file)"]),
        ("fotos", [f"did you mean {tmp_path}/photos?"]),
        ("Photos", [f"did you mean {tmp_path}/photos?"]),
        ("photo/cat", [f"did you mean {tmp_path}/photos/cat?"]),
        ("photos/cats", [f"did you mean {tmp_path}/photos/cat?"]),
        ("photos\n", [f"did you mean {tmp_path}/photos?"]),
        ("none/at/all", []),
    ):
        message = refusal(dataset, tmp_path / path, ": does not exist", *parts)
        assert parts or "did you mean" not in message
    refusal(dataset, str(tmp_path / "a file"), "is a file, not a folder")
    refusal(dataset, "photos", "photos: does not exist")
    refusal(dataset, f"{tmp_path}/photos ", "does not exist", f"did you mean {tmp_path}/photos?")


@pytest.mark.parametrize("dataset", READ)
def test_an_unexpanded_tilde_is_explained(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my photos").mkdir()
    refusal(dataset, "~/my photos", "does not exist", "only at the start of a word", f"'{tmp_path}/my photos'")


@pytest.mark.parametrize("dataset", READ)
@pytest.mark.parametrize("path", ["", " ", "\n"])
def test_a_path_without_text_is_not_the_working_folder(dataset, path, tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path, ["a.png"]))
    message = refusal(dataset, path, "data_path")
    assert "empty" not in message and "holds no" not in message


@pytest.mark.parametrize("dataset", READ)
def test_a_path_without_access_is_refused(dataset, tmp_path, monkeypatch):
    refusal(dataset, "x" * 5000, "cannot be read (File name too long)")
    refusal(dataset, "a\0b", "a\\x00b: cannot be read")
    stat = os.stat

    def guarded(path, *arguments, **options):  # instead of a change of mode, which does not stop root
        if str(path) == str(tmp_path / "closed" / "photos"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", guarded)
    refusal(dataset, tmp_path / "closed" / "photos", "cannot be read (Permission denied)")


def test_a_folder_of_hidden_files_is_not_called_empty(tmp_path):
    assert "is empty" in refusal("folder", tmp_path)
    (tmp_path / "below").mkdir()
    assert "nothing but empty folders and hidden files" in refusal("folder", tmp_path)


# The other kind of data


@pytest.mark.parametrize("dataset", ["mnist", "stacked_mnist", "pizza", "digits", "stacked_digits"])
def test_images_without_their_data_set_are_counted(dataset, tmp_path):
    fill(tmp_path, ["a/1.png", "a/2.JPG", "b/3.png", ".hidden.png"], {"notes.txt": ""})
    refusal(dataset, tmp_path, "it holds 3 images: add dataset=folder")
    (tmp_path / "a" / "1.png").unlink()
    (tmp_path / "b" / "3.png").unlink()
    refusal(dataset, str(tmp_path), "it holds 1 image: add dataset=folder")
    (tmp_path / "a" / "2.JPG").unlink()
    assert "add dataset" not in refusal(dataset, tmp_path)


@pytest.mark.parametrize("place", ["", "train/", "raw/", "MNIST/raw/"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_no_folder_of_images(tmp_path, place, suffix):
    write(tmp_path, named(lambda name: name + suffix, place))
    refusal("folder", tmp_path, "IDX format", "leave out dataset=folder")
    refusal("pizza", tmp_path, "is drawn, not read", "add dataset=mnist" if place != "train/" else "")


# MNIST elsewhere, and what is like MNIST


@pytest.mark.parametrize("place", ["raw", "MNIST/raw"])
def test_torchvisions_folders_are_looked_into(tmp_path, place):
    write(tmp_path, named(lambda name: name + ".gz", f"{place}/"))
    assert len(load_mnist("train", tmp_path).images) == 12 and len(load_mnist("test", tmp_path).images) == 5
    write(tmp_path, {name: content for name, content in contents(train=3).items() if "train" in name})
    assert len(load_mnist("train", tmp_path).images) == 3, "the folder itself comes first"
    refusal("mnist", tmp_path, "the test images are missing", split="test")


@pytest.mark.parametrize(
    "places, wanted",
    [
        (["FashionMNIST/raw/"], ["FashionMNIST"]),
        (["data/deep/"], ["data/deep"]),
        (["FashionMNIST/raw/", "KMNIST/raw/"], ["FashionMNIST", "KMNIST"]),
        (["a b/"], ["a b"]),
    ],
)
def test_mnist_in_a_sub_folder_is_found_for_the_message(tmp_path, places, wanted):
    for place in places:
        write(tmp_path, named(str, place))
    message = refusal("mnist", tmp_path, "holds no MNIST, but")
    for place in wanted:
        assert f"data_path={tmp_path}/{place}" in message.replace("'", "")
        assert len(load_mnist("train", tmp_path / place).images) == 12


def test_mnist_in_train_and_test_of_a_sub_folder_is_told(tmp_path):
    write(tmp_path, named(lambda name: ("train/" if "train" in name else "test/") + name, "sub/"))
    refusal("mnist", tmp_path, f"data_path={tmp_path}/sub")


LIKE = {
    "emnist-digits-train-images-idx3-ubyte": lambda name: "emnist-digits-" + name.replace("t10k", "test"),
    "emnist-mnist-train-images-idx3-ubyte.gz": lambda name: "emnist-mnist-" + name.replace("t10k", "test") + ".gz",
    "fashion-train-images-idx3-ubyte": lambda name: "fashion-" + name,
    "kmnist_train_images_idx3_ubyte": lambda name: "kmnist_" + name.replace("-", "_"),
    "TRAIN-IMAGES-IDX3-UBYTE": str.upper,
    "gzip/train-images-idx3-ubyte (1).gz": lambda name: f"gzip/{name} (1).gz",
}


@pytest.mark.parametrize("found", LIKE)
def test_files_named_nearly_like_mnists_can_be_renamed_as_the_message_says(tmp_path, found):
    write(tmp_path, named(LIKE[found]))
    message = refusal("mnist", tmp_path, "holds no MNIST, but", found)
    pairs = [pair.split(" to ") for pair in message.split("rename or link ")[1].split(", ")]
    assert len(pairs) == 4
    for before, after in pairs:
        (tmp_path / before).rename(tmp_path / after)
    assert len(load_mnist("train", tmp_path).images) == 12 and len(load_mnist("test", tmp_path).images) == 5


def test_files_for_one_split_are_told_to_be_renamed(tmp_path):
    write(tmp_path, named(lambda name: name.replace("t10k", "test")))
    assert len(load_mnist("train", tmp_path).images) == 12
    refusal(
        "mnist",
        tmp_path,
        "the test images are missing, but there is test-images-idx3-ubyte",
        "link it to t10k-images-idx3-ubyte",
        split="test",
    )


@pytest.mark.parametrize("kind", ["letters", "balanced", "byclass", "bymerge"])
def test_emnist_sets_with_letters_are_refused(tmp_path, kind):
    write(tmp_path, named(lambda name: f"emnist-{kind}-{name.replace('t10k', 'test')}"))
    message = refusal(
        "mnist", tmp_path, f"emnist-{kind}-train-images-idx3-ubyte", "labels beyond 9 are not taken", "digits and mnist"
    )
    assert "rename" not in message
    write(tmp_path, named(lambda name: f"emnist-digits-{name.replace('t10k', 'test')}"))
    refusal(
        "mnist",
        tmp_path,
        "rename or link emnist-digits-test-images-idx3-ubyte to t10k-images-idx3-ubyte",
        "digits and mnist",
    )


def test_letters_under_mnists_names_are_refused(tmp_path):
    write(tmp_path, {**contents(), "train-labels-idx1-ubyte": idx_bytes(np.arange(12) + 15)})
    refusal("mnist", tmp_path, "train-labels-idx1-ubyte: has a label 26, not 0 to 9", "digits and mnist")


def test_qmnists_labels_of_several_bytes_are_refused(tmp_path):
    write(tmp_path, named(lambda name: "qmnist-" + name.replace("labels-idx1-ubyte", "labels-idx2-int")))
    refusal("mnist", tmp_path, "qmnist-t10k-labels-idx2-int holds numbers of several bytes")


def test_a_link_of_mnist_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").symlink_to(tmp_path / "gone")
    refusal("mnist", tmp_path, f"{tmp_path}/train-images-idx3-ubyte: is a link to a file that is not there")


def test_files_unpacked_into_folders_of_their_names(tmp_path):
    write(tmp_path, named(lambda name: f"{name}/{name}"))
    message = refusal("mnist", tmp_path)
    for before, after in (pair.split(" to ") for pair in message.split("rename or link ")[1].split(", ")):
        (tmp_path / before).rename(tmp_path / after)
    assert len(load_mnist("train", tmp_path).images) == 12


def test_messages_about_strange_paths_are_one_line(tmp_path):
    home = tmp_path / "line\nbreak"
    write(home, contents())
    assert load_mnist("train", home).source.endswith("line\\nbreak")
    (home / "train-images-idx3-ubyte").write_bytes(b"")
    refusal("mnist", home, "line\\nbreak/train-images-idx3-ubyte: is empty")
    (home / "train-images-idx3-ubyte").unlink()
    refusal("mnist", home, "train images are missing")


def test_a_digit_without_an_image_is_told_to_a_recipe_with_classes(tmp_path):
    write(tmp_path, {**contents(), "train-labels-idx1-ubyte": idx_bytes(np.arange(12) % 8)})
    note = "no image to train on is left of 2 of the classes, such as 8: what is drawn of these means nothing"
    assert data.load("mnist", "train", tmp_path, replace(WANTED, classes=10)).notes == (note,)
    assert data.load("mnist", "train", tmp_path, WANTED).notes == ()
    assert data.load("mnist", "test", tmp_path, replace(WANTED, classes=10)).notes == ()
