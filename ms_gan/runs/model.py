"""A trained model: a run or a checkpoint, loaded to sample from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan.data.clusters import find_clusters
from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.evaluation.protocol import Discriminate
from ms_gan.labels import LabelNames
from ms_gan.nets.unit_range import UnitRangeEncoder, UnitRangeGenerator
from ms_gan.recipes import registry
from ms_gan.recipes.build import (
    build_discriminator,
    build_encoder,
    build_unit_range_generator,
    drawing_name,
    knows_clusters,
)
from ms_gan.runs.checkpoints import load_cells, read_state
from ms_gan.runs.maturity import Maturity, maturity
from ms_gan.runs.provenance import Provenance
from ms_gan.runs.run_folder import RunFolder, find_checkpoint, load_recorded, validation_split
from ms_gan.runs.settings import RunSettings
from ms_gan.sampling import Inputs, Sampler, draw_images, in_chunks, on_arrays
from ms_gan.schema.recipe import Latent, Recipe

OWN_DATA = "use the run's own data set, or one of the same size, channels and labels"


@dataclass(frozen=True)
class Model(Sampler):
    """A generator, and an encoder if there is one, with a checkpoint's weights, and what is known about them."""

    generator: UnitRangeGenerator
    encoder: UnitRangeEncoder | None
    home: Path  # the run: eval/ and export/ are written into it
    step: int
    settings: RunSettings
    provenance: Provenance | None  # None for a checkpoint without a run
    checkpoint: Path
    maturity: Maturity  # of the generator

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name} at step {self.step:,}, {self.checkpoint}>"

    @property
    def data_path(self) -> str | None:
        """Where the run's data set was; None if that is unknown, or if the data are drawn."""
        return None if self.provenance is None else self.provenance.data.path

    @property
    def recipe(self) -> Recipe:
        """The recipe as it ran."""
        return self.settings.recipe

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    @property
    def latent(self) -> Latent:
        """What its latents are."""
        return self.recipe.latent

    @property
    def label_names(self) -> LabelNames | None:
        """The names of a conditional generator's labels; None for a generator without labels."""
        return self.settings.label_names

    @property
    def conditional(self) -> bool:
        """Whether the generator takes labels."""
        return self.settings.classes is not None

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return the images of the generator's inputs, float32 in [0, 1], N×C×H×W."""
        return draw_images(self.generator, inputs)

    def encode(self, inputs: Inputs) -> np.ndarray:
        """Return the mean of q(z | x), float32 (N, latent size), of images, float32 in [0, 1], and their labels."""
        assert self.encoder is not None, "only autoencoders encode"
        return in_chunks(on_arrays(self.encoder), inputs)[0]

    def load(self, split: str, data_path: str | None = None, skip_unreadable: bool = False, **other: Any) -> ImageData:
        """Load a split of the run's data set from where it was, or from `data_path`, as the recipe asks for it.

        `other` are the settings that `load_recorded` takes.
        """
        return load_recorded(self.settings, self.provenance, split, data_path, skip_unreadable, **other)

    def fitting(self, images: ImageData) -> ImageData:
        """Return the images at the model's size. Raises UserError for images of another kind than it was trained on."""
        wanted = self.recipe.data
        if wanted.classes and images.why_unlabelled:
            raise UserError(
                f"{images.called}: the {images.split} images have no labels "
                f"({images.why_unlabelled}), which this model needs",
                "label them as the training images are labelled",
            )
        try:
            images.require(wanted.size, wanted.channels, wanted.classes, wanted.max_tags)
        except UserError as error:  # its second part is about training
            raise UserError(error.problem, OWN_DATA) from error
        names = self.settings.classes
        if names is not None and images.classes != names:
            new = [name for name in images.classes if name not in names]
            raise UserError(
                f"{images.called}: has other labels than the run, such as {(new or list(images.classes))[0]!r}",
                OWN_DATA,
            )
        return images.at_size(wanted.size)

    def own_data(self, data_path: str | None, skip_unreadable: bool) -> tuple[ImageData, ImageData]:
        """Load the run's training and test images, labelled if the data set has labels, at the model's size.

        They have labels even if the recipe takes none. Raises UserError if they cannot be loaded, or if the training
        images are not those of the run.
        """
        train = self.load("train", data_path, skip_unreadable)
        RunFolder(self.home).require_own(train, self.settings)
        test = self.load("test", data_path, skip_unreadable, rotate_and_mirror=False)
        return self.fitting(train).labelled(), self.fitting(test).labelled()

    def discriminator(self, train: ImageData) -> tuple[Discriminate | None, str | None]:
        """Load D, as a function of images, uint8, and their labels to logits, (N, 1); or say why there is none.

        D takes labels only if it was trained with them. A D trained on clusters gets the clusters of the images, found
        in the run's training images, `train`.
        """
        if "discriminator" not in self.recipe.networks:
            return None, "the model has no discriminator"
        family = registry.family(self.recipe.family)
        if not family.discriminator_logits:
            return None, f"the discriminator of the family {family.name} gives no logits"
        clusters = None
        if self.recipe.clusters:
            learned, _ = validation_split(self.settings, train)
            clusters = find_clusters(learned.images, self.recipe.clusters)
            if not knows_clusters(self.generator.generator, clusters.of(learned.images), self.recipe):
                return None, "on this machine the training images fall into other clusters than those of its training"
        network = build_discriminator(self.recipe)
        load_cells(self.checkpoint, {"discriminator": network.network})
        logits = on_arrays(network)

        def discriminate(images: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            labels = labels if clusters is None else clusters.of(images)
            inputs = (images, labels) if family.label_conditioned and labels is not None else (images,)
            return in_chunks(lambda some, *label: logits(np.float32(some) / 255, *label), inputs)[0]

        return discriminate, None


def load_model(place: str | Path | None) -> Model:
    """Load a run (its newest checkpoint) or a checkpoint; None is the newest run below runs/.

    Raises UserError if there is none, if it is damaged, or if this version cannot read it.
    """
    checkpoint, home = find_checkpoint(place)
    state = read_state(checkpoint)
    recipe = state.settings.recipe
    generator, encoder = build_unit_range_generator(recipe), None
    load_cells(checkpoint, {drawing_name(recipe, "generator"): generator.generator})
    if "encoder" in recipe.networks:
        encoder = build_encoder(recipe)
        load_cells(checkpoint, {drawing_name(recipe, "encoder"): encoder.network})
    mature = maturity(recipe, state.step, state.initial_share, bool(state.settings.warm_start))
    try:
        provenance = RunFolder(home).read_provenance()
    except FileNotFoundError:  # a checkpoint on its own
        provenance = None
    return Model(generator, encoder, home, state.step, state.settings, provenance, checkpoint, mature)
