"""One update of a relativistic pairing GAN with zero-centred gradient penalties (Huang et al. 2024, "R3GAN")."""

from __future__ import annotations

import math
from typing import NamedTuple

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, ops
from mindspore import dtype as mstype

from ms_gan.latents import draw_latents
from ms_gan.losses import binary_cross_entropy, class_cross_entropy, relativistic_pairing_loss
from ms_gan.nets.conditioning import Present
from ms_gan.schema.updates import RpGANUpdates
from ms_gan.steps.augmentation import AugmentedNoise, Augmenter
from ms_gan.steps.base import StepParts, TrainingStep, fraction_true
from ms_gan.steps.gradient_penalty import GradientPenalty, require_one_answer, require_slopes
from ms_gan.steps.graph import gradient
from ms_gan.steps.one_forward import OneForward


class RpGANNoise(NamedTuple):
    """All that is random in one step: latents, float32, (B, latent_size)."""

    latents: np.ndarray


class RpGANStep(TrainingStep):
    """Update D on pairs of a real and a generated image, then G against the updated D on the same pairs.

    With x real, G(z) its pair and D the logit:

        D: mean(−log σ(D(x) − D(G(z)))) + ½ gamma · (mean ‖∇D(x)‖² + mean ‖∇D(G(z))‖²)
        G: mean(−log σ(D(G(z)) − D(x)))

    The pairs' loss is that of Jolicoeur-Martineau 2019. The D of a plain GAN tells real from fake by one threshold for
    all, and may be at peace with a G that has lost modes; here each real image has to be matched. The two penalties are
    R1 and R2, without which the game does not converge (Mescheder et al. 2018). They are measured at the first
    `penalised` pairs of the batch alone: the same penalty on average, for a part of its cost, which is that of
    differentiating twice.

    G is asked for the labels of the real images, and D sees each image with its label. Where D also has class logits,
    it learns those of the real images, and G to be read as the class it was asked for (Odena et al. 2017), both with
    the weight `class_weight`. Of tags each is a question of its own, yes or no: the loss is the sum of their
    cross-entropies, with the weight `tag_weight`.

    With `updates.augmentation` D sees all images changed, each time anew, and the penalties are measured at those:
    see `Augmenter`.

    Args:
        parts: networks "generator" and "discriminator", a `Discriminator` that sees labels where there are classes,
            without dropout, and without pooling where gamma is not 0.
        updates: the settings.
    """

    networks = ("generator", "discriminator")
    # loss_*: without penalties; accuracy_pairs: the part of the pairs in which D, before its update, gives the real
    # image the higher logit; penalty_real, penalty_fake: the mean squared slope at real, and at generated images. With
    # class logits also loss_d_class and loss_g_class, without their weight, and accuracy_class as of `Adversary`;
    # of tags it is the share of all yes-or-no answers that are right
    scalars: tuple[str, ...] = ("loss_d", "loss_g", "penalty_real", "penalty_fake", "accuracy_pairs")
    equilibrium = {"loss_d": (math.log(2), "ln 2"), "loss_g": (math.log(2), "ln 2")}

    def __init__(self, parts: StepParts, updates: RpGANUpdates):
        super().__init__(parts)
        require_one_answer(self.discriminator, "the family rpgan")
        if updates.gamma:
            require_slopes(self.discriminator, "the family rpgan", "updates.gamma")
        self.gamma = updates.gamma
        self.gamma_decay = math.log(updates.gamma_decay_rate) / updates.gamma_decay_steps  # of its logarithm, an update
        self.decay_steps = float(updates.gamma_decay_steps)
        if self.gamma_decay:
            self.updates_done = Parameter(Tensor(0.0, mstype.float32), name="updates_done", requires_grad=False)
        self.penalised = min(updates.penalised, self.whole_batch) // parts.devices
        self.has_classes = self.discriminator.class_logits > 0
        self.present = Present(self.classes, parts.max_tags) if parts.max_tags else None
        self.label_weight = updates.class_weight if self.present is None else updates.tag_weight * self.classes
        if self.has_classes:
            self.scalars = (*self.scalars, "loss_d_class", "loss_g_class", "accuracy_class")
        self.augmenter = Augmenter(updates.augmentation, (2 * self.whole_batch, self.whole_batch, self.whole_batch))
        self.penalty = GradientPenalty(self.discriminator)
        self.gradient_discriminator = gradient(self.discriminator_loss, self.discriminator)
        self.gradient_images = ms.value_and_grad(self.generator_loss, 0, None, has_aux=True)
        self.one_forward = OneForward(self.generator)
        self.set_train()

    def draw_noise(self, stream: np.random.Generator) -> RpGANNoise | AugmentedNoise:
        plain = RpGANNoise(draw_latents(self.latent.distribution, self.whole_batch, self.latent.size, stream))
        return self.augmenter.with_changes(plain, stream)

    def logits_of(self, images, label):
        """Return a tuple: D's logits, float32, (N, 1), and, if it has any, class logits, float32, (N, class_logits)."""
        found = self.discriminator(images, *label)
        return found if self.has_classes else (found,)

    def gamma_now(self):
        """Return gamma at this update."""
        if self.gamma_decay == 0:
            return self.gamma
        return self.gamma * ops.exp(self.gamma_decay * ops.minimum(self.updates_done.value(), self.decay_steps))

    def discriminator_loss(self, images, label, gamma):
        """Return D's loss on images of which the first half is real, and the values to report."""
        found = self.logits_of(images, label)
        penalties = self.penalties(self.of_both(images), tuple(map(self.of_both, label)))
        real, fake = found[0][: self.batch_size], found[0][self.batch_size :]
        pairing = relativistic_pairing_loss(real - fake)
        loss = pairing + 0.5 * gamma * penalties.sum()
        values = (pairing, penalties[0], penalties[1], fraction_true(real > fake))
        if self.has_classes:
            of_class = self.label_loss(found[1][: self.batch_size], label[0][: self.batch_size])
            return loss + self.label_weight * of_class, (*values, of_class)
        return loss, values

    def penalties(self, images, label):
        """Return the mean squared slopes at the first half of the images, and at the second, float32, (2,)."""
        if self.gamma == 0:
            return ops.zeros((2,), mstype.float32)
        return self.penalty.zero_centred(images, label, 2)

    def of_both(self, rows):
        """Return the first `penalised` rows of each half."""
        return ops.concat((rows[: self.penalised], rows[self.batch_size : self.batch_size + self.penalised]))

    def generator_loss(self, fake, logits_real, label, changes):
        """Return G's loss on its images, which D sees with these changes, and the values to report."""
        found = self.logits_of(self.augmenter(fake, changes), label)
        pairing = relativistic_pairing_loss(found[0] - logits_real)
        if self.has_classes:
            of_class = self.label_loss(found[1], label[0])
            return pairing + self.label_weight * of_class, (pairing, of_class, self.share_named(found[1], label[0]))
        return pairing, (pairing,)

    def label_loss(self, logits, label):
        """Return the mean cross-entropy of naming the class, or a tag, a scalar."""
        if self.present is None:
            return class_cross_entropy(logits, label)
        return binary_cross_entropy(logits, self.present(label))

    def share_named(self, logits, label):
        """Return the part of the images that are read as their class, or of the tags that are rightly read, a scalar.

        A tag is read where its logit is above 0.
        """
        if self.present is None:
            return fraction_true(ops.argmax(logits, 1) == label)
        return fraction_true((logits > 0) == (self.present(label) > 0.5))

    def construct(self, batch, noise):
        (latents,), changes = self.augmenter.parted(noise)
        real, label = self.data(*batch), self.labels_of(batch)
        twice = (ops.concat((label[0], label[0])),) if self.classes else ()
        inputs = (latents, *label)  # one name for both uses: see OneForward
        fake = ops.stop_gradient(self.generator(*inputs))
        seen = self.augmenter(ops.concat((real, fake)), changes[0])
        (_, values), gradients = self.gradient_discriminator(seen, twice, self.gamma_now())
        updated = self.optimizer_discriminator(gradients)

        fake = ops.depend(fake, updated)  # G meets the updated D
        logits_real = self.logits_of(self.augmenter(ops.depend(real, updated), changes[1]), label)[0]
        (_, values_g), gradient_of_images = self.gradient_images(fake, logits_real, label, changes[2])
        updated = self.optimizer_generator(self.one_forward(inputs, gradient_of_images))
        reported = ops.stack((values[0], values_g[0], *values[1:], *values_g[1:]))
        if self.gamma_decay:
            updated = ops.assign(self.updates_done, ops.depend(self.updates_done.value(), updated) + 1.0)
        return ops.depend(reported, updated)
