"""What comes before the first step: an undisturbed import, data that are read beside it, memory that is given back."""

from __future__ import annotations

import gzip
import json
import platform
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import mindspore
import numpy as np
import pytest
from helpers import commands
from helpers.idx_files import NAMES, contents, fill
from helpers.refusals import refused
from mindspore import Tensor

import ms_gan.data
from ms_gan import runtime
from ms_gan.data import mnist
from ms_gan.data.mnist.idx import read_idx
from ms_gan.data.resident import ResidentImages
from ms_gan.training import loop
from ms_gan.training.request import DataChoice, ResumeRequest, TrainRequest

IMPORTS = "import gc; from ms_gan import runtime; "
needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs Linux with glibc")


def printed(program: str) -> list[str]:
    """Run a program in a process of its own; return the words that it prints."""
    done = commands.python("-c", program)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# The import


@pytest.mark.parametrize("collecting", [True, False])
def test_the_import_leaves_its_objects_out_of_garbage_collection_and_the_collector_as_it_was(collecting):
    program = "{}; runtime.import_mindspore(); print(gc.get_freeze_count(), gc.isenabled())"
    frozen, enabled = printed(IMPORTS + program.format("gc.enable()" if collecting else "gc.disable()"))
    assert int(frozen) > 50_000
    assert enabled == str(collecting)


def test_a_second_import_puts_nothing_more_out_of_sight():
    program = "runtime.import_mindspore(); before = gc.get_freeze_count(); more = [[] for _ in range(9999)]; "
    program += "runtime.import_mindspore(); print(gc.get_freeze_count() == before)"
    assert printed(IMPORTS + program) == ["True"]


@needs_glibc
def test_code_that_only_the_import_needed_is_given_back_and_all_still_runs():
    program = """
from ms_gan import runtime
def mapped():
    return int(open("/proc/self/status").read().split("RssFile:")[1].split()[0])
runtime.import_mindspore()
before = mapped()
runtime.give_back_memory()
after = mapped()
import mindspore as ms
runtime.set_up("CPU")
total = ms.ops.sum(ms.ops.matmul(ms.ops.ones((64, 64)), ms.ops.ones((64, 64)))).asnumpy()
print(before, after, total)
"""
    before, after, total = printed(program)
    assert int(after) < int(before) / 2
    assert float(total) == 64**3


@pytest.mark.parametrize(
    "libc, told, target, expected",
    [
        ("glibc", True, "CPU", ["madvise", "malloc_trim"]),
        ("glibc", False, "CPU", ["malloc_trim"]),
        ("", True, "CPU", []),
        ("glibc", True, "Ascend", []),
    ],
    ids=["all", "no mappings", "no glibc", "no CPU"],
)
def test_memory_is_given_back_only_where_it_can_be(libc, told, target, expected, monkeypatch):
    called, code = [], f"1000-2000 r-xp 0 00:00 0 {Path(mindspore.__file__).resolve().parent}/lib/some.so"
    functions = {name: lambda *_, name=name: called.append(name) for name in ("madvise", "malloc_trim")}
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda _: SimpleNamespace(**functions))
    monkeypatch.setattr(runtime, "_mappings", lambda: code if told else "")
    monkeypatch.setattr(runtime, "_device", runtime.Device(target, 0))
    runtime.give_back_memory()
    assert called == expected


def test_memory_is_given_back_before_and_after_the_step_that_is_compiled(device, monkeypatch):
    done = []
    monkeypatch.setattr(loop, "give_back_memory", lambda: done.append("gives back"))
    monkeypatch.setattr(loop, "run_cell", lambda *_: done.append("step") or Tensor(np.zeros(1, np.float32)))
    loop.Loop(None, None, device, 1).run(None, "step", 5, 8, [])
    assert done == ["gives back", "step", "gives back", "step", "step"]


# Images are there once


def test_a_step_shares_the_memory_of_its_images(device, random_images):
    assert np.shares_memory(ResidentImages(random_images, None, (0, 255)).images.asnumpy(), random_images)


