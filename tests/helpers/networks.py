"""Small networks, steps on images of noise, and arrays to put through them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.schema.recipe import Recipe

# Settings with which a recipe's networks compile and run in a moment.
MLP = ("generator.widths=[16, 32]", "discriminator.widths=[16]")
ACGAN = ("generator.start_channels=4", "generator.widths=[4, 4, 4, 4]", "discriminator.widths=[4, 4, 4, 4, 4]")
CVAE_GAN = (
    *("data.size=16", "encoder.widths=[4, 4]", "encoder.dense_width=8", "generator.widths=[4, 4]"),
    *("generator.dense_width=8", "discriminator.widths=[4, 4, 4]", "discriminator.dense_widths=[8]"),
)
BATCH = "schedule.batch_size=8"


def options(settings: Sequence[str]) -> tuple[str, ...]:
    """Return settings as a command takes them: `--set key=value`, without spaces, each."""
    return tuple(word for setting in settings for word in ("--set", setting.replace(" ", "")))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return float32 numbers of the standard normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weight_count(*cells) -> int:
    """Return how many trainable numbers these Cells have together."""
    return sum(parameter.size for cell in cells for parameter in cell.trainable_params())


def noise_for(recipe: Recipe, count: int):
    """Return ImageData of noise, of the size and with the labels, or tags, that a recipe takes.

    Without classes every label is 0. With classes, image i is of class i modulo their number.
    """
    from ms_gan.data.description import ImageData

    data = recipe.data
    shape = (count, data.channels, data.size, data.size)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = np.arange(count, dtype=np.int32) % max(data.classes, 1)
    noise = ImageData("mnist", "train", "noise", images, labels, tuple(map(str, range(data.classes))))
    return noise.with_tags(data.max_tags)


def step_of(name: str, *settings: str, count: int = 16):
    """Return the step of a recipe with these settings, on so many images of noise."""
    from ms_gan.recipes.build import build_step

    recipe = recipes.override(recipes.load(name), settings)
    return build_step(recipe, noise_for(recipe, count), seed=1)


def step_on_noise(recipe: Recipe) -> tuple:
    """Return a recipe's step on at least as many images of noise as it takes, and the indices of its first batch."""
    from ms_gan.recipes.build import build_batches, build_step

    step = build_step(recipe, noise_for(recipe, max(64, recipe.data.clusters)), seed=1)
    if step.images_per_step > step.data.count:  # how many that is, the step alone knows
        step = build_step(recipe, noise_for(recipe, step.images_per_step), seed=1)
    return step, build_batches(recipe, step.data.count, step.images_per_step, seed=1)[0].indices(0)


def takes_a_step(recipe: Recipe) -> bool:
    """Whether one update of the recipe's step gives as many numbers as it has scalars, and all of them finite."""
    from ms_gan.randomness import random_stream
    from ms_gan.steps.graph import on_device

    try:  # a small batch is quick
        step, indices = step_on_noise(recipes.override(recipe, ["schedule.batch_size=4"]))
    except UserError:  # and a family may want more
        step, indices = step_on_noise(recipe)
    noise = step.draw_noise(random_stream(1, "step"))
    scalars = step(on_device(step.data.inputs(indices)), on_device(noise)).asnumpy()
    return scalars.shape == (len(step.scalars),) and bool(np.isfinite(scalars).all())
