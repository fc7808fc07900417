"""Recipes from files outside the package, with losses, networks and families of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import mindspore as ms
import numpy as np
import pytest
from helpers.commands import ROOT, here, refused_here, run, write_mnist
from helpers.networks import noise_for, step_on_noise, takes_a_step
from helpers.refusals import refused

from ms_gan import recipes
from ms_gan.randomness import random_stream
from ms_gan.recipes import FAMILIES, Family, Network
from ms_gan.recipes.build import build_discriminator, build_step
from ms_gan.schema.fields import Settings, whole
from ms_gan.schema.networks import BatchNorm, ConvDiscriminator, MLPGenerator
from ms_gan.schema.updates import LOSSES, GANUpdates
from ms_gan.steps.graph import on_device

FILES = Path(__file__).parent / "recipes"
SMALL = {"generator.widths": (16, 32), "discriminator.widths": (16,)}


@pytest.fixture
def own(tmp_path):
    """A copy of the recipe file with a family and a network of its own, where nothing else lies."""
    return shutil.copy(FILES / "own_family.py", tmp_path / "mine.py")


def loss_of_discriminator(loss: str, logits: np.ndarray, target: float) -> np.ndarray:
    """What D pays for a logit, as the papers write it: Goodfellow 2014, Mao 2017, Lim and Ye 2017."""
    if loss == "least_squares":
        return (logits - target) ** 2
    if loss == "hinge":
        return np.maximum(0, 1 - (2 * target - 1) * logits)
    return target * np.log1p(np.exp(-logits)) + (1 - target) * np.log1p(np.exp(logits))


@pytest.mark.parametrize(
    "loss, real, fake",
    [
        ("non_saturating", 1.0, 0.0),
        ("saturating", 1.0, 0.0),
        ("saturating", 0.9, 0.0),
        ("non_saturating", 0.9, 0.1),
        ("non_saturating", 0.7, 0.2),
        ("least_squares", 1.0, 0.0),
        ("least_squares", 0.9, 0.2),
        ("hinge", 1.0, 0.0),
    ],
)
def test_the_best_discriminator_is_above_the_threshold_where_real_images_are_likelier(loss, real, fake):
    threshold = GANUpdates(loss=loss, target_real=(real, real), target_fake=(fake, fake)).threshold
    logits = np.linspace(-3, 3, 6001)
    for share_real, above in ((0.51, True), (0.49, False)):
        of_real, of_fake = (loss_of_discriminator(loss, logits, target) for target in (real, fake))
        best = logits[np.argmin(share_real * of_real + (1 - share_real) * of_fake)]
        assert (best > threshold) == above


def test_where_only_differences_of_logits_mean_anything_there_is_no_threshold():
    without = {loss for loss in LOSSES if GANUpdates(loss=loss, gradient_penalty=10.0).threshold is None}
    assert without == {"wasserstein", "relativistic", "relativistic_average"}


def test_a_file_is_a_recipe_wherever_it_lies(own, capsys, monkeypatch, tmp_path):
    """A run keeps a copy of it, since it registers what the recipe needs; of what it prints it keeps none."""
    monkeypatch.chdir(tmp_path)
    here("recipes", "mine.py")
    printed = capsys.readouterr().out
    recipe = recipes.load("mine.py")
    assert recipe.name == "own_family" and json.loads(printed) == recipes.to_json(recipe)
    (tmp_path / "printed.json").write_text(printed)
    here("recipes", tmp_path / "printed.json")
    assert capsys.readouterr().out == printed and recipes.load(own) == recipe == recipes.load("./printed.json")
    assert recipes.load_with_source(own)[1] == Path(own)
    assert all(recipes.load_with_source(name)[1] is None for name in ("mlp", tmp_path / "printed.json"))


def test_a_file_that_changes_is_run_again(own):
    recipes.load(own)
    text = Path(own).read_text().replace('label_requirement="any"', 'label_requirement="none"')
    text = text.replace('layer", least=1', 'layer", least=2')
    Path(own).write_text(text)
    recipe = recipes.load(own)
    assert recipes.FAMILIES["own"].label_requirement == "none" and recipe.rule("generator.width").least == 2
    recipes.check(recipe)


LOAD = "from ms_gan.recipes import load\n"


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("mine.py", "RECIPE = 3 +\n", "mine.py, line 1: SyntaxError: invalid syntax"),
        ("mine.py", "\n\nRECIPE = recipe\n", "mine.py, line 3: NameError: name 'recipe' is not defined"),
        ("mine.py", "import no_such_package\n", "line 1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("mine.py", "raise ValueError('two\\nlines')\n", "line 1: ValueError: two lines"),
        ("mine.py", "raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("mine.py", "\x00", "mine.py: "),
        ("mine.py", "# \udcff", "mine.py"),
        ("mine.py", f"{LOAD}load('mlp').but({{'latent.size': 0}})", "line 2: recipe mlp: latent.size must be "),
        ("mine.py", f"{LOAD}load('nope')", "line 2: unknown recipe 'nope'"),
        (
            "mine.py",
            "from ms_gan.schema.networks import *\nMLPGenerator(5)",
            "line 2: widths must be a list of whole numbers",
        ),
        ("mine.py", "from ms_gan.schema.updates import *\nGANUpdates(los=1)", "line 2: TypeError: "),
        ("mine.py", "from ms_gan.schema.updates import *\nGANUpdates(loss='wasserstein')", "line 2: gradient_penalty "),
        ("mine.py", "RECIPE = {'name': 'mine'}", "mine.py: RECIPE must be a Recipe, not {"),
        ("mine.py", "", "mine.py: RECIPE must be a Recipe, not None"),
        ("mine.json", "{", "mine.json: no JSON"),
        ("mine.json", "[" * 100000, "mine.json: no JSON"),
        ("mine.json", "\udcff", "mine.json: no JSON"),
        ("mine.json", "[]", "mine.json: no recipe"),
        ("mine.json", '{"recipe": 3}', "mine.json: no recipe"),
        ("mine.json", '{"name": "mine", "family": "gan", "schedule": {"epochs": NaN}}', "mine.json: recipe mine: "),
        ("mine.json", '{"name": "mine", "family": "yours"}', "mine.json: family 'yours' is not registered"),
        ("other.py", "", "mine.py: no such file"),
        ("other.json", "", "mine.json: no such file"),
    ],
)
def test_a_file_with_a_mistake_is_refused_in_one_line(name, content, said, tmp_path, capsys):
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert said in refused_here(capsys, "recipes", tmp_path / name.replace("other", "mine"))
    assert "no such file" in refused_here(capsys, "recipes", f"{tmp_path}/")


@dataclass(frozen=True)
class Mine(Settings):
    width: int = whole(8, "a width", least=1)


@dataclass
class Thawed(Settings):
    width: int = 8


@dataclass(frozen=True)
class Taken(Settings):
    network: int = 8


ONE = ("generator",)
NO_SETTINGS = "mine: its settings must be a frozen dataclass of Settings"


@pytest.mark.parametrize(
    "entry, said",
    [
        (Family("gan", ONE, Mine, object), "gan is a family of ms_gan's own"),
        (Network("mlp_generator", "generator", Mine, object), "mlp_generator is a network of ms_gan's own"),
        (
            Network("mine", "generator", MLPGenerator, object),
            "mine: its settings MLPGenerator are those of the network",
        ),
        (Network("mine", "generator", Thawed, object), NO_SETTINGS),
        (Network("mine", "generator", Settings, object), NO_SETTINGS),
        (Network("mine", "generator", dict, object), NO_SETTINGS),
        (Network("mine", "generator", Mine(), object), NO_SETTINGS),
        (Network("mine", "generator", Taken, object), "none of its settings can be called network"),
        (Network("my own", "generator", Mine, object), "'my own' is no name for a family or a network"),
        (Family(None, ONE, Mine, object), "None is no name for a family or a network"),
        (Family("mine", ("discriminator",), Mine, object), "one of its networks must be called generator"),
        (Family("mine", ("generator", "data"), Mine, object), "'data' is no name for a network"),
        (Family("mine", ("generator", "optimizer_x"), Mine, object), "'optimizer_x' is no name for a network"),
        (Family("mine", ("generator", "a.b"), Mine, object), "'a.b' is no name for a network"),
        (Family("mine", ONE, Mine, object, label_requirement="all"), "must be none, class or any, not 'all'"),
        (Mine(), "a Family or a Network can be registered, not Mine("),
    ],
)
def test_what_cannot_be_registered_is_refused(entry, said):
    before = dict(recipes.FAMILIES), dict(recipes.NETWORKS)
    assert said in refused(recipes.register, entry)
    assert (recipes.FAMILIES, recipes.NETWORKS) == before


def test_a_network_may_be_registered_for_the_projects_own_families(own):
    recipes.load(own)
    changed = recipes.override(recipes.load("mlp"), ["generator.network=one_layer", "generator.width=3"])
    assert changed.settings()["generator.width"] == 3 and recipes.from_json(recipes.to_json(changed)) == changed


def test_a_recipe_whose_family_or_network_is_not_registered_is_called_so(own):
    recipe = recipes.load(own)
    record = recipes.to_json(recipe)
    del recipes.NETWORKS["generator", "one_layer"]
    names = "conv_decoder, conv_generator, mlp_generator"
    for call in (lambda: recipes.from_json(record), lambda: recipes.override(recipe, ["generator.network=one_layer"])):
        assert f"use one of {names}" in refused(call)
    assert "settings OneLayer" in refused(recipes.check, recipe)
    del recipes.FAMILIES["own"]
    for call in (lambda: recipes.from_json(record), lambda: recipes.check(recipe)):
        assert refused(call).endswith(
            "family 'own' is not registered; load the recipe's file, which registers it, or use one of acgan, cvae, "
            "cvae_gan, gan, rpgan"
        )


def test_settings_of_an_added_family_are_its_own_whatever_they_are_called(own):
    recipe = recipes.override(recipes.load(own), ["updates.generator_loss=-9", "updates.size=[1, [2]]"])
    assert (recipe.updates.generator_loss, recipe.updates.size) == (-9.0, (1, (2,)))
    assert recipes.from_json(json.loads(json.dumps(recipes.to_json(recipe)))) == recipe
    assert recipes.override(recipe, ["updates.size=small"]).updates.size == "small"
    assert "updates.batches must be a number above 0, not 0.0" in refused(recipe.but, {"updates.batches": 0})


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["updates.batches=0.5"],
        ["updates.batches=40"],
        ["updates.least_batch=8"],
        ["updates.needs_twin=True"],
        ["data.size=32", "data.channels=3", "data.rotate_and_mirror=True"],
        ["generator.network=mlp_generator", "generator.widths=[8]", "data.classes=3"],
        ["generator.network=mlp_generator", "generator.widths=[8]", "data.classes=30", "data.max_tags=4"],
        ["ema.decay=0.9"],
    ],
)
def test_a_recipe_of_an_added_family_takes_a_step(changes, own, device):
    assert takes_a_step(recipes.override(recipes.load(own), changes))


OWN = (FILES / "own_family.py").read_text(encoding="utf-8")
HELPED = f"""{OWN}
from dataclasses import replace
from mine_helper import WIDTH, Shrunk
from mine_parts.cells import ShrunkGenerator

