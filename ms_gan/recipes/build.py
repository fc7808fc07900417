"""The one place where a recipe's names become objects."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, Tuple

import mindspore as ms
from mindspore import nn

from ms_gan.data.batches import SAMPLINGS
from ms_gan.data.description import ImageData
from ms_gan.data.resident import ResidentImages
from ms_gan.errors import UserError
from ms_gan.nets.blocks import UnitRange
from ms_gan.nets.conv import ConvDiscriminator, ConvGenerator
from ms_gan.nets.mlp import MLPDiscriminator, MLPGenerator
from ms_gan.recipes import SMALLEST_FLOAT32, Recipe, share_of_batch
from ms_gan.steps.acgan import ACGANStep
from ms_gan.steps.gan import GANStep
from ms_gan.steps.parallel import AveragedGradients


def adam(network: nn.Cell, name: str, learning_rate: float, decay_rate: float, decay_steps: int, beta1: float,
         beta2: float, epsilon: float) -> nn.Adam:
    """One Adam for one network (Kingma and Ba 2015).

    The learning rate is multiplied by decay_rate^(updates / decay_steps), its own updates being counted, or, with
    `updates.shared_counters`, those of both players. Only the optimizer's own state is called
    `name.…`, the weights keep their names.
    """
    weights = network.trainable_params()
    rate = learning_rate if decay_rate == 1 else nn.ExponentialDecayLR(learning_rate, decay_rate, decay_steps)
    beta1, beta2 = max(beta1, SMALLEST_FLOAT32), max(beta2, SMALLEST_FLOAT32)  # MindSpore takes no 0
    optimizer = nn.Adam(weights, rate, beta1, beta2, epsilon)
    of_network = {id(weight) for weight in weights}
    for parameter in optimizer.get_parameters():
        if id(parameter) not in of_network:
            parameter.name = f"{name}.{parameter.name}"
    return optimizer


def share_counters(optimizer: nn.Adam, other: nn.Adam) -> None:
    """Let two Adams count each other's updates, as one optimizer object that trains two networks does.

    The powers of beta1 and beta2, and the step on which the learning rate depends, advance at both's updates.
    """
    for name in ("beta1_power", "beta2_power", "global_step"):
        setattr(optimizer, name, getattr(other, name))


NETWORKS = {"mlp_generator": MLPGenerator, "mlp_discriminator": MLPDiscriminator,
            "conv_generator": ConvGenerator, "conv_discriminator": ConvDiscriminator}
OPTIMIZERS = {"adam": adam}
FAMILIES = {"gan": GANStep, "acgan": ACGANStep}


def build_generator(recipe: Recipe) -> nn.Cell:
    """Return the recipe's generator; its parameters are called `generator.…`."""
    generator = _network(recipe, "generator", latent_size=recipe["latent"]["size"])
    (low, high), (data_low, data_high) = generator.pixel_range, recipe["data"]["pixel_range"]
    if not low <= data_low < data_high <= high:
        raise UserError(f"recipe {recipe['name']}: its generator draws pixels in [{low}, {high}], which "
                        f"data.pixel_range {recipe['data']['pixel_range']} is no part of")
    return generator


def build_unit_range_generator(recipe: Recipe) -> UnitRange:
    """Return a generator of its own that draws float32 images in [0, 1], in inference mode."""
    return UnitRange(build_generator(recipe), recipe["data"]["pixel_range"])


def build_step(recipe: Recipe, images: ImageData, seed: int, devices: int = 1) -> nn.Cell:
    """Return the recipe's training step on the given images, weights drawn from `seed`.

    Of several `devices` each takes an equal share of a batch; gradients are averaged.

    Every parameter in it has a prefix: `generator.`, `discriminator.`,
    `optimizer_generator.`, `optimizer_discriminator.`, `data.`.
    """
    if recipe["family"] not in FAMILIES:
        raise UserError(f"recipe {recipe['name']}: family must be one of {', '.join(FAMILIES)}, not {recipe['family']}")
    classes = recipe["data"]["classes"]
    if (classes > 0) != FAMILIES[recipe["family"]].conditional:
        wanted = "at least 2" if classes == 0 else "0"
        raise UserError(f"recipe {recipe['name']}: data.classes must be {wanted} for the family {recipe['family']}, "
                        f"not {classes}")
    ms.set_seed(seed)
    generator = build_generator(recipe)
    discriminator = _network(recipe, "discriminator")
    optimizer_generator = _optimizer(recipe, "optimizer_generator", generator)
    optimizer_discriminator = _optimizer(recipe, "optimizer_discriminator", discriminator)
    updates = dict(recipe["updates"])
    if "shared_counters" not in updates:
        raise UserError(f"recipe {recipe['name']}: setting updates.shared_counters is missing")
    if updates.pop("shared_counters"):
        share_counters(optimizer_discriminator, optimizer_generator)
    if devices > 1:
        optimizer_generator = AveragedGradients(optimizer_generator, devices)
        optimizer_discriminator = AveragedGradients(optimizer_discriminator, devices)
    in_inference = generator
    if updates.get("fakes") == "inference":
        in_inference = _sharing_weights(generator, build_generator(recipe))
    return _call(
        recipe, "updates", FAMILIES, recipe["family"],
        data=ResidentImages(images.images, images.labels if classes else None, recipe["data"]["pixel_range"]),
        generator=generator,
        generator_in_inference=in_inference,
        discriminator=discriminator,
        optimizer_generator=optimizer_generator,
        optimizer_discriminator=optimizer_discriminator,
        latent=recipe["latent"],
        classes=classes,
        batch_size=share_of_batch(recipe, devices),
        **updates,
    )


def build_sampler(recipe: Recipe, count: int, images_per_step: int, seed: int) -> Tuple[Any, int]:
    """Return which of `count` images each step takes, and how many steps make an epoch."""
    schedule = recipe["schedule"]
    sampler = SAMPLINGS[schedule["sampling"]](count, images_per_step, seed)
    return sampler, schedule["steps_per_epoch"] or sampler.steps_per_epoch


def _sharing_weights(network: nn.Cell, twin: nn.Cell) -> nn.Cell:
    """Give `twin` the very parameters of `network`, and put it into inference mode."""
    for cell, same in zip(network.cells(), twin.cells()):
        _sharing_weights(cell, same)
    for name, parameter in list(vars(network).get("_params", {}).items()):
        setattr(twin, name, parameter)
    twin.set_train(False)
    return twin


def _network(recipe: Recipe, player: str, **given: Any) -> nn.Cell:
    settings = dict(recipe[player])
    kind = settings.pop("network")
    data = recipe["data"]
    network = _call(recipe, player, NETWORKS, kind, image_shape=(data["channels"], data["size"], data["size"]),
                    classes=data["classes"], **given, **settings)
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
