"""What the benchmarks compute, by known answers; they are no part of the package."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import gaussians
import numpy as np
import pytest
import tags
from helpers.networks import noise_for

import ms_gan
from benchmarks import __main__ as command_line
from benchmarks import check, contender, processes
from benchmarks.tables import limit, load, steps
from ms_gan import recipes
from ms_gan.evaluation.metrics import tag_indicators

ROOT = Path(__file__).resolve().parent.parent


def test_what_a_tag_means_is_found_again():
    random = np.random.default_rng(0)
    of_tags, ground = random.random((3, 2, 2)), random.random((2, 2))
    labels = np.int32([[1, 3], [2, 0], [0, 0], [1, 2], [3, 0], [1, 0], [2, 3]])
    has = tag_indicators(labels, 3)
    assert has.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 1]]
    images = ground + np.einsum("nt,thw->nhw", has, of_tags)
    np.testing.assert_allclose(tags.meanings(images, has), of_tags.reshape(3, 4), atol=1e-12)


def test_rank_correlation():
    assert tags.rank_correlation(np.array([1.0, 5, 2]), np.array([10.0, 11, 10.5])) == pytest.approx(1)
    assert tags.rank_correlation(np.array([1.0, 5, 2]), -np.array([10.0, 11, 10.5])) == pytest.approx(-1)
    assert tags.rank_correlation(np.array([1.0, 1, 2, 2]), np.array([4.0, 1, 3, 2])) == pytest.approx(0)  # ties share
    assert tags.rank_correlation(np.array([7, 5, 5, 1]), np.array([3, 2, 1, 0])) == pytest.approx(0.9486833)


def test_a_perfect_sampler_of_the_mixture_finds_all_modes():
    points = gaussians.draw_points(100_000, np.random.default_rng(1))
    modes, share = gaussians.count_modes(points)
    assert modes == 25 and share == pytest.approx(1 - np.exp(-4.5), abs=0.001)  # P(radius < 3 sigma) in the plane


def test_modes_are_counted_by_good_points_alone():
    points = np.array([[0, 0], [0.14, 0], [0.16, 0], [2, 2.149], [4, 4.2], [1, 1], [-4, -4.05]])
    assert gaussians.count_modes(points) == (3, 4 / 7)
    assert gaussians.count_modes(np.full((5, 2), 1.0)) == (0, 0.0)


@pytest.mark.parametrize("family", ["gan", "rpgan"])
def test_each_family_of_the_comparison_trains_on_points(device, family):
    samples = gaussians.train(family, seed=1, steps=2)
    assert set(samples) == {"trained", "ema"}
    assert all(points.shape == (2500, 2) and np.isfinite(points).all() for points in samples.values())


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("dcgan", "cvae_gan")]


@pytest.mark.parametrize("recipe", ["mlp", "rpgan", "acgan", "cvae_early", *LARGE])
def test_the_programs_in_pytorch_compute_what_ms_gan_does(device, recipe):
    pytest.importorskip("torch", reason="PyTorch is not installed (requirements-bench.txt)")
    compared, _ = check.compare(recipe)
    assert check.too_far(recipe, compared) == {}
    assert any(what.startswith(check.WEIGHTS) for what in compared) and len(compared) > 4


@pytest.mark.parametrize(
    "name, dataloader", [("mlp", True), *((name, False) for name in ("mlp", "acgan", "cvae_early", "rpgan_residual"))]
)
def test_the_programs_in_pytorch_get_batches_of_their_recipe(name, dataloader):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (requirements-bench.txt)")
    from benchmarks.pytorch.data import batches

    recipe = recipes.override(recipes.load(name), ["schedule.batch_size=8"])
    data = noise_for(recipe, 32)
    images, labels = batches(recipe, data, torch.contiguous_format, dataloader).next()
    assert images.shape == (8, recipe.data.channels, recipe.data.size, recipe.data.size)
    assert images.dtype == torch.float32 and recipe.data.pixel_range[0] <= images.min() < images.max() <= 1
    assert (labels is None) == (not recipe.data.classes) or labels.dtype == torch.int64


def test_what_is_too_far_is_named():
    compared = {"loss": 2e-3, "right": 9e-4, "weights of generator": 0.05, "weights of encoder": float("nan")}
    assert set(check.too_far("mlp", compared)) == {"loss", "weights of generator", "weights of encoder"}
    assert set(check.too_far("dcgan", compared)) == {"loss", "weights of encoder"}
    assert check.too_far("mlp", {"weights of generator": 1e-3}) == {}


def test_ratios_are_taken_within_a_round():
    times = [(10, 20), (30, 40), (10, 40)]  # the machine was slow in the second round
    rounds = [
        {
            name: {"milliseconds": value, "peak_megabytes": 100 * value, "others": 0.25 * (value == 40)}
            for name, value in zip(("ms_gan", "other"), pair)
        }
        for pair in times
    ]
    ratios = "0.50 (0.25 to 0.75)"
    assert steps.rows_of("mlp", ["ms_gan", "other"], rounds) == [
        ["mlp", "ms_gan", "10.0", "", "1000", "", "0%"],
        ["mlp", "other", "40.0", ratios, "4000", ratios, "25%"],
    ]


def test_a_contender_is_timed_after_the_warm_up(monkeypatch):
    now = faked_clock(monkeypatch, contender)
    clock = contender.Clock(seconds=0.0)
    while not clock.stopped():
        now[0] += 0.2 if len(clock.ticks) < contender.WARM_UP else 0.02
        clock.tick()
    report = clock.report()
    assert report["steps"] == contender.FEWEST and report["milliseconds"] == pytest.approx(20)
    assert report["mean_milliseconds"] == report["processor_milliseconds"] == pytest.approx(20)
    assert 0 <= report["others"] <= 1 and report["peak_megabytes"] > 0


def test_busy_processes_end_with_what_is_measured_beside_them():
    started = []

    def busy():
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
        return [number for number in children if "getppid" in command_of(number)]

    def measured():
        wait_until(lambda: len(busy()) == 2)
        started.extend(busy())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load.beside(2, measured)
    assert len(started) == 2
    assert not any(Path(f"/proc/{number}").exists() for number in started)


def test_a_measurement_is_repeated_where_other_work_came_between(monkeypatch):
    reports = iter([{"others": 0.3}, {"others": 0.01}])
    monkeypatch.setattr(processes, "run", lambda *command, **more: json.dumps(next(reports)))
    monkeypatch.setattr(processes, "busy_seconds", lambda: 0.0)
    options = argparse.Namespace(seconds=1.0, data_path=None, patience=60.0)
    assert processes.time_steps("mlp", "PyTorch", options) == {"others": 0.01}
    reports, options.patience = iter([{"others": 0.06}, {"others": 0.5}]), 2.0
    now = faked_clock(monkeypatch, processes)
    monkeypatch.setattr(processes, "wait_for_quiet", lambda deadline: now.__setitem__(0, now[0] + 1))
    assert processes.time_steps("mlp", "PyTorch", options) == {"others": 0.06}, "the quietest, not the last"


def test_nobody_waits_for_quiet_longer_than_asked(monkeypatch):
    now = faked_clock(monkeypatch, processes)
    monkeypatch.setattr(processes, "busy_seconds", lambda: 1e6 * now[0])
    processes.wait_for_quiet(1.5)
    assert now == [2]


def test_the_multiplications_of_a_step_are_those_of_its_matrix_products():
    shapes_g = [(100, 128), (128, 256), (256, 512), (512, 1024), (1024, 784)]
    shapes_d = [(784, 512), (512, 256), (256, 1)]
    products = []  # rows, before, after
    for index, shape in enumerate(shapes_g):
        products += [(128, *shape)] * (3 if index else 2)  # forward, weights, and inputs, but for the latents'
    for index, shape in enumerate(shapes_d):
        products += [(256, *shape)] * (3 if index else 2)  # D's own update, on real and fake images
        products += [(128, *shape)] * 2  # G's: forward, and back to its images
    assert limit.multiplications_of_a_step(ms_gan.recipe("mlp")) == sum(a * b * c for a, b, c in products)


@pytest.mark.skipif(not any(map(shutil.which, limit.COMPILERS)), reason="no C compiler here")
def test_peak_rates_are_measured_where_there_is_a_compiler():
    peak = limit.compiled_rates(0.05)
    assert peak["lanes"] in (4, 8, 16) and peak["multiplications"] > 0 and peak["bytes"] > 0


def test_mindspores_kernels_are_not_taken_for_ms_gans(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_CUSTOM_AOT_WHITE_LIST", str(tmp_path))  # which holds no cache
    options = argparse.Namespace(seconds=0.0, data_path=None, patience=0.0)
    with pytest.raises(SystemExit, match="^error: ms_gan's kernels are meant, but there are MindSpore's kernels .+$"):
        processes.time_steps("mlp", "ms_gan", options, images=128)
    report = processes.time_steps("mlp", contender.STOCK, options, images=128)
    assert report["kernels"] == "MindSpore's kernels (MS_GAN_KERNELS=0)"


def test_the_kernels_of_ms_gan_are_reported(own_kernels, monkeypatch):
    monkeypatch.setenv("MS_GAN_KERNELS", "0")  # that is for users' own trainings
    options = argparse.Namespace(seconds=0.0, data_path=None, patience=0.0)
    report = processes.time_steps("mlp", "ms_gan", options, images=128)
    assert report["kernels"].startswith("ms_gan's kernels, compiled by ")


def test_every_contender_has_the_environment_of_the_scripts():
    assert "glibc.malloc.hugetlb=1" in processes.run(["-c", "import os; print(os.environ['GLIBC_TUNABLES'])"])


def test_the_command_writes_its_tables(own_kernels, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed (requirements-bench.txt)")
    command = [sys.executable, "-m", "benchmarks", "limit", "--quick", "--seconds", "0.1", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, kept = (tmp_path / "limit.md").read_text(), json.loads((tmp_path / "limit.json").read_text())
    assert text in done.stdout and "| its least time, ms |" in text and kept["machine"]["mindspore"] in text
    assert kept["measured"]["multiplications"] == limit.multiplications_of_a_step(ms_gan.recipe("mlp"))
    assert [len(times) for times in kept["measured"]["milliseconds"].values()] == [1, 1]
    assert "limit: 4 of 4, a step of mlp: PyTorch, round 1; " in done.stderr and " left" in done.stderr


def test_tables_are_replaced_only_where_that_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "find_spec", lambda name: name)
    (tmp_path / "limit.json").touch()
    for more, refused in ((["limit"], True), (["start"], False), (["limit", "--overwrite"], False), ([], True)):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *more, "--output", str(tmp_path)])
        if not refused:
            command_line.parsed()
            continue
        with pytest.raises(SystemExit):
            command_line.parsed()
        assert "holds limit.json; add --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["stepps"], "there is no table 'stepps' here; take some of steps, load, "),
        (["check", "vgg"], "there is no recipe 'vgg' here; take some of mlp, "),
        (["--data-path", "nowhere"], "--data-path nowhere: no such folder"),
    ],
)
def test_the_command_says_what_is_wrong_before_it_measures(arguments, problem):
    pytest.importorskip("torch", reason="PyTorch is not installed (requirements-bench.txt)")
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and problem in done.stderr.splitlines()[-1]


def test_a_missing_package_is_named_with_its_cure(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "steps"])
    monkeypatch.setattr(command_line, "find_spec", lambda package: None if package == "torch" else package)
    with pytest.raises(SystemExit):
        command_line.main()
    assert "torch cannot be imported; install: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_all_tables_are_measured_quickly(own_kernels, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed (requirements-bench.txt)")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--seconds", "0.1", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{table}.{kind}" for table in command_line.TABLES for kind in ("md", "json")
    }


def test_busy_processes_end_with_a_process_that_is_killed(tmp_path):
    code = "import time; from benchmarks.tables.load import beside; beside(1, lambda: time.sleep(60))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        wait_until(lambda: any("getppid" in command_of(number) for number in children.read_text().split()))
        (busy,) = children.read_text().split()
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: "getppid" not in command_of(busy))


def faked_clock(monkeypatch, module):
    """Give a module a clock that moves by its own sleep alone, or by hand; return a list with its seconds."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    def read():
        return now[0]

    monkeypatch.setattr(
        module, "time", SimpleNamespace(perf_counter=read, process_time=read, monotonic=read, sleep=sleep)
    )
    return now


def command_of(number):
    """Return the command of a process, or nothing where it has ended."""
    try:
        return Path(f"/proc/{number}/cmdline").read_text()
    except OSError:
        return ""


def wait_until(true):
    """Wait until a function says so; fail after 30 seconds."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
