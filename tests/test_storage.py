"""Images that are too many for memory lie in a file, and a run on them has the same bytes."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import run
from helpers.networks import MLP, options
from helpers.resuming import result
from PIL import Image

from ms_gan.data import clusters, storage
from ms_gan.data.changes import Fingerprint
from ms_gan.data.clusters import find_clusters
from ms_gan.data.description import ImageData
from ms_gan.data.folder import decoding
from ms_gan.data.resident import BY_QUARTERS, StoredImages, TurnedImages
from ms_gan.data.storage import is_stored, parts_of, room_for, rows_of
from ms_gan.errors import UserError
from ms_gan.evaluation import judge
from ms_gan.evaluation.metrics import nearest

SHAPE = (10, 3, 4, 4)


@pytest.fixture
def nothing_in_memory(monkeypatch, tmp_path):
    monkeypatch.setenv(storage.VARIABLE, "0")
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_small_sets_stay_in_memory(monkeypatch):
    monkeypatch.delenv(storage.VARIABLE, raising=False)
    assert not is_stored(room_for(SHAPE)) and room_for(SHAPE).shape == SHAPE
    monkeypatch.setenv(storage.VARIABLE, "1")
    assert not is_stored(room_for((1 << 20, 1, 1, 1))) and is_stored(room_for(((1 << 20) + 1, 1, 1, 1)))


def test_a_file_of_images_has_no_name_and_holds_what_it_is_given(nothing_in_memory, monkeypatch):
    monkeypatch.setattr(storage, "ROWS", 3)
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    images = room_for(SHAPE)
    images[:] = pixels
    assert is_stored(images) and images.dtype == np.uint8 and list(nothing_in_memory.iterdir()) == []
    chosen = np.array([7, 0, 3, 3, 9, 1, 8])
    some = rows_of(images, chosen)
    assert is_stored(some) and np.array_equal(some, pixels[chosen])
    assert np.array_equal(rows_of(images, pixels[:, 0, 0, 0] > 99), pixels[pixels[:, 0, 0, 0] > 99])
    assert not is_stored(rows_of(pixels, chosen)) and np.array_equal(rows_of(pixels, chosen), pixels[chosen])
    data, plain = (ImageData("folder", "train", "x", each, None, ()) for each in (images, pixels))
    assert data.sha256 == plain.sha256
    assert is_stored(data.only(chosen).images) and np.array_equal(data.at_size(2).images, plain.at_size(2).images)


def in_memory():
    """How many bytes of files count as this process's memory, on disks and on a tmpfs."""
    status = Path("/proc/self/status").read_text()
    return 1024 * sum(int(re.search(rf"^Rss{kind}:\s+(\d+) kB", status, re.MULTILINE)[1]) for kind in ("File", "Shmem"))


def test_what_was_read_of_a_file_is_no_memory_of_the_process(nothing_in_memory, device):
    images = room_for((16 << 10, 1, 32, 32))  # 16 MiB
    numbers = np.arange(len(images), dtype=np.int32)
    network = judge.build_network("features", (1, 32, 32), 2, 1)
    judge.outputs(network, np.zeros((1, 1, 32, 32), np.uint8))  # brings MindSpore's code into memory

    def is_let_go(act):
        before = in_memory()
        act()
        return in_memory() < before + (4 << 20)

    def write():
        for part in parts_of(images):
            part[:] = numbers[: len(part), None, None, None] % 251

    assert is_let_go(write)
    data = ImageData("folder", "train", "x", images, None, (), names=tuple(map(str, numbers)))
    for cell in (StoredImages(images, None, (0, 1)), TurnedImages(images, None, (0, 1), 32, BY_QUARTERS)):
        some = np.linspace(0, cell.count - 1, 4096).astype(np.int32)
        assert is_let_go(lambda cell=cell, some=some: cell.inputs(some))
    assert is_let_go(lambda: data.sha256)
    assert is_let_go(lambda: Fingerprint.of(data))
    assert is_let_go(lambda: data.only(numbers))
    assert is_let_go(lambda: data.at_size(16))
    assert is_let_go(lambda: find_clusters(images, 2).of(images))
    assert is_let_go(lambda: judge.outputs(network, images))
    assert is_let_go(lambda: nearest(np.zeros((2, 1, 32, 32), np.uint8), images))
    assert not is_let_go(lambda: images.sum()), "so it is seen"


def test_clusters_are_found_a_block_at_a_time(nothing_in_memory, monkeypatch):
    images = room_for((3 * clusters.BLOCK, 1, 4, 4))
    images[:] = np.arange(len(images), dtype=np.uint32)[:, None, None, None] % 251
    expected, seen = find_clusters(np.array(images), 2).of(images), []
    features = clusters.features
    monkeypatch.setattr(clusters, "features", lambda some: (seen.append(len(some)), features(some))[1])
    assert (find_clusters(images, 2).of(images) == expected).all()
    assert seen and max(seen) <= clusters.BLOCK, "no copy of all of them"


def test_of_a_folder_too(nothing_in_memory, monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "ROWS", 16)
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    for number in range(64):
        Image.fromarray(image).save(tmp_path / f"{number:02}.bmp")
    names = [f"{number:02}.bmp" for number in range(64)]
    decoding.read_images(tmp_path, names[:16], 256, 3)
    before = in_memory()
    images, _, _ = decoding.read_images(tmp_path, names, 256, 3)
    assert in_memory() < before + (2 << 20) and images.nbytes == 12 << 20


def test_what_leaves_no_room_is_one_line(nothing_in_memory, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"no room for 0 MB of images \(No space left on device\)"):
        room_for(SHAPE)
    monkeypatch.setenv(storage.VARIABLE, "1 GB")
    with pytest.raises(UserError, match="must be a whole number of MiB, not '1 GB'"):
        room_for(SHAPE)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("scores.held_out=5",), marks=pytest.mark.slow),
        pytest.param(("data.rotate_and_mirror=True",), marks=pytest.mark.slow),
        ("data.quarter_turns=True", "data.classes=2"),
    ],
    ids=["held out", "turned", "labels"],
)
def test_a_run_on_images_in_a_file_has_the_same_bytes(settings, tmp_path):
    stream = np.random.default_rng(1)
    for number in range(40):
        file = tmp_path / "data" / ("dark", "light")[number % 2] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stream.integers(0, 256, (30, 24), np.uint8)).save(file)
    arguments = ("train", "--recipe", "rpgan", "--dataset", "folder", "--data-path", tmp_path / "data", *options(MLP))
    arguments = (*arguments, *options(("data.size=12", "data.clusters=0", *settings)), "--batch-size", 8)
    found = []
    for place, variable in (("memory", "512"), ("file", "0")):
        done = run(*arguments, "--steps", 5, "--output-dir", tmp_path / place, **{storage.VARIABLE: variable})
        found.append(result(tmp_path / place / "rpgan" / "1", 5))
        assert "MB in a file" not in done.stdout, "that is only worth a note of many"
    assert found[0] == found[1]
    if "data.classes=2" in settings:  # and goes on with the other
        run("train", "--resume", tmp_path / "file/rpgan/1", "--steps", 8, **{storage.VARIABLE: "512"})
        run("train", "--resume", tmp_path / "memory/rpgan/1", "--steps", 8, **{storage.VARIABLE: "0"})
        assert result(tmp_path / "file/rpgan/1", 8) == result(tmp_path / "memory/rpgan/1", 8)
