"""Recipes: each one runs, a mistake is refused by name, and what was kept before can be read."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import PUBLISHED, here, refused_here
from helpers.networks import noise_for, takes_a_step
from helpers.refusals import refused

from ms_gan import recipes
from ms_gan.schema.networks import ConvDiscriminator, ConvGenerator
from ms_gan.schema.recipe import flat

KEPT = {record["name"]: record for record in json.loads((Path(__file__).parent / "kept_recipes.json").read_text())}


@pytest.fixture
def mlp():
    return recipes.load("mlp")


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_takes_a_step(name, device):
    assert takes_a_step(recipes.load(name))


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_called_as_its_file_and_has_a_summary(name):
    recipe = recipes.load(name)
    recipes.check(recipe)
    assert recipe.name == name and recipe.summary


def test_the_recipes_of_the_project_are_there_by_name():
    """So may others be, which somebody adds for himself."""
    assert PUBLISHED <= set(recipes.names()) and recipes.names() == sorted(recipes.names())


@pytest.mark.parametrize("name", KEPT)
def test_a_record_of_version_0_1_is_todays_recipe(name):
    """With sections `average`, `data.places` and `updates.generator_loss`, as the eleven recipes were written then."""
    assert {"average", "data"} <= KEPT[name].keys() and "places" in KEPT[name]["data"] and KEPT.keys() == PUBLISHED
    assert recipes.from_json(KEPT[name]) == recipes.load(name)


def test_a_changed_record_of_version_0_1_keeps_its_changes():
    record = json.loads(json.dumps(KEPT["acgan"]))
    record["average"]["decay"], record["data"]["places"] = 0.9, 3
    record["updates"]["generator_loss"] = "saturating"
    changes = {"ema.decay": 0.9, "data.max_tags": 3, "updates.loss": "saturating"}
    assert recipes.from_json(record) == recipes.load("acgan").but(changes)


@pytest.mark.parametrize("name", ["pml", "build", "", "published", "mlp.txt"])
def test_an_unknown_recipe_is_refused_with_the_names(name):
    message = refused(recipes.load, name)
    assert f"unknown recipe {name!r}" in message and all(known in message for known in recipes.names())


def test_a_misspelled_name_is_told_the_nearest():
    assert refused(recipes.load, "rpgam").startswith("unknown recipe 'rpgam'; did you mean rpgan? there are: acgan, ")


@pytest.mark.parametrize(
    "name, assignment, expected",
    [
        ("mlp", "optimizer_generator.learning_rate=1e-4", 1e-4),
        ("mlp", "optimizer_generator.learning_rate=1", 1.0),
        ("mlp", "generator.widths=[3, 4]", (3, 4)),
        ("mlp", "generator.widths=3,4", (3, 4)),
        ("mlp", "data.dataset=digits", "digits"),
        ("mlp", "data.channels=3", 3),
        ("mlp", "schedule.epochs=7", 7),
        ("mlp", "updates.shared_counters=True", True),
        ("acgan", "sheet.above_real=False", False),
        ("acgan", "generator.batch_norm.place=after", "after"),
        ("mlp", "generator.batch_norm.place='none'", "none"),
        ("mlp", "generator.batch_norm.first_layer=True", True),
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


def test_the_last_of_several_settings_wins(mlp):
    assert recipes.override(mlp, ["schedule.epochs=7", "schedule.epochs=8"]).schedule.epochs == 8


@pytest.mark.parametrize("text", ["", "True", "many", "1.5", "[1]", "nan", "1e999", "__import__('os')", "(" * 9999])
def test_a_text_that_is_no_value_of_a_setting_is_refused_with_it(text, mlp):
    message = refused(recipes.override, mlp, [f"schedule.epochs={text}"])
    assert (
        message.startswith("recipe mlp: schedule.epochs must be a whole number of at least 1 ") and len(message) < 300
    )


def test_an_assignment_needs_a_value(mlp):
    assert "key=value" in refused(recipes.override, mlp, ["schedule.epochs"])


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
    for assignments, message in (
        (["generator.network=conv_generator"], "generator.start_channels is missing"),
        (["generator.network=mlp_discriminator"], "generator.network 'mlp_discriminator' is not registered"),
        (["encoder.network=conv_encoder"], "no setting 'encoder.network'"),
        (["generator.network=conv_decoder", "generator.slope=0.1"], "no setting 'generator.slope'"),
    ):
        assert message in refused(recipes.override, mlp, assignments)


RATES = "optimizer_generator.learning_rate or optimizer_discriminator.learning_rate"
BETAS = "optimizer_generator.beta1 or optimizer_discriminator.beta1"
EPSILONS = "generator.batch_norm.epsilon, optimizer_generator.epsilon or optimizer_discriminator.epsilon"
MEANT = {  # what is said to somebody who types one of these keys for a recipe
    "mlp": {
        "did you mean data.size?": "image_size img_size data.image_size",
        "did you mean latent.size?": "Latent_Size lattent.size latent_dim z_dim nz generator.latent_dim latent.dim",
        "did you mean data.size or latent.size?": "siz size",
        "did you mean data.channels?": "channels",
        "did you mean data.classes?": "num_classes n_classes classes",
        "did you mean generator.widths?": "generator.width",
        "did you mean generator.slope or discriminator.slope?": "slope",
        "did you mean generator.batch_norm.place?": "generator.batchnorm.place",
        "did you mean generator.batch_norm.momentum?": "momentun momentum",
        f"did you mean {EPSILONS}?": "eps",
        "did you mean optimizer_discriminator.epsilon?": "optimizer_d.eps",
        f"did you mean {RATES}?": "learning_rate lr LR learning-rate optimizer.lr schedule.lr updates.learning_rate",
        "did you mean optimizer_generator.learning_rate?": "optimizer_generator.learningrate lr_g generator.lr "
        "optimizer_generator.lr",
        "did you mean optimizer_discriminator.learning_rate?": "d_lr netD.lr",
        f"did you mean {BETAS}?": "beta1 b1 adam_beta1",
        "did you mean ema.decay?": "average_decay average.decay ema ema_decay decay",
        "did you mean updates.target_real?": "updates.targets_real",
        "did you mean updates.loss?": "generator_loss updates.generator_loss loss",
        "did you mean updates.discriminator_steps?": "k d_steps n_critic",
        "did you mean updates.gradient_penalty?": "gp gp_weight lambda_gp gradient_penalty",
        "did you mean data.max_tags?": "places data.places",
        "did you mean schedule.epochs? use epochs for that": "epochs epoch n_epochs train.epochs data.epochs",
        "did you mean schedule.batch_size? use batch_size for that": "batch_size batch-size BatchSize bs "
        "schedule.batchsize schedule.bs data.batch_size",
        "did you mean data.dataset? use dataset for that": "dataset train.dataset",
        "use seed for that": "seed schedule.seed random_seed",
        "use data_path for that": "data_path data.path data.data_path data_dir root",
        "use steps for that": "steps schedule.steps max_steps iterations",
        "use output_dir for that": "output_dir",
        "use device_num for that": "device_num",
        None: "gamma dropout generator.dropout weight_decay optimizer_generator.momentum optimizer_generator.decay "
        "discriminator.momentum optimizer.steps g_steps updates.steps alpha workers generator optimizer_generator "
        "batch_norm generator.batch_norm encoder.lr kl_weight lr_gamma x name summary family zzzzzz ",
    },
    "rpgan": {
        "did you mean updates.gamma?": "gp gp_weight lambda_gp gamma discriminator.gamma",
        None: "discriminator_steps k",
    },
    "acgan": {
        "did you mean discriminator.dropout_rate?": "dropout discriminator.dropout",
        None: "generator.dropout generator_steps",
    },
    "cvae_gan": {
        f"did you mean optimizer_encoder.learning_rate, {RATES}?": "lr",
        "did you mean optimizer_encoder.learning_rate?": "encoder.lr",
        "did you mean updates.kl_weight?": "kl",
        None: "place weight",
    },
    "cvae_late": {None: "d_lr"},
}


@pytest.mark.parametrize(
    "name, key, meant",
    [(name, key, meant) for name, many in MEANT.items() for meant, keys in many.items() for key in keys.split(" ")],
)
def test_a_key_that_others_use_is_refused_with_what_it_means(name, key, meant):
    message = refused(recipes.override, recipes.load(name), [f"{key}=1"])
    assert message == f"recipe {name} has no setting {key!r}; {meant or f'`recipes {name}` prints all of its settings'}"


@pytest.mark.parametrize("key, options", [("steps", "; use --steps for that"), ("bs", "? use --batch-size for that")])
def test_the_command_line_names_its_option_for_what_a_key_means(key, options, capsys):
    assert refused_here(capsys, "train", "--set", f"{key}=1").endswith(f"{options}\n")


def test_a_key_is_shown_on_one_line_and_cut(mlp):
    message = refused(recipes.override, mlp, [f"a\n{'b' * 1000}=1"])
    assert "'a\\nbbb" in message and len(message) < 250


@pytest.mark.parametrize(
    "change, named",
    [
        ({"schedule": None}, "section schedule is missing"),
        ({"generator": None}, "section generator is missing"),
        ({"optimizer_generator": None}, "section optimizer_generator is missing"),
        ({"sheets": {}}, "sheets is no section of the family gan; did you mean sheet?"),
        ({"a\nb": {}}, "'a\\nb' is no section of the family gan"),
        ({"encoder": {}}, "encoder is no section of the family gan"),
        ({"sheet": 5}, "sheet must be a dictionary of settings"),
        ({"schedule": {"epoch": 3}}, "schedule.epoch is no setting; did you mean epochs?"),
        ({"schedule": {"epochs": {"n": 20}}}, "schedule.epochs must be a whole number"),
        ({"generator": {"network": None}}, "generator.network None is not registered"),
        ({"generator": {"network": "transformer"}}, "use one of conv_decoder, conv_generator, mlp_generator"),
        ({"generator": {"network": "mlp_discriminator"}}, "generator.network 'mlp_discriminator' is not registered"),
        ({"generator": {"widths": None}}, "generator.widths is missing"),
        ({"generator": {"depth": 3}}, "generator.depth is no setting"),
        ({"generator": {"batch_norm": None}}, None),
        ({"generator": {"batch_norm": "none"}}, "generator.batch_norm must be a section of settings, not 'none'"),
        ({"generator": {"batch_norm": {"momentun": 1}}}, "generator.batch_norm.momentun is no setting; did you mean"),
        ({"discriminator": {"strides": [1, 1]}}, "discriminator.strides is no setting"),
        ({"optimizer_discriminator": {"momentum": 0.9}}, "optimizer_discriminator.momentum is no setting"),
        ({"updates": {"order": 1}}, "updates.order is no setting"),
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
        flat = {
            f"{section}.{key}" for section in record if isinstance(record[section], dict) for key in record[section]
        }
        assert {key for key in recipe.settings() if key.count(".") == 1} <= flat
        (tmp_path / "printed.json").write_text(printed)
        assert recipes.load(tmp_path / "printed.json") == recipe


MISTAKES = {  # what an author may have written in place of a line of a recipe file, and what is said of it
    'family="gan"': {
        "family=3": "family 3 is not registered",
        'famly="gan"': "unexpected keyword argument 'famly'",
        'family="cvae"': "networks must be those of the family cvae",
    },
    'name="mlp"': {'name="other"': "its name must be that of its file, 'broken_one', not 'other'"},
    "summary=": {"sumary=": "unexpected keyword argument 'sumary'"},
    "MLPGenerator(widths=(128, 256, 512, 1024), slope=0.0)": {
        "MLPGenerator(widths=5)": "line {line}: widths must be whole numbers",
        "MLPGenerator()": "line {line}: TypeError: ",
        "MLPGenerators()": "line {line}: NameError: name 'MLPGenerators' is not defined",
        "None": "networks must be a dictionary of Settings",
    },
    "MLPDiscriminator(widths=(512, 256))": {"MLPGenerator(widths=(512, 256))": "no network for a discriminator"},
    "batch_size=128": {'batch_size="128"': "line {line}: batch_size must be a whole number of at least 4 "},
    'discriminator_update="sum"': {
        'discriminator_update="sum", loss="wasserstein"': "line {line}: gradient_penalty must be above 0 "
    },
    "RECIPE = Recipe(": {
        "RECIPES = Recipe(": "RECIPE must be a Recipe, not None",
        "RECIPE = dict(": "RECIPE must be a Recipe, not {",
        "RECIPE = = Recipe(": "line {line}: SyntaxError: ",
        "raise SystemExit(3)\nRECIPE = Recipe(": "line {line}: SystemExit: 3",
    },
}


@pytest.mark.parametrize(
    "line, instead, said", [(line, *each) for line, many in MISTAKES.items() for each in many.items()]
)
def test_a_recipe_file_with_a_mistake_is_refused_in_one_line(line, instead, said, tmp_path, monkeypatch, capsys):
    text = Path(recipes.published.mlp.__file__).read_text(encoding="utf-8")
    assert text.count(line) == 1
    text = text.replace(line, instead, 1).replace('name="mlp"', 'name="broken_one"')
    file = tmp_path / "broken_one.py"
    file.write_text(text, encoding="utf-8")
    where = 1 + text[: text.index(instead)].count("\n")
    if "its file" not in said:
        message = refused_here(capsys, "recipes", file)
        assert str(file) in message and said.replace("{line}", str(where)) in message
    monkeypatch.setattr(recipes.published, "__path__", [*recipes.published.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    try:
        assert said.replace("{line}", str(where)) in refused(recipes.load, "broken_one")
        here("recipes", status=2)
        printed = capsys.readouterr()
        assert "keras_mlp" in printed.out and str(file) in printed.err, "the others are listed all the same"
    finally:
        sys.modules.pop("ms_gan.recipes.published.broken_one", None)


@pytest.mark.parametrize("name, classes", [("mlp", 10), ("acgan", 0)])
def test_classes_that_the_family_cannot_use_are_refused(name, classes, random_data, device):
    from ms_gan.recipes.build import build_step

    message = refused(build_step, recipes.load(name).but({"data.classes": classes}), random_data, 1)
    assert "data.classes" in message
    named = message.partition("families that take labels are ")[2].split(", ")
    assert ({"acgan", "cvae", "cvae_gan", "rpgan"} <= set(named) and "gan" not in named) == (name == "mlp")


@pytest.mark.parametrize(
    "setting, value, twice", [("dropout_rate", 0.2, 0.0), ("pooling", "max", "none"), ("pooling", "average", "none")]
)
def test_a_discriminator_that_cannot_be_differentiated_twice_is_refused(setting, value, twice, random_data, device):
    from dataclasses import replace

    from ms_gan.recipes.build import build_step

    recipe = recipes.load("rpgan")
    discriminator = ConvDiscriminator(widths=(4, 4), strides=(2, 2), **{setting: value})
    recipe = replace(recipe, networks={**recipe.networks, "discriminator": discriminator})
    assert (
        f"discriminator.{setting}={twice:.0f}"
        if setting == "dropout_rate"
        else f"discriminator.{setting}={twice}" in (refused(build_step, recipe, random_data, 1))
    )
    if setting == "pooling":
        build_step(recipe.but({"updates.gamma": 0}), random_data, 1)


@pytest.mark.parametrize(
    "name, change",
    [
        ("mlp", {"generator.output": "sigmoid"}),
        ("mlp", {"data.pixel_range": (-2, 1)}),
        ("acgan", {"data.pixel_range": (0, 1.5)}),
    ],
)
def test_pixels_that_the_generator_cannot_draw_are_refused(name, change, device):
    from ms_gan.recipes.build import build_generator

    assert "data.pixel_range" in refused(build_generator, recipes.load(name).but(change))


@pytest.mark.parametrize("name, steps_per_epoch", [("mlp", 10), ("slim_mlp", 470), ("keras_mlp", 200)])
def test_an_epoch_is_what_the_recipe_says_or_a_pass_over_the_images(name, steps_per_epoch, device):
    from ms_gan.data.batches import SAMPLINGS
    from ms_gan.recipes.build import build_sampler

    recipe = recipes.load(name)
    sampler, found = build_sampler(recipe, 649, 64, seed=3)
    assert found == steps_per_epoch
    expected = SAMPLINGS[recipe.schedule.sampling](649, 64, 3)
    assert type(sampler) is type(expected) and np.array_equal(sampler.indices(20), expected.indices(20))


def test_each_optimizer_has_the_settings_of_its_network(mlp, random_data, device):
    from ms_gan.recipes.build import build_step

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
    from ms_gan.randomness import random_stream
    from ms_gan.recipes.build import build_step
    from ms_gan.steps.base import on_device

    changes = {f"optimizer_{still}.learning_rate": 0.0, f"optimizer_{still}.decay_rate": decay_rate}
    step = build_step(small_recipe.but(changes), random_data, 1)

    def weights(name):
        return np.concatenate([each.asnumpy().ravel() for each in getattr(step, name).trainable_params()])

    before = {name: weights(name) for name in (still, moving)}
    noise = step.draw_noise(random_stream(1, "step"))
    step(on_device((np.arange(8, dtype=np.int32),)), on_device(noise))
    assert np.array_equal(before[still], weights(still)) and not np.array_equal(before[moving], weights(moving))


def test_one_adam_for_both_has_one_set_of_constants(random_data, device):
    from ms_gan.recipes.build import build_step

    message = refused(build_step, recipes.load("slim_mlp").but({"optimizer_generator.beta1": 0.5}), random_data, 1)
    assert "optimizer_generator.beta1 is 0.5 and optimizer_discriminator.beta1 is 0.9" in message


SMALL = {"widths": 4, "dense_widths": 4, "dense_width": 8, "start_channels": 4}
CHOICES = {  # each choice of each dataclass of settings once
    (type(part), key): (name, f"{section}.{key}")
    for name in ("acgan", "dcgan", "cvae_late", "mlp")
    for section, part in recipes.load(name).sections()
    for key in flat(part)
    if recipes.load(name).rule(f"{section}.{key}").kind == "choice"
    and section != "data"
    and not (name == "acgan" and section == "updates")
}


@pytest.mark.parametrize("name, key", CHOICES.values())
def test_every_choice_can_be_built(name, key, device):
    from ms_gan.recipes.build import build_sampler, build_step

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
        build_sampler(changed, 64, step.images_per_step, seed=1)[0].indices(0)


def test_a_registered_family_or_network_of_the_projects_own_can_be_built(device):
    from ms_gan.recipes.registry import resolved

    for entry in (*recipes.FAMILIES.values(), *recipes.NETWORKS.values()):
        assert callable(resolved(entry.step if isinstance(entry, recipes.Family) else entry.cell))
