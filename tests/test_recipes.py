"""Recipes: each one runs, and a mistake in a setting is refused by name."""

from __future__ import annotations

import copy
import importlib
import json
import sys

import numpy as np
import pytest
from commands import published_recipes

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


def step_on_noise(recipe):
    """The recipe's step, on images of noise, as many as one step takes at least; and the indices of its first batch."""
    from ms_gan.data.description import ImageData
    from ms_gan.recipes.build import build_sampler, build_step

    data = recipe["data"]
    shape = (data["channels"], data["size"], data["size"])

    def build(count):
        images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
        labels = np.arange(count, dtype=np.int32) % max(data["classes"], 1)
        images = ImageData("mnist", "train", "noise", images, labels, tuple(map(str, range(data["classes"]))))
        return build_step(recipe, images.with_tags(data["places"]) if data["places"] else images, seed=1)

    step = build(max(64, data["clusters"]))
    if step.images_per_step > step.data.count:  # how many that is, the step alone knows
        step = build(step.images_per_step)
    return step, build_sampler(recipe, step.data.count, step.images_per_step, seed=1)[0].indices(0)


def takes_a_step(recipe):
    """Whether one update of the recipe's step gives as many numbers as it has scalars, and all of them finite."""
    from ms_gan.runtime import random_stream
    from ms_gan.training.loop import on_device

    try:  # a small batch is quick
        step, indices = step_on_noise(recipes.override(recipe, ["schedule.batch_size=4"]))
    except UserError:  # and a family may want more
        step, indices = step_on_noise(recipe)
    noise = step.draw_noise(random_stream(1, "step"))
    scalars = step(on_device(step.data.inputs(indices)), on_device(noise)).asnumpy()
    return scalars.shape == (len(step.scalars),) and bool(np.isfinite(scalars).all())


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_takes_a_step(name, device):
    assert takes_a_step(recipes.load(name))


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_complete_and_called_as_its_file(name):
    recipe = recipes.load(name)
    recipes.check(recipe)
    networks = recipes.FAMILIES[recipe["family"]]
    assert recipe.keys() == {
        "name",
        "summary",
        "family",
        *recipes.SECTIONS,
        *networks,
        *(f"optimizer_{network}" for network in networks),
    }
    assert recipe["name"] == name
    assert recipe["summary"] and "\n" not in recipe["summary"]
    assert json.loads(json.dumps(recipe)) == recipe, "it comes back from recipe.json as it is"


@pytest.mark.parametrize("name", sorted(published_recipes()))
def test_every_recipe_of_the_project_names_its_source_and_where_it_departs_from_it(name):
    first, *others = importlib.import_module(f"ms_gan.recipes.{name}").__doc__.splitlines()
    assert first.endswith("."), "the docstring's first line is no sentence"
    for start, end in (("Source: ", ""), ("Where this departs from ", ", and why:"), ("- ", "")):
        assert any(line.startswith(start) and line.endswith(end) for line in others), f"no line '{start}…{end}'"


def test_the_readme_lists_recipes_that_there_are():
    """What somebody adds for himself need not be there."""
    assert {"mlp"} < published_recipes() <= set(recipes.names())


def test_a_misspelled_name_is_told_the_nearest():
    assert "did you mean rpgan?" in refused(recipes.load, "rpgam")


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