def test_images_that_cannot_be_shared_are_copied(device, random_images):
    turned = random_images.transpose(0, 1, 3, 2)
    fixed = random_images.copy()
    fixed.flags.writeable = False
    for images in (turned, fixed):
        drawn = ResidentImages(images, None, (0, 255))(Tensor(np.arange(64, dtype=np.int32))).asnumpy()
        assert np.array_equal(drawn, images)


def test_images_live_as_long_as_what_shares_them(device, random_images):
    cell = ResidentImages(random_images.copy(), None, (0, 255))
    others = [np.full_like(random_images, 7) for _ in range(50)]  # which might take their place
    drawn = cell(Tensor(np.arange(64, dtype=np.int32))).asnumpy()
    assert np.array_equal(drawn, random_images) and len(others) == 50


# Reading beside the import


@pytest.mark.parametrize("name", ["mnist", "stacked_mnist"])
def test_what_was_read_ahead_is_taken(tmp_path, name):
    fill(tmp_path, contents())
    expected = ms_gan.data.load(name, "train", tmp_path)
    before = set(threading.enumerate())
    ms_gan.data.read_ahead(name, tmp_path)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    for file in tmp_path.iterdir():
        file.unlink()
    images = ms_gan.data.load(name, "train", tmp_path)
    assert images.sha256 == expected.sha256 and images.source == expected.source
    assert "holds no MNIST" in refused(ms_gan.data.load, name, "train", tmp_path)  # it is taken once


def test_the_checksum_is_computed_ahead_also_without_assertions(tmp_path):
    fill(tmp_path, contents())
    program = "import sys; from ms_gan.data import mnist; mnist.read_ahead(sys.argv[1]); "
    program += "print('sha256' in vars(mnist.load_mnist('train', sys.argv[1])))"
    done = commands.python("-O", "-c", program, tmp_path)
    assert done.stdout == "True\n", done.stderr


def test_faults_are_told_when_the_data_are_loaded_and_not_before(tmp_path, own_cache, capfd):
    ms_gan.data.read_ahead("mnist", tmp_path)
    ms_gan.data.read_ahead("mnist", None)  # the cache of this test is empty
    ms_gan.data.read_ahead("folder", tmp_path)
    assert "holds no MNIST" in refused(ms_gan.data.load, "mnist", "train", tmp_path)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_downloaded_ahead(own_cache, monkeypatch):
    downloading = []
    monkeypatch.setattr(mnist.download, "download_mnist", lambda *_: downloading.append(threading.current_thread()))
    ms_gan.data.read_ahead("mnist")
    assert "does not exist" in refused(ms_gan.data.load, "mnist", "train")  # this mirror brought nothing
    assert downloading == [threading.main_thread()]


