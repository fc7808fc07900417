"""Every recipe runs, and by operators alone that are documented for Ascend (docs/ascend_operators.csv)."""

from __future__ import annotations

import csv

import mindspore
import numpy as np
import pytest
from helpers import networks
from helpers.bundles import labels_of, networks_of, recipe_of
from helpers.commands import ROOT
from helpers.operators import operators
from mindspore import Tensor, mutable, nn, ops
from mindspore import dtype as mstype

from ms_gan import recipes
from ms_gan.delivery.contract import example_inputs
from ms_gan.delivery.export import models_of
from ms_gan.delivery.formats import write_mindir
from ms_gan.delivery.rounding import round_weights
from ms_gan.errors import UserError
from ms_gan.evaluation import judge_training
from ms_gan.nets.unit_range import UnitRangeGenerator
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import build_encoder
from ms_gan.sampling import seeded_inputs
from ms_gan.steps.ema import with_ema
from ms_gan.steps.graph import on_device

MEASURED = mindspore.__version__.startswith("2.8.")  # others make other operators of the same code
with open(ROOT / "docs" / "ascend_operators.csv", newline="", encoding="utf-8") as table:
    ROWS = {row["operator"]: row for row in csv.DictReader(table)}
NEEDED = {name: set(row["types that a recipe needs"].split()) for name, row in ROWS.items()}


SEEN: dict[str, set[str]] = {}  # what the Cells of the tests below need
CASES: set[str] = set()  # the recipes, and others, that were compiled


def all_in_table(cell, adds=True):
    """Whether a Cell that has run needs nothing that the table has not; what it lacks is in the error."""
    if not MEASURED:
        return True
    found = operators(cell)
    assert found
    for name, types in found.items() if adds else ():
        SEEN.setdefault(name, set()).update(types)
    lacks = {name: types - NEEDED.get(name, set()) for name, types in found.items()}
    lacks = {name: types for name, types in lacks.items() if types or name not in NEEDED}
    assert not lacks, lacks
    return True


def test_what_is_needed_is_documented():
    for name, row in ROWS.items():
        assert NEEDED[name] <= set(row["types documented"].split()) and row["sources"], name
        assert row["a page of A2 or A3"] == "yes", name


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_takes_a_step_and_draws(name, device):
    recipe = recipes.load(name)
    try:  # a small batch is quick
        step, indices = networks.step_on_noise(recipe.but({"schedule.batch_size": 4}))
    except UserError:  # and a family may want more
        step, indices = networks.step_on_noise(recipe)
    update = with_ema(step, step, 0)
    noise = step.draw_noise(random_stream(1, "step"))
    scalars = update(on_device(step.data.inputs(indices)), on_device(noise)).asnumpy()
    assert scalars.shape == (len(step.scalars),) and np.isfinite(scalars).all()
    assert all_in_table(update)
    if step.pretraining_steps:
        pretraining = step.pretraining()
        pretraining(on_device(step.data.inputs(indices)), on_device(noise))
        assert all_in_table(pretraining)

    drawing = UnitRangeGenerator(step.drawing(), recipe.data.pixel_range).set_train(False)
    data = recipe.data
    labels = np.zeros((2, data.max_tags) if data.max_tags else 2, np.int32) if data.classes else None
    images = drawing(*map(Tensor, seeded_inputs(recipe.latent, 2, 1, labels))).asnumpy()
    assert images.shape == (2, data.channels, data.size, data.size) and images.min() >= 0 and images.max() <= 1
    assert all_in_table(drawing)
    if "encoder" in step.networks:
        encoder = build_encoder(recipe)
        encoder(Tensor(images), *(() if labels is None else (Tensor(labels),)))
        assert all_in_table(encoder)
    CASES.add(name)


@pytest.mark.parametrize("kind", ["features", "classes"])
@pytest.mark.parametrize("name", ["mlp", "rpgan_residual"])
def test_judges_learn_and_read(kind, name, device, monkeypatch):
    monkeypatch.setattr(judge_training, "use_own", lambda cell: 0)  # these kernels are for CPUs
    recipe = recipes.load(name)
    recipe = recipe if recipe.data.max_tags else recipe.but({"data.classes": 10})
    images = networks.noise_for(recipe, 16)
    data, training, _ = judge_training._training(kind, images, 1)
    batch = data.inputs(np.arange(8, dtype=np.int32))
    training.set_train(True)
    assert np.isfinite(float(training(mutable(tuple(map(Tensor, batch))))))
    assert all_in_table(training)
    network = training.network.set_train(False)
    network(Tensor(images.images[:2] / np.float32(255)))
    assert all_in_table(network)
    CASES.add(f"judge of {name}, {kind}")


class Loaded(nn.Cell):
    """What a MindIR holds, within a Cell, whose graph can be looked into."""

    def __init__(self, file):
        super().__init__()
        self.graph = nn.GraphCell(mindspore.load(str(file)))

    def construct(self, *inputs):
        return self.graph(*inputs)


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_an_exported_mindir_draws_by_documented_operators(kind, device, tmp_path):
    recipe = recipe_of("rpgan_residual", ("generator.widths=[8, 6, 4]",))
    generator, _ = networks_of(recipe, seed=3)
    if kind != "float32":
        round_weights(generator, kind)
    labels = labels_of(recipe)
    (spec,) = models_of(recipe, labels, with_encoder=False).values()
    write_mindir(generator, spec, tmp_path / "generator.mindir", kind)
    drawn = Loaded(tmp_path / "generator.mindir")
    assert np.isfinite(drawn(*map(Tensor, example_inputs(spec, labels, 2, 1))).asnumpy()).all()
    assert all_in_table(drawn) and kind in operators(drawn)["Cast"]
    CASES.add(f"mindir of {kind}")


def test_no_row_of_the_table_is_there_for_nothing():
    if len(CASES) < len(recipes.names()) + 7 or not MEASURED:
        pytest.skip("this needs all tests above, and MindSpore 2.8")
    only_several_devices = {"AllReduce": {"float32"}}
    assert {**SEEN, **only_several_devices} == NEEDED


class Strange(nn.Cell):
    def construct(self, x):
        return ops.erf(x) + (x.astype(mstype.int64) + 1).astype(mstype.float32)


class Loop(nn.Cell):
    def construct(self, x):
        while x.sum() > 1:
            x = ops.erf(x) / 2
        return x


@pytest.mark.skipif(not MEASURED, reason="the table is that of MindSpore 2.8")
def test_what_the_table_has_not_is_seen(device):
    strange, loop, x = Strange(), Loop(), Tensor(np.ones(2, np.float32))
    strange(x)
    with pytest.raises(AssertionError, match="'Erf': {'float32'}, 'Add': {'int64'}|'Add': {'int64'}, 'Erf'"):
        all_in_table(strange, adds=False)
    loop(x)
    with pytest.raises(ValueError, match="another graph is called"):
        all_in_table(loop, adds=False)
