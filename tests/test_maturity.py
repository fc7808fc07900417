"""How much of what draws is still as it was before the first step, and who is told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.commands import SMALL, here, write_mnist

from ms_gan import cli, recipes
from ms_gan.runs.checkpoints import read_state
from ms_gan.runs.maturity import Maturity, left_of, maturity
from ms_gan.steps.ema import rate_of, warm_up_steps


def recipe_with(decay, momentum=None, name="rpgan"):
    settings = [f"ema.decay={decay}"] + ([f"generator.batch_norm.momentum={momentum}"] if momentum else [])
    return recipes.override(recipes.load(name), settings)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999, 0.9999])
def test_the_rate_is_that_of_the_warm_up_and_then_of_the_decay(decay):
    for updates in (0, 1, 5, 100, 10**6):
        assert 1 - rate_of(decay, updates) == pytest.approx(min(decay, (1 + updates) / (10 + updates)))
    end = warm_up_steps(decay)
    assert rate_of(decay, end + 1) == pytest.approx(1 - decay) and (end == 0 or rate_of(decay, end - 1) > 1 - decay)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999, 0.99999])
def test_with_the_warm_up_little_is_left_of_the_untrained_weights_after_some_steps(decay):
    assert left_of(1.0, decay, 0, 1) == pytest.approx(min(0.1, decay))
    assert left_of(1.0, decay, 0, 20) < 1e-3
    split = left_of(left_of(1.0, decay, 0, 7), decay, 7, 12)
    assert split == pytest.approx(left_of(1.0, decay, 0, 12))


def test_an_average_is_noted_while_it_is_mostly_initial_and_until_its_warm_up_is_over():
    found = maturity(recipe_with(0.999), 200, 0.82)
    assert found.mostly_initial and "82%" in found.note()
    note = maturity(recipe_with(0.999), 200, 1e-12).note()
    assert "so far over about 20 steps" in note and "grows to about 1,000 at step 8,990" in note
    assert maturity(recipe_with(0.999), warm_up_steps(0.999), 0.0).note() is None
    assert "step 0" in maturity(recipes.load("mlp"), 0, 1.0).note()


def test_after_a_warm_start_nothing_is_initial():
    recipe = recipe_with(0.999, 0.99)
    assert maturity(recipe, 0, 0.0, warm_start=True).note() is None
    warm = maturity(recipe, 20, 0.0, warm_start=True)
    assert warm.statistics == warm.weights == 0 and "so far over about 2 steps" in warm.note()
    assert not warm.mostly_initial and maturity(recipe, 20, 0.0).mostly_initial


def test_of_several_batch_norms_the_slowest_counts_and_of_none_none():
    places = {"generator.batch_norm.place": "before", "encoder.batch_norm.place": "after"}
    momenta = {"generator.batch_norm.momentum": 0.99, "encoder.batch_norm.momentum": 0.9}
    two = SimpleNamespace(ema=SimpleNamespace(decay=0.0), settings=lambda: {**places, **momenta})
    assert maturity(two, 20, 0.0).statistics == pytest.approx(0.99**20)
    plain = recipes.load("mlp").but({"generator.batch_norm.place": "none"})
    assert maturity(plain, 20, 0.0).statistics == 0


@pytest.mark.parametrize("share, told", [(0.05, False), (0.2, True)])
def test_a_share_above_a_tenth_is_worth_a_note(share, told):
    for found in (Maturity(50, share, 0, 0), Maturity(50, 0, share, 0)):
        assert bool(found.note()) == told


def test_an_average_over_a_few_steps_is_told_in_whole_ones():
    assert "so far over about 1 step;" in Maturity(5, 0, 0, 100).note()
    assert "so far over about 2 steps;" in Maturity(20, 0, 0, 100).note()


@pytest.mark.parametrize("decay", [0.0, 0.999])
def test_statistics_of_batch_norm_that_are_mostly_initial_are_noted(decay):
    young, old = (maturity(recipe_with(decay, 0.99), step, 0.0) for step in (20, 2000))
    assert young.mostly_initial and "BatchNorm" in young.note()
    assert not old.mostly_initial and "BatchNorm" not in (old.note() or "")
    if not decay:
        assert young.statistics == pytest.approx(0.99**20)


def test_statistics_of_an_average_are_those_of_its_own_update():
    average = now = 1.0
    for updates in range(50):
        now *= 0.9
        average += rate_of(0.99, updates) * (now - average)
    assert maturity(recipe_with(0.99, 0.9), 50, 0.0).statistics == pytest.approx(average)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maturity")
    write_mnist(folder / "data", 100)
    where = ("--data-path", folder / "data", "--output-dir", folder)
    here("train", "--recipe", "rpgan", *SMALL, "--batch-size", 10, "--steps", 30, *where)
    return folder / "rpgan" / "1"


@pytest.mark.usefixtures("device")
def test_the_average_of_a_short_run_is_near_to_its_network(run):
    """Of 0.999 without warm-up, 97% of the average would be the weights that the run began with."""
    from mindspore import load_checkpoint

    def weights(step, name):
        return {
            key.replace("generator_average.", "generator."): value.asnumpy()
            for key, value in load_checkpoint(str(run / f"checkpoints/step_{step:08d}/{name}.ckpt")).items()
            if "moving" not in key
        }

    begun, trained, average = (
        weights(*which) for which in ((0, "generator"), (30, "generator"), (30, "generator_average"))
    )
    moved = sum(np.abs(trained[key] - begun[key]).sum() for key in begun)
    assert sum(np.abs(average[key] - trained[key]).sum() for key in begun) < 0.5 * moved
    assert read_state(run / "checkpoints/step_00000030").initial_share < 1e-3


@pytest.mark.usefixtures("device")
def test_the_log_eval_and_export_note_a_young_average(run, capsys):
    assert "averaged weights (EMA), so far over" in (run / "train.log").read_text()
    for command in ("eval", "export"):
        assert cli.main([command, str(run), *(["--format", "mindir"] if command == "export" else [])]) == 0
        assert "averaged weights (EMA), so far over" in capsys.readouterr().out


@pytest.mark.usefixtures("device")
def test_a_bundle_says_what_it_left_with(tmp_path, capsys):
    write_mnist(tmp_path / "data", 100)
    where = ("--data-path", tmp_path / "data", "--output-dir", tmp_path)
    here("train", "--recipe", "keras_mlp", *SMALL, "--batch-size", 10, "--steps", 2, *where)
    assert "BatchNorm" in (tmp_path / "keras_mlp/1/train.log").read_text()
    assert cli.main(["export", str(tmp_path / "keras_mlp/1"), "--format", "onnx"]) == 0
    bundle = tmp_path / "keras_mlp/1/export"
    capsys.readouterr()
    assert cli.main(["infer", str(bundle), "--num", "2", "--output", str(tmp_path / "two.npy")]) == 0
    assert "BatchNorm" in capsys.readouterr().out and "BatchNorm" in (bundle / "README.md").read_text()