@pytest.mark.parametrize(
    "name, assignment, expected",
    [
        ("mlp", "optimizer_generator.learning_rate=1e-4", 1e-4),
        ("mlp", "optimizer_generator.learning_rate=1", 1.0),
        ("mlp", "generator.widths=[3, 4]", [3, 4]),
        ("mlp", "generator.widths=3,4", [3, 4]),
        ("mlp", "data.dataset=digits", "digits"),
        ("mlp", "schedule.epochs=7", 7),
        ("mlp", "updates.shared_counters=True", True),
        ("acgan", "sheet.above_real=False", False),
        ("mlp", "generator.batch_norm.place=none", "none"),
        ("acgan", "generator.batch_norm.place=after", "after"),
        ("mlp", "generator.batch_norm.first_layer=True", True),
        ("mlp", "generator.batch_norm.momentum=0", 0.0),
        ("mlp", "updates.target_real=[0.7, 1]", [0.7, 1.0]),
        ("mlp", "updates.target_fake=0,0.3", [0.0, 0.3]),
        ("acgan", "discriminator.dense_widths=[64, 32]", [64, 32]),
        ("dcgan", "discriminator.dense_widths=[]", []),
        ("dcgan", "discriminator.pooling=average", "average"),
        ("acgan", "latent.distribution=sphere", "sphere"),
    ],
)
def test_override_sets_one_value_of_the_same_type(name, assignment, expected):
    recipe = recipes.load(name)
    key = assignment.partition("=")[0]
    before = recipes.flatten(recipe)
    changed = recipes.flatten(recipes.override(recipe, [assignment]))
    assert repr(changed[key]) == repr(expected) and changed[key] != before[key]
    assert changed == {**before, key: expected}, "nothing else has changed"
    assert recipe == recipes.load(name), "the recipe given has not changed"


def test_the_last_of_several_settings_wins(mlp):
    assert recipes.override(mlp, ["schedule.epochs=7", "schedule.epochs=8"])["schedule"]["epochs"] == 8


RATES = "optimizer_generator.learning_rate or optimizer_discriminator.learning_rate"
BETAS = "optimizer_generator.beta1 or optimizer_discriminator.beta1"


def meant_by(name, key):
    """What the refusal of a key says behind it, up to where all keys are shown."""
    message = refused(recipes.override, recipes.load(name), [f"{key}=1"])
    start, end = f"recipe {name} has no setting {key!r}", f" (`python -m ms_gan recipes {name}` shows them all)"
    assert message.startswith(start) and message.endswith(end)
    return message[len(start) : -len(end)]