register(Network("shrunk", "generator", Shrunk, ShrunkGenerator))
RECIPE = replace(RECIPE, name="helped", networks={{"generator": Shrunk(WIDTH)}})
"""
HELPERS = {
    "mine_helper.py": """from dataclasses import dataclass
from ms_gan.schema.fields import Settings, whole
WIDTH = 12

@dataclass(frozen=True)
class Shrunk(Settings):
    width: int = whole(16, "a width", least=1)
""",
    "mine_parts/__init__.py": "",
    "mine_parts/cells.py": """from ms_gan.nets.mlp import MLPGenerator
from ms_gan.schema import networks

class ShrunkGenerator(MLPGenerator):
    def __init__(self, settings, inputs):
        super().__init__(networks.MLPGenerator(widths=(settings.width,)), inputs)
""",
    "not_imported.py": "",
}


@pytest.fixture
def helped(tmp_path, monkeypatch):
    """A recipe's file that imports a module and a package of its own folder."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "helped"
    for name, text in {**HELPERS, "mine.py": HELPED}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    yield folder / "mine.py"
    for name in ("mine_helper", "mine_parts", "mine_parts.cells"):
        sys.modules.pop(name, None)


def test_a_run_needs_neither_its_recipes_file_nor_what_that_imports(helped, tmp_path):
    """Train, go on, evaluate, export, and train again from the record, the folder being gone."""
    data, runs = write_mnist(tmp_path / "data", 64), tmp_path / "runs" / "helped"
    train = ("train", "--data-path", data, "--output-dir", tmp_path / "runs")
    run(*train, "--recipe", "mine.py", "--steps", 1, "--set", "generator.width=9", cwd=helped.parent)
    kept = {
        path.relative_to(runs / "1" / "recipe_modules").as_posix() for path in runs.glob("1/recipe_modules/**/*.py")
    }
    assert kept == HELPERS.keys() - {"not_imported.py"}
    assert (runs / "1" / recipes.RECIPE_FILE).read_bytes() == helped.read_bytes()
    shutil.rmtree(helped.parent)
    run("train", "--resume", runs / "1", "--steps", 2)
    run("eval", runs / "1", "--output-dir", tmp_path / "eval")
    run("eval", "step_00000002", "--output-dir", tmp_path / "of_a_checkpoint", cwd=runs / "1" / "checkpoints")
    run("export", runs / "1", "--output-dir", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "contract.json").is_file()
    run(*train, "--recipe", runs / "1" / "settings.json", "--steps", 1)
    shutil.rmtree(runs / "1")
    run("train", "--resume", runs / "2", "--steps", 2)
    assert recipes.load(runs / "2" / "settings.json").settings()["generator.width"] == 9


