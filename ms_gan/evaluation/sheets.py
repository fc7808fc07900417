"""The pictures of a trained model, each drawn from a seed and, where it needs them, real images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.evaluation import fonts, plots
from ms_gan.labels import LabelNames
from ms_gan.latents import interpolate
from ms_gan.randomness import random_stream
from ms_gan.sampling import Draw, Inputs, in_turn, seeded_inputs
from ms_gan.schema.recipe import Latent

INTERPOLATION_ROWS = 6
INTERPOLATION_STEPS = 11
COMPARED_COLUMNS = 8
TRANSFERRED = 6  # images that are decoded with other labels
DONORS = 6  # images that give these labels


@dataclass(frozen=True)
class Sheets:
    """What pictures are drawn from. Each method writes a PNG to `path`.

    Attributes:
        draw: the generator.
        latent: what its latents are.
        seed: of the latents, and of the choice of real images.
        about: the caption, such as "mlp · step 1,000 · seed 1".
        names: of the labels of a conditional generator; else None.
        encode: an autoencoder's encoder: images, float32 in [0, 1], and labels to means of q(z | x), float32 (N, size).
    """

    draw: Draw
    latent: Latent
    seed: int
    about: str
    names: LabelNames | None = None
    encode: Draw | None = None

    def samples(self, path: Path, rows: int, columns: int, labels: np.ndarray | None = None) -> None:
        """Draw rows × columns samples. Each row shows one of `labels`, int32 (n,) or (n, max_tags), in turn."""
        names, about = legible(self.names, self.about)
        of_rows = None if labels is None else in_turn(labels, rows)
        of_each = None if of_rows is None else np.repeat(of_rows, columns, 0)
        images = self.draw(seeded_inputs(self.latent, rows * columns, self.seed, of_each))
        texts = () if of_rows is None else names.texts(of_rows)
        plots.sheet(path, images, columns, "generated samples", about, row_labels=texts)

    def one_of_each(self, path: Path, count: int, columns: int, labels: np.ndarray) -> None:
        """Draw `count` samples, each of the next of `labels`, which is written below it."""
        names, about = legible(self.names, self.about)
        labels = in_turn(labels, count)
        images = self.draw(seeded_inputs(self.latent, len(labels), self.seed, labels))
        plots.captioned(path, images, columns, names.texts(labels), "generated samples, one for each label", about)

    def interpolation(self, path: Path, labels: np.ndarray | None = None) -> None:
        """Draw walks of eleven images from one latent to another: six, or one for each of `labels`."""
        names, about = legible(self.names, self.about)
        count, kind = INTERPOLATION_ROWS if labels is None else len(labels), self.latent.distribution
        (ends,) = seeded_inputs(self.latent, 2 * count, self.seed)
        walks = [interpolate(kind, start, end, INTERPOLATION_STEPS) for start, end in zip(ends[0::2], ends[1::2])]
        inputs: Inputs = (np.concatenate(walks),)
        if labels is not None:
            inputs += (np.repeat(labels, INTERPOLATION_STEPS, 0),)
        plots.sheet(
            path,
            self.draw(inputs),
            INTERPOLATION_STEPS,
            "from one latent to another",
            about,
            column_labels=[f"{index / (INTERPOLATION_STEPS - 1):.1f}" for index in range(INTERPOLATION_STEPS)],
            row_labels=() if labels is None else names.texts(labels),
        )

    def generated_beside_real(self, path: Path, real: ImageData) -> None:
        """Draw 64 samples beside 64 real images, or all if there are fewer, chosen by the seed; with their labels."""
        images, labels = self._some_of(real)
        generated = self.draw(seeded_inputs(self.latent, len(images), self.seed, *labels))
        title = "generated beside real images"
        plots.compare(path, ("generated", generated), (_what(real), images), COMPARED_COLUMNS, title, self.about)

    def reconstructions(self, path: Path, real: ImageData) -> None:
        """Draw 64 real images beside what the decoder makes of the means of their latents."""
        assert self.encode is not None, "only autoencoders reconstruct"
        images, labels = self._some_of(real)
        drawn = self.draw((self.encode((images, *labels)), *labels))
        title = f"reconstructions of images of the {real.split} split"
        plots.compare(path, (_what(real), images), ("reconstructed", drawn), COMPARED_COLUMNS, title, self.about)

    def transfer(self, path: Path, real: ImageData, labels: np.ndarray | None = None) -> None:
        """Draw real images, each encoded with its own label and decoded with its own and with others.

        The others are `labels`, by default the labels of six more real images, which are shown on top. With fewer than
        twelve images some are on both sides; with fewer than three, the others are the first names.
        """
        assert self.encode is not None, "only autoencoders transfer"
        names, about = legible(self.names, self.about)
        if labels is None and len(real.images) < 3:
            labels = names.each()[:DONORS]
        images, (own,) = some_of(real, TRANSFERRED + (DONORS if labels is None else 0), self.seed, True)
        rows = min(TRANSFERRED, len(images))
        others = own[-DONORS:] if labels is None else labels
        latents = self.encode((images[:rows], own[:rows]))
        columns = [images[:rows], self.draw((latents, own[:rows]))]
        columns += [self.draw((latents, np.repeat(other[None], rows, 0))) for other in others]
        above, beside = ["real", "its label"], [f"{number + 1}" for number in range(rows)]
        cells = np.stack(columns, 1).reshape(-1, *images.shape[1:])
        if labels is None:
            white = np.ones((2, *images.shape[1:]), np.float32)
            cells = np.concatenate((white, images[-DONORS:], cells))
            beside = ["the label of", *beside]
            letters = [chr(ord("A") + number) for number in range(len(others))]
            above += [f"label {letter}" for letter in letters]
            about += ". " + "; ".join(f"{letter}: {names.text(other)}" for letter, other in zip(letters, others))
        else:
            above += names.texts(others)
        title = "encoded with their own labels, decoded with others"
        plots.sheet(path, cells, len(columns), title, about, row_labels=beside, column_labels=above)

    def _some_of(self, real: ImageData) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        return some_of(real, COMPARED_COLUMNS**2, self.seed, self.names is not None)


def legible(names: LabelNames | None, about: str) -> tuple[LabelNames, str]:
    """Return the names as they can be written on a sheet, empty ones for None, and the caption.

    A name that no font of this machine can write becomes its number in the vocabulary, from #1; the caption says so.
    """
    if names is None:
        return LabelNames(()), about
    where = "are numbered by their places in the vocabulary, which settings.json, or a bundle's contract.json, lists"
    written, note = fonts.legible(names.names, where)
    return (LabelNames(tuple(written), names.max_tags), f"{about}. {note}") if note else (names, about)


def some_of(real: ImageData, count: int, seed: int, with_labels: bool) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return `count` real images, or all if there are fewer, chosen by the seed, float32 in [0, 1]; and (labels,)."""
    chosen = random_stream(seed, "real images").permutation(len(real.images))[:count]
    labels = (real.labels[chosen],) if with_labels and real.labels is not None else ()
    return real.images[chosen].astype(np.float32) / 255, labels


def _what(real: ImageData) -> str:
    return f"real ({real.name}, {real.split} split)"
