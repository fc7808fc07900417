"""One update of a plain GAN (Goodfellow et al. 2014, algorithm 1 with k = 1)."""

from __future__ import annotations

from typing import Dict, Tuple

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from mindspore import dtype as mstype

from ms_gan.latents import draw_latents
from ms_gan.losses import minimax_discriminator_loss, non_saturating_generator_loss


class GANStep(nn.Cell):
    """Update D on real and fake images, then G against the updated D, with the same latents.

    The generator runs forward once: D learns from its images, and G's loss is
    differentiated first with respect to those images, through the updated D, and
    from there with respect to G's weights. Losses and weights are those of running
    G twice; only BatchNorm's moving statistics advance once a step instead of twice.

    D sees real and fake images in one batch, which for a D without BatchNorm is the
    same as two batches, and faster.

    Args:
        images: Cell from a batch's indices to real images, float32, B×C×H×W.
        generator: Cell from latents, float32, (B, latent_size), to such images.
        discriminator: Cell from images to logits, (B, 1).
        optimizer_generator, optimizer_discriminator: one optimizer for each one's weights.
        latent_size, distribution: what `draw_noise` draws.
    """

    scalars = ("loss_d", "loss_g", "accuracy_real", "accuracy_fake")

    def __init__(self, images, generator, discriminator, optimizer_generator, optimizer_discriminator,
                 latent_size: int, distribution: str):
        super().__init__(auto_prefix=False)  # the networks have their prefixes; nothing may rename them
        self.images = images
        self.generator = generator
        self.discriminator = discriminator
        self.optimizer_generator = optimizer_generator
        self.optimizer_discriminator = optimizer_discriminator
        self.latent_size = latent_size
        self.distribution = distribution

        self.weights_generator = ms.ParameterTuple(generator.trainable_params())
        self.gradient_discriminator = ms.value_and_grad(
            self.discriminator_loss, None, ms.ParameterTuple(discriminator.trainable_params()), has_aux=True)
        self.gradient_images = ms.value_and_grad(self.generator_loss, 0)
        self.gradient_generator = ops.GradOperation(get_by_list=True, sens_param=True)
        self.set_train()

    def saved(self) -> Dict[str, nn.Cell]:
        """Return what a checkpoint holds, by file name; of an optimizer only its own state is saved."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "optimizer_generator": self.optimizer_generator,
            "optimizer_discriminator": self.optimizer_discriminator,
        }

    def draw_noise(self, stream: np.random.Generator, batch_size: int) -> Tuple[np.ndarray, ...]:
        """Return all that is random in one step: the latents, float32, (B, latent_size)."""
        return (draw_latents(self.distribution, batch_size, self.latent_size, stream),)

    def discriminator_loss(self, real, fake):
        """Return D's loss, and the share of real and of fake images that D judges rightly."""
        count = real.shape[0]
        logits = self.discriminator(ops.concat((real, fake)))
        logits_real, logits_fake = logits[:count], logits[count:]
        loss = minimax_discriminator_loss(logits_real, logits_fake)
        accuracy_real = (logits_real > 0).astype(mstype.float32).mean()
        accuracy_fake = (logits_fake < 0).astype(mstype.float32).mean()
        return loss, accuracy_real, accuracy_fake

    def generator_loss(self, fake):
        """Return G's loss on its images."""
        return non_saturating_generator_loss(self.discriminator(fake))

    def construct(self, batch, noise):
        """Do one update.

        Args:
            batch: tuple of one tensor, the indices of the real images, int32, (B,).
            noise: tuple of tensors as `draw_noise` draws them.

        Returns:
            float32, (4,): the values that `scalars` names, measured before each player's own update.
        """
        real = self.images(batch[0])
        latents = noise[0]
        fake = ops.stop_gradient(self.generator(latents))

        (loss_d, accuracy_real, accuracy_fake), gradients = self.gradient_discriminator(real, fake)
        updated = self.optimizer_discriminator(gradients)

        fake = ops.depend(fake, updated)  # G is judged by the updated D
        loss_g, gradient_of_images = self.gradient_images(fake)
        gradients = self.gradient_generator(self.generator, self.weights_generator)(latents, gradient_of_images)
        loss_g = ops.depend(loss_g, self.optimizer_generator(gradients))

        return ops.stack((loss_d, loss_g, accuracy_real, accuracy_fake))