def test_a_run_goes_on_with_the_modules_that_it_was_trained_with(helped, tmp_path):
    """Also in the process, and the folder, where they have changed since."""
    recipe = recipes.load(helped)
    for number, width in enumerate((12, 13), 1):
        (helped.parent / "mine_helper.py").write_text(HELPERS["mine_helper.py"].replace("12", f"{width}  # {number}"))
        os.utime(helped.parent / "mine_helper.py", (number, number))  # Python tells versions apart by whole seconds
        (tmp_path / str(number)).mkdir()
        assert recipes.load(helped).settings()["generator.width"] == width
        recipes.keep(helped, tmp_path / str(number))
    shutil.rmtree(helped.parent)
    for number, width in ((1, 12), (2, 13)):
        found = recipes.load(tmp_path / str(number) / recipes.RECIPE_FILE)
        assert found.settings()["generator.width"] == width
        recipes.check(found)
    assert recipe.name == found.name


def test_a_copy_of_a_file_and_its_modules_is_not_run_again_but_registers_again(helped, tmp_path):
    """So that a run's copy, opened later in the process, does not make a recipe of before another one's."""
    recipe, family = recipes.load(helped), FAMILIES["own"]
    recipes.register(replace(family, label_requirement="none"))
    recipes.keep(helped, tmp_path)
    assert recipes.learn(tmp_path / recipes.RECIPE_FILE).RECIPE is recipe and FAMILIES["own"] is family
    recipes.check(recipe)