@pytest.mark.parametrize(
    "name, key, meant",
    [
        *(
            ("mlp", key, meant)
            for key, meant in (
                ("optimizer_generator.learningrate", "optimizer_generator.learning_rate"),
                ("generator.width", "generator.widths"),
                ("generator.batchnorm.place", "generator.batch_norm.place"),
                ("updates.targets_real", "updates.target_real"),
                ("lattent.size", "latent.size"),
                ("siz", "data.size or latent.size"),
                ("Latent_Size", "latent.size"),
                ("average_decay", "average.decay"),
                ("momentun", "generator.batch_norm.momentum"),
                ("learning_rate", RATES),
                ("lr", RATES),
                ("LR", RATES),
                ("learning-rate", RATES),
                ("optimizer.lr", RATES),
                ("schedule.lr", RATES),
                ("updates.learning_rate", RATES),
                ("beta1", BETAS),
                ("b1", BETAS),
                ("adam_beta1", BETAS),
                ("lr_g", "optimizer_generator.learning_rate"),
                ("d_lr", "optimizer_discriminator.learning_rate"),
                ("netD.lr", "optimizer_discriminator.learning_rate"),
                ("generator.lr", "optimizer_generator.learning_rate"),
                ("optimizer_generator.lr", "optimizer_generator.learning_rate"),
                ("optimizer_d.eps", "optimizer_discriminator.epsilon"),
                ("eps", "generator.batch_norm.epsilon, optimizer_generator.epsilon or optimizer_discriminator.epsilon"),
                ("size", "data.size or latent.size"),
                ("image_size", "data.size"),
                ("img_size", "data.size"),
                ("data.image_size", "data.size"),
                ("latent_dim", "latent.size"),
                ("z_dim", "latent.size"),
                ("nz", "latent.size"),
                ("generator.latent_dim", "latent.size"),
                ("latent.dim", "latent.size"),
                ("channels", "data.channels"),
                ("num_classes", "data.classes"),
                ("n_classes", "data.classes"),
                ("classes", "data.classes"),
                ("ema", "average.decay"),
                ("ema_decay", "average.decay"),
                ("ema.decay", "average.decay"),
                ("decay", "average.decay"),
                ("momentum", "generator.batch_norm.momentum"),
                ("k", "updates.discriminator_steps"),
                ("d_steps", "updates.discriminator_steps"),
                ("n_critic", "updates.discriminator_steps"),
                ("slope", "generator.slope or discriminator.slope"),
            )
        ),
        *(("rpgan", key, "updates.gamma") for key in ("gp", "gp_weight", "lambda_gp", "gamma", "discriminator.gamma")),
        ("acgan", "dropout", "discriminator.dropout_rate"),
        ("acgan", "discriminator.dropout", "discriminator.dropout_rate"),
        ("cvae_gan", "lr", "optimizer_encoder.learning_rate, " + RATES),
        ("cvae_gan", "encoder.lr", "optimizer_encoder.learning_rate"),
        ("cvae_gan", "kl", "updates.kl_weight"),
    ],
)
def test_a_key_that_others_use_is_refused_with_the_keys_that_it_means(name, key, meant):
    assert meant_by(name, key) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    "key, setting, option",
    [
        *(
            (key, "schedule.epochs", "--epochs")
            for key in ("epochs", "epoch", "n_epochs", "train.epochs", "data.epochs")
        ),
        *(
            (key, "schedule.batch_size", "--batch-size")
            for key in (
                "batch_size",
                "batch-size",
                "BatchSize",
                "bs",
                "schedule.batchsize",
                "schedule.bs",
                "data.batch_size",
            )
        ),
        *((key, "data.dataset", "--dataset") for key in ("dataset", "train.dataset")),
        *((key, None, "--seed") for key in ("seed", "schedule.seed", "random_seed")),
        *((key, None, "--data-path") for key in ("data_path", "data.path", "data.data_path", "data_dir", "root")),
        *((key, None, "--steps") for key in ("steps", "schedule.steps", "max_steps", "iterations")),
        ("output_dir", None, "--output-dir"),
        ("device_num", None, "--device-num"),
    ],
)
def test_what_is_an_option_of_train_is_refused_with_the_option(key, setting, option):
    assert meant_by("mlp", key) == (f"; did you mean {setting}?" if setting else ";") + f" use {option} for that"


@pytest.mark.parametrize(
    "name, key",
    [
        *(
            ("mlp", key)
            for key in (
                "gp",
                "gamma",
                "dropout",
                "generator.dropout",
                "weight_decay",
                "optimizer_generator.momentum",
                "optimizer_generator.decay",
                "discriminator.momentum",
                "optimizer.steps",
                "g_steps",
                "updates.steps",
                "alpha",
                "workers",
                "loss",
                "generator",
                "optimizer_generator",
                "batch_norm",
                "encoder.lr",
                "kl_weight",
                "lr_gamma",
                "x",
                "name",
                "family",
                "",
            )
        ),
        ("rpgan", "discriminator_steps"),
        ("rpgan", "k"),
        ("acgan", "generator.dropout"),
        ("acgan", "generator_steps"),
        ("cvae_gan", "place"),
        ("cvae_gan", "weight"),
        ("cvae_late", "d_lr"),
    ],
)
def test_a_key_that_means_nothing_here_gets_no_hint(name, key):
    assert meant_by(name, key) == ""


def test_a_key_is_shown_on_one_line_and_cut(mlp):
    message = refused(recipes.override, mlp, [f"a\n{'b' * 1000}=1"])
    assert "'a\\nbbb" in message and len(message) < 250


@pytest.mark.parametrize(
    "assignment", ["name=x", "summary=x", "family=gan", "generator=1", "generator.batch_norm=none", "zzzzzz=1", "=1"]
)
def test_what_is_no_setting_cannot_be_set(mlp, assignment):
    assert "has no setting" in refused(recipes.override, mlp, [assignment])


