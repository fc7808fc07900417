"""What is said where the path of the data names something else than it should: what is there, and what to do."""

from __future__ import annotations

import os

import pytest
from helpers.idx_files import contents
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
@pytest.mark.parametrize(
    "path, part",
    [
        ("link", "({0}/link is a link to {0}/gone, which is not there)"),
        ("link/below", "({0}/link is a link to {0}/gone"),
        ("a file/below", "({0}/a file is a file)"),
        ("fotos", "did you mean {0}/photos?"),
        ("Photos/cats", "did you mean {0}/photos?"),
        ("photos/cats", "did you mean {0}/photos/cat?"),
        ("photos\n", "did you mean {0}/photos?"),
        ("none/at/all", "none/at/all: does not exist; "),
    ],
)
def test_a_missing_path_is_explained(dataset, path, part, tmp_path):
    fill(tmp_path, ["photos/cat/1.png"], {"a file": ""})
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    refusal(dataset, tmp_path / path, ": does not exist", part.format(tmp_path))
    refusal(dataset, str(tmp_path / "a file"), "is a file, not a folder")


def test_images_of_another_kind_are_pointed_out(tmp_path):
    fill(tmp_path, [], {"train-images-idx3-ubyte.gz": "", "arrays.npz": ""})
    refusal("folder", tmp_path, "holds no image among its 2 file(s); add dataset=idx for files in MNIST's format, or ")
    refusal("folder", tmp_path / "arrays.npz", "is a file, not a folder; add dataset=arrays, or ")


@pytest.mark.parametrize("dataset", READ)
def test_an_unexpanded_tilde_is_explained(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    refusal(dataset, "~/my photos", "does not exist", "only at the start of a word", f"'{tmp_path}/my photos'")


@pytest.mark.parametrize("dataset", READ)
@pytest.mark.parametrize("path", ["", " ", "\n"])
def test_a_path_without_text_is_not_the_working_folder(dataset, path, tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path, ["a.png"]))
    assert "holds no" not in refusal(dataset, path, "data_path")


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


# The other kind of data


@pytest.mark.parametrize("dataset", ["mnist", "stacked_mnist", "pizza", "digits", "stacked_digits"])
def test_images_without_their_data_set_are_told_its_name(dataset, tmp_path):
    what = "holds no MNIST" if "mnist" in dataset else f"the data set {dataset} is drawn, not read"
    refusal(dataset, fill(tmp_path, ["a/1.png"]), what, "dataset=folder")


# MNIST elsewhere, and what is like MNIST


@pytest.mark.parametrize("place", ["raw", "MNIST/raw"])
def test_torchvisions_folders_are_looked_into(tmp_path, place):
    write(tmp_path, named(lambda name: name + ".gz", f"{place}/"))
    assert len(load_mnist("train", tmp_path).images) == 12 and len(load_mnist("test", tmp_path).images) == 5
    write(tmp_path, {name: content for name, content in contents(train=3).items() if "train" in name})
    assert len(load_mnist("train", tmp_path).images) == 3, "the folder itself comes first"
    refusal("mnist", tmp_path, "the test images are missing", split="test")


@pytest.mark.parametrize(
    "files, wanted",
    [
        (named(str, "FashionMNIST/raw/"), ["FashionMNIST"]),
        ({**named(str, "FashionMNIST/raw/"), **named(str, "KMNIST/raw/")}, ["FashionMNIST", "KMNIST"]),
        (named(str, "data/deep/"), ["data/deep"]),
        (named(str, "a b/"), ["'a b'"]),
        (named(lambda name: ("train/" if "train" in name else "test/") + name, "sub/"), ["sub"]),
    ],
)
def test_mnist_in_a_sub_folder_is_found_for_the_message(tmp_path, monkeypatch, files, wanted):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, files)
    places = " or ".join(f"data_path={place}" for place in wanted)
    assert refusal("mnist", ".", "holds no MNIST, but").endswith(f"name {places}")
    assert len(load_mnist("train", wanted[0].strip("'")).images) == 12


@pytest.mark.parametrize(
    "fashion",
    [
        lambda name: "kmnist_" + name.replace("-", "_"),
        str.upper,
        lambda name: f"gzip/{name} (1).gz",
        lambda name: f"{name}/{name}",  # as archives are unpacked
    ],
)
def test_files_named_nearly_like_mnists_are_told_what_they_should_be_called(tmp_path, fashion):
    write(tmp_path, named(fashion))
    message = refusal("mnist", tmp_path, "holds no MNIST, but ", "rename or link")
    for name in contents():
        assert fashion(name) in message.split("; ")[0] and name in message.split("; ")[1]


def test_a_link_of_mnist_that_leads_nowhere_is_named(tmp_path):
    write(tmp_path, contents())
    (tmp_path / "train-images-idx3-ubyte").unlink()
    (tmp_path / "train-images-idx3-ubyte").symlink_to(tmp_path / "gone")
    refusal("mnist", tmp_path, f"{tmp_path}/train-images-idx3-ubyte: cannot be read (No such file")


def test_messages_about_strange_paths_are_one_line(tmp_path):
    home = tmp_path / "line\nbreak"
    write(home, contents())
    assert load_mnist("train", home).source.endswith("line\\nbreak")
    (home / "train-images-idx3-ubyte").write_bytes(b"")
    refusal("mnist", home, "line\\nbreak/train-images-idx3-ubyte: is empty")
    (home / "train-images-idx3-ubyte").unlink()
    refusal("mnist", home, "train images are missing")