def test_signals_are_left_to_the_main_thread(tmp_path, monkeypatch):
    fill(tmp_path, contents())
    found = []
    monkeypatch.setattr(mnist, "read_idx", lambda path: found.append(signal.pthread_sigmask(0, ())) or read_idx(path))
    ms_gan.data.read_ahead("mnist", tmp_path)
    ms_gan.data.load("mnist", "train", tmp_path)
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= found[0]
    assert not {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_train_reads_while_mindspore_is_imported(tmp_path, monkeypatch):
    class Enough(Exception):
        pass

    def enough():
        raise Enough

    asked = []
    monkeypatch.setattr(ms_gan.data, "read_ahead", lambda *what: asked.append(what))
    monkeypatch.setattr(runtime, "import_mindspore", enough)
    (tmp_path / "settings.json").write_text(json.dumps({"dataset": "mnist"}))
    (tmp_path / "provenance.json").write_text(json.dumps({"data": {"path": "/there"}}))
    for arguments in (
        ("--recipe", "mlp", "--data-path", "/here"),
        ("--recipe", "mlp", "--dataset", "digits"),
        ("--resume", tmp_path),
        ("--resume", tmp_path, "--data-path", "/moved"),
    ):
        with pytest.raises(Enough):
            commands.here("train", *arguments)
    there = [("mnist", "/here"), ("digits", None), ("mnist", "/there")]
    assert asked == [*there, ("mnist", "/moved")]


@pytest.mark.parametrize("content", [None, "{}", "no JSON", '{"data": null}', "[]"])
def test_a_damaged_run_is_not_told_of_ahead(tmp_path, content):
    if content is not None:
        for name in ("settings.json", "provenance.json"):
            (tmp_path / name).write_text(content)
    ResumeRequest(tmp_path, data=DataChoice()).read_ahead()


@pytest.mark.parametrize("dataset", [5, None, ["mnist"]])
def test_a_run_whose_data_set_is_no_name_is_told_to_be_damaged(tmp_path, capsys, dataset):
    (tmp_path / "settings.json").write_text(json.dumps({"dataset": dataset}))
    (tmp_path / "provenance.json").write_text(json.dumps({"data": {"path": None}}))
    assert "settings.json: damaged" in commands.refused_here(capsys, "train", "--resume", tmp_path)


def test_a_recipes_file_runs_after_mindspore_was_imported(tmp_path, monkeypatch):
    """What it imports may import MindSpore, and a signal then would bring the process down."""

    def imports():
        raise EOFError

    monkeypatch.chdir(tmp_path)
    Path("recipe.py").write_text("raise ValueError('it was run')")
    Path("settings.json").write_text('{"recipe": {}}')
    monkeypatch.setattr(runtime, "import_mindspore", imports)
    for name in ("recipe.py", "settings.json"):
        with pytest.raises(EOFError):
            commands.here("train", "--recipe", name)


def test_a_new_run_on_the_recipes_data_is_read_ahead_from_the_cache(monkeypatch, small_recipe):
    asked = []
    monkeypatch.setattr(ms_gan.data, "read_ahead", lambda *what: asked.append(what))
    TrainRequest(small_recipe).read_ahead()
    assert asked == [("mnist", None)]


# Gzip files


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("level", [0, 9])
def test_gzip_files_of_several_members_and_with_padding_are_read(tmp_path, monkeypatch, block, level):
    monkeypatch.setattr("ms_gan.data.mnist.idx.BLOCK", block)
    content = contents()[NAMES[1]]
    array = np.frombuffer(content, np.uint8)[8:]
    path = tmp_path / "array"
    for cut in (0, 3, len(content)):
        members = gzip.compress(content[:cut], level), gzip.compress(content[cut:], level)
        path.write_bytes(members[0] + bytes(300) + members[1] + bytes(200))
        assert np.array_equal(read_idx(path), array)
        path.write_bytes(members[0] + bytes(300) + members[1] + bytes(200) + b"tail")
        assert "gzip stream is damaged" in refused(read_idx, path)
        path.write_bytes(members[0] + members[1][:-1])
        assert "gzip stream is damaged" in refused(read_idx, path)


@needs_glibc
def test_a_run_needs_its_images_once(tmp_path):
    """Of 160 MB of images a run takes less than 1.5 times as much memory more than a run of few."""
    peaks = []
    for count in (256, 200_000):
        folder = commands.write_mnist(tmp_path / str(count), 256)
        if count > 256:
            shape = count.to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
            images = np.tile(np.arange(28, dtype=np.uint8), count * 28).tobytes()
            (folder / NAMES[0]).write_bytes(b"\0\0\x08\x03" + shape + images)
            (folder / NAMES[1]).write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + bytes(count))
        options = ("--recipe", "mlp", "--steps", "2", *commands.SMALL, "--data-path", folder, "--output-dir", tmp_path)
        program = "import resource, sys; from ms_gan.cli import main; status = main(sys.argv[1:]); "
        program += "print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        done = commands.python("-c", program, "train", *options)
        status, peak = done.stdout.split()[-2:]
        assert status == "0", done.stderr
        peaks.append(int(peak) / 1000)
    assert peaks[1] - peaks[0] < 1.5 * 157