def test_an_assignment_needs_a_value(mlp):
    assert "key=value" in refused(recipes.override, mlp, ["schedule.epochs"])


@pytest.mark.parametrize(
    "assignment",
    [
        "schedule.epochs=1.5",
        "schedule.epochs=many",
        "schedule.epochs=True",
        "schedule.epochs=",
        "schedule.epochs=[1]",
        "optimizer_generator.beta1=nan",
        "optimizer_generator.beta1='0.5'",
        "generator.widths=16",
        "generator.widths=[16, 0.5]",
        "generator.widths=['16']",
        "generator.widths=[[16]]",
        "latent.size=__import__('os')",
        "updates.shared_counters=1",
        "updates.shared_counters=true",
        "generator.batch_norm.first_layer=no",
        "generator.batch_norm.momentum=high",
        "updates.target_real=1.0",
        "updates.target_real=[0.8, 'one']",
        "data.pixel_range=[0, True]",
    ],
)
def test_a_value_of_another_type_is_refused(mlp, assignment):
    message = refused(recipes.override, mlp, [assignment])
    assert assignment in message and "expected" in message


@pytest.mark.parametrize("text", ["64", "[0.5]", "['64']", "none"])
def test_an_empty_list_takes_whole_numbers_only(text):
    message = refused(recipes.override, recipes.load("acgan"), [f"discriminator.dense_widths={text}"])
    assert f"discriminator.dense_widths={text}" in message and "expected a list" in message


@pytest.mark.parametrize("name", recipes.names())
def test_what_is_none_of_the_choices_is_refused_with_all_of_them(name):
    recipe = recipes.load(name)
    keys = [key for key in recipes.known_settings(recipe) if key.rsplit(".", 1)[-1] in recipes.CHOICES]
    assert {"data.dataset", "latent.distribution", "schedule.sampling"} <= set(keys)
    for key in keys:
        message = refused(recipes.override, recipe, [f"{key}=nonsense"])
        assert f"{key} must be one of" in message and message.endswith(", not 'nonsense'")
        assert all(choice in message for choice in recipes.CHOICES[key.rsplit(".", 1)[-1]])


