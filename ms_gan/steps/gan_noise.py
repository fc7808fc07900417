"""All that is random in one step of the GAN family."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ms_gan.latents import draw_latents
from ms_gan.schema.recipe import Latent


class DiscriminatorNoise(NamedTuple):
    """What is random in one update of D, which sees B' real images and as many fakes.

    Args:
        inputs: what G draws from: latents, float32, (B', latent_size), or (B, latent_size) where G's update shares
            them; with classes labels, int32, as many.
        targets: of the real images, then of the fakes, float32, (2B', 1).
        masks: of D's dropout, bool, 2B' long each.
        epsilon: where the gradient penalty is measured: nothing, or float32, (B', 1, 1, 1), from 0, at the fake, to 1.
    """

    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray
    masks: tuple[np.ndarray, ...]
    epsilon: tuple[np.ndarray, ...]


class GeneratorNoise(NamedTuple):
    """What is random in the update of G.

    Args:
        inputs: as in DiscriminatorNoise, B long; nothing where they are those of D's last update.
        masks: of D's dropout, bool, B long each.
    """

    inputs: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...]


class GANNoise(NamedTuple):
    """What is random in one step: in each update of D, and then in that of G."""

    discriminator: tuple[DiscriminatorNoise, ...]
    generator: GeneratorNoise


def draw_inputs(latent: Latent, classes: int, count: int, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return what G draws `count` images from: latents, and labels where there are classes."""
    latents = draw_latents(latent.distribution, count, latent.size, stream)
    return (latents, stream.integers(0, classes, count, dtype=np.int32)) if classes else (latents,)


def draw_targets(ranges: tuple[tuple[float, float], ...], count: int, stream: np.random.Generator) -> np.ndarray:
    """Return `count` targets from each of the uniform ranges, one range after the other, float32, (N, 1)."""
    targets = np.empty((len(ranges) * count, 1), np.float32)
    for (low, high), part in zip(ranges, np.split(targets, len(ranges))):
        part[:] = low if low == high else stream.uniform(low, high, part.shape)
    return targets


def draw_masks(
    rate: float, shapes: tuple[tuple[int, ...], ...], count: int, stream: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Return dropout masks for `count` images: for each shape bool, (count, *shape), False for what is dropped."""
    dropped = round(rate * 2**16)  # 16 random bits an element are quick, and enough
    return tuple(stream.integers(0, 2**16, (count, *shape), dtype=np.uint16) >= dropped for shape in shapes)
