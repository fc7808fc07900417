"""The one place where a recipe becomes Cells."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import nn

from ms_gan.data.batches import SAMPLINGS, BatchOrder
from ms_gan.data.clusters import find_clusters
from ms_gan.data.description import ImageData
from ms_gan.data.resident import BY_QUARTERS, MIRRORED, TurnedImages, images_of
from ms_gan.latents import thresholds
from ms_gan.nets.conditioning import ChosenByLatent
from ms_gan.nets.heads import Discriminator
from ms_gan.nets.unit_range import UnitRangeDiscriminator, UnitRangeEncoder, UnitRangeGenerator
from ms_gan.recipes import FAMILIES, Recipe, check_together, registry, share_of_batch
from ms_gan.recipes.checks import fault
from ms_gan.schema.fields import SMALLEST_FLOAT32
from ms_gan.schema.networks import NetworkInputs
from ms_gan.schema.recipe import Adam
from ms_gan.steps.base import StepParts, TrainingStep, ema_of
from ms_gan.steps.ema import begin_ema
from ms_gan.steps.optimizers import AllReduceOptimizer

EXPORTED_NETWORKS = ("generator", "encoder")  # the networks that draw and are exported


def adam(network: nn.Cell, name: str, settings: Adam) -> nn.Adam:
    """Return one Adam for one network (Kingma and Ba 2015).

    A learning rate of 0 holds the weights still, though not BatchNorm's moving statistics. Otherwise it is multiplied
    by decay_rate^(updates / decay_steps). Only the optimizer's own updates count, or, with `updates.shared_counters`,
    those of both players. Only the optimizer's own state is called `name.…`; the weights keep their names.
    """
    weights = network.trainable_params()
    rate = settings.learning_rate
    if rate > 0 and settings.decay_rate != 1:
        rate = nn.ExponentialDecayLR(rate, settings.decay_rate, settings.decay_steps)
    beta1, beta2 = (max(beta, SMALLEST_FLOAT32) for beta in (settings.beta1, settings.beta2))  # MindSpore takes no 0
    optimizer = nn.Adam(weights, rate, beta1, beta2, settings.epsilon)
    of_network = {id(weight) for weight in weights}
    for parameter in optimizer.get_parameters():
        if id(parameter) not in of_network:
            parameter.name = f"{name}.{parameter.name}"
    return optimizer


def build_generator(recipe: Recipe) -> nn.Cell:
    """Return the recipe's generator; its parameters are called `generator.…`."""
    return _network(recipe, "generator")


def drawing_name(recipe: Recipe, network: str) -> str:
    """Return the name in a checkpoint of the weights that draw and are exported: the EMA's, or else the network's."""
    return ema_of(network) if recipe.ema.decay else network


def build_unit_range_generator(recipe: Recipe) -> UnitRangeGenerator:
    """Return a generator of its own that draws float32 images in [0, 1], in inference mode.

    Its parameters have the prefix `drawing_name`, as in a checkpoint.
    """
    return UnitRangeGenerator(_network(recipe, "generator", drawing_name(recipe, "generator")), recipe.data.pixel_range)


def build_encoder(recipe: Recipe) -> UnitRangeEncoder:
    """Return an encoder of its own that takes images in [0, 1], in inference mode; names as of the generator."""
    return UnitRangeEncoder(_network(recipe, "encoder", drawing_name(recipe, "encoder")), recipe.data.pixel_range)


def build_discriminator(recipe: Recipe) -> UnitRangeDiscriminator:
    """Return a discriminator of its own that takes images in [0, 1], in inference mode, so without dropout.

    Its parameters are `discriminator.…`.
    """
    if "discriminator.dropout_rate" in recipe.settings():
        recipe = recipe.but({"discriminator.dropout_rate": 0.0})
    return UnitRangeDiscriminator(_network(recipe, "discriminator"), recipe.data.pixel_range)


def build_step(recipe: Recipe, images: ImageData, seed: int, devices: int = 1) -> TrainingStep:
    """Return the recipe's training step on the given images, weights drawn from `seed`.

    Of several `devices` each takes an equal share of a batch; gradients are averaged. Raises UserError for settings,
    networks or images that do not go together, and for a batch that the devices cannot share.

    Every parameter in it has a prefix: the name of its network, such as `generator.`, that of its optimizer,
    such as `optimizer_generator.`, or `data.`.
    """
    check_together(recipe)
    if recipe.clusters > len(images.images):
        raise fault(recipe, f"data.clusters must be at most {len(images.images)}, the number of the images")
    ms.set_seed(seed)
    networks = {name: _network(recipe, name) for name in FAMILIES[recipe.family].networks}
    optimizers: dict[str, nn.Cell] = {
        name: adam(network, f"optimizer_{name}", recipe.optimizers[name]) for name, network in networks.items()
    }
    if devices > 1:
        optimizers = {name: AllReduceOptimizer(optimizer, devices) for name, optimizer in optimizers.items()}
    twin = _twin(networks["generator"], _network(recipe, "generator")) if recipe.updates.needs_twin else None
    data = _data(recipe, images)
    match_cluster_shares(networks["generator"], data, recipe)  # before its EMA is made of it
    parts = StepParts(
        data=data,
        networks=networks,
        optimizers=optimizers,
        latent=recipe.latent,
        classes=recipe.data.classes or recipe.clusters,
        batch_size=share_of_batch(recipe, devices),
        devices=devices,
        max_tags=recipe.data.max_tags,
        generator_in_inference=twin,
        ema=_averages(recipe, networks),
        ema_decay=recipe.ema.decay,
    )
    return _step(parts, recipe)


