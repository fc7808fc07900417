"""One update of a conditional variational autoencoder (Kingma and Welling 2014; conditional after Sohn et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from mindspore import ops

from ms_gan.errors import Setting, UserError
from ms_gan.latents import draw_latents
from ms_gan.losses import bernoulli_reconstruction_loss, kl_to_standard_normal, squared_reconstruction_loss
from ms_gan.schema.updates import CVAEUpdates
from ms_gan.steps.base import StepParts, TrainingStep
from ms_gan.steps.graph import gradient


class CVAENoise(NamedTuple):
    """All that is random in one step: the reparametrisation's ε, float32, (B, latent_size)."""

    epsilon: np.ndarray


class CVAEStep(TrainingStep):
    """Update the encoder and the generator, which is the decoder, together.

    loss = reconstruction + kl_weight · KL(q(z | x, label) ‖ N(0, 1)), both summed over an image and averaged over the
    batch. The latent is mean + exp(½ log-variance) · ε (the reparametrisation), with ε from outside. With Adam, which
    treats each number by itself, the two optimizers do what one for all weights would.

    With "bernoulli" and kl_weight 1 the loss is the negative evidence lower bound; a kl_weight other than 1 is β of
    Higgins et al. 2017. With "squared" it is, but for a constant, kl_weight times the negative bound of normal pixels
    of variance kl_weight / 2. The prior is N(0, 1) for every label, where Sohn et al. learn one for each.

    Args:
        parts: networks "encoder", from images, and with classes labels, to means and log-variances, float32,
            (B, latent_size), and "generator", with a method `logits` to what it puts through the sigmoid.
        updates: the settings.
    """

    networks = ("encoder", "generator")
    scalars = ("loss", "loss_reconstruction", "loss_kl")

    def __init__(self, parts: StepParts, updates: CVAEUpdates):
        super().__init__(parts)
        self.from_logits = updates.reconstruction == "bernoulli"
        if self.from_logits and not hasattr(self.generator, "logits"):
            raise UserError(
                f"updates.reconstruction=bernoulli needs a generator with logits, and {type(self.generator).__name__} "
                "has none",
                *("use ", Setting("generator.network", "conv_decoder")),
                *(", or ", Setting("updates.reconstruction", "squared")),
            )
        self.kl_weight = updates.kl_weight
        self.count_encoder = len(self.encoder.trainable_params())
        self.gradient = gradient(self.loss, self.encoder, self.generator)
        self.set_train()

    def draw_noise(self, stream: np.random.Generator) -> CVAENoise:
        return CVAENoise(draw_latents("normal", self.whole_batch, self.latent.size, stream))

    def remark(self, means: Mapping[str, float]) -> str | None:
        """Return a sentence where the latents carry next to nothing."""
        if means["loss_kl"] < 0.1:
            return (
                "the latents say next to nothing about the images (KL below 0.1 nat): all images of a label look alike"
            )
        return None

    def encode(self, images, label, epsilon):
        """Return latents drawn from q(z | x, label), float32, (B, latent_size), and the KL of q to the prior.

        Args:
            images: float32, B×C×H×W.
            label: a tuple: their labels, where there are classes, else nothing.
            epsilon: float32, (B, latent_size).
        """
        mean, log_variance = self.encoder(images, *label)
        return mean + ops.exp(0.5 * log_variance) * epsilon, kl_to_standard_normal(mean, log_variance)

    def loss(self, images, label, epsilon):
        """Return the loss, and the values to report; arguments are those of `encode`."""
        latent, kl = self.encode(images, label, epsilon)
        if self.from_logits:
            reconstruction = bernoulli_reconstruction_loss(self.generator.logits(latent, *label), images)
        else:
            reconstruction = squared_reconstruction_loss(self.generator(latent, *label), images)
        loss = reconstruction + self.kl_weight * kl
        return loss, ops.stack((loss, reconstruction, kl))

    def construct(self, batch, noise):
        (epsilon,) = noise
        (_, values), gradients = self.gradient(self.data(*batch), self.labels_of(batch), epsilon)
        values = ops.depend(values, self.optimizer_encoder(gradients[: self.count_encoder]))
        return ops.depend(values, self.optimizer_generator(gradients[self.count_encoder :]))
