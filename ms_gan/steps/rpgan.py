"""One update of a relativistic pairing GAN with zero-centred gradient penalties (Huang et al. 2024, "R3GAN")."""

from __future__ import annotations

import math
from typing import Any, Dict, Optional, Tuple

import mindspore as ms
import numpy as np
from mindspore import ops

from ms_gan.latents import draw_latents
from ms_gan.losses import relativistic_pairing_loss
from ms_gan.steps.base import TrainingStep
from ms_gan.steps.gan import share
from ms_gan.steps.penalty import require_slopes


class RpGANStep(TrainingStep):
    """Update D on pairs of a real and a generated image, then G against the updated D on the same pairs.

    D wants real images to score higher than generated ones, pair by pair, G lower (Jolicoeur-Martineau 2019): where D
    of a GAN tells real from fake by one threshold for all, and may be at peace with a G that has lost modes, here each
    real image has to be matched. D pays for the squared slope of its score at real (R1) and at generated images (R2),
    both with the weight gamma / 2, without which the game does not converge (Mescheder et al. 2018). The slopes are
    measured at the first `penalised` pairs of the batch alone: the same penalty on average, for a part of its cost,
    which is that of differentiating twice.

    G runs forward once a step: its images' gradient, through the updated D, is pushed on through it.

    Args:
        data: Cell from a batch to real images, float32, B×C×H×W; its `labels` to labels.
        generator: Cell from latents, float32, (B, latent_size), and with classes labels, to such images.
        discriminator: Cell from images, and with classes labels, to scores, float32, (B, 1); without dropout and
            pooling.
        optimizer_generator, optimizer_discriminator: one optimizer for each one's weights.
        latent: `size` and `distribution` of what `draw_noise` draws.
        classes: how many classes or tags there are, 0 for none; G is asked for the labels of the real images.
        batch_size: images of each kind in a step.
        gamma: the weight of both penalties.
        penalised: at how many images of each kind these are measured, at all where it is more than batch_size; of
            several devices each takes that many.
    """

    networks = ("generator", "discriminator")
    # accuracy_pairs: the part of the pairs in which D scores the real image higher, before its update;
    # penalty_real, penalty_fake: the mean squared slope at real, and at generated images
    scalars: Tuple[str, ...] = ("loss_d", "loss_g", "penalty_real", "penalty_fake", "accuracy_pairs")
    equilibrium = {"loss_d": (math.log(2), "ln 2"), "loss_g": (math.log(2), "ln 2")}
    labels = "any"
    discriminator_takes_labels = True
    relativistic = True

    def __init__(self, data, generator, discriminator, optimizer_generator, optimizer_discriminator,
                 latent: Dict[str, Any], classes: int, batch_size: int, gamma: float,
                 penalised: int):
        super().__init__(auto_prefix=False)
        require_slopes(discriminator, "rpgan")
        self.data, self.generator, self.discriminator = data, generator, discriminator
        self.optimizer_generator, self.optimizer_discriminator = optimizer_generator, optimizer_discriminator
        self.latent, self.classes, self.batch_size = latent, classes, batch_size
        self.gamma, self.penalised = gamma, min(penalised, batch_size)
        self.weights_generator = ms.ParameterTuple(generator.trainable_params())
        self.slopes = ms.grad(self.total_score, 0)
        self.gradient_discriminator = ms.value_and_grad(
            self.discriminator_loss, None, ms.ParameterTuple(discriminator.trainable_params()), has_aux=True)
        self.gradient_images = ms.value_and_grad(self.generator_loss, 0, None, has_aux=True)
        self.gradient_generator = ops.GradOperation(get_by_list=True, sens_param=True)
        self.set_train()

    def draw_noise(self, stream: np.random.Generator) -> Tuple[np.ndarray, ...]:
        """Return all that is random in one step: latents, float32, (B, latent_size)."""
        return (draw_latents(self.latent["distribution"], self.batch_size, self.latent["size"], stream),)

    def remark(self, means: Dict[str, float]) -> Optional[str]:
        """Say when D has overpowered G."""
        if means["accuracy_pairs"] > 0.99:
            return "D scores nearly every real image above its pair and overpowers G, which learns little from such a D"
        return None

    def total_score(self, images, label):
        """Return the sum of the images' scores, whose gradient is each one's slope."""
        return self.discriminator(images, *label).sum()

    def discriminator_loss(self, images, label):
        """Return D's loss on images of which the first half is real, and the values to report."""
        scores = self.discriminator(images, *label)
        slopes = self.slopes(self.of_both(images), tuple(map(self.of_both, label)))
        penalties = (slopes * slopes).reshape((2, -1)).sum(1) / self.penalised
        real, fake = scores[: self.batch_size], scores[self.batch_size :]
        pairing = relativistic_pairing_loss(real - fake)
        loss = pairing + 0.5 * self.gamma * penalties.sum()
        return loss, ops.stack((pairing, penalties[0], penalties[1], share(real > fake)))

    def of_both(self, rows):
        """Return the first `penalised` rows of each half."""
        return ops.concat((rows[: self.penalised], rows[self.batch_size : self.batch_size + self.penalised]))

    def generator_loss(self, fake, scores_real, label):
        """Return G's loss on its images, twice: the second to report."""
        loss = relativistic_pairing_loss(self.discriminator(fake, *label) - scores_real)
        return loss, loss

    def construct(self, batch, noise):
        """Do one update.

        Args:
            batch: tuple of tensors, what the data Cell takes for `images_per_step` real images.
            noise: tuple of tensors as `draw_noise` draws them.

        Returns:
            float32, (len(scalars),): the values that `scalars` names, each measured before the update that
            follows from it.
        """
        real = self.data(*batch)
        label = (self.data.labels(*batch),) if self.classes else ()
        twice = (ops.concat((label[0], label[0])),) if self.classes else ()
        inputs = (noise[0], *label)  # one name for both calls of G: else the compiler runs it twice, see GANStep
        fake = ops.stop_gradient(self.generator(*inputs))
        (_, values), gradients = self.gradient_discriminator(ops.concat((real, fake)), twice)
        values = ops.depend(values, self.optimizer_discriminator(gradients))

        fake = ops.depend(fake, values)  # G is judged by the updated D
        scores_real = self.discriminator(ops.depend(real, values), *label)
        (_, loss), gradient_of_images = self.gradient_images(fake, scores_real, label)
        gradients = self.gradient_generator(self.generator, self.weights_generator)(*inputs, gradient_of_images)
        loss = ops.depend(loss, self.optimizer_generator(gradients))
        return ops.stack((values[0], loss, values[1], values[2], values[3]))
