"""The moving average of the weights that leave a run."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.commands import here, write_mnist
from helpers.networks import CVAE_GAN, MLP, options
from mindspore import load_checkpoint

from ms_gan import recipes
from ms_gan.recipes.build import build_batches, build_step
from ms_gan.runs.model import load_model
from ms_gan.runtime import Device
from ms_gan.sampling import seeded_inputs
from ms_gan.steps.ema import with_ema
from ms_gan.training.loop import run_cell

DECAY = 0.75
GREY = ("data.dataset=mnist", "data.size=28", "data.channels=1", "data.classes=10", "data.max_tags=0")


def numbers(network):
    """The network's parameters, moving statistics included, in their order, in double precision."""
    return [parameter.asnumpy().astype(np.float64) for parameter in network.get_parameters()]


@pytest.fixture
def averaged(device, small_recipe, random_data):
    recipe = recipes.override(small_recipe, [f"ema.decay={DECAY}"])
    step = build_step(recipe, random_data, seed=1)
    batches, _ = build_batches(recipe, step.data.count, step.images_per_step, seed=1)
    return step, with_ema(step, step, 0), batches


def go(cell, step, batches, number):
    return run_cell(cell, step, batches, Device("CPU", 0), 1, "step", number).asnumpy()


def test_it_begins_as_the_network_and_follows_it(averaged):
    step, cell, batches = averaged
    expected = numbers(step.generator)
    assert all(map(np.array_equal, numbers(step.ema["generator"]), expected))
    for number in range(25):  # the warm-up ends after 23
        go(cell, step, batches, number)
        decay = min(DECAY, (1 + number) / (10 + number))
        expected = [decay * average + (1 - decay) * now for average, now in zip(expected, numbers(step.generator))]
        for found, wanted in zip(numbers(step.ema["generator"]), expected):
            assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    moved = [np.abs(average - now).max() for average, now in zip(expected, numbers(step.generator))]
    names = [parameter.name.rsplit(".", 1)[-1] for parameter in step.generator.get_parameters()]
    assert {"moving_mean", "moving_variance"} <= {name for name, by in zip(names, moved) if by > 1e-4}


def test_it_goes_on_where_it_stood(averaged, small_recipe, random_data):
    """A run resumed at step 3 moves its average as the fourth step does, not as the first."""
    step, cell, batches = averaged
    for number in range(3):
        go(cell, step, batches, number)
    before = numbers(step.ema["generator"])
    go(with_ema(step, step, 3), step, batches, 3)
    decay = 4 / 13
    for average, now, found in zip(before, numbers(step.generator), numbers(step.ema["generator"])):
        assert found == pytest.approx(decay * average + (1 - decay) * now, rel=1e-5, abs=1e-6)


def test_training_is_that_without_it(averaged, small_recipe, random_data):
    step, cell, batches = averaged
    plain = build_step(small_recipe, random_data, seed=1)
    assert plain.ema == {} and with_ema(plain, plain, 0) is plain
    for number in range(3):
        assert np.array_equal(go(cell, step, batches, number), go(plain, plain, batches, number))
    for name in step.networks:
        assert all(map(np.array_equal, numbers(getattr(step, name)), numbers(getattr(plain, name)))), name


def test_names_stay_their_own(averaged):
    step, _, _ = averaged
    for name, saved in step.saved().items():
        if not name.startswith("optimizer"):
            assert all(parameter.name.startswith(f"{name}.") for parameter in saved.get_parameters()), name


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_mnist(tmp_path_factory.mktemp("average") / "data", 100)


def test_it_begins_after_the_pretraining(data, tmp_path):
    settings = options([*CVAE_GAN, *GREY, "ema.decay=0.99", "updates.pretraining_steps=3"])
    place = ("--data-path", data, "--output-dir", tmp_path)
    here("train", "--recipe", "cvae_gan", *settings, "--steps", 1, *place)
    first = tmp_path / "cvae_gan" / "1" / "checkpoints" / "step_00000000"
    now, average = (load_checkpoint(str(first / f"generator{of}.ckpt")) for of in ("", "_average"))
    assert all(now[name].asnumpy().any() for name in now if name.endswith("bias")), "it is as it began"
    average = {name.replace("generator_average", "generator"): value for name, value in average.items()}
    assert average.keys() == now.keys()
    assert all(np.array_equal(now[name].asnumpy(), average[name].asnumpy()) for name in now)


def arguments(data, root, *more):
    settings = options([*MLP, "data.classes=10", "ema.decay=0.9"])
    where = ("--data-path", data, "--output-dir", root)
    return ("train", "--recipe", "rpgan", *settings, "--batch-size", 10, "--epochs", 2, *more, *where)


def test_what_leaves_a_run_is_the_average(data, tmp_path):
    here(*arguments(data, tmp_path))
    whole = tmp_path / "rpgan" / "1"
    checkpoint = whole / "checkpoints" / "step_00000020"
    assert (checkpoint / "generator_average.ckpt").is_file() and (checkpoint / "generator.ckpt").is_file()

    trained = load_model(whole)
    stored = load_checkpoint(str(checkpoint / "generator_average.ckpt"))
    assert {parameter.name for parameter in trained.generator.get_parameters()} == set(stored)
    for parameter in trained.generator.get_parameters():
        assert np.array_equal(parameter.asnumpy(), stored[parameter.name].asnumpy()), parameter.name

    here("export", whole, "--format", "mindir")
    here("infer", whole / "export", "--num", 4, "--label", 7, "--output", tmp_path / "drawn.npy")
    expected = trained.draw(seeded_inputs(trained.recipe.latent, 4, 1, [7] * 4))
    assert np.array_equal(np.load(tmp_path / "drawn.npy"), expected)


@pytest.mark.slow
def test_a_warm_start_begins_the_average_anew(data, tmp_path):
    here(*arguments(data, tmp_path / "first", "--epochs", "1"))
    first = tmp_path / "first" / "rpgan" / "1"
    here(*arguments(data, tmp_path / "second", "--epochs", "1", "--warm-start", str(first)))
    begun = tmp_path / "second" / "rpgan" / "1" / "checkpoints" / "step_00000000"
    network, average = (load_checkpoint(str(begun / f"{name}.ckpt")) for name in ("generator", "generator_average"))
    for name, parameter in network.items():
        averaged = average[name.replace("generator.", "generator_average.", 1)]
        assert np.array_equal(parameter.asnumpy(), averaged.asnumpy())
