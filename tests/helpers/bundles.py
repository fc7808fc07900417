"""Small bundles on which every weight, statistic and label has its effect; made without training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ms_gan import recipes, runtime
from ms_gan.labels import LabelNames
from ms_gan.schema.recipe import Recipe

CONVOLUTIONS = ("generator.start_channels=4", "generator.widths=[4, 4, 4, 4]")
AUTOENCODER = (
    "latent.size=6",
    "encoder.dense_width=8",
    "encoder.widths=[4, 4]",
    "generator.dense_width=8",
    "generator.start_channels=4",
    "generator.widths=[4, 4]",
)
INGREDIENTS = ("basil", "cheese", "olive", "onion", "tomato")
TAGS = (f"data.classes={len(INGREDIENTS)}", "data.max_tags=3")


def recipe_of(name: str, settings: Sequence[str]) -> Recipe:
    """Return a recipe with settings of a test."""
    return recipes.override(recipes.load(name), settings)


def labels_of(recipe: Recipe) -> LabelNames | None:
    """Return names for a recipe's labels: digits, or ingredients for tags."""
    classes, most = recipe.data.classes, recipe.data.max_tags
    if not classes:
        return None
    return LabelNames(INGREDIENTS if most else tuple("0123456789")[:classes], most)


def networks_of(recipe: Recipe, seed: int) -> tuple:
    """Return generator and encoder, or None, as they are exported, with random weights and statistics."""
    from ms_gan.recipes.build import build_encoder, build_unit_range_generator

    generator, encoder = build_unit_range_generator(recipe), None
    if "encoder" in recipe.networks:
        encoder = build_encoder(recipe)
    stream = np.random.default_rng(seed)
    for network in (generator, encoder):
        if network is not None:
            _fill(network, stream)
    return generator, encoder


RESIDUAL = re.compile(r"layers\.\d+\.layers\.2\.weight")


def _fill(network, stream) -> None:
    from mindspore import Tensor

    for parameter in network.get_parameters():
        shape, kind = parameter.shape, parameter.name.rpartition(".")[2]
        if kind == "moving_variance":
            values = stream.uniform(0.5, 2.0, shape)
        elif kind == "gamma":
            values = stream.uniform(0.5, 1.5, shape)
        elif len(shape) < 2:  # biases, beta, moving_mean
            values = stream.normal(0, 0.5, shape)
        else:  # numbers that keep their size from layer to layer
            values = stream.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
            if RESIDUAL.search(parameter.name):  # a block adds to its maps: with as much again they would grow
                values *= 0.3
        parameter.set_data(Tensor(values.astype(np.float32)))


def write_bundle(
    folder: Path,
    name: str,
    *settings: str,
    seed: int = 1,
    formats: Sequence[str] = ("mindir", "onnx"),
    weights: str = "float32",
    web_runtime: Path | None = None,
) -> Path:
    """Export a recipe's networks with random weights; return the folder."""
    from ms_gan.delivery import export

    device = runtime.set_up("CPU")
    recipe = recipe_of(name, settings)
    origin = {"step": 1234, "seed": seed, "dataset": "noise", "data_sha256": "0" * 64}
    exported = export.Exported(*networks_of(recipe, seed), recipe, labels_of(recipe), device, origin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PARITY_BATCHES", (1,))  # each is compiled; that all are compared is tested elsewhere
        export.export_bundle(folder, exported, formats, weights=weights, web_runtime=web_runtime)
    return folder


def write_conditional(folder: Path, *settings: str, **more) -> Path:
    """A bundle of ten classes, 28x28 grey."""
    small = ("generator.start_channels=4", "generator.widths=[4]", "generator.strides=[2, 2]")
    return write_bundle(folder, "acgan", *small, *settings, **more)


def write_autoencoder(folder: Path, *settings: str, **more) -> Path:
    """A bundle with an encoder, up to three of five tags, 16x16 colour."""
    small = (*AUTOENCODER, *TAGS, "encoder.widths=[4]", "generator.widths=[4]", "data.size=16")
    return write_bundle(folder, "cvae_early", *small, *settings, **more)
