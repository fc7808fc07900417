"""Recipes: each one runs, and a mistake in a setting is refused by name."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from ms_gan import recipes
from ms_gan.errors import UserError


@pytest.fixture
def mlp():
    return recipes.load("mlp")


def refused(call, *arguments):
    """The one line with which a call refuses."""
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_takes_a_step(name, device):
    from mindspore import Tensor, mutable

    from ms_gan.recipes.build import build_step, build_unit_range_generator
    from ms_gan.runtime import random_stream

    recipe = recipes.load(name)
    recipes.check(recipe)
    size, channels, batch = recipe["data"]["size"], recipe["data"]["channels"], 4
    images = np.random.default_rng(0).integers(0, 256, (batch, channels, size, size), dtype=np.uint8)
    step = build_step(recipe, images, seed=1)
    noise = step.draw_noise(random_stream(1, "step"), batch)
    indices = Tensor(np.arange(batch, dtype=np.int32))
    scalars = step(mutable((indices,)), mutable(tuple(map(Tensor, noise)))).asnumpy()
    assert scalars.shape == (len(step.scalars),) and np.isfinite(scalars).all()
    latents = Tensor(np.zeros((2, recipe["latent"]["size"]), np.float32))
    assert build_unit_range_generator(recipe)(latents).shape == (2, channels, size, size)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_called_as_its_file_and_described(name):
    recipe = recipes.load(name)
    assert recipe["name"] == name
    assert recipe["summary"] and "\n" not in recipe["summary"]


def test_names_are_sorted_and_hold_recipes_only():
    assert "mlp" in recipes.names() and "build" not in recipes.names()
    assert recipes.names() == sorted(recipes.names())


def test_load_returns_a_copy(mlp):
    mlp["generator"]["widths"].append(1)
    mlp["name"] = "other"
    assert recipes.load("mlp")["generator"]["widths"] == [128, 256, 512, 1024]
    assert recipes.load("mlp")["name"] == "mlp"


@pytest.mark.parametrize("name", ["pml", "build", "", "../mlp"])
def test_an_unknown_recipe_is_refused_with_the_names(name):
    message = refused(recipes.load, name)
    assert repr(name) in message and all(known in message for known in recipes.names())


def test_flatten_joins_the_keys_with_dots():
    assert recipes.flatten({"a": 1, "b": {"c": [2], "d": {"e": "3"}}}) == {"a": 1, "b.c": [2], "b.d.e": "3"}


@pytest.mark.parametrize("assignment, section, key, expected", [
    ("optimizer_generator.learning_rate=1e-4", "optimizer_generator", "learning_rate", 1e-4),
    ("optimizer_generator.learning_rate=1", "optimizer_generator", "learning_rate", 1.0),
    ("generator.widths=[3, 4]", "generator", "widths", [3, 4]),
    ("generator.widths=3,4", "generator", "widths", [3, 4]),
    ("data.dataset=digits", "data", "dataset", "digits"),
    ("schedule.epochs=7", "schedule", "epochs", 7),
])
def test_override_sets_one_value_of_the_same_type(mlp, assignment, section, key, expected):
    before = copy.deepcopy(mlp)
    changed = recipes.override(mlp, [assignment])
    assert changed[section].pop(key) == expected and mlp == before
    assert type(expected) is type(mlp[section].pop(key))
    assert changed == mlp, "nothing else has changed"


def test_the_last_of_several_settings_wins(mlp):
    assert recipes.override(mlp, ["schedule.epochs=7", "schedule.epochs=8"])["schedule"]["epochs"] == 8


@pytest.mark.parametrize("key, meant", [
    ("optimizer_generator.learningrate", "optimizer_generator.learning_rate"),
    ("schedule.batchsize", "schedule.batch_size"),
    ("epoch", "schedule.epochs"),
    ("generator.width", "generator.widths"),
])
def test_an_unknown_key_is_refused_with_the_nearest(mlp, key, meant):
    message = refused(recipes.override, mlp, [f"{key}=1"])
    assert repr(key) in message and f"did you mean {meant}?" in message


@pytest.mark.parametrize("assignment", ["name=x", "summary=x", "family=gan", "generator=1", "zzzzzz=1", "=1"])
def test_what_is_no_setting_cannot_be_set(mlp, assignment):
    assert "has no setting" in refused(recipes.override, mlp, [assignment])


def test_an_assignment_needs_a_value(mlp):
    assert "key=value" in refused(recipes.override, mlp, ["schedule.epochs"])


@pytest.mark.parametrize("assignment", [
    "schedule.epochs=1.5", "schedule.epochs=many", "schedule.epochs=True", "schedule.epochs=",
    "schedule.epochs=[1]",
    "optimizer_generator.beta1=nan", "optimizer_generator.beta1='0.5'", "generator.widths=16",
    "generator.widths=[16, 0.5]", "generator.widths=['16']", "generator.widths=[[16]]",
    "latent.size=__import__('os')",
])
def test_a_value_of_another_type_is_refused(mlp, assignment):
    message = refused(recipes.override, mlp, [assignment])
    assert assignment in message and "expected" in message


@pytest.mark.parametrize("assignment", [
    "schedule.batch_size=0", "schedule.epochs=-1", "data.size=0", "data.channels=0", "latent.size=0",
    "optimizer_generator.learning_rate=0", "optimizer_discriminator.epsilon=-1e-8",
    "optimizer_generator.beta1=1.0",
    "optimizer_generator.beta2=-0.1", "generator.widths=[]", "generator.widths=[16, 0]",
    "data.pixel_range=[1.0, -1.0]",
    "data.pixel_range=[0.0]", "data.pixel_range=[1.0, 1.0]",
])
def test_a_value_out_of_range_is_refused_by_name(mlp, assignment):
    assert assignment.partition("=")[0] in refused(recipes.override, mlp, [assignment])


def test_every_setting_of_a_section_is_required(mlp):
    for section, keys in recipes.SECTIONS.items():
        for key in keys:
            recipe = copy.deepcopy(mlp)
            del recipe[section][key]
            assert f"{section}.{key} is missing" in refused(recipes.check, recipe)
        recipe = copy.deepcopy(mlp)
        del recipe[section]
        assert "is missing" in refused(recipes.check, recipe)


def test_an_unknown_setting_of_a_section_is_refused(mlp):
    mlp["schedule"]["epoch"] = 3
    assert "unknown setting schedule.epoch" in refused(recipes.check, mlp)


@pytest.mark.parametrize("section, settings, named", [
    ("generator", {"network": "transformer", "widths": [8]}, "mlp_generator"),
    ("generator", {"network": "mlp_generator"}, "widths"),
    ("generator", {"network": "mlp_generator", "widths": [8], "depth": 3}, "depth"),
    ("optimizer_discriminator", {"learning_rate": 1e-4, "momentum": 0.9}, "momentum"),
])
def test_what_a_network_or_optimizer_does_not_take_is_refused(mlp, device, section, settings, named):
    from ms_gan.recipes.build import build_step

    mlp[section] = settings
    message = refused(build_step, mlp, np.zeros((2, 1, 28, 28), np.uint8), 1)
    assert section in message and named in message


def test_each_optimizer_has_the_settings_of_its_player(mlp, device):
    from ms_gan.recipes.build import build_step

    players = {"optimizer_generator": (0.001, 0.25, 0.75, 0.5),
               "optimizer_discriminator": (0.002, 0.125, 0.875, 0.0625)}
    for player, values in players.items():
        mlp[player] = dict(zip(("learning_rate", "beta1", "beta2", "epsilon"), values))
    step = build_step(mlp, np.zeros((2, 1, 28, 28), np.uint8), 1)
    for player, values in players.items():
        adam = getattr(step, player)
        found = [float(value.asnumpy()) for value in (adam.learning_rate, adam.beta1, adam.beta2)]
        np.testing.assert_allclose([*found, adam.eps], values, rtol=1e-6)