def _step(parts: StepParts, recipe: Recipe) -> TrainingStep:
    """Build the step of the recipe's family. Raises UserError for what is none."""
    networks, make = FAMILIES[recipe.family].networks, registry.resolved(FAMILIES[recipe.family].step)
    right = not isinstance(make, type) or issubclass(make, TrainingStep)  # others may fail before they can be looked at
    step = make(parts, recipe.updates) if right else None
    if isinstance(step, TrainingStep) and set(step.networks) == set(networks) and isinstance(step.scalars, tuple):
        return step
    wanted = f"a TrainingStep with networks = {networks} and a tuple of scalars"
    raise fault(recipe, f"the step of the family {recipe.family} must be {wanted}")


def match_cluster_shares(generator: nn.Cell, data: nn.Cell, recipe: Recipe) -> None:
    """Let a generator of clusters choose each as often as the data's images are in it."""
    if recipe.clusters:
        generator.thresholds.set_data(ms.Tensor(_thresholds(data.all_labels, recipe)))


def knows_clusters(generator: nn.Cell, found: np.ndarray, recipe: Recipe) -> bool:
    """Tell whether the clusters that images are in, int (N,), are those of the generator, as far as sizes tell."""
    return np.array_equal(generator.thresholds.asnumpy(), _thresholds(found, recipe))


def _thresholds(found: np.ndarray, recipe: Recipe) -> np.ndarray:
    shares = np.bincount(found, minlength=recipe.clusters) / len(found)
    return thresholds(recipe.latent.distribution, shares)


def build_batches(recipe: Recipe, count: int, images_per_step: int, seed: int) -> tuple[BatchOrder, int]:
    """Return which of `count` images each step takes, a `BatchOrder`, and how many steps make an epoch.

    Raises UserError where the images cannot fill a batch.
    """
    sampler = SAMPLINGS[recipe.schedule.sampling](count, images_per_step, seed)
    return sampler, recipe.schedule.steps_per_epoch or sampler.steps_per_epoch


def _averages(recipe: Recipe, networks: Mapping[str, nn.Cell]) -> dict[str, nn.Cell]:
    """Return the EMA of each exported network, with its numbers; nothing else trains them."""
    found: dict[str, nn.Cell] = {}
    for name in EXPORTED_NETWORKS if recipe.ema.decay else ():
        if name in networks:
            found[name] = _network(recipe, name, ema_of(name))
            begin_ema(networks[name], found[name])
            found[name].set_train(False)
            for parameter in found[name].get_parameters():
                parameter.requires_grad = False
    return found


def _twin(network: nn.Cell, twin: nn.Cell) -> nn.Cell:
    """Give `twin` the very parameters of `network`, and put it into inference mode."""
    for cell, same in zip(network.cells(), twin.cells()):
        _twin(cell, same)
    for name, parameter in list(vars(network).get("_params", {}).items()):
        setattr(twin, name, parameter)
    twin.set_train(False)
    return twin


def _data(recipe: Recipe, images: ImageData) -> nn.Cell:
    data = recipe.data
    labels = images.labels if data.classes else None
    if recipe.clusters:
        some = images.at_size(data.size).images
        labels = find_clusters(some, recipe.clusters).of(some)
    if data.rotate_and_mirror:
        return TurnedImages(images.images, labels, data.pixel_range, data.size)
    some = images.at_size(data.size).images
    if data.quarter_turns or data.mirror:
        return TurnedImages(some, labels, data.pixel_range, data.size, BY_QUARTERS if data.quarter_turns else MIRRORED)
    return images_of(some, labels, data.pixel_range)


def _network(recipe: Recipe, role: str, prefix: str | None = None) -> nn.Cell:
    """Return a network of its own, whose parameters are called `<prefix>.…`, or `<role>.…`."""
    data, family, clusters = recipe.data, FAMILIES[recipe.family], recipe.clusters
    classes = data.classes or clusters
    chosen = role == "generator" and clusters > 0  # by the latent's first number
    names_tags = getattr(recipe.updates, "tag_weight", 0) > 0
    inputs = NetworkInputs(
        image_shape=(data.channels, data.size, data.size),
        latent_size=recipe.latent.size - chosen,
        classes=classes,
        max_tags=data.max_tags,
        class_logits=classes if family.class_logits and (not data.max_tags or names_tags) else 0,
        conditioned_on=(classes, data.max_tags) if family.label_conditioned else (0, 0),
    )
    network = registry.resolved(registry.network_of(role, recipe.networks[role]).cell)(recipe.networks[role], inputs)
    if role == "discriminator" and family.name in registry.OWN and not isinstance(network, Discriminator):
        problem = f"{type(network).__name__} does not declare what the family {family.name} asks of a discriminator"
        raise fault(recipe, problem, "make it a subclass of ms_gan.nets.heads.Discriminator")
    if chosen:
        network = ChosenByLatent(network, clusters)
    if role == "generator":
        (low, high), (data_low, data_high) = network.pixel_range, data.pixel_range
        if not low <= data_low < data_high <= high:
            wanted = f"must lie in [{low}, {high}], in which its generator draws"
            raise fault(recipe, f"data.pixel_range {wanted}, not be {data.pixel_range}")
    network.update_parameters_name(f"{prefix or role}.")  # before any optimizer is built on it
    return network