@pytest.mark.parametrize(
    "name, assignment",
    [
        *(
            ("mlp", assignment)
            for assignment in (
                "schedule.batch_size=3",
                "schedule.epochs=-1",
                "schedule.epochs=2147483648",
                "schedule.steps_per_epoch=-1",
                "data.size=0",
                "data.channels=0",
                "data.classes=-1",
                "data.classes=1",
                "latent.size=0",
                "optimizer_generator.learning_rate=-1",
                "optimizer_generator.learning_rate=1e999",
                "optimizer_generator.decay_rate=0",
                "optimizer_generator.decay_steps=0",
                "optimizer_generator.beta1=1.0",
                "optimizer_generator.beta2=-0.1",
                "optimizer_discriminator.epsilon=-1e-8",
                "generator.widths=[]",
                "generator.widths=[16, 0]",
                "generator.slope=-0.1",
                "discriminator.slope=1.5",
                "generator.batch_norm.momentum=1.0",
                "generator.batch_norm.epsilon=0",
                "updates.discriminator_steps=0",
                "updates.pretraining_steps=-1",
                "updates.target_real=[0.9]",
                "updates.target_real=[]",
                "updates.target_real=[0.9, 1.1]",
                "updates.target_fake=[-0.1, 0.2]",
                "updates.target_fake=[0.2, 0.1]",
                "data.pixel_range=[1.0, -1.0]",
                "data.pixel_range=[0.0]",
                "data.pixel_range=[1.0, 1.0]",
                "sheet.rows=0",
                "sheet.columns=0",
            )
        ),
        *(
            ("acgan", assignment)
            for assignment in (
                "generator.start_channels=0",
                "generator.kernel_size=0",
                "generator.strides=[2, 1, 1, 1, 0]",
                "discriminator.dropout_rate=1.0",
                "discriminator.dropout_rate=-0.1",
                "discriminator.dense_widths=[0]",
                "discriminator.dense_widths=[-8]",
            )
        ),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name, assignment):
    assert assignment.partition("=")[0] in refused(recipes.override, recipes.load(name), [assignment])


@pytest.mark.parametrize(
    "name, assignment",
    [
        *(
            ("mlp", assignment)
            for assignment in (
                "schedule.batch_size=4",
                "schedule.epochs=1",
                "schedule.epochs=2147483647",
                "data.classes=2",
                "optimizer_generator.decay_rate=1e-30",
                "optimizer_generator.beta1=0",
                "optimizer_generator.beta2=0.9999999",
                "discriminator.slope=0",
                "discriminator.slope=1",
                "updates.target_real=[0, 0]",
                "updates.target_fake=[0, 1]",
                "updates.target_real=[1, 1]",
                "generator.widths=[1]",
                "sheet.rows=1",
            )
        ),
        ("keras_mlp", "schedule.steps_per_epoch=0"),
        ("acgan", "discriminator.dropout_rate=0"),
        ("acgan", "generator.kernel_size=1"),
    ],
)
def test_a_value_at_the_end_of_its_range_is_taken(name, assignment):
    recipes.override(recipes.load(name), [assignment])


@pytest.mark.parametrize(
    "assignment, named",
    [
        ("generator.strides=[2, 2, 2]", "conv_generator needs 4 strides"),
        ("generator.widths=[8]", "conv_generator needs 2 strides"),
        ("discriminator.strides=[1, 1, 1, 1]", "conv_discriminator needs 3 strides"),
        ("discriminator.widths=[8]", "conv_discriminator needs 1 strides"),
    ],
)
def test_every_convolution_needs_a_stride(assignment, named):
    assert named in refused(recipes.override, recipes.load("dcgan"), [assignment])


@pytest.mark.parametrize("name, classes", [("mlp", 10), ("acgan", 0)])
def test_classes_that_the_family_cannot_use_are_refused(name, classes, random_data, device):
    from ms_gan.recipes.build import build_step

    def start():
        build_step(recipes.override(recipes.load(name), [f"data.classes={classes}"]), random_data, 1)

    message = refused(start)
    assert "data.classes" in message
    named = message.partition("families that take labels are ")[2].split(", ")
    assert ({"acgan", "cvae", "cvae_gan", "rpgan"} <= set(named) and "gan" not in named) == (name == "mlp")


@pytest.mark.parametrize(
    "change, mended_by",
    [
        ("discriminator.dropout_rate=0.2", "discriminator.dropout_rate=0"),
        ("discriminator.pooling=max", "discriminator.pooling=none"),
        ("discriminator.pooling=average", "discriminator.pooling=none"),
    ],
)
def test_a_discriminator_that_cannot_be_differentiated_twice_is_refused(change, mended_by, random_data, device):
    from ms_gan.recipes.build import build_step

    recipe = recipes.load("rpgan")
    recipe["discriminator"] = {**recipes.load("acgan")["discriminator"], "dropout_rate": 0.0}
    assert mended_by in refused(build_step, recipes.override(recipe, [change]), random_data, 1)
    if "pooling" in change:
        build_step(recipes.override(recipe, [change, "updates.gamma=0"]), random_data, 1)


def test_every_setting_of_a_section_is_required(mlp):
    for section, keys in recipes.SECTIONS.items():
        for key in keys or ():
            recipe = copy.deepcopy(mlp)
            del recipe[section][key]
            assert f"{section}.{key} is missing" in refused(recipes.check, recipe)
        recipe = copy.deepcopy(mlp)
        del recipe[section]
        assert f"section {section} is missing" in refused(recipes.check, recipe)


def test_an_unknown_setting_or_section_is_refused(mlp):
    strange = {**mlp, "schedule": {**mlp["schedule"], "epoch": 3}}
    assert "unknown setting schedule.epoch" in refused(recipes.check, strange)
    assert "unknown section sheets; did you mean sheet?" in refused(recipes.check, {**mlp, "sheets": {}})
    message = refused(recipes.check, {**mlp, "family": "cvae", "encoder": mlp["generator"]})
    assert "the networks of the family cvae are encoder, generator" in message


def test_a_dictionary_where_a_value_belongs_is_refused(mlp):
    for section, key in (("schedule", "epochs"), ("generator", "slope"), ("updates", "fakes")):
        wrong = {**mlp, section: {**mlp[section], key: {"n": 20}}}
        assert f"{section}.{key} must be one value, not {{'n': 20}}" in refused(recipes.check, wrong)


@pytest.mark.parametrize(
    "section, settings, named",
    [
        ("generator", {"network": "transformer"}, "mlp_generator"),
        ("generator", {"widths": None}, "lacks widths"),
        ("generator", {"depth": 3}, "'depth'"),
        ("discriminator", {"strides": [1, 1]}, "'strides'"),
        ("optimizer_discriminator", {"momentum": 0.9}, "'momentum'"),
        ("optimizer_discriminator", {"decay_steps": None}, "lacks decay_steps"),
        ("updates", {"order": 1}, "'order'"),
        ("updates", {"fakes": None}, "lacks fakes"),
        ("updates", {"fakes": None, "fake": "training"}, "did you mean fakes?"),
        ("updates", {"fakes": None, "gamma": 10.0}, "it still needs fakes"),
        ("generator", {"network": "mlp_discriminator"}, "mlp_generator"),
    ],
)
def test_what_a_network_or_optimizer_or_step_does_not_take_is_refused(
    mlp, random_data, device, section, settings, named
):
    from ms_gan.recipes.build import build_step

    mlp[section].update(settings)
    for key in [key for key, value in settings.items() if value is None]:
        del mlp[section][key]
    message = refused(build_step, mlp, random_data, 1)
    assert section in message and named in message


@pytest.mark.parametrize(
    "name, assignment",
    [("mlp", "generator.output=sigmoid"), ("mlp", "data.pixel_range=[-2, 1]"), ("acgan", "data.pixel_range=[0, 1.5]")],
)
def test_pixels_that_the_generator_cannot_draw_are_refused(name, assignment, device):
    from ms_gan.recipes.build import build_generator

    message = refused(build_generator, recipes.override(recipes.load(name), [assignment]))
    assert "data.pixel_range" in message


@pytest.mark.parametrize("name, steps_per_epoch", [("mlp", 10), ("slim_mlp", 470), ("keras_mlp", 200)])
def test_an_epoch_is_what_the_recipe_says_or_a_pass_over_the_images(name, steps_per_epoch, device):
    from ms_gan.data.batches import SAMPLINGS
    from ms_gan.recipes.build import build_sampler

    recipe = recipes.load(name)
    sampler, found = build_sampler(recipe, 649, 64, seed=3)
    assert found == steps_per_epoch
    expected = SAMPLINGS[recipe["schedule"]["sampling"]](649, 64, 3)
    assert type(sampler) is type(expected) and np.array_equal(sampler.indices(20), expected.indices(20))


def test_each_optimizer_has_the_settings_of_its_player(mlp, random_data, device):
    from ms_gan.recipes.build import build_step

    players = {
        "optimizer_generator": (0.001, 0.25, 0.75, 0.5),
        "optimizer_discriminator": (0.002, 0.125, 0.875, 0.0625),
    }
    for player, values in players.items():
        mlp[player].update(zip(("learning_rate", "beta1", "beta2", "epsilon"), values))
    step = build_step(mlp, random_data, 1)
    for player, values in players.items():
        adam = getattr(step, player)
        found = [float(value.asnumpy()) for value in (adam.learning_rate, adam.beta1, adam.beta2)]
        np.testing.assert_allclose([*found, adam.eps], values, rtol=1e-6)


@pytest.mark.parametrize("still, moving", [("generator", "discriminator"), ("discriminator", "generator")])
@pytest.mark.parametrize("decay_rate", [1.0, 0.9])
def test_a_learning_rate_of_0_holds_a_player_still(still, moving, decay_rate, mlp, random_data, device):
    from ms_gan.recipes.build import build_step
    from ms_gan.runtime import random_stream
    from ms_gan.training.loop import on_device

    mlp[f"optimizer_{still}"].update(learning_rate=0.0, decay_rate=decay_rate)
    mlp["schedule"]["batch_size"] = 8
    step = build_step(mlp, random_data, 1)

    def weights(player):
        return np.concatenate([each.asnumpy().ravel() for each in getattr(step, player).trainable_params()])

    before = {player: weights(player) for player in (still, moving)}
    noise = step.draw_noise(random_stream(1, "step"))
    step(on_device((np.arange(8, dtype=np.int32),)), on_device(noise))
    assert np.array_equal(before[still], weights(still)) and not np.array_equal(before[moving], weights(moving))


def test_one_adam_for_both_has_one_set_of_constants(random_data):
    from ms_gan.recipes.build import build_step

    recipe = recipes.override(recipes.load("slim_mlp"), ["optimizer_generator.beta1=0.5"])
    message = refused(build_step, recipe, random_data, 1)
    assert "optimizer_generator.beta1 is 0.5 and optimizer_discriminator.beta1 is 0.9" in message


BROKEN = {  # what an author may have written in place of a line of a recipe file
    '"family": "gan"': ['"family": 3', '"famly": "gan"'],
    '"name": "broken_one"': ['"name": "other"', '"nam": "broken_one"'],
    '"summary": ': ['"sumary": '],
    '"network": "mlp_generator"': ['"net": "mlp_generator"'],
    '"momentum": 0.9': ['"momentun": 0.9', '"momentum": "0.9"'],
    '"batch_size": 128': ['"batch_size": "128"', '"batch_size": 128.0'],
    '"widths": [512, 256]': ['"widths": 512', '"widths": [51.2]'],
    '"half_batches": False': ['"half_batches": "no"', '"half_batches": false'],
    '"target_real": [1.0, 1.0]': ['"target_real": 1.0'],
    '"sheet": {"rows": 5': ['"sheet": 5, "x": {"rows": 5', '"sheet": {"rows": 200000'],
    "RECIPE = {": ["RECIPES = {", "RECIPE = ({"],
}


@pytest.mark.parametrize("line, instead", [(line, instead) for line, many in BROKEN.items() for instead in many])
def test_a_recipe_file_with_a_mistake_is_refused_in_one_line(line, instead, tmp_path, monkeypatch, capsys):
    from ms_gan import cli

    text = open(recipes.__path__[0] + "/mlp.py", encoding="utf-8").read()
    text = text.replace('"name": "mlp"', '"name": "broken_one"')
    assert line in text
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    (tmp_path / "broken_one.py").write_text(text.replace(line, instead, 1), encoding="utf-8")
    importlib.invalidate_caches()
    try:
        assert "recipe broken_one: " in refused(recipes.load, "broken_one")
        assert cli.main(["recipes"]) == 2
        printed = capsys.readouterr()
        assert "keras_mlp" in printed.out and "recipe broken_one: " in printed.err, "the others are listed all the same"
    finally:
        sys.modules.pop("ms_gan.recipes.broken_one", None)


def test_a_familys_networks_are_those_of_its_step():
    from ms_gan.recipes.build import STEPS

    assert recipes.FAMILIES == {family: step.networks for family, step in STEPS.items()}