LATE = """
class Late:
    @staticmethod
    def width():
        from late_helper import WIDTH
        return WIDTH
"""


def test_what_is_imported_late_is_that_of_the_recipes_own_folder_or_refused(tmp_path):
    """Two recipes may have modules of one name beside them."""
    found = []
    try:
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / "mine.py").write_text(f"NUMBER = {number}\n{LATE}")
            (tmp_path / str(number) / "late_helper.py").write_text(f"WIDTH = {number}\n")
            found.append(recipes.learn(tmp_path / str(number) / "mine.py").Late)
            if number == 1:
                assert found[0].width() == 1
        for late in found:
            assert "several recipes have a module late_helper beside them: " in refused(late.width)
        (tmp_path / "1" / "late_helper.py").write_text("WIDTH = 2\n")
        os.utime(tmp_path / "1" / "late_helper.py", (1, 1))
        assert [late.width() for late in found] == [2, 2]
    finally:
        sys.modules.pop("late_helper", None)


def test_a_file_is_kept_with_a_run_wherever_the_process_is(own, tmp_path, monkeypatch):
    """Also where nobody has loaded it before; and of one that fails nothing stays."""
    monkeypatch.chdir(tmp_path)
    source = recipes.load_with_source("mine.py")[1]
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        recipes.keep(source, folder)
        assert (folder / recipes.RECIPE_FILE).read_bytes() == Path(own).read_bytes()
        source = folder / recipes.RECIPE_FILE
    before = set(sys.modules)
    (tmp_path / "failing.py").write_text("import mine_no_more")
    assert "mine_no_more" in refused(recipes.keep, tmp_path / "failing.py", folder)
    assert set(sys.modules) == before


def test_a_recipe_that_only_this_process_knows_is_not_trained(own):
    recipe = recipes.load(own)
    for unknown in (recipe, recipes.override(recipes.load("mlp"), ["generator.network=one_layer"])):
        message = refused(recipes.require_file, unknown, None)
        assert f"recipe {unknown.name}: its family or a network is registered in this process only" in message
        recipes.require_file(unknown, Path(own))
    recipes.require_file(recipes.load("mlp"), None)


def test_a_discriminator_that_declares_nothing_is_refused_with_its_base(random_data, device):
    from mindspore import nn

    class Plain(nn.Cell):
        def __init__(self, settings, inputs):
            super().__init__()

    recipes.register(Network("plain", "discriminator", Mine, Plain))
    mlp = recipes.load("mlp")
    recipe = replace(mlp, networks={**mlp.networks, "discriminator": Mine()})
    message = refused(build_step, recipe, random_data, 1)
    assert message.startswith("recipe mlp: Plain does not declare what the family gan asks of a discriminator")
    assert message.endswith("make it a subclass of ms_gan.nets.heads.Discriminator")


