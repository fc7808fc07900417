"""The one place where a recipe's names become objects."""

from __future__ import annotations

import inspect
from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import nn

from ms_gan.data.batches import SAMPLINGS
from ms_gan.data.clusters import find_clusters
from ms_gan.data.description import ImageData
from ms_gan.data.resident import ResidentImages, TurnedImages
from ms_gan.errors import UserError
from ms_gan.latents import INDEPENDENT, thresholds
from ms_gan.nets.autoencoder import ConvDecoder, ConvEncoder
from ms_gan.nets.blocks import ChosenByLatent, DiscriminatorOfUnitRange, EncoderOfUnitRange, UnitRange
from ms_gan.nets.conv import ConvDiscriminator, ConvGenerator
from ms_gan.nets.mlp import MLPDiscriminator, MLPGenerator
from ms_gan.recipes import FAMILIES, SMALLEST_FLOAT32, Recipe, clusters_of, nearest, share_of_batch
from ms_gan.steps.acgan import ACGANStep
from ms_gan.steps.average import begin_average
from ms_gan.steps.base import TrainingStep, average_of
from ms_gan.steps.cvae import CVAEStep
from ms_gan.steps.cvae_gan import CVAEGANStep
from ms_gan.steps.gan import GANStep
from ms_gan.steps.parallel import AveragedGradients
from ms_gan.steps.rpgan import RpGANStep


