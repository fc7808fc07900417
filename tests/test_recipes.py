"""Recipes: each one runs, a mistake is refused by name, and what was kept before can be read."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import PUBLISHED, here, refused_here
from helpers.networks import noise_for
from helpers.refusals import refused

from ms_gan import cli, recipes
from ms_gan.cli.faults import option
from ms_gan.data.batches import SAMPLINGS
from ms_gan.errors import Setting
from ms_gan.randomness import random_stream
from ms_gan.recipes import registry
from ms_gan.recipes.build import build_batches, build_generator, build_step
from ms_gan.schema.hints import ARGUMENTS
from ms_gan.schema.networks import ConvDiscriminator, ConvGenerator
from ms_gan.schema.recipe import flat
from ms_gan.steps.graph import on_device

KEPT = {record["name"]: record for record in json.loads((Path(__file__).parent / "kept_recipes.json").read_text())}


@pytest.fixture
def mlp():
    return recipes.load("mlp")


def test_the_recipes_of_the_project_are_there_by_their_files_names():
    """So may others be, which somebody adds for himself."""
    assert PUBLISHED <= set(recipes.names()) and recipes.names() == sorted(recipes.names())
    for name in recipes.names():
        recipe = recipes.load(name)
        recipes.check(recipe)
        assert recipe.name == name and recipe.summary


@pytest.mark.parametrize("name", KEPT)
def test_a_record_of_version_0_1_is_todays_recipe(name):
    """With sections `average`, `data.places` and `updates.generator_loss`, as the eleven recipes were written then."""
    assert {"average", "data"} <= KEPT[name].keys() and "places" in KEPT[name]["data"] and KEPT.keys() <= PUBLISHED
    assert recipes.from_json(KEPT[name]) == recipes.load(name)


def test_a_changed_record_of_version_0_1_keeps_its_changes():
    record = json.loads(json.dumps(KEPT["acgan"]))
    record["average"]["decay"], record["data"]["places"] = 0.9, 3
    record["updates"]["generator_loss"] = "saturating"
    changes = {"ema.decay": 0.9, "data.max_tags": 3, "updates.loss": "saturating"}
    assert recipes.from_json(record) == recipes.load("acgan").but(changes)


@pytest.mark.parametrize("name", ["rpgam", "build", "", "published", "mlp.txt"])
def test_an_unknown_recipe_is_refused_with_the_names_and_the_nearest(name):
    message = refused(recipes.load, name)
    meant = {"rpgam": "did you mean rpgan? ", "mlp.txt": "did you mean mlp? "}.get(name, "")
    assert message.startswith(f"unknown recipe {name!r}; {meant}there are: {', '.join(recipes.names())}; or ")


def test_a_file_of_that_name_is_what_was_meant(tmp_path, monkeypatch):
    (tmp_path / "own.py").touch()
    monkeypatch.chdir(tmp_path)
    assert refused(recipes.load, "own").startswith("unknown recipe 'own'; did you mean own.py? there are: ")


@pytest.mark.parametrize(
    "name, assignment, expected",
    [
        ("mlp", "optimizer_generator.learning_rate=1e-4", 1e-4),
        ("mlp", "generator.widths=[3, 4]", (3, 4)),
        ("mlp", "generator.widths=3,4", (3, 4)),
        ("mlp", "data.dataset=digits", "digits"),
        ("mlp", "updates.shared_counters=True", True),
        ("acgan", "generator.batch_norm.place=after", "after"),
        ("mlp", "generator.batch_norm.place='none'", "none"),
        ("mlp", "generator.batch_norm.momentum=0", 0.0),
        ("mlp", "updates.target_real=[0.7, 1]", (0.7, 1.0)),
        ("mlp", "updates.target_fake=0,0.3", (0.0, 0.3)),
        ("dcgan", "discriminator.dense_widths=[]", ()),
    ],
)
def test_override_sets_one_value_of_the_same_type(name, assignment, expected):
    recipe = recipes.load(name)
    key = assignment.partition("=")[0]
    before, changed = recipe.settings(), recipes.override(recipe, [assignment]).settings()
    assert repr(changed[key]) == repr(expected) and changed[key] != before[key]
    assert changed == {**before, key: expected}, "nothing else has changed"


def test_the_last_of_several_settings_wins_and_each_needs_a_value(mlp):
    assert recipes.override(mlp, ["schedule.epochs=7", "schedule.epochs=8"]).schedule.epochs == 8
    assert "key=value" in refused(recipes.override, mlp, ["schedule.epochs"])


@pytest.mark.parametrize("text", ["", "True", "many", "1.5", "[1]", "nan", "1e999", "__import__('os')", "(" * 9999])
def test_a_text_that_is_no_value_of_a_setting_is_refused_with_it(text, mlp):
    message = refused(recipes.override, mlp, [f"schedule.epochs={text}"])
    assert (
        message.startswith("recipe mlp: schedule.epochs must be a whole number of at least 1 ") and len(message) < 300
    )


def test_another_network_keeps_the_settings_that_it_knows(mlp):
    changed = recipes.override(
        mlp,
        [
            "generator.batch_norm.place=none",
            "generator.strides=2,2,1,1,1",
            "generator.network=conv_generator",
            "generator.start_channels=8",
        ],
    ).networks["generator"]
    assert isinstance(changed, ConvGenerator) and changed.widths == mlp.networks["generator"].widths
    assert (changed.start_channels, changed.slope, changed.batch_norm.place) == (8, 0.0, "none")
    assert recipes.override(mlp, ["generator.network=mlp_generator"]) == mlp
    residual = recipes.load("rpgan_residual")
    assert residual.networks["generator"].output == "linear"  # which an MLP may not be
    other = recipes.override(residual, ["generator.network=mlp_generator"]).networks["generator"]
    assert other.output == "tanh" and other.widths == residual.networks["generator"].widths
    for assignments, message in (
        (["generator.network=conv_generator"], "generator.start_channels, strides are missing"),
        (["generator.network=mlp_discriminator"], "generator.network 'mlp_discriminator' is not registered"),
        (["encoder.network=conv_encoder"], "no setting 'encoder.network'"),
        (["generator.network=conv_decoder", "generator.slope=0.1"], "no setting 'generator.slope'"),
    ):
        assert message in refused(recipes.override, mlp, assignments)


RATES = "optimizer_generator.learning_rate or optimizer_discriminator.learning_rate"
ALL = "`recipes`, with its name or file, prints all of its settings"
MEANT = {  # what is said to somebody who types one of these keys for the recipe mlp
    "did you mean data.size?": "image_size img_size data.image_size",
    "did you mean latent.size?": "Latent_Size latent_dim z_dim nz generator.latent_dim latent.dim",
    "did you mean data.size or latent.size?": "siz size",
    "did you mean generator.widths?": "generator.width",
    "did you mean generator.widths or discriminator.widths?": "width widths",
    "did you mean generator.batch_norm.place?": "place",
    f"did you mean {RATES}?": "learning_rate lr LR learning-rate optimizer.lr updates.learning_rate",
    "did you mean optimizer_generator.learning_rate?": "optimizer_generator.learningrate lr_g generator.lr",
    "did you mean optimizer_discriminator.learning_rate?": "d_lr discriminator.lr",
    "did you mean optimizer_generator.beta1 or optimizer_discriminator.beta1?": "beta1 b1",
    "did you mean ema.decay?": "average_decay average.decay ema decay",
    "did you mean updates.target_real?": "updates.targets_real label_smoothing",
    "did you mean updates.loss?": "generator_loss updates.generator_loss loss",
    "did you mean updates.discriminator_steps?": "k n_critic",
    "did you mean updates.gradient_penalty?": "gp gradient_penalty",
    "did you mean data.max_tags?": "places data.places",
    "did you mean schedule.epochs?": "epochs epoch n_epochs train.epochs",
    "did you mean schedule.batch_size?": "batch_size batch-size BatchSize bs",
    "did you mean seed?": "seed schedule.seed random_seed",
    "did you mean data_path?": "data_path data.path data_dir root",
    "did you mean steps?": "steps max_steps iterations",
    "it is a section: name its settings with dots, such as generator.widths": "generator",
    "it is a section: name its settings with dots, such as optimizer_generator.learning_rate": "optimizer_generator",
    ALL: "weight_decay alpha workers batch_norm x name family zzzzzz ",
}


@pytest.mark.parametrize("meant, key", [(meant, key) for meant, keys in MEANT.items() for key in keys.split(" ")])
def test_a_key_that_others_use_is_refused_with_what_it_means(meant, key, mlp):
    """By `but` as well as by --set."""
    message = refused(recipes.override, mlp, [f"{key}=1"])
    assert message == f"recipe mlp has no setting {key!r}; {meant}" == refused(mlp.but, {key: 1})


def test_what_a_key_means_depends_on_the_recipe():
    for name, meant in (("rpgan", "updates.gamma"), ("mlp", "updates.gradient_penalty")):
        assert refused(recipes.load(name).but, {"gp": 1}).endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("key, options", [("steps", "; did you mean --steps?"), ("bs", "; did you mean --batch-size?")])
def test_the_command_line_names_its_option_for_what_a_key_means(key, options, capsys):
    assert refused_here(capsys, "train", "--set", f"{key}=1").endswith(f"{options}\n")


def test_each_argument_that_a_key_may_mean_is_an_option_of_train(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    options = re.findall(r"--[a-z-]+", capsys.readouterr().out)
    assert {option(Setting(name)) for name in ARGUMENTS} <= set(options)


def test_a_key_is_shown_on_one_line_and_cut(mlp):
    message = refused(recipes.override, mlp, [f"a\n{'b' * 1000}=1"])
    assert "'a\\nbbb" in message and len(message) < 250


@pytest.mark.parametrize(
    "change, named",
    [
        ({"schedule": None}, "schedule is missing"),
        ({"generator": None}, "generator is missing"),
        ({"optimizer_generator": None}, "optimizer_generator is missing"),
        ({"sheets": {}}, "sheets is no section of the family gan; did you mean sheet?"),
        ({"encoder": {}}, "encoder is no section of the family gan"),
        ({"sheet": 5}, "sheet must be a dictionary of settings"),
        ({"schedule": {"epoch": 3}}, "schedule.epoch is no setting; did you mean epochs?"),
        ({"schedule": {"epochs": {"n": 20}}}, "schedule.epochs must be a whole number"),
        ({"generator": {"network": "transformer"}}, "use one of conv_decoder, conv_generator, mlp_generator"),
        ({"generator": {"widths": None}}, "generator.widths is missing"),
        ({"generator": {"batch_norm": None}}, None),
        ({"generator": {"batch_norm": "none"}}, "generator.batch_norm must be a section of settings, not 'none'"),
        ({"generator": {"batch_norm": {"momentun": 1}}}, "generator.batch_norm.momentun is no setting; did you mean"),
        ({"optimizer_discriminator": {"momentum": 0.9}}, "optimizer_discriminator.momentum is no setting"),
        ({"updates": None, "sheet": None, "data": None}, None),
        ({"family": None}, "family None is not registered"),
        ({"family": ["gan"]}, "family ['gan'] is not registered"),
        ({"name": None}, "a recipe's name must be"),
        ({"summary": ["x"]}, "summary must be one line of text"),
    ],
)
def test_a_record_with_a_mistake_is_refused_by_name(change, named, mlp):
    """None in a change leaves the key out. What has a default may be left out."""
    record = recipes.to_json(mlp)
    for key, value in change.items():
        record[key] = {**record[key], **value} if isinstance(value, dict) and key in record else value
        if isinstance(value, dict):
            record[key] = {name: each for name, each in record[key].items() if each is not None}
    record = {key: value for key, value in record.items() if value is not None}
    if named:
        assert named in refused(recipes.from_json, record, "FILE: ").partition("FILE: ")[2]
    else:
        recipes.from_json(record)


def test_a_recipe_is_printed_with_all_its_settings_and_read_again(capsys, tmp_path):
    for name in recipes.names():
        here("recipes", name)
        printed = capsys.readouterr().out
        record, recipe = json.loads(printed), recipes.load(name)
        assert recipes.from_json(record) == recipe
        for key, value in recipe.settings().items():
            place = record
            for part in key.split("."):
                place = place[part]
            assert place == (list(value) if isinstance(value, tuple) else value)
        (tmp_path / "printed.json").write_text(printed)
        assert recipes.load(tmp_path / "printed.json") == recipe


def test_a_recipe_is_printed_as_it_would_run_and_checked(capsys):
    here("recipes", "rpgan", "--set", "data.classes=10", "--set", "generator.widths=[8]")
    changed = recipes.override(recipes.load("rpgan"), ["data.classes=10", "generator.widths=8,"])
    assert recipes.from_json(json.loads(capsys.readouterr().out)) == changed
    for said, *arguments in (
        ("data.classes must be 0 for the family gan", "mlp", "--set", "data.classes=10"),
        ("latent.size must be a whole number of at least 1", "mlp", "--set", "latent.size=0"),
        ("--set and --explain are about one recipe", "--set", "latent.size=3"),
        ("--set and --explain are about one recipe", "--explain"),
    ):
        assert said in refused_here(capsys, "recipes", *arguments)


@pytest.mark.parametrize("name", ["mlp", "cvae_gan"])
def test_each_setting_is_explained_with_its_value_and_what_it_may_be(name, capsys):
    here("recipes", name, "--explain", "--set", "latent.size=7")
    lines = capsys.readouterr().out.splitlines()
    recipe = recipes.load(name).but({"latent.size": 7})
    said = dict(zip(lines[::2], lines[1::2]))
    for key, value in recipe.settings().items():
        rule = recipe.rule(key)
        assert said.pop(f"{key} = {value}") == f"    {rule.fault(object())}: {rule.help}"
    networks = {f"{role}.network = {registry.network_of(role, own).name}" for role, own in recipe.networks.items()}
    assert said.keys() == networks
    for line, wanted in said.items():
        role, name = line.split(".network = ")
        assert wanted.startswith("    one of ") and name in wanted and role in recipe.networks


def test_a_recipe_is_printed_as_it_would_run(capsys):
    here("recipes", "rpgan", "--set", "data.classes=10")
    printed = json.loads(capsys.readouterr().out)["data"]
    assert (printed["classes"], printed["clusters"]) == (10, 0)
    both = ("--set", "data.classes=10", "--set", "data.clusters=20")
    assert "images with classes are not put into clusters" in refused_here(capsys, "recipes", "rpgan", *both)


@pytest.mark.parametrize(
    "name, settings, wrong",
    [
        ("mlp", ["optimizer_generator.decay_rate=0.95"], "as optimizer_generator.decay_steps is 1"),
        (
            "rpgan",
            ["updates.gamma_decay_rate=0.1"],
            "as updates.gamma_decay_steps is 1; give more updates.gamma_decay_st",
        ),
        ("rpgan", ["updates.gamma_decay_rate=2"], "updates.gamma_decay_rate 2.0 would take effect"),
    ],
)
def test_a_decay_within_one_update_is_refused(name, settings, wrong):
    assert wrong in refused(recipes.override, recipes.load(name), settings)


def test_a_run_that_recorded_such_a_decay_can_still_be_opened():
    recipe = recipes.load("rpgan").but({"updates.gamma_decay_rate": 0.1})
    assert recipes.from_json(recipes.to_json(recipe)) == recipe


def test_bernoulli_pixels_need_a_generator_with_logits(random_data, device):
    changes = ["generator.network=mlp_generator", "generator.output=sigmoid", "updates.reconstruction=bernoulli"]
    recipe = recipes.override(recipes.load("cvae_late"), [*changes, "data.classes=0", "data.max_tags=0"])
    assert "use generator.network=conv_decoder, or updates.reconstruction=squared" in refused(
        build_step, recipe, random_data, 1
    )


def test_a_broken_recipe_among_the_published_ones_does_not_hide_the_others(tmp_path, monkeypatch, capsys):
    file = tmp_path / "broken_one.py"
    file.write_text("\nRECIPE = Recipe()", encoding="utf-8")
    monkeypatch.setattr(recipes.published, "__path__", [*recipes.published.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    message = f"{file}, line 2: NameError: name 'Recipe' is not defined"
    assert refused(recipes.load, "broken_one") == message
    here("recipes", status=2)
    printed = capsys.readouterr()
    assert "keras_mlp" in printed.out and message in printed.err


@pytest.mark.parametrize(
    "name, change, said",
    [
        ("mlp", {"data.classes": 10}, "data.classes must be 0 for the family gan, not 10; families that take labels "
         "are acgan, cvae, cvae_gan, rpgan"),
        ("acgan", {"data.classes": 0}, "data.classes must be at least 2 for the family acgan, not 0"),
        ("acgan", {"data.max_tags": 3}, "data.max_tags must be 0 for the family acgan, which takes one class an image"),
        ("cvae_late", {"latent.distribution": "sphere"}, "the latents of a variational autoencoder are normal, not "
         "sphere; use latent.distribution=normal"),
        ("cvae_gan", {"latent.distribution": "uniform"}, "the latents of a variational autoencoder are normal, not "
         "uniform; use latent.distribution=normal"),
        ("slim_mlp", {"optimizer_generator.beta1": 0.5}, "with updates.shared_counters both players have one Adam, but "
         "optimizer_generator.beta1 is 0.5 and optimizer_discriminator.beta1 is 0.9; set them equal, or use "
         "updates.shared_counters=False"),
    ],
)  # fmt: skip
def test_settings_of_several_sections_that_do_not_go_together_are_refused(name, change, said, random_data, device):
    recipe = recipes.load(name).but(change)
    assert refused(recipes.check_together, recipe) == refused(build_step, recipe, random_data, 1)
    assert refused(recipes.check_together, recipe) == f"recipe {name}: {said}"


@pytest.mark.parametrize(
    "setting, value, twice", [("dropout_rate", 0.2, 0), ("pooling", "max", "none"), ("pooling", "average", "none")]
)
def test_a_discriminator_that_cannot_be_differentiated_twice_is_refused(setting, value, twice, random_data, device):
    recipe = recipes.load("rpgan")
    discriminator = ConvDiscriminator(widths=(4, 4), strides=(2, 2), **{setting: value})
    recipe = replace(recipe, networks={**recipe.networks, "discriminator": discriminator})
    assert f"discriminator.{setting}={twice}" in refused(build_step, recipe, random_data, 1)
    if setting == "pooling":
        build_step(recipe.but({"updates.gamma": 0}), random_data, 1)


@pytest.mark.parametrize("change", [{"generator.output": "sigmoid"}, {"data.pixel_range": (-2, 1)}])
def test_pixels_that_the_generator_cannot_draw_are_refused(change, mlp, device):
    assert "data.pixel_range" in refused(build_generator, mlp.but(change))


@pytest.mark.parametrize("name, steps_per_epoch", [("mlp", 10), ("slim_mlp", 470), ("keras_mlp", 200)])
def test_an_epoch_is_what_the_recipe_says_or_a_pass_over_the_images(name, steps_per_epoch, device):
    recipe = recipes.load(name)
    sampler, found = build_batches(recipe, 649, 64, seed=3)
    assert found == steps_per_epoch
    expected = SAMPLINGS[recipe.schedule.sampling](649, 64, 3)
    assert type(sampler) is type(expected) and np.array_equal(sampler.indices(20), expected.indices(20))


def test_each_optimizer_has_the_settings_of_its_network(mlp, random_data, device):
    wanted = {
        "optimizer_generator": {"learning_rate": 0.001, "beta1": 0.25, "beta2": 0.75, "epsilon": 0.5},
        "optimizer_discriminator": {"learning_rate": 0.002, "beta1": 0.125, "beta2": 0.875, "epsilon": 0.0625},
    }
    changes = {f"{name}.{key}": value for name, values in wanted.items() for key, value in values.items()}
    step = build_step(mlp.but(changes), random_data, 1)
    for name, values in wanted.items():
        adam = getattr(step, name)
        found = [float(value.asnumpy()) for value in (adam.learning_rate, adam.beta1, adam.beta2)]
        np.testing.assert_allclose([*found, adam.eps], [*values.values()], rtol=1e-6)


@pytest.mark.parametrize("still, moving", [("generator", "discriminator"), ("discriminator", "generator")])
@pytest.mark.parametrize("decay_rate", [1.0, 0.9])
def test_a_learning_rate_of_0_holds_a_network_still(still, moving, decay_rate, small_recipe, random_data, device):
    decay = {f"optimizer_{still}.decay_rate": decay_rate, f"optimizer_{still}.decay_steps": 2}
    changes = {f"optimizer_{still}.learning_rate": 0.0, **decay}
    step = build_step(small_recipe.but(changes), random_data, 1)

    def weights(name):
        return np.concatenate([each.asnumpy().ravel() for each in getattr(step, name).trainable_params()])

    before = {name: weights(name) for name in (still, moving)}
    noise = step.draw_noise(random_stream(1, "step"))
    step(on_device((np.arange(8, dtype=np.int32),)), on_device(noise))
    assert np.array_equal(before[still], weights(still)) and not np.array_equal(before[moving], weights(moving))


SMALL = {"widths": 4, "dense_widths": 4, "dense_width": 8, "start_channels": 4}
CHOICES = {  # each choice of each dataclass of settings once
    (type(part), key): (name, f"{section}.{key}")
    for name in ("acgan", "dcgan", "cvae_late", "mlp")
    for section, part in recipes.load(name).sections()
    for key, rule, _ in flat(part)
    if rule.kind == "choice" and section != "data" and (name, section) != ("acgan", "updates")
}


@pytest.mark.parametrize("name, key", CHOICES.values())
def test_every_choice_can_be_built(name, key, device):
    recipe = recipes.load(name)
    changes: dict = {"data.pixel_range": (0, 1), "schedule.batch_size": 8}  # what every generator can draw
    for each, value in recipe.settings().items():
        width = SMALL.get(each.rpartition(".")[2])
        if width:
            changes[each] = (width,) * len(value) if isinstance(value, tuple) else width
    if key == "updates.loss":
        changes["updates.gradient_penalty"] = 1
    for choice in recipe.rule(key).choices:
        changed = recipe.but({**changes, key: choice})
        step = build_step(changed, noise_for(changed, 64), seed=1)
        step.draw_noise(np.random.default_rng(0))
        build_batches(changed, 64, step.images_per_step, seed=1)[0].indices(0)