def test_a_step_that_is_none_is_refused_where_it_is_built(own, device):
    recipe, family = recipes.load(own), FAMILIES["own"]

    def unnamed(parts, updates):
        step = family.step(parts, updates)
        step.scalars = "loss"
        return step

    for step in (lambda parts, updates: object(), unnamed, type("NoStep", (), {})):
        recipes.register(replace(family, step=step))
        message = refused(build_step, recipe, noise_for(recipe, 8), 1)
        assert "the step of the family own must be a TrainingStep with networks = ('generator',)" in message


class Drawn(NamedTuple):
    latent: np.ndarray
    masks: tuple


def test_noise_of_double_precision_reaches_the_device_in_single(device):
    noise = on_device(Drawn(np.ones(3), (np.ones(2, bool), np.arange(2, dtype=np.int32))))
    assert [str(noise[0].dtype), *(str(each.dtype) for each in noise[1])] == ["Float32", "Bool", "Int32"]


def test_a_discriminator_without_logits_is_not_scored():
    from ms_gan.runs.model import Model

    recipes.register(replace(FAMILIES["gan"], name="energy", discriminator_logits=False))
    recipe = replace(recipes.load("mlp"), family="energy")
    found = Model.discriminator(SimpleNamespace(recipe=recipe), None)
    assert found == (None, "the discriminator of the family energy gives no logits")


@pytest.mark.parametrize("first_layer", [False, True])
def test_hidden_layers_of_a_convolutional_discriminator_may_have_batch_norm(first_layer, device):
    """As in DCGAN (Radford et al. 2016): in all but the first. Its penalty would be that of a batch."""
    from mindspore import nn

    mlp, norm = recipes.load("mlp"), BatchNorm(first_layer=first_layer, momentum=0.8)
    discriminator = ConvDiscriminator(widths=(4, 6, 8), strides=(2, 2, 2), batch_norm=norm)
    recipe = replace(mlp.but(SMALL), networks={**mlp.but(SMALL).networks, "discriminator": discriminator})
    layers = [list(each) for each in build_discriminator(recipe).network.convolutions]
    norms = [[cell for cell in each if isinstance(cell, nn.BatchNorm2d)] for each in layers]
    assert [len(each) for each in norms] == ([1, 1, 1] if first_layer else [0, 1, 1])
    assert isinstance(layers[1][1], nn.BatchNorm2d), "before the activation"
    assert takes_a_step(recipe.but({"updates.discriminator_update": "separate"}))
    assert "BatchNorm" in refused(takes_a_step, recipe.but({"updates.gradient_penalty": 1}))


def test_in_the_example_of_a_family_g_learns_from_the_new_d(device):
    recipe = recipes.load(ROOT / "examples" / "feature_matching.py")
    assert takes_a_step(recipe) and recipe.updates.threshold == 0
    step, indices = step_on_noise(recipe.but({"schedule.batch_size": 8}))
    (latent,) = noise = on_device(step.draw_noise(random_stream(1, "step")))
    batch = step.data.inputs(indices)
    real = step.data(*map(ms.Tensor, batch))

    def loss_g():
        means = [step.discriminator.features(some).asnumpy().mean(0) for some in (step.generator(latent), real)]
        return ((means[0] - means[1]) ** 2).sum()

    old = {weight.name: weight.asnumpy().copy() for weight in step.generator.trainable_params()}
    with_old_d = loss_g()
    told = step(on_device(batch), noise).asnumpy()[1]
    assert any((weight.asnumpy() != old[weight.name]).any() for weight in step.generator.trainable_params())
    for weight in step.generator.trainable_params():
        weight.set_data(ms.Tensor(old[weight.name]))
    np.testing.assert_allclose(told, loss_g(), rtol=1e-4)
    assert abs(told - with_old_d) > 1e-3 * told


@pytest.mark.parametrize("name, threshold", [("lsgan", 0.5), ("wgan_gp", None), ("one_layer", 0.0), ("gmmn", None)])
def test_the_recipes_of_the_page_take_a_step(name, threshold, tmp_path, device):
    page = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.S) if f'name="{name}"' in each)
    (tmp_path / "page.py").write_text(block, encoding="utf-8")
    recipe = recipes.load(tmp_path / "page.py")
    assert name in ("one_layer", "gmmn") or len(block.splitlines()) <= 25, "a published system"
    assert takes_a_step(recipe.but({"schedule.batch_size": 8})) and recipe.updates.threshold == threshold
    assert recipes.from_json(recipes.to_json(recipe)) == recipe
