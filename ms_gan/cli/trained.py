"""A trained model, found by what the user typed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan.data import ImageData
from ms_gan.data.changes import what_changed
from ms_gan.data.clusters import find_clusters
from ms_gan.errors import UserError
from ms_gan.evaluation.sampling import Inputs, draw_images, in_chunks, on_arrays
from ms_gan.evaluation.scores import Discriminate
from ms_gan.labels import LabelNames
from ms_gan.nets.blocks import EncoderOfUnitRange, UnitRange
from ms_gan.recipes import FAMILIES, Recipe, UnknownFamily, check, clusters_of
from ms_gan.recipes.build import (
    STEPS,
    build_discriminator,
    build_encoder,
    build_unit_range_generator,
    knows_clusters,
    leaving,
)
from ms_gan.training.checkpoints import load_cells, read_state
from ms_gan.training.maturity import Maturity, maturity
from ms_gan.training.run_folder import SETTINGS, RunFolder, find_checkpoint, load_recorded
from ms_gan.training.scoring import hold_out


@dataclass(frozen=True)
class Trained:
    """A generator, and an encoder where there is one, with a checkpoint's weights, and what is known about them."""

    generator: UnitRange
    encoder: EncoderOfUnitRange | None
    home: Path  # the run, beside whose files eval/ and export/ belong
    step: int
    settings: dict[str, Any]
    environment: dict[str, Any]  # as the run keeps it; empty where there is only a checkpoint
    checkpoint: Path  # from which it was loaded
    maturity: Maturity  # of what draws

    @property
    def data_path(self) -> str | None:
        """Where the run's data set lay; None where that is not known, or the data are drawn."""
        return self.environment.get("data", {}).get("path")

    @property
    def recipe(self) -> Recipe:
        """The recipe as it ran."""
        return self.settings["recipe"]

    @property
    def labels(self) -> LabelNames | None:
        """The names behind the labels of a conditional generator; None for one without labels."""
        names = self.settings["classes"]
        return None if names is None else LabelNames(tuple(names), self.recipe["data"]["places"])

    def load(self, split: str, data_path: str | None, skip_unreadable: bool, **other: Any) -> ImageData:
        """Load a split of the run's data set from where it lay, or from `data_path`, as the recipe wants it.

        The arguments are those of `load_recorded`.
        """
        return load_recorded(self.settings, self.environment, split, data_path, skip_unreadable, **other)

    def fitting(self, images: ImageData) -> ImageData:
        """Return images at the model's size. Raises UserError for those that are not of the kind it was trained on."""
        recipe = self.recipe["data"]
        if recipe["classes"] and images.why_unlabelled:
            raise UserError(
                f"{images.name}, {images.source}: the {images.split} images have no labels "
                f"({images.why_unlabelled}), which this model needs; label them as its training images are"
            )
        try:
            images.require(*(recipe[key] for key in ("size", "channels", "classes", "places")))
        except UserError as error:  # what it says behind the semicolon is for training
            raise UserError(
                f"{str(error).partition(';')[0]}; the run's own data, or such as they, are needed"
            ) from error
        if self.labels is not None and images.classes != self.labels.names:
            new = [name for name in images.classes if name not in self.labels.names]
            raise UserError(
                f"{images.name}, {images.source}: has other labels than the run, such as "
                f"{(new or list(images.classes))[0]!r}; the run's own data, or such as they, are needed"
            )
        return images.at_size(recipe["size"])

    def own_data(self, data_path: str | None, skip_unreadable: bool) -> tuple[ImageData, ImageData]:
        """Load the training and the test images of the run, with labels where there are any, at the model's size.

        Labels that a folder has though the recipe takes none are there, too. Raises UserError where the images cannot
        be loaded, or are not the training images that the model was trained on.
        """
        train = self.load("train", data_path, skip_unreadable)
        if train.sha256 != self.settings["data_sha256"]:
            changed = what_changed(RunFolder(self.home).read_fingerprint(), train)
            raise UserError(
                f"{train.name}, {train.source}: not the images that the run was trained on: {changed}; "
                f"scores need the run's own data: name them with --data-path"
            )
        test = self.load("test", data_path, skip_unreadable, rotate_and_mirror=False)
        return self.fitting(train).labelled(), self.fitting(test).labelled()

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return the images of the generator's inputs, float32 in [0, 1], N×C×H×W."""
        return draw_images(self.generator, inputs)

    def encode(self, inputs: Inputs) -> np.ndarray:
        """Return the means of the latents of images, float32 in [0, 1], and, with labels, those; (N, latent_size)."""
        return in_chunks(on_arrays(self.encoder), inputs)[0]

    @property
    def threshold(self) -> float | None:
        """The logit above which the discriminator takes an image for real; None where only differences count."""
        return STEPS[self.recipe["family"]].threshold(self.recipe["updates"])

    def discriminator(self, train: ImageData) -> tuple[Discriminate | None, str | None]:
        """Load the model's discriminator, a function of images, uint8, and labels to logits, (N, 1); or say why not.

        The labels are for one that judges by them. One that judges by clusters gets those that images fall into, among
        the clusters of the run's training images, `train`.
        """
        if "discriminator" not in FAMILIES[self.recipe["family"]]:
            return None, "the model has no discriminator"
        judging = STEPS[self.recipe["family"]].discriminator_takes_labels
        clusters = None
        if clusters_of(self.recipe):
            learned, _ = hold_out(self.recipe, train, self.settings["seed"])
            clusters = find_clusters(learned.images, clusters_of(self.recipe))
            if not knows_clusters(self.generator.generator, clusters.of(learned.images), self.recipe):
                return None, "the training images fall into other clusters here than those that it judges by"
        network = build_discriminator(self.recipe)
        load_cells(self.checkpoint, {"discriminator": network.discriminator})
        judge = on_arrays(network)

        def discriminate(images: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            labels = labels if clusters is None else clusters.of(images)
            inputs = (images, labels) if judging and labels is not None else (images,)
            return in_chunks(lambda some, *label: judge(np.float32(some) / 255, *label), inputs)[0]

        return discriminate, None


def load_trained(place: str | None) -> Trained:
    """Load RUN_OR_CHECKPOINT. Raises UserError, in one line, where that cannot be done."""
    checkpoint, home = find_checkpoint(place)
    state = read_state(checkpoint)
    settings = state["settings"]
    if not SETTINGS <= settings.keys():
        raise UserError(f"{checkpoint}: written by another version of ms_gan; use that one")
    try:
        check(settings["recipe"])
    except UnknownFamily as error:
        raise UserError(f"{checkpoint}: {error}") from error
    except UserError as error:
        raise UserError(f"{checkpoint}: written by another version of ms_gan ({error}); use that one") from error
    generator, encoder = build_unit_range_generator(settings["recipe"]), None
    load_cells(checkpoint, {leaving(settings["recipe"], "generator"): generator.generator})
    if "encoder" in FAMILIES[settings["recipe"]["family"]]:
        encoder = build_encoder(settings["recipe"])
        load_cells(checkpoint, {leaving(settings["recipe"], "encoder"): encoder.encoder})
    run = RunFolder(home)
    environment = run.read_environment() if run.environment.is_file() else {}
    return Trained(
        generator,
        encoder,
        home,
        state["step"],
        settings,
        environment,
        checkpoint,
        maturity(settings["recipe"], state["step"], state.get("initial_share")),
    )
