"""A family of your own with a discriminator: `python -m ms_gan train --recipe examples/feature_matching.py`."""

from dataclasses import dataclass
from typing import NamedTuple

import mindspore as ms
import numpy as np
from mindspore import ops

from ms_gan.recipes import Family, Recipe, register
from ms_gan.schema.fields import Settings, number
from ms_gan.schema.networks import MLPDiscriminator, MLPGenerator
from ms_gan.schema.recipe import Adam, Latent, Schedule
from ms_gan.steps.base import TrainingStep


@dataclass(frozen=True)
class FeatureMatchingUpdates(Settings):
    """How G and D are updated."""

    smooth: float = number(1.0, "D's target for real images", above=0, most=1)
    threshold = 0.0  # D's logit above which it takes an image for real


class Noise(NamedTuple):
    """All that is random in one step: latents, float32 (B, latent_size)."""

    latent: np.ndarray


class FeatureMatchingStep(TrainingStep):
    """Train D as in a plain GAN, and G to give D's features the mean that real images give them."""

    networks = ("generator", "discriminator")
    scalars = ("loss_d", "loss_g")

    def __init__(self, parts, updates):
        super().__init__(parts)
        self.smooth = updates.smooth
        self.gradient_d = ms.value_and_grad(self.loss_d, None, self.discriminator.trainable_params())
        self.gradient_g = ms.value_and_grad(self.loss_g, None, self.generator.trainable_params())
        self.set_train()

    def draw_noise(self, stream):
        return Noise(stream.standard_normal((self.whole_batch, self.latent.size)).astype(np.float32))

    def loss_d(self, real, fake):
        on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        return (ops.softplus(on_real) - self.smooth * on_real + ops.softplus(on_fake)).mean()

    def loss_g(self, real, latent):
        features = self.discriminator.features
        apart = features(self.generator(latent)).mean(0) - ops.stop_gradient(features(real).mean(0))
        return (apart * apart).sum()

    def construct(self, batch, noise):
        (latent,), real = noise, self.data(*batch)
        loss_d, gradients = self.gradient_d(real, ops.stop_gradient(self.generator(latent)))
        latent = ops.depend(latent, self.optimizer_discriminator(gradients))  # G learns from the new D
        loss_g, gradients = self.gradient_g(real, latent)
        return ops.depend(ops.stack((loss_d, loss_g)), self.optimizer_generator(gradients))


ADAM = Adam(learning_rate=2e-4, beta1=0.5)
register(Family("feature_matching", ("generator", "discriminator"), FeatureMatchingUpdates, FeatureMatchingStep))
RECIPE = Recipe(
    name="feature_matching",
    summary="GAN whose G matches D's features (Salimans et al. 2016), fully connected",
    family="feature_matching",
    latent=Latent(size=64),
    networks={"generator": MLPGenerator(widths=(256, 512)), "discriminator": MLPDiscriminator(widths=(512, 256))},
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=FeatureMatchingUpdates(),
    schedule=Schedule(batch_size=128, epochs=20),
)
