"""The one place where a recipe's names become objects."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict

import mindspore as ms
from mindspore import nn

from ms_gan.data.resident import ResidentImages
from ms_gan.errors import UserError
from ms_gan.nets.blocks import UnitRange
from ms_gan.nets.mlp import MLPDiscriminator, MLPGenerator
from ms_gan.recipes import SECTIONS, Recipe
from ms_gan.steps.gan import GANStep


def adam(network: nn.Cell, name: str, learning_rate: float, beta1: float, beta2: float, epsilon: float) -> nn.Adam:
    """One Adam for one network (Kingma and Ba 2015); only its own state is called `name.…`, the weights keep theirs."""
    weights = network.trainable_params()
    optimizer = nn.Adam(weights, learning_rate, beta1, beta2, epsilon)
    of_network = {id(weight) for weight in weights}
    for parameter in optimizer.get_parameters():
        if id(parameter) not in of_network:
            parameter.name = f"{name}.{parameter.name}"
    return optimizer


NETWORKS = {"mlp_generator": MLPGenerator, "mlp_discriminator": MLPDiscriminator}
OPTIMIZERS = {"adam": adam}
FAMILIES = {"gan": GANStep}
GAN_SECTIONS = ("generator", "discriminator", "optimizer_generator", "optimizer_discriminator")


def build_generator(recipe: Recipe) -> nn.Cell:
    """Return the recipe's generator; its parameters are called `generator.…`."""
    generator = _network(recipe, "generator", latent_size=recipe["latent"]["size"])
    if list(generator.pixel_range) != list(recipe["data"]["pixel_range"]):
        raise UserError(f"recipe {recipe['name']}: its generator draws pixels in {list(generator.pixel_range)}, "
                        f"so data.pixel_range cannot be {recipe['data']['pixel_range']}")
    return generator


def build_unit_range_generator(recipe: Recipe) -> UnitRange:
    """Return a generator of its own that draws float32 images in [0, 1], in inference mode."""
    return UnitRange(build_generator(recipe), recipe["data"]["pixel_range"])


def build_step(recipe: Recipe, images, seed: int) -> nn.Cell:
    """Return the recipe's training step on the given images (uint8, N×C×H×W), weights drawn from `seed`.

    Every parameter in it has a prefix: `generator.`, `discriminator.`,
    `optimizer_generator.`, `optimizer_discriminator.`, `data.`.
    """
    for section in sorted(recipe.keys() - {"name", "summary", "family", *SECTIONS} - set(GAN_SECTIONS)):
        raise UserError(f"recipe {recipe['name']}: unknown section {section}")
    ms.set_seed(seed)
    generator = build_generator(recipe)
    discriminator = _network(recipe, "discriminator")
    return FAMILIES[recipe["family"]](
        ResidentImages(images, recipe["data"]["pixel_range"]),
        generator,
        discriminator,
        _optimizer(recipe, "optimizer_generator", generator),
        _optimizer(recipe, "optimizer_discriminator", discriminator),
        latent_size=recipe["latent"]["size"],
        distribution=recipe["latent"]["distribution"],
    )


def _network(recipe: Recipe, player: str, **given: Any) -> nn.Cell:
    settings = dict(recipe[player])
    kind = settings.pop("network")
    size, channels = recipe["data"]["size"], recipe["data"]["channels"]
    network = _call(recipe, player, NETWORKS, kind, image_shape=(channels, size, size), **given, **settings)
    network.update_parameters_name(f"{player}.")  # before any optimizer is built on it
    return network


def _optimizer(recipe: Recipe, name: str, network: nn.Cell) -> nn.Adam:
    return _call(recipe, name, OPTIMIZERS, "adam", network=network, name=name, **recipe[name])


def _call(recipe: Recipe, section: str, table: Dict[str, Callable], kind: str, **settings: Any):
    if kind not in table:
        raise UserError(f"recipe {recipe['name']}: {section} names {kind!r}; known: {', '.join(sorted(table))}")
    parameters = inspect.signature(table[kind]).parameters.values()
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    needed = {parameter.name for parameter in parameters if parameter.default is parameter.empty} & known
    for name in sorted(settings.keys() - known):
        raise UserError(f"recipe {recipe['name']}: {section} has a setting {name!r} that {kind} does not take")
    for name in sorted(needed - settings.keys()):
        raise UserError(f"recipe {recipe['name']}: {section} lacks {name!r}, which {kind} needs")
    return table[kind](**settings)
