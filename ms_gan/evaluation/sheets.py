"""The pictures of a trained model: each a function of its networks, a seed and, where it needs them, real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.evaluation import fonts, plots
from ms_gan.evaluation.sampling import Inputs, seeded_inputs
from ms_gan.labels import LabelNames
from ms_gan.latents import draw_latents, interpolate
from ms_gan.runtime import random_stream

Draw = Callable[[Inputs], np.ndarray]  # inputs of a generator to images, float32 in [0, 1], N×C×H×W
Encode = Callable[[Inputs], np.ndarray]  # images, float32 in [0, 1], and labels, to the mean of q(z | x), (N, size)
INTERPOLATION_ROWS, INTERPOLATION_STEPS = 6, 11
COMPARED_COLUMNS = 8
TRANSFERRED, DONORS = 6, 6


def samples(
    path: Path,
    draw: Draw,
    latent: dict[str, Any],
    rows: int,
    columns: int,
    seed: int,
    about: str,
    labels: np.ndarray | None = None,
    names: LabelNames | None = None,
) -> None:
    """Draw rows × columns samples; `latent` says their distribution and size.

    For a conditional generator each row shows one of `labels`, one after the other.
    """
    names, about = legible(names, about)
    of_rows = None if labels is None else labels[np.arange(rows) % len(labels)]
    inputs = seeded_inputs(latent, rows * columns, seed, None if labels is None else np.repeat(of_rows, columns, 0))
    plots.sheet(
        path,
        draw(inputs),
        columns,
        "generated samples",
        about,
        row_labels=None if labels is None else names.texts(of_rows),
    )


def one_of_each(
    path: Path,
    draw: Draw,
    latent: dict[str, Any],
    count: int,
    columns: int,
    seed: int,
    about: str,
    labels: np.ndarray,
    names: LabelNames,
) -> None:
    """Draw `count` samples, each with the next of `labels`, which stands below it."""
    names, about = legible(names, about)
    labels = labels[np.arange(count) % len(labels)]
    images = draw(seeded_inputs(latent, len(labels), seed, labels))
    plots.captioned(path, images, columns, names.texts(labels), "generated samples, one for each label", about)


def interpolation(
    path: Path,
    draw: Draw,
    latent: dict[str, Any],
    seed: int,
    about: str,
    labels: np.ndarray | None = None,
    names: LabelNames | None = None,
) -> None:
    """Draw walks of eleven images, each from one sample to another: six, or for a conditional generator one a label."""
    names, about = legible(names, about)
    count = INTERPOLATION_ROWS if labels is None else len(labels)
    ends = draw_latents(latent["distribution"], 2 * count, latent["size"], random_stream(seed, "sample"))
    walks = [
        interpolate(latent["distribution"], start, end, INTERPOLATION_STEPS)
        for start, end in zip(ends[0::2], ends[1::2])
    ]
    inputs: Inputs = (np.concatenate(walks),)
    if labels is not None:
        inputs += (np.repeat(labels, INTERPOLATION_STEPS, 0),)
    along = [f"{index / (INTERPOLATION_STEPS - 1):.1f}" for index in range(INTERPOLATION_STEPS)]
    plots.sheet(
        path,
        draw(inputs),
        INTERPOLATION_STEPS,
        "from one latent to another",
        about,
        column_labels=along,
        row_labels=None if labels is None else names.texts(labels),
    )


def generated_beside_real(
    path: Path, draw: Draw, latent: dict[str, Any], real: ImageData, seed: int, about: str, conditional: bool = False
) -> None:
    """Draw 64 samples beside 64 real images (or all, if fewer), chosen by the seed.

    A conditional generator gets the labels of those images.
    """
    images, labels = some_of(real, COMPARED_COLUMNS**2, seed, conditional)
    inputs = seeded_inputs(latent, len(images), seed, *labels)
    plots.compare(
        path,
        draw(inputs),
        images,
        COMPARED_COLUMNS,
        "generated",
        f"real ({real.name}, {real.split} split)",
        "generated beside real images",
        about,
    )


def reconstructions(
    path: Path, encode: Encode, draw: Draw, real: ImageData, seed: int, about: str, conditional: bool
) -> None:
    """Draw 64 real images beside what the decoder makes of the means of their latents."""
    images, labels = some_of(real, COMPARED_COLUMNS**2, seed, conditional)
    drawn = draw((encode((images, *labels)), *labels))
    plots.compare(
        path,
        images,
        drawn,
        COMPARED_COLUMNS,
        f"real ({real.name}, {real.split} split)",
        "reconstructed",
        f"reconstructions of images of the {real.split} split",
        about,
    )


def transfer(
    path: Path,
    encode: Encode,
    draw: Draw,
    real: ImageData,
    seed: int,
    about: str,
    names: LabelNames,
    labels: np.ndarray | None = None,
) -> None:
    """Draw real images, each encoded with its own label and decoded with its own and with others.

    The others are `labels`, or, where these are None, those of six more real images, which stand on top. Where there
    are fewer than twelve images, some stand on both sides; fewer than three get the first names.
    """
    names, about = legible(names, about)
    if labels is None and len(real.images) < 3:
        labels = names.each()[:DONORS]
    images, (own,) = some_of(real, TRANSFERRED + (DONORS if labels is None else 0), seed, True)
    rows = min(TRANSFERRED, len(images))
    donors, others = images[-DONORS:], own[-DONORS:] if labels is None else labels
    latents = encode((images[:rows], own[:rows]))
    columns: list[np.ndarray] = [images[:rows], draw((latents, own[:rows]))]
    columns += [draw((latents, np.repeat(other[None], rows, 0))) for other in others]
    above, beside = ["real", "its label"], [f"{number + 1}" for number in range(rows)]
    cells = np.stack(columns, 1).reshape(-1, *images.shape[1:])
    if labels is None:
        white = np.ones((2, *images.shape[1:]), np.float32)
        cells = np.concatenate((white, donors, cells))
        beside = ["the label of", *beside]
        above += [f"label {chr(ord('A') + number)}" for number in range(len(others))]
        about += ". " + "; ".join(
            f"{chr(ord('A') + number)}: {names.text(other)}" for number, other in enumerate(others)
        )
    else:
        above += names.texts(others)
    plots.sheet(
        path,
        cells,
        len(columns),
        "encoded with their own labels, decoded with others",
        about,
        row_labels=beside,
        column_labels=above,
    )


def legible(names: LabelNames | None, about: str) -> tuple[LabelNames | None, str]:
    """Return the names as they can be written on a sheet, and the caption.

    Those that no font of this machine can write are their places in the vocabulary, from #1, and the caption says so.
    """
    if names is None:
        return None, about
    written, note = fonts.legible(
        names.names,
        "are numbered by their places in the vocabulary, which recipe.json, or a bundle's contract.json, lists",
    )
    return (LabelNames(tuple(written), names.places), f"{about}. {note}") if note else (names, about)


def some_of(real: ImageData, count: int, seed: int, with_labels: bool) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return `count` real images, or all, if fewer, chosen by the seed, float32 in [0, 1], and, if wanted,
    (labels,)."""
    chosen = random_stream(seed, "real images").permutation(len(real.images))[:count]
    return np.float32(real.images[chosen]) / 255, (real.labels[chosen],) if with_labels else ()
