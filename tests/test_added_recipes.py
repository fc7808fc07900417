"""Recipes from files outside the package, with losses, networks and families of their own."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import here, refused_here, run, write_mnist
from helpers.networks import noise_for, takes_a_step
from helpers.refusals import refused

from ms_gan import recipes
from ms_gan.recipes import Family, Network
from ms_gan.schema.fields import Settings, whole
from ms_gan.schema.networks import MLPGenerator
from ms_gan.schema.updates import LOSSES, GANUpdates

FILES = Path(__file__).parent / "recipes"
SMALL = {"generator.widths": (16, 32), "discriminator.widths": (16,)}


@pytest.fixture
def own(tmp_path):
    """A copy of the recipe file with a family and a network of its own, where nothing else lies."""
    return shutil.copy(FILES / "own_family.py", tmp_path / "mine.py")


@pytest.mark.parametrize("name, threshold", [("lsgan", 0.5), ("wgan_gp", None)])
def test_a_published_system_is_a_file_of_at_most_25_lines(name, threshold, device):
    file = FILES / f"{name}.py"
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 25
    recipe = recipes.load(file)
    assert recipe.name == name and recipe.updates.threshold == threshold
    assert recipes.from_json(recipes.to_json(recipe)) == recipe
    assert takes_a_step(recipe.but(SMALL))


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


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_a_step(loss, small_recipe, device):
    changes = {"updates.loss": loss, "updates.gradient_penalty": 10.0 * (loss == "wasserstein")}
    assert takes_a_step(small_recipe.but(changes))


def test_a_file_is_a_recipe_wherever_it_lies(own, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    here("recipes", "mine.py")
    printed = capsys.readouterr().out
    recipe = recipes.load("mine.py")
    assert recipe.name == "own_family" and json.loads(printed) == recipes.to_json(recipe)
    (tmp_path / "printed.json").write_text(printed)
    here("recipes", tmp_path / "printed.json")
    assert capsys.readouterr().out == printed and recipes.load(own) == recipe == recipes.load("./printed.json")


def test_a_record_of_a_run_knows_what_the_file_beside_it_registers(own, tmp_path):
    record = {"recipe": recipes.to_json(recipes.load(own)), "seed": 1}
    for table in (recipes.FAMILIES, recipes.NETWORKS):
        table.pop("own", table.pop(("generator", "one_layer"), None))
    (tmp_path / "settings.json").write_text(json.dumps(record))
    assert "family 'own' is not registered" in refused(
        recipes.load, tmp_path / "settings.json", error=recipes.UnknownFamily
    )
    shutil.copy(own, tmp_path / recipes.RECIPE_FILE)
    assert recipes.load(tmp_path / "settings.json") == recipes.load(own)
    assert recipes.source_to_keep(tmp_path / "settings.json") == tmp_path / recipes.RECIPE_FILE


def test_a_run_keeps_the_file_that_registers_what_its_recipe_needs(own, tmp_path):
    (tmp_path / "printed.json").write_text("{}")
    assert recipes.source_to_keep(own) == Path(own)
    assert recipes.source_to_keep("mlp") is recipes.source_to_keep(tmp_path / "printed.json") is None


def test_a_file_of_the_same_text_is_run_once_and_registers_again(own, tmp_path):
    """So that a run's copy, opened later in the process, does not make a recipe of before another one's."""
    recipe = recipes.load(own)
    family = recipes.FAMILIES["own"]
    recipes.register(replace(family, label_requirement="none"))
    (tmp_path / "run").mkdir()
    recipes.learn(Path(shutil.copy(own, tmp_path / "run" / recipes.RECIPE_FILE)))
    assert recipes.FAMILIES["own"] is family
    recipes.check(recipe)


def test_a_file_that_changes_is_run_again(own):
    recipes.load(own)
    text = Path(own).read_text().replace('label_requirement="any"', 'label_requirement="none"')
    text = text.replace('layer", least=1', 'layer", least=2')
    Path(own).write_text(text)
    recipe = recipes.load(own)
    assert recipes.FAMILIES["own"].label_requirement == "none" and recipe.rule("generator.width").least == 2
    recipes.check(recipe)


def test_what_lies_beside_a_file_can_be_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text("from widths_of_mine import RECIPE\n")
    (tmp_path / "widths_of_mine.py").write_text("from ms_gan.recipes import load\nRECIPE = load('mlp')\n")
    assert recipes.load(tmp_path / "mine.py") == recipes.load("mlp")


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("mine.py", "RECIPE = 3 +\n", "mine.py, line 1: SyntaxError: invalid syntax"),
        ("mine.py", "\n\nRECIPE = recipe\n", "mine.py, line 3: NameError: name 'recipe' is not defined"),
        ("mine.py", "import no_such_package\n", "line 1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("mine.py", "raise ValueError('two\\nlines')\n", "line 1: ValueError: two lines"),
        ("mine.py", "\x00", "mine.py: "),
        ("mine.py", "# \udcff", "mine.py"),
        (
            "mine.py",
            "from ms_gan.recipes import load\nload('mlp').but({'latent.size': 0})",
            "line 2: recipe mlp: latent",
        ),
        ("mine.py", "from ms_gan.recipes import load\nload('nope')", "line 2: unknown recipe 'nope'"),
        ("mine.py", "RECIPE = {'name': 'mine'}", "mine.py: RECIPE must be a Recipe, not {"),
        ("mine.json", "{", "mine.json: no JSON"),
        ("mine.json", "[" * 100000, "mine.json: no JSON"),
        ("mine.json", "\udcff", "mine.json: no JSON"),
        ("mine.json", "[]", "mine.json: no recipe"),
        ("mine.json", '{"recipe": 3}', "mine.json: no recipe"),
        (
            "mine.json",
            '{"name": "mine", "family": "gan", "schedule": {"epochs": NaN}}',
            "mine.json: recipe mine: section",
        ),
        ("mine.json", '{"name": "mine", "family": "yours"}', "recipe mine: family 'yours' is not registered"),
        ("other.py", "", "mine.py: no such file"),
        ("other.json", "", "mine.json: no such file"),
    ],
)
def test_a_file_with_a_mistake_is_refused_in_one_line(name, content, said, tmp_path, capsys):
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert said in refused_here(capsys, "recipes", tmp_path / name.replace("other", "mine"))


def test_a_folder_is_no_recipe(tmp_path, capsys):
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


@pytest.mark.parametrize(
    "entry, said",
    [
        (Family("gan", ("generator",), Mine, object), "gan is a family of ms_gan's own"),
        (Network("mlp_generator", "generator", Mine, object), "mlp_generator is a network of ms_gan's own"),
        (
            Network("mine", "generator", MLPGenerator, object),
            "mine: its settings MLPGenerator are those of the network",
        ),
        (Network("mine", "generator", Thawed, object), "mine: its settings must be a frozen dataclass of Settings"),
        (Network("mine", "generator", Settings, object), "mine: its settings must be a frozen dataclass of Settings"),
        (Network("mine", "generator", dict, object), "mine: its settings must be a frozen dataclass of Settings"),
        (Network("mine", "generator", Mine(), object), "mine: its settings must be a frozen dataclass of Settings"),
        (Network("mine", "generator", Taken, object), "none of its settings can be called network"),
        (Network("my own", "generator", Mine, object), "'my own' is no name for a family or a network"),
        (Family(None, ("generator",), Mine, object), "None is no name for a family or a network"),
        (Family("mine", ("discriminator",), Mine, object), "one of its networks must be called generator"),
        (Family("mine", ("generator", "data"), Mine, object), "'data' is no name for a network"),
        (Family("mine", ("generator", "optimizer_x"), Mine, object), "'optimizer_x' is no name for a network"),
        (Family("mine", ("generator", "a.b"), Mine, object), "'a.b' is no name for a network"),
        (
            Family("mine", ("generator",), Mine, object, label_requirement="all"),
            "label_requirement must be one of none, class, any, not 'all'",
        ),
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
        assert f"use one of {names}" in refused(call, error=recipes.UnknownFamily)
    assert "settings OneLayer" in refused(recipes.check, recipe, error=recipes.UnknownFamily)
    del recipes.FAMILIES["own"]
    for call in (lambda: recipes.from_json(record), lambda: recipes.check(recipe)):
        assert refused(call, error=recipes.UnknownFamily).endswith(
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
        ["updates.batches=2"],
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


def test_a_family_that_ends_in_no_number_does_not(own, device):
    Path(own).write_text(Path(own).read_text().replace(".mean()", ".mean() - 3e38 - 3e38"))
    assert not takes_a_step(recipes.load(own))


def test_a_run_whose_file_registers_its_family_goes_all_the_way(own, tmp_path):
    """Train, go on, evaluate, export, and train again from the record, the file itself being gone."""
    data, runs = write_mnist(tmp_path / "data", 64), tmp_path / "runs" / "own_family"
    train = ("train", "--data-path", data, "--output-dir", tmp_path / "runs")
    run(*train, "--recipe", "mine.py", "--steps", 2, "--set", "generator.width=12", cwd=tmp_path)
    assert (runs / "1" / recipes.RECIPE_FILE).read_bytes() == (FILES / "own_family.py").read_bytes()
    Path(own).unlink()
    run("train", "--resume", runs / "1", "--steps", 4)
    assert (runs / "1" / "checkpoints" / "step_00000004").is_dir()
    run("eval", runs / "1", "--output-dir", tmp_path / "eval")
    run("export", runs / "1", "--output-dir", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "contract.json").is_file()
    record = next(path for path in (runs / "1" / "settings.json", runs / "1" / "recipe.json") if path.exists())
    run(*train, "--recipe", record, "--steps", 1)
    assert (runs / "2" / recipes.RECIPE_FILE).read_bytes() == (FILES / "own_family.py").read_bytes()
    assert recipes.load(runs / "2" / record.name).settings()["generator.width"] == 12


HELPED = """from mine_helper import WIDTH, Shrunk
from ms_gan.recipes import Network, load, register
from mine_parts.cells import ShrunkGenerator
from dataclasses import replace

