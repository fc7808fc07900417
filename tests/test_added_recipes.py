"""What somebody adds, a family, a network or a recipe, checks its own settings, and passes the tests of recipes."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from mindspore import nn, ops
from test_recipes import refused, takes_a_step

from ms_gan import recipes
from ms_gan.nets.mlp import MLPGenerator
from ms_gan.recipes import build
from ms_gan.steps.base import TrainingStep

# Names of other settings, with values that those may not have.
LIKE_OTHERS = {
    "size": "large",
    "momentum": 2,
    "images": [],
    "place": "left",
    "decay": -1.0,
    "output": None,
    "epochs": 0.5,
    "fakes": "none",
    "shared_counters": True,
    "batch_norm": "no",
    "target_real": {"low": 0.5},
    "beta1": True,
}
OF_A_NETWORK = {"widths": 3, "strides": [], "batch_norm": True, "slope": "steep", "rows": 1000, "output": "line"}


class MyGenerator(MLPGenerator):
    """The tutorial's, with arguments of its own."""

    def __init__(self, latent_size, classes, places, image_shape, widths, strides, batch_norm, slope, rows, output):
        self.taken = {
            "widths": widths,
            "strides": strides,
            "batch_norm": batch_norm,
            "slope": slope,
            "rows": rows,
            "output": output,
        }
        super().__init__(latent_size, classes, places, image_shape, [8], 0.0, {"place": "none"}, "tanh", "mindspore")


class MyStep(TrainingStep):
    """G alone, whose images are to be the real ones, of which it takes `batches` times a batch."""

    networks, scalars, labels = ("generator",), ("loss",), "any"

    def __init__(self, data, generator, optimizer_generator, latent, classes, batch_size, batches):
        super().__init__(auto_prefix=False)
        self.data, self.generator, self.optimizer_generator = data, generator, optimizer_generator
        self.latent, self.classes, self.batch_size, self.batches = latent, classes, batch_size, batches
        self.gradient = ops.GradOperation(get_by_list=True)(self.loss, list(generator.trainable_params()))

    @property
    def images_per_step(self):
        return int(self.batches * self.batch_size)

    def draw_noise(self, stream):
        return (stream.standard_normal((self.images_per_step, self.latent["size"])).astype(np.float32),)

    def loss(self, images, *inputs):
        return ((self.generator(*inputs) - images) ** 2).mean()

    def construct(self, batch, noise):
        inputs = (noise[0], self.data.labels(*batch)) if self.classes else noise
        images = self.data(*batch)
        loss = self.loss(images, *inputs).reshape((1,))
        return ops.depend(loss, self.optimizer_generator(self.gradient(images, *inputs)))


class TakesAnything(nn.Cell):
    """Keeps what it is given."""

    networks, labels, takes_clusters = ("generator", "discriminator"), "any", False
    discriminator_names_classes = discriminator_takes_labels = False

    def __init__(
        self,
        data,
        generator,
        discriminator,
        optimizer_generator,
        optimizer_discriminator,
        latent,
        classes,
        batch_size,
        size,
        momentum,
        images,
        place,
        decay,
        output,
        epochs,
        fakes,
        shared_counters,
        batch_norm,
        target_real,
        beta1,
    ):
        super().__init__()
        self.given = {
            "size": size,
            "momentum": momentum,
            "images": images,
            "place": place,
            "decay": decay,
            "output": output,
            "epochs": epochs,
            "fakes": fakes,
            "shared_counters": shared_counters,
            "batch_norm": batch_norm,
            "target_real": target_real,
            "beta1": beta1,
        }


class WantsTheTwin(MyStep):
    """Takes a generator in inference mode, and has nothing that it calls `fakes`."""

    def __init__(self, data, generator, optimizer_generator, latent, classes, batch_size, generator_in_inference):
        super().__init__(data, generator, optimizer_generator, latent, classes, batch_size, 1)
        self.twin = generator_in_inference


