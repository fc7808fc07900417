"""From latents to images, the same ones whatever else is asked for at the same time."""

from __future__ import annotations

from typing import Callable

import mindspore as ms
import numpy as np

from ms_gan.latents import draw_latents
from ms_gan.runtime import random_stream

CHUNK = 64  # one shape is compiled once, and an image does not depend on how many are drawn with it


def seeded_latents(distribution: str, count: int, size: int, seed: int) -> np.ndarray:
    """Return the latents that `seed` stands for in every picture: float32, (count, size)."""
    return draw_latents(distribution, count, size, random_stream(seed, "sample"))


def draw_images(generator: Callable, latents: np.ndarray) -> np.ndarray:
    """Run a generator on latents, float32, (N, size); return its images, float32, N×C×H×W.

    The generator always sees 64 latents at once, the last ones padded with zeros.
    """
    images = []
    for start in range(0, len(latents), CHUNK):
        chunk = latents[start:start + CHUNK]
        padded = np.zeros((CHUNK, latents.shape[1]), np.float32)
        padded[: len(chunk)] = chunk
        images.append(generator(ms.Tensor(padded)).asnumpy()[: len(chunk)])
    return np.concatenate(images)