register(Network("shrunk", "generator", Shrunk, ShrunkGenerator))
MLP = load("mlp").but({"discriminator.widths": (16,), "schedule.batch_size": 8})
RECIPE = replace(MLP, name="helped", networks={**MLP.networks, "generator": Shrunk(WIDTH)})
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
    """Train, go on, evaluate, and train again from the record, the folder being gone."""
    data, runs = write_mnist(tmp_path / "data", 64), tmp_path / "runs" / "helped"
    train = ("train", "--data-path", data, "--output-dir", tmp_path / "runs")
    run(*train, "--recipe", "mine.py", "--steps", 1, cwd=helped.parent)
    kept = {
        path.relative_to(runs / "1" / "recipe_modules").as_posix() for path in runs.glob("1/recipe_modules/**/*.py")
    }
    assert kept == HELPERS.keys() - {"not_imported.py"}
    shutil.rmtree(helped.parent)
    run("train", "--resume", runs / "1", "--steps", 2)
    run("eval", runs / "1", "--output-dir", tmp_path / "eval")
    run(*train, "--recipe", runs / "1" / "settings.json", "--steps", 1)
    shutil.rmtree(runs / "1")
    run("train", "--resume", runs / "2", "--steps", 2)


def test_a_run_goes_on_with_the_modules_that_it_was_trained_with(helped, tmp_path):
    """Also in the process, and the folder, where they have changed since."""
    recipe = recipes.load(helped)
    for number, width in enumerate((12, 13), 1):
        (helped.parent / "mine_helper.py").write_text(HELPERS["mine_helper.py"].replace("12", f"{width}  # {number}"))
        (tmp_path / str(number)).mkdir()
        assert recipes.load(helped).settings()["generator.width"] == width
        recipes.keep(helped, tmp_path / str(number))
    shutil.rmtree(helped.parent)
    for number, width in ((1, 12), (2, 13)):
        found = recipes.load(tmp_path / str(number) / recipes.RECIPE_FILE)
        assert found.settings()["generator.width"] == width
        recipes.check(found)
    assert recipe.name == found.name


