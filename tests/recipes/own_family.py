"""A recipe with a family and a network of its own, all in this file: G alone, whose images are to be the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from ms_gan.errors import UserError
from ms_gan.recipes import Family, Network, Recipe, register
from ms_gan.schema.fields import Settings, flag, number, whole
from ms_gan.schema.recipe import Adam, Schedule
from ms_gan.steps.base import TrainingStep


@dataclass(frozen=True)
class OneLayer(Settings):
    """A generator with one hidden layer."""

    width: int = whole(16, "numbers in the hidden layer", least=1)


class OneLayerGenerator(nn.Cell):
    """Latents, float32 (N, latent_size), to images, float32 (N, C, H, W) in [-1, 1]."""

    pixel_range = (-1.0, 1.0)

    def __init__(self, settings, inputs):
        super().__init__()
        channels, height, width = inputs.image_shape
        self.shape = (-1, channels, height, width)
        self.layers = nn.SequentialCell(
            nn.Dense(inputs.latent_size, settings.width),
            nn.ReLU(),
            nn.Dense(settings.width, channels * height * width),
            nn.Tanh(),
        )

    def construct(self, latent):
        return self.layers(latent).reshape(self.shape)


@dataclass(frozen=True)
class OwnUpdates(Settings):
    """Settings of the family; some are called as others elsewhere, with values that those may not have."""

    batches: float = number(1.0, "real images that a step takes, in batches", above=0)
    least_batch: int = whole(1, "images that a batch has to have", least=1)
    needs_twin: bool = flag(False, "whether it takes a generator in inference mode")
    generator_loss: float = number(2.0, "what the loss is multiplied by")
    size: object = "large"  # anything


class Noise(NamedTuple):
    latent: np.ndarray


class OwnStep(TrainingStep):
    """G's squared distance from real images, one for each latent."""

    networks, scalars = ("generator",), ("loss",)

    def __init__(self, parts, updates):
        super().__init__(parts)
        if self.batch_size < updates.least_batch:
            raise UserError(f"a batch of at least {updates.least_batch} is needed")
        self.updates, self.batches, self.factor = updates, updates.batches, updates.generator_loss
        weights = ms.ParameterTuple(self.generator.trainable_params())
        self.gradient = ms.value_and_grad(self.loss, None, weights)

    @property
    def images_per_step(self):
        return int(self.batches * self.batch_size)

    def draw_noise(self, stream):
        return Noise(stream.standard_normal((self.images_per_step, self.latent.size)).astype(np.float32))

    def loss(self, images, latent, label):
        return self.factor * ((self.generator(latent, *label) - images) ** 2).mean()

    def construct(self, batch, noise):
        loss, gradients = self.gradient(self.data(*batch), noise[0], self.labels_of(batch))
        return ops.depend(loss.reshape((1,)), self.optimizer_generator(gradients))


register(Network("one_layer", "generator", OneLayer, OneLayerGenerator))
register(Family("own", ("generator",), OwnUpdates, OwnStep, label_requirement="any"))
RECIPE = Recipe(
    name="own_family",
    summary="G alone, 28x28 grey",
    family="own",
    networks={"generator": OneLayer()},
    optimizers={"generator": Adam()},
    updates=OwnUpdates(),
    schedule=Schedule(epochs=1, batch_size=8),
)