@pytest.fixture
def add(monkeypatch, device):
    """Return a function that registers a step as the family `mine`, and returns a recipe of it."""

    def register(step, updates, like="mlp", generator=None):
        monkeypatch.setitem(recipes.FAMILIES, "mine", step.networks)
        monkeypatch.setitem(build.STEPS, "mine", step)
        monkeypatch.setitem(build.NETWORKS["generator"], "my_generator", MyGenerator)
        recipe = {**recipes.load(like), "name": "mine", "family": "mine", "updates": dict(updates)}
        if generator is not None:
            recipe["generator"] = {"network": "my_generator", **generator}
        for player in {"encoder", "generator", "discriminator"} - set(step.networks):
            recipe.pop(player, None)
            recipe.pop(f"optimizer_{player}", None)
        recipes.check(recipe)
        return recipe

    return register


def test_settings_of_an_added_step_are_its_own_whatever_they_are_called(add, random_data):
    recipe = add(TakesAnything, LIKE_OTHERS)
    assert build.build_step(recipe, random_data, 1).given == LIKE_OTHERS
    changed = recipes.override(
        recipe,
        [
            "updates.size=small",
            "updates.momentum=-9",
            "updates.decay=7",
            "updates.output=0.5",
            "updates.epochs=0",
            "updates.shared_counters=False",
        ],
    )
    assert changed["updates"] == {
        **LIKE_OTHERS,
        "size": "small",
        "momentum": -9,
        "decay": 7.0,
        "output": 0.5,
        "epochs": 0.0,
        "shared_counters": False,
    }


def test_settings_of_an_added_network_are_its_own_whatever_they_are_called(add, random_data):
    recipe = add(MyStep, {"batches": 1}, generator=OF_A_NETWORK)
    assert build.build_step(recipe, random_data, 1).generator.taken == OF_A_NETWORK


def test_a_step_gets_the_generator_in_inference_mode_where_it_takes_one(add, random_data):
    step = build.build_step(add(WantsTheTwin, {}), random_data, 1)
    assert step.twin is not step.generator and not step.twin.training
    assert all(ours is theirs for ours, theirs in zip(step.generator.get_parameters(), step.twin.get_parameters()))


@pytest.mark.parametrize(
    "name, change, named",
    [
        ("mlp", {"updates": {"momentum": 2}}, "updates has a setting 'momentum' that gan does not take"),
        ("mlp", {"updates": {"size": "large"}}, "updates has a setting 'size' that gan does not take"),
        ("mlp", {"generator": {"rows": 1000}}, "generator has a setting 'rows' that mlp_generator does not take"),
        ("mlp", {"discriminator": {"dropout_rate": 2}}, "'dropout_rate' that mlp_discriminator does not take"),
        ("mlp", {"discriminator": {"batch_norm": {}}}, "'batch_norm' that mlp_discriminator does not take"),
        ("mlp", {"optimizer_generator": {"momentum": 2}}, "'momentum' that adam does not take"),
        ("rpgan", {"updates": {"fakes": "none"}}, "updates has a setting 'fakes' that rpgan does not take"),
    ],
)
def test_a_setting_that_belongs_elsewhere_is_refused_as_what_it_is(name, change, named, random_data, device):
    recipe = recipes.load(name)
    for section, settings in change.items():
        recipe[section].update(settings)
    recipe["data"]["clusters"] = 0
    recipes.check(recipe)
    assert named in refused(build.build_step, recipe, random_data, 1)


@pytest.mark.parametrize(
    "batches, like, change",
    [
        (1, "mlp", []),
        (2, "mlp", []),
        (0.5, "mlp", []),
        (40, "mlp", []),
        (3, "dcgan", []),
        (2, "mlp", ["data.classes=3"]),
        (0.5, "mlp", ["data.classes=30", "data.places=4"]),
    ],
)
def test_a_recipe_of_an_added_family_passes_the_test_of_every_recipe(batches, like, change, add):
    recipe = recipes.override(add(MyStep, {"batches": batches}, like), change)
    assert takes_a_step(recipe)


class Large(MyStep):
    """Wants batches of 16 at least."""

    def __init__(self, data, generator, optimizer_generator, latent, classes, batch_size):
        if batch_size < 16:
            raise recipes.UserError("a batch of at least 16 is needed")
        super().__init__(data, generator, optimizer_generator, latent, classes, batch_size, 1)


def test_a_family_that_takes_no_small_batch_passes_it_too(add):
    assert takes_a_step(add(Large, {}))