def test_a_copy_of_a_file_and_its_modules_is_not_run_again(helped, tmp_path):
    recipe = recipes.load(helped)
    recipes.keep(helped, tmp_path)
    assert recipes.learn(tmp_path / recipes.RECIPE_FILE).RECIPE is recipe


def test_a_recipe_that_only_this_process_knows_is_not_trained(own, tmp_path):
    from ms_gan.training.request import TrainRequest

    recipe = recipes.load(own)
    known_network = recipes.override(recipes.load("mlp"), ["generator.network=one_layer"])
    for unknown in (recipe, known_network):
        message = refused(TrainRequest(recipe=unknown).settings, noise_for(recipe, 8))
        assert f"recipe {unknown.name}: its family or a network is registered in this process only" in message
        assert message.endswith("put the recipe and its register() calls into a FILE.py, and train that file")
        recipes.require_file(unknown, Path(own))
    recipes.require_file(recipes.load("mlp"), None)


def test_a_discriminator_that_declares_nothing_is_refused_with_its_base(own, random_data, device):
    from mindspore import nn

    from ms_gan.recipes.build import build_step

    class Plain(nn.Cell):
        def __init__(self, settings, inputs):
            super().__init__()

    recipes.register(Network("plain", "discriminator", Mine, Plain))
    mlp = recipes.load("mlp")
    recipe = replace(mlp, networks={**mlp.networks, "discriminator": Mine()})
    message = refused(build_step, recipe, random_data, 1)
    assert "recipe mlp: the discriminator Plain does not declare" in message
    assert message.endswith("make it a subclass of ms_gan.nets.heads.Discriminator")


@pytest.mark.parametrize("name", ["one_layer", "gmmn"])
def test_the_networks_and_the_family_of_the_page_take_a_step(name, tmp_path, device):
    page = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.S) if f'name="{name}"' in each)
    (tmp_path / "page.py").write_text(block, encoding="utf-8")
    recipe = recipes.load(tmp_path / "page.py")
    assert takes_a_step(recipe.but({"schedule.batch_size": 8})) and recipe.updates.threshold in (None, 0.0)


def test_a_run_resumed_with_another_recipe_is_refused_by_the_recipes_name():
    from ms_gan.runs.settings import RunSettings, refuse_changes

    before, now = (RunSettings(recipes.load(name), 1, "mnist", "", "CPU", 1, None, 1) for name in ("rpgan", "mlp"))
    message = refused(refuse_changes, before, now, "the command says")
    assert "recipe.name was rpgan and the command says mlp" in message