def adam(
    network: nn.Cell,
    name: str,
    learning_rate: float,
    decay_rate: float,
    decay_steps: int,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> nn.Adam:
    """One Adam for one network (Kingma and Ba 2015).

    A learning rate of 0 holds the weights still, though not BatchNorm's moving statistics. Otherwise it is multiplied
    by decay_rate^(updates / decay_steps), its own updates being counted, or, with `updates.shared_counters`, those of
    both players. Only the optimizer's own state is called `name.…`, the weights keep their names.
    """
    weights = network.trainable_params()
    rate = learning_rate
    if learning_rate > 0 and decay_rate != 1:
        rate = nn.ExponentialDecayLR(learning_rate, decay_rate, decay_steps)
    beta1, beta2 = max(beta1, SMALLEST_FLOAT32), max(beta2, SMALLEST_FLOAT32)  # MindSpore takes no 0
    optimizer = nn.Adam(weights, rate, beta1, beta2, epsilon)
    of_network = {id(weight) for weight in weights}
    for parameter in optimizer.get_parameters():
        if id(parameter) not in of_network:
            parameter.name = f"{name}.{parameter.name}"
    return optimizer


NETWORKS = {  # what each may be
    "generator": {"mlp_generator": MLPGenerator, "conv_generator": ConvGenerator, "conv_decoder": ConvDecoder},
    "discriminator": {"mlp_discriminator": MLPDiscriminator, "conv_discriminator": ConvDiscriminator},
    "encoder": {"conv_encoder": ConvEncoder},
}
OPTIMIZERS = {"adam": adam}
LEAVING = ("generator", "encoder")  # the networks that draw and are exported
STEPS = {"gan": GANStep, "acgan": ACGANStep, "cvae": CVAEStep, "cvae_gan": CVAEGANStep, "rpgan": RpGANStep}


def build_generator(recipe: Recipe) -> nn.Cell:
    """Return the recipe's generator; its parameters are called `generator.…`."""
    return _network(recipe, "generator")


def leaving(recipe: Recipe, network: str) -> str:
    """Return the name of what draws, and leaves, of a network: its average, where the recipe keeps one."""
    return average_of(network) if recipe["average"]["decay"] else network


def build_unit_range_generator(recipe: Recipe) -> UnitRange:
    """Return a generator of its own that draws float32 images in [0, 1], in inference mode.

    Its parameters have the prefix of `leaving`, as in a checkpoint.
    """
    return UnitRange(_network(recipe, "generator", leaving(recipe, "generator")), recipe["data"]["pixel_range"])


def build_encoder(recipe: Recipe) -> EncoderOfUnitRange:
    """Return an encoder of its own that takes images in [0, 1], in inference mode; names as of the generator."""
    return EncoderOfUnitRange(_network(recipe, "encoder", leaving(recipe, "encoder")), recipe["data"]["pixel_range"])


def build_discriminator(recipe: Recipe) -> DiscriminatorOfUnitRange:
    """Return a discriminator of its own that takes images in [0, 1], in inference mode, so without dropout.

    Its parameters are `discriminator.…`.
    """
    settings = {name: 0.0 if name == "dropout_rate" else value for name, value in recipe["discriminator"].items()}
    network = _network({**recipe, "discriminator": settings}, "discriminator")
    return DiscriminatorOfUnitRange(network, recipe["data"]["pixel_range"])


def build_step(recipe: Recipe, images: ImageData, seed: int, devices: int = 1) -> TrainingStep:
    """Return the recipe's training step on the given images, weights drawn from `seed`.

    Of several `devices` each takes an equal share of a batch; gradients are averaged.

    Every parameter in it has a prefix: the name of its network, such as `generator.`, that of its optimizer,
    such as `optimizer_generator.`, or `data.`.
    """
    _check_labels(recipe)
    _check_clusters(recipe, images)
    _check_counters(recipe)
    ms.set_seed(seed)
    networks = {name: _network(recipe, name) for name in FAMILIES[recipe["family"]]}
    optimizers = {
        f"optimizer_{name}": _call(
            recipe,
            f"optimizer_{name}",
            OPTIMIZERS,
            "adam",
            network=network,
            name=f"optimizer_{name}",
            **recipe[f"optimizer_{name}"],
        )
        for name, network in networks.items()
    }
    more = dict(recipe["updates"])
    if "generator_in_inference" in inspect.signature(STEPS[recipe["family"]]).parameters:
        more["generator_in_inference"] = networks["generator"]
        if more.get("fakes") != "training":
            more["generator_in_inference"] = _sharing_weights(networks["generator"], _network(recipe, "generator"))
    step = _call(
        recipe,
        "updates",
        STEPS,
        recipe["family"],
        data=_data(recipe, images),
        latent=recipe["latent"],
        classes=recipe["data"]["classes"] or clusters_of(recipe),
        batch_size=share_of_batch(recipe, devices),
        **networks,
        **optimizers,
        **more,
    )
    match_cluster_shares(step, recipe)
    if recipe["average"]["decay"]:
        step.average_decay = recipe["average"]["decay"]
        step.averages = {name: _average(recipe, name, networks[name]) for name in LEAVING if name in networks}
    if devices > 1:
        for name in optimizers:
            setattr(step, name, AveragedGradients(getattr(step, name), devices))
    return step


def match_cluster_shares(step: TrainingStep, recipe: Recipe) -> None:
    """Let a generator of clusters choose each as often as the step's images are in it."""
    if clusters_of(recipe):
        step.generator.thresholds.set_data(ms.Tensor(_thresholds(step.data.all_labels, recipe)))


def knows_clusters(generator: nn.Cell, found: np.ndarray, recipe: Recipe) -> bool:
    """Tell whether the clusters that images are in, int (N,), are those of the generator, as far as sizes tell."""
    return np.array_equal(generator.thresholds.asnumpy(), _thresholds(found, recipe))


def _thresholds(found: np.ndarray, recipe: Recipe) -> np.ndarray:
    shares = np.bincount(found, minlength=clusters_of(recipe)) / len(found)
    return thresholds(recipe["latent"]["distribution"], shares)


def build_sampler(recipe: Recipe, count: int, images_per_step: int, seed: int) -> tuple[Any, int]:
    """Return which of `count` images each step takes, and how many steps make an epoch."""
    schedule = recipe["schedule"]
    sampler = SAMPLINGS[schedule["sampling"]](count, images_per_step, seed)
    return sampler, schedule["steps_per_epoch"] or sampler.steps_per_epoch


def _average(recipe: Recipe, name: str, network: nn.Cell) -> nn.Cell:
    """Return a network like another, with its numbers, that nothing trains."""
    average = _network(recipe, name, average_of(name))
    begin_average(network, average)
    average.set_train(False)
    for parameter in average.get_parameters():
        parameter.requires_grad = False
    return average


def _sharing_weights(network: nn.Cell, twin: nn.Cell) -> nn.Cell:
    """Give `twin` the very parameters of `network`, and put it into inference mode."""
    for cell, same in zip(network.cells(), twin.cells()):
        _sharing_weights(cell, same)
    for name, parameter in list(vars(network).get("_params", {}).items()):
        setattr(twin, name, parameter)
    twin.set_train(False)
    return twin


def _check_labels(recipe: Recipe) -> None:
    data, wanted = recipe["data"], STEPS[recipe["family"]].labels
    fault = None
    if wanted == "none" and data["classes"]:
        others = [family for family, step in STEPS.items() if step.labels != "none"]
        fault = (
            f"data.classes must be 0 for the family {recipe['family']}, not {data['classes']}; families that take "
            f"labels are {', '.join(others)}"
        )
    elif wanted == "class" and not data["classes"]:
        fault = f"data.classes must be at least 2 for the family {recipe['family']}, not 0"
    elif wanted == "class" and data["places"]:
        fault = f"data.places must be 0 for the family {recipe['family']}, which takes one class an image"
    if fault:
        raise UserError(f"recipe {recipe['name']}: {fault}")


def _check_counters(recipe: Recipe) -> None:
    if not issubclass(STEPS[recipe["family"]], GANStep) or not recipe["updates"].get("shared_counters"):
        return
    ours, theirs = recipe["optimizer_generator"], recipe["optimizer_discriminator"]
    for key in ours:
        if ours[key] != theirs[key]:
            raise UserError(
                f"recipe {recipe['name']}: with updates.shared_counters both players have one Adam, but "
                f"optimizer_generator.{key} is {ours[key]} and optimizer_discriminator.{key} is "
                f"{theirs[key]}; set them equal, or updates.shared_counters=False"
            )


def _check_clusters(recipe: Recipe, images: ImageData) -> None:
    count, latent = clusters_of(recipe), recipe["latent"]
    if not count:
        return
    fault = None
    if not STEPS[recipe["family"]].takes_clusters:
        others = [name for name, step in STEPS.items() if step.takes_clusters]
        fault = f"must be 0 for the family {recipe['family']}; clusters are for {', '.join(others)}"
    elif latent["distribution"] not in INDEPENDENT:
        fault = (
            f"must be 0 with latent.distribution={latent['distribution']}, of whose numbers none is independent "
            f"of the others"
        )
    elif latent["size"] < 2:
        fault = "must be 0 with a latent of one number, which would only choose the cluster; give more latent.size"
    elif count > len(images.images):
        fault = (
            f"must be at most {len(images.images)}, the number of the images, not {count}; give fewer by --set "
            f"data.clusters, or 0 for none"
        )
    if fault:
        raise UserError(f"recipe {recipe['name']}: data.clusters {fault}")


def _data(recipe: Recipe, images: ImageData) -> nn.Cell:
    data = recipe["data"]
    labels = images.labels if data["classes"] else None
    if clusters_of(recipe):
        some = images.at_size(data["size"]).images
        labels = find_clusters(some, clusters_of(recipe)).of(some)
    if data["rotate_and_mirror"]:
        return TurnedImages(images.images, labels, data["pixel_range"], data["size"])
    return ResidentImages(images.at_size(data["size"]).images, labels, data["pixel_range"])


def _network(recipe: Recipe, player: str, prefix: str | None = None) -> nn.Cell:
    settings = dict(recipe[player])
    kind = settings.pop("network")
    data = recipe["data"]
    clusters = clusters_of(recipe)
    classes = data["classes"] or clusters
    given = {"image_shape": (data["channels"], data["size"], data["size"]), "classes": classes}
    if player == "discriminator":
        family = STEPS[recipe["family"]]
        naming = family.discriminator_names_classes and not data["places"]  # of several tags none is the class
        given["classes"] = classes if naming else 0
        given["judging"] = (classes, data["places"]) if family.discriminator_takes_labels else (0, 0)
    else:
        chosen = player == "generator" and clusters > 0  # by the latent's first number
        given.update(latent_size=recipe["latent"]["size"] - chosen, places=data["places"])
    network = _call(recipe, player, NETWORKS.get(player, {}), kind, **given, **settings)
    if player == "generator" and clusters:
        network = ChosenByLatent(network, clusters)
    if player == "generator":
        (low, high), (data_low, data_high) = network.pixel_range, data["pixel_range"]
        if not low <= data_low < data_high <= high:
            raise UserError(
                f"recipe {recipe['name']}: data.pixel_range must lie in [{low}, {high}], in which its "
                f"generator draws, not be {data['pixel_range']}"
            )
    network.update_parameters_name(f"{prefix or player}.")  # before any optimizer is built on it
    return network


def _call(recipe: Recipe, section: str, table: dict[str, Callable], kind: str, **settings: Any):
    if kind not in table:
        raise UserError(f"recipe {recipe['name']}: {section} names {kind!r}; known: {', '.join(sorted(table))}")
    parameters = inspect.signature(table[kind]).parameters.values()
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    needed = {parameter.name for parameter in parameters if parameter.default is parameter.empty} & known
    missing = sorted(needed - settings.keys())
    for name in sorted(settings.keys() - known):
        hint = nearest(name, known - settings.keys()) or (f"; it still needs {', '.join(missing)}" if missing else "")
        raise UserError(f"recipe {recipe['name']}: {section} has a setting {name!r} that {kind} does not take{hint}")
    if missing:
        raise UserError(f"recipe {recipe['name']}: {section} lacks {', '.join(missing)}, which {kind} needs")
    return table[kind](**settings)
