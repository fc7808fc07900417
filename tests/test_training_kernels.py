"""A training whose convolutions are compiled on this machine: the same as MindSpore's, and as exact."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from helpers.commands import kill_when, run, start, steps_saved, write_mnist
from helpers.networks import ACGAN, options, step_of
from helpers.resuming import ENDLESS, result, steps_to_resume_to
from mindspore import Tensor

from ms_gan.kernels.layers import use_own
from ms_gan.recipes.build import build_generator
from ms_gan.runs.checkpoints import load_cells, newest_checkpoint
from ms_gan.runs.provenance import Start
from ms_gan.runs.run_folder import RunFolder
from ms_gan.sampling import seeded_inputs
from ms_gan.training.kernels import choose_kernels

STEPS = 20
OWN, MINDSPORE = {"MS_GAN_KERNELS": "1"}, {"MS_GAN_KERNELS": "0"}

pytestmark = pytest.mark.usefixtures(
    "device", "own_kernels"
)  # which have to be there; the processes find them in the cache


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_mnist(tmp_path_factory.mktemp("data") / "mnist", 64)


def arguments(data, output, steps=STEPS):
    small = ("--batch-size", 8, *options(ACGAN), "--set", "schedule.steps_per_epoch=7")
    return ("train", "--recipe", "acgan", "--data-path", data, *small, "--steps", steps, "--output-dir", output)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Two runs by the two kinds of kernels: the folder of each, and what its process printed."""
    found = {}
    for kind, variables in (("own", OWN), ("mindspore", MINDSPORE)):
        folder = tmp_path_factory.mktemp(kind)
        found[kind] = (folder / "acgan" / "1", run(*arguments(data, folder), **variables).stdout)
    return found


def recorded(run_folder):
    return [start.versions.get("kernels") for start in RunFolder.open(run_folder).read_provenance().starts]


def test_a_run_says_what_computed_its_convolutions(runs):
    (own,), (stock,) = (recorded(runs[kind][0]) for kind in ("own", "mindspore"))
    assert own.startswith("ms_gan's kernels, compiled by ")
    assert stock == "MindSpore's kernels (MS_GAN_KERNELS=0)"
    assert (
        f"note: layers are computed by {stock}; " in runs["mindspore"][1]
        and "note: layers are computed" not in runs["own"][1]
    )


def test_losses_are_those_of_mindspores_kernels(runs):
    own, stock = (np.genfromtxt(runs[kind][0] / "history.csv", delimiter=",")[1:] for kind in ("own", "mindspore"))
    np.testing.assert_allclose(own, stock, rtol=1e-4)
    own, stock = (result(runs[kind][0], STEPS)["generator.ckpt"] for kind in ("own", "mindspore"))
    assert own != stock, "they add up in another order"


def test_a_killed_run_resumes_to_the_same_bytes(data, runs, tmp_path, monkeypatch):
    monkeypatch.setenv("MS_GAN_KERNELS", "1")
    run_folder = tmp_path / "killed" / "acgan" / "1"
    kill_when(lambda: steps_saved(run_folder) > 0, start(*arguments(data, tmp_path / "killed", ENDLESS)))
    steps = steps_to_resume_to(run_folder, STEPS)
    run("train", "--resume", run_folder, "--steps", steps)
    run(*arguments(data, tmp_path / "whole", steps))
    assert result(run_folder, steps) == result(tmp_path / "whole" / "acgan" / "1", steps)


def test_a_run_goes_on_with_the_kernels_that_it_began_with(runs, data, tmp_path):
    """Also one of the time before there was a record. One that began with our own says when these are gone."""
    folders = {kind: shutil.copytree(runs[kind][0], tmp_path / kind / "acgan" / "1") for kind in runs}
    file = folders["mindspore"] / "provenance.json"
    content = json.loads(file.read_text())
    del content["starts"][0]["versions"]["kernels"]
    file.write_text(json.dumps(content))
    for _ in range(2):
        run("train", "--resume", folders["mindspore"], "--steps", 2 * STEPS, **OWN)
    run(*arguments(data, tmp_path / "whole", 2 * STEPS), **MINDSPORE)
    assert result(folders["mindspore"], 2 * STEPS) == result(tmp_path / "whole" / "acgan" / "1", 2 * STEPS)
    assert recorded(folders["mindspore"]) == [None, *2 * ["MindSpore's kernels, as when the run began"]]
    told = run("train", "--resume", folders["own"], "--steps", 2 * STEPS, **MINDSPORE).stdout
    assert "note: kernels was ms_gan's kernels, compiled by " in told and "the bytes may differ from here on" in told


