"""One update of a relativistic pairing GAN with zero-centred gradient penalties (Huang et al. 2024, "R3GAN")."""

from __future__ import annotations

import math
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import dtype as mstype
from mindspore import ops

from ms_gan.latents import draw_latents
from ms_gan.losses import class_cross_entropy, relativistic_pairing_loss
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

    Where D also names classes, it learns those of the real images, and G to be read as the class it was asked for
    (Odena et al. 2017), both with the weight `class_weight`.

    G runs forward once a step: its images' gradient, through the updated D, is pushed on through it.

    Args:
        data: Cell from a batch to real images, float32, B×C×H×W; its `labels` to labels.
        generator: Cell from latents, float32, (B, latent_size), and with classes labels, to such images.
        discriminator: Cell from images, and with classes labels, to scores, float32, (B, 1); without dropout, and
            without pooling where gamma is not 0; where it has `named_classes`, to a tuple of these and class logits,
            (B, named_classes).
        optimizer_generator, optimizer_discriminator: one optimizer for each one's weights.
        latent: `size` and `distribution` of what `draw_noise` draws.
        classes: how many classes or tags there are, 0 for none; G is asked for the labels of the real images.
        batch_size: images of each kind in a step.
        gamma: the weight of both penalties; 0 for none, which are then not measured either.
        penalised: at how many images of each kind these are measured, at all where it is more than batch_size; of
            several devices each takes that many.
        class_weight: the weight of naming classes in both losses; without a D that names them it says nothing.
    """

    networks = ("generator", "discriminator")
    # accuracy_pairs: the part of the pairs in which D scores the real image higher, before its update;
    # penalty_real, penalty_fake: the mean squared slope at real, and at generated images. With a D that names classes
    # also loss_d_class and loss_g_class, without their weight, and accuracy_class as of ACGANStep
    scalars: tuple[str, ...] = ("loss_d", "loss_g", "penalty_real", "penalty_fake", "accuracy_pairs")
    equilibrium = {"loss_d": (math.log(2), "ln 2"), "loss_g": (math.log(2), "ln 2")}
    labels = "any"
    discriminator_takes_labels = True
    discriminator_names_classes = True
    takes_clusters = True

    def __init__(
        self,
        data,
        generator,
        discriminator,
        optimizer_generator,
        optimizer_discriminator,
        latent: dict[str, Any],
        classes: int,
        batch_size: int,
        gamma: float,
        penalised: int,
        class_weight: float,
    ):
        super().__init__(auto_prefix=False)
        require_slopes(discriminator, "rpgan", gamma)
        self.data, self.generator, self.discriminator = data, generator, discriminator
        self.optimizer_generator, self.optimizer_discriminator = optimizer_generator, optimizer_discriminator
        self.latent, self.classes, self.batch_size = latent, classes, batch_size
        self.gamma, self.penalised, self.class_weight = gamma, min(penalised, batch_size), class_weight
        self.naming = discriminator.named_classes > 0
        if self.naming:
            self.scalars = (*self.scalars, "loss_d_class", "loss_g_class", "accuracy_class")
        self.weights_generator = ms.ParameterTuple(generator.trainable_params())
        self.slopes = ms.grad(self.total_score, 0)
        self.gradient_discriminator = ms.value_and_grad(
            self.discriminator_loss, None, ms.ParameterTuple(discriminator.trainable_params()), has_aux=True
        )
        self.gradient_images = ms.value_and_grad(self.generator_loss, 0, None, has_aux=True)
        self.gradient_generator = ops.GradOperation(get_by_list=True, sens_param=True)
        self.set_train()

    @staticmethod
    def threshold(updates: dict[str, Any]) -> float | None:
        """Return None: only differences of this D's logits mean anything."""
        return None

    def draw_noise(self, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return all that is random in one step: latents, float32, (B, latent_size)."""
        return (draw_latents(self.latent["distribution"], self.batch_size, self.latent["size"], stream),)

    def remark(self, means: dict[str, float]) -> str | None:
        """Say when D has overpowered G."""
        if means["accuracy_pairs"] > 0.99:
            return "D scores nearly every real image above its pair and overpowers G, which learns little from such a D"
        return None

    def judge(self, images, label):
        """Return a tuple: D's scores, float32, (N, 1), and, if it names classes, their logits, (N, named_classes)."""
        judged = self.discriminator(images, *label)
        return judged if self.naming else (judged,)

    def total_score(self, images, label):
        """Return the sum of the images' scores, whose gradient is each one's slope."""
        return self.judge(images, label)[0].sum()

    def discriminator_loss(self, images, label):
        """Return D's loss on images of which the first half is real, and the values to report."""
        judged = self.judge(images, label)
        penalties = self.penalties(self.of_both(images), tuple(map(self.of_both, label)))
        real, fake = judged[0][: self.batch_size], judged[0][self.batch_size :]
        pairing = relativistic_pairing_loss(real - fake)
        loss = pairing + 0.5 * self.gamma * penalties.sum()
        values = (pairing, penalties[0], penalties[1], share(real > fake))
        if self.naming:
            of_class = class_cross_entropy(judged[1][: self.batch_size], label[0][: self.batch_size])
            return loss + self.class_weight * of_class, (*values, of_class)
        return loss, values

    def penalties(self, images, label):
        """Return the mean squared slopes at the first half of the images, and at the second, float32, (2,)."""
        if not self.gamma:
            return ops.zeros((2,), mstype.float32)
        slopes = self.slopes(images, label)
        return (slopes * slopes).reshape((2, -1)).sum(1) / self.penalised

    def of_both(self, rows):
        """Return the first `penalised` rows of each half."""
        return ops.concat((rows[: self.penalised], rows[self.batch_size : self.batch_size + self.penalised]))

    def generator_loss(self, fake, scores_real, label):
        """Return G's loss on its images, and the values to report."""
        judged = self.judge(fake, label)
        pairing = relativistic_pairing_loss(judged[0] - scores_real)
        if self.naming:
            of_class = class_cross_entropy(judged[1], label[0])
            right = share(ops.argmax(judged[1], 1) == label[0])
            return pairing + self.class_weight * of_class, (pairing, of_class, right)
        return pairing, (pairing,)

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
        updated = self.optimizer_discriminator(gradients)

        fake = ops.depend(fake, updated)  # G is judged by the updated D
        scores_real = self.judge(ops.depend(real, updated), label)[0]
        (_, values_g), gradient_of_images = self.gradient_images(fake, scores_real, label)
        gradients = self.gradient_generator(self.generator, self.weights_generator)(*inputs, gradient_of_images)
        updated = self.optimizer_generator(gradients)
        reported = ops.stack((values[0], values_g[0], *values[1:], *values_g[1:]))
        return ops.depend(reported, updated)