class Diverges(MyStep):
    """Ends in no number."""

    def construct(self, batch, noise):
        return super().construct(batch, noise) / 0.0


def test_a_family_that_ends_in_no_number_does_not(add):
    assert not takes_a_step(add(Diverges, {"batches": 1}))


FAMILIES, STEPS = "FAMILIES of ms_gan/recipes/__init__.py", "STEPS of ms_gan/recipes/build.py"


@pytest.mark.parametrize(
    "table, missing",
    [
        ((), f"{FAMILIES} and {STEPS} have no such entry"),
        (("STEPS",), f"{FAMILIES} has no such entry"),
        (("FAMILIES",), f"{STEPS} has no such entry"),
    ],
)
def test_a_family_that_is_not_registered_is_called_so(table, missing, add, monkeypatch):
    recipe = json.loads(json.dumps(add(MyStep, {"batches": 1})))
    if "FAMILIES" not in table:
        monkeypatch.delitem(recipes.FAMILIES, "mine")
    if "STEPS" not in table:
        monkeypatch.delitem(build.STEPS, "mine")
    with pytest.raises(recipes.UnknownFamily) as error:
        recipes.check(recipe)
    assert str(error.value) == (
        f"recipe mine: family 'mine' is not registered here: {missing}; bring the files that "
        "define it back, or use one of acgan, cvae, cvae_gan, gan, rpgan"
    )


def test_a_network_that_is_not_registered_is_called_so(add, monkeypatch):
    recipe = json.loads(json.dumps(add(MyStep, {"batches": 1}, generator=OF_A_NETWORK)))
    monkeypatch.delitem(build.NETWORKS["generator"], "my_generator")
    with pytest.raises(recipes.UnknownFamily) as error:
        recipes.check(recipe)
    assert str(error.value) == (
        "recipe mine: generator.network 'my_generator' is not registered here: NETWORKS of "
        "ms_gan/recipes/build.py has no such entry; bring the file that defines it back, or "
        f"use one of {', '.join(sorted(build.NETWORKS['generator']))}"
    )


def test_a_network_of_another_player_is_called_so(device):
    recipe = recipes.load("mlp")
    recipe["discriminator"]["network"] = "mlp_generator"
    with pytest.raises(recipes.UnknownFamily, match="NETWORKS .* use one of .*mlp_discriminator"):
        recipes.check(recipe)


class Critic(MyStep):
    """Trains a network that is called as none of the project's."""

    networks = ("generator", "critic")


def test_a_player_without_networks_is_called_so(monkeypatch, device):
    monkeypatch.setitem(recipes.FAMILIES, "mine", Critic.networks)
    monkeypatch.setitem(build.STEPS, "mine", Critic)
    recipe = {**recipes.load("mlp"), "family": "mine"}
    recipe["critic"], recipe["optimizer_critic"] = recipe.pop("discriminator"), recipe.pop("optimizer_discriminator")
    with pytest.raises(recipes.UnknownFamily, match="critic.network 'mlp_discriminator' is not registered here"):
        recipes.check(recipe)
    monkeypatch.setitem(build.NETWORKS, "critic", {"mlp_discriminator": build.MLPDiscriminator})
    recipes.check(recipe)


def test_what_is_known_of_arguments_is_what_the_projects_own_take():
    given = {
        "data",
        "latent",
        "classes",
        "batch_size",
        "generator_in_inference",
        "image_shape",
        "latent_size",
        "places",
        "judging",
        "network",
        "name",
        "encoder",
        "generator",
        "discriminator",
        "optimizer_encoder",
        "optimizer_generator",
        "optimizer_discriminator",
    }

    def taken(builder):
        return set(inspect.signature(builder).parameters) - given

    assert {family: taken(build.STEPS[family]) for family in recipes.STEP_ARGUMENTS} == recipes.STEP_ARGUMENTS
    assert {
        player: {kind: taken(build.NETWORKS[player][kind]) for kind in kinds}
        for player, kinds in recipes.NETWORK_ARGUMENTS.items()
    } == recipes.NETWORK_ARGUMENTS
    assert taken(build.adam) == recipes.ADAM