def test_own_kernels_come_back_to_a_run_that_began_with_them(device):
    own, without = (Start(versions={"kernels": kind}) for kind in ("ms_gan's kernels, …", "MindSpore's kernels, …"))
    for starts, kind in (
        ((own, without), "ms_gan's kernels, compiled by "),
        ((without, own), "MindSpore's kernels, as"),
    ):
        assert choose_kernels(step_of("acgan", *ACGAN), device, starts)["kernels"].startswith(kind)


def test_a_run_of_the_time_when_only_convolutions_had_kernels_goes_on_with_own_ones(runs, tmp_path):
    run_folder = shutil.copytree(runs["own"][0], tmp_path / "run")
    file = run_folder / "provenance.json"
    content = json.loads(file.read_text())
    versions = content["starts"][0]["versions"]
    versions["convolutions"] = versions.pop("kernels") + " of before"
    file.write_text(json.dumps(content))
    told = run("train", "--resume", run_folder, "--steps", STEPS + 1, **OWN).stdout
    assert "note: convolutions was ms_gan's kernels, compiled by " in told and "may differ from here on" in told
    assert recorded(run_folder)[1].startswith("ms_gan's kernels, compiled by ")


def test_what_leaves_a_run_is_computed_by_mindspores_kernels(runs, tmp_path):
    run_folder = shutil.copytree(runs["own"][0], tmp_path / "run")
    files = {}
    for variables in (OWN, MINDSPORE):
        run("eval", run_folder, "--overwrite", **variables)
        files[variables["MS_GAN_KERNELS"]] = (run_folder / "eval" / "samples.png").read_bytes()
    assert files["1"] == files["0"]
    run("export", run_folder, **OWN)
    contract = json.loads((run_folder / "export" / "contract.json").read_text())
    assert contract["parity"]["generator.mindir"]["greatest_difference"] == 0


def test_pictures_on_the_way_differ_from_those_of_eval_by_rounding(runs):
    """Sample grids and scores of a run are computed by its own kernels: weights of a training, 100 latents."""
    recipe = RunFolder.open(runs["own"][0]).read_settings().recipe
    latents, labels = (
        Tensor(array) for array in seeded_inputs(recipe.latent, 100, 1, np.arange(100, dtype=np.int32) % 10)
    )
    images = []
    for own in (False, True):
        generator = build_generator(recipe)
        load_cells(newest_checkpoint(runs["own"][0] / "checkpoints"), {"generator": generator})
        generator.set_train(False)
        assert not own or use_own(generator) > 0
        images.append(generator(latents, labels).asnumpy())
    assert 0 < np.abs(images[0] - images[1]).max() < 1e-5, "of pixels in [0, 1]"


def test_without_a_compiler_mindspores_kernels_are_used(data, tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()
    told = run(*arguments(data, tmp_path, 2), **OWN, PATH=str(empty), MS_GAN_CACHE=str(tmp_path / "cache")).stdout
    (stock,) = recorded(tmp_path / "acgan" / "1")
    assert (
        stock.startswith("MindSpore's kernels (")
        and f"note: layers are computed by {stock}" in told
        and "install" in stock
    )


def test_a_step_of_mlp_has_so_few_operators_that_mindspore_runs_it_in_one_thread(tmp_path):
    """At most 100. With more its threads wait for each other, on a busy machine very long."""
    place = write_mnist(tmp_path / "mnist", 256)
    arguments = ("train", "--recipe", "mlp", "--data-path", place, "--steps", 4, "--output-dir", tmp_path)
    told = run(*arguments, GLOG_v="1", **OWN)
    threads = re.findall(r"execution count: [2-4], .* in multi thread or not: (\d)", told.stdout + told.stderr)
    assert len(threads) >= 3 and set(threads) == {"0"}
