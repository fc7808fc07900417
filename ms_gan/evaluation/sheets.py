"""The pictures of `eval`: each a function of a generator, a seed and, where it needs them, real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np

from ms_gan.evaluation import plots
from ms_gan.evaluation.sampling import seeded_latents
from ms_gan.latents import interpolate
from ms_gan.runtime import random_stream

Draw = Callable[[np.ndarray], np.ndarray]  # latents, float32 (N, size), to images, float32 in [0, 1], N×C×H×W
INTERPOLATION_ROWS, INTERPOLATION_STEPS = 6, 11
COMPARED_COLUMNS = 8


def samples(path: Path, draw: Draw, latent: Dict[str, Any], rows: int, columns: int, seed: int, about: str) -> None:
    """Draw rows × columns samples; `latent` says their distribution and size."""
    latents = seeded_latents(latent["distribution"], rows * columns, latent["size"], seed)
    plots.sheet(path, draw(latents), columns, "generated samples", about)


def interpolation(path: Path, draw: Draw, latent: Dict[str, Any], seed: int, about: str) -> None:
    """Draw six walks of eleven images, each from one sample to another."""
    ends = seeded_latents(latent["distribution"], 2 * INTERPOLATION_ROWS, latent["size"], seed)
    walks = [interpolate(start, end, INTERPOLATION_STEPS) for start, end in zip(ends[0::2], ends[1::2])]
    along = [f"{index / (INTERPOLATION_STEPS - 1):.1f}" for index in range(INTERPOLATION_STEPS)]
    plots.sheet(path, draw(np.concatenate(walks)), INTERPOLATION_STEPS, "from one latent to another", about,
                column_labels=along)


def generated_beside_real(path: Path, draw: Draw, latent: Dict[str, Any], real, seed: int, about: str) -> None:
    """Draw 64 samples beside 64 images (or all, if fewer) of `real`, an ImageData, chosen by the seed."""
    count = min(COMPARED_COLUMNS**2, len(real.images))
    latents = seeded_latents(latent["distribution"], count, latent["size"], seed)
    chosen = random_stream(seed, "real images").permutation(len(real.images))[:count]
    plots.compare(path, draw(latents), np.float32(real.images[chosen]) / 255, COMPARED_COLUMNS, "generated",
                  f"real ({real.name}, {real.split} split)", "generated beside real images", about)
