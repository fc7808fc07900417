"""The pictures of a generator: each a function of the generator, a seed and, where it needs them, real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np

from ms_gan.evaluation import plots
from ms_gan.evaluation.sampling import Inputs, seeded_inputs
from ms_gan.latents import draw_latents, interpolate
from ms_gan.runtime import random_stream

Draw = Callable[[Inputs], np.ndarray]  # inputs of a generator to images, float32 in [0, 1], N×C×H×W
INTERPOLATION_ROWS, INTERPOLATION_STEPS = 6, 11
COMPARED_COLUMNS = 8


def samples(path: Path, draw: Draw, latent: Dict[str, Any], rows: int, columns: int, seed: int, about: str,
            row_labels: Optional[Sequence[int]] = None, classes: Sequence[str] = ()) -> None:
    """Draw rows × columns samples; `latent` says their distribution and size.

    For a conditional generator each row shows the class of its `row_labels`, by its name in `classes`.
    """
    labels = None if row_labels is None else np.repeat(np.asarray(row_labels), columns)
    inputs = seeded_inputs(latent, rows * columns, seed, labels)
    beside = None if row_labels is None else [classes[label] for label in row_labels]
    plots.sheet(path, draw(inputs), columns, "generated samples", about, row_labels=beside)


def interpolation(path: Path, draw: Draw, latent: Dict[str, Any], seed: int, about: str,
                  labels: Optional[Sequence[int]] = None, classes: Sequence[str] = ()) -> None:
    """Draw walks of eleven images, each from one sample to another: six, or for a conditional generator one a label."""
    count = INTERPOLATION_ROWS if labels is None else len(labels)
    ends = draw_latents(latent["distribution"], 2 * count, latent["size"], random_stream(seed, "sample"))
    walks = [interpolate(latent["distribution"], start, end, INTERPOLATION_STEPS)
             for start, end in zip(ends[0::2], ends[1::2])]
    inputs: Inputs = (np.concatenate(walks),)
    if labels is not None:
        inputs += (np.repeat(np.asarray(labels, np.int32), INTERPOLATION_STEPS),)
    along = [f"{index / (INTERPOLATION_STEPS - 1):.1f}" for index in range(INTERPOLATION_STEPS)]
    plots.sheet(path, draw(inputs), INTERPOLATION_STEPS, "from one latent to another", about, column_labels=along,
                row_labels=None if labels is None else [classes[label] for label in labels])


def generated_beside_real(path: Path, draw: Draw, latent: Dict[str, Any], real, seed: int, about: str,
                          conditional: bool = False) -> None:
    """Draw 64 samples beside 64 images (or all, if fewer) of `real`, an ImageData, chosen by the seed.

    A conditional generator gets the labels of those images.
    """
    count = min(COMPARED_COLUMNS**2, len(real.images))
    chosen = random_stream(seed, "real images").permutation(len(real.images))[:count]
    inputs = seeded_inputs(latent, count, seed, real.labels[chosen] if conditional else None)
    plots.compare(path, draw(inputs), np.float32(real.images[chosen]) / 255, COMPARED_COLUMNS, "generated",
                  f"real ({real.name}, {real.split} split)", "generated beside real images", about)
