"""One update of a conditional variational autoencoder (Kingma and Welling 2014; conditional after Sohn et al. 2015)."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import ops

from ms_gan.errors import UserError
from ms_gan.latents import draw_latents
from ms_gan.losses import bernoulli_reconstruction_loss, kl_to_standard_normal, squared_reconstruction_loss
from ms_gan.steps.base import TrainingStep

RECONSTRUCTIONS = {
    "bernoulli": "cross-entropy of each pixel, summed over the image",
    "squared": "squared error of each pixel, summed over the image",
}


class CVAEStep(TrainingStep):
    """Update the encoder and the generator, which is the decoder, together.

    loss = reconstruction + kl_weight · KL(q(z | x, label) ‖ N(0, 1)), both summed over an image and averaged over the
    batch. The latent is mean + exp(½ log-variance) · ε (the reparametrisation), with ε from outside. With Adam, which
    treats each number by itself, the two optimizers do what one for all weights would.

    With "bernoulli" and kl_weight 1 the loss is the negative evidence lower bound; with "squared" it is kl_weight times
    that of normal pixels of variance kl_weight / 2, but for a constant. The prior is N(0, 1) for every label, where
    Sohn et al. learn one for each.

    Args:
        data: Cell from a batch to real images, float32, B×C×H×W; its `labels` to labels.
        encoder: Cell from images, and with classes labels, to means and log-variances, float32, (B, latent_size).
        generator: Cell from latents, and with classes labels, to images in the pixel range; its `logits` to what it
            puts through the sigmoid.
        optimizer_encoder, optimizer_generator: one optimizer for each one's weights.
        latent: `size` and `distribution`, which has to be normal: the prior.
        classes: how many classes or tags there are, 0 for none.
        batch_size: images in a step.
        reconstruction: one of RECONSTRUCTIONS.
        kl_weight: 1 for the bound itself (β of Higgins et al. 2017).
    """

    networks = ("encoder", "generator")
    scalars: tuple[str, ...] = ("loss", "loss_reconstruction", "loss_kl")
    labels = "any"

    def __init__(
        self,
        data,
        encoder,
        generator,
        optimizer_encoder,
        optimizer_generator,
        latent: dict[str, Any],
        classes: int,
        batch_size: int,
        reconstruction: str,
        kl_weight: float,
    ):
        super().__init__(auto_prefix=False)
        if latent["distribution"] != "normal":
            raise UserError("the latents of a variational autoencoder are normal; set latent.distribution=normal")
        self.data, self.encoder, self.generator = data, encoder, generator
        self.optimizer_encoder, self.optimizer_generator = optimizer_encoder, optimizer_generator
        self.latent, self.classes, self.batch_size = latent, classes, batch_size
        self.from_logits = reconstruction == "bernoulli"
        self.kl_weight = kl_weight
        self.count_encoder = len(encoder.trainable_params())
        weights = ms.ParameterTuple([*encoder.trainable_params(), *generator.trainable_params()])
        self.gradient = ms.value_and_grad(self.loss, None, weights, has_aux=True)
        self.set_train()

    @staticmethod
    def threshold(updates: dict[str, Any]) -> float | None:
        """Return None: there is no D."""
        return None

    def draw_noise(self, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return all that is random in one step: the reparametrisation's ε, float32, (B, latent_size)."""
        return (draw_latents("normal", self.batch_size, self.latent["size"], stream),)

    def remark(self, means: dict[str, float]) -> str | None:
        """Say when the latents carry next to nothing."""
        if means["loss_kl"] < 0.1:
            return (
                "the latents say next to nothing about the images (KL below 0.1 nat): all images of a label look alike"
            )
        return None

    def loss(self, images, label, epsilon):
        """Return the loss, and the values to report."""
        mean, log_variance = self.encoder(images, *label)
        latent = mean + ops.exp(0.5 * log_variance) * epsilon
        if self.from_logits:
            reconstruction = bernoulli_reconstruction_loss(self.generator.logits(latent, *label), images)
        else:
            reconstruction = squared_reconstruction_loss(self.generator(latent, *label), images)
        kl = kl_to_standard_normal(mean, log_variance)
        loss = reconstruction + self.kl_weight * kl
        return loss, ops.stack((loss, reconstruction, kl))

    def construct(self, batch, noise):
        """Do one update.

        Args:
            batch: tuple of tensors, what the data Cell takes for `images_per_step` real images.
            noise: tuple of tensors as `draw_noise` draws them.

        Returns:
            float32, (len(scalars),): the values that `scalars` names, measured before the update.
        """
        label = (self.data.labels(*batch),) if self.classes else ()
        (_, values), gradients = self.gradient(self.data(*batch), label, noise[0])
        values = ops.depend(values, self.optimizer_encoder(gradients[: self.count_encoder]))
        return ops.depend(values, self.optimizer_generator(gradients[self.count_encoder :]))
