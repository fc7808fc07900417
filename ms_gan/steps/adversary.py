"""What D and G of the GAN family want: the losses by which both are updated, and what is reported of them."""

from __future__ import annotations

from typing import Any

from mindspore import nn, ops

from ms_gan import losses
from ms_gan.nets.heads import Discriminator
from ms_gan.schema.updates import CROSS_ENTROPIES, RELATIVE, GANUpdates
from ms_gan.steps.base import fraction_true
from ms_gan.steps.gradient_penalty import GradientPenalty, require_one_answer, require_slopes


class Adversary(nn.Cell):
    """D with both players' losses, by the setting `loss`. The formulas are in `ms_gan.losses`.

    Scalars, beside loss_d and loss_g, which are the adversarial parts of the losses:
        fool_rate: the part of G's images that D, updated, takes for real.
        accuracy_real, accuracy_fake: the part of its images that D, in its own update, is right about.
        accuracy_pairs: the part of the pairs in which D gives the real image the higher logit; instead of these three,
            where only differences of logits mean anything.
        penalty: the gradient penalty, without its weight.
        loss_d_class, loss_g_class: the classes' part of the losses (Odena et al. 2017, "AC-GAN"), where D has class
            logits. D learns the classes of real images only: the document gives its fakes a label of zeros, whose
            cross-entropy is 0, and takes the mean over real and fake images alike, which this does, too.
        accuracy_class: the part of G's images in which D reads the class that was asked for.
    """

    def __init__(self, discriminator: Discriminator, updates: GANUpdates):
        super().__init__(auto_prefix=False)  # the network keeps its names
        self.discriminator = discriminator
        self.loss, self.threshold = updates.loss, updates.threshold
        self.target = sum(updates.target_real) / 2
        of_sum, of_pairs = updates.discriminator_update == "sum", updates.loss == "relativistic"
        self.scale = 2.0 if of_sum and not of_pairs else 1.0
        self.class_scale = 2.0 if of_sum else 1.0
        # The paper's weight is one beside the sum of both losses, or beside that of pairs, which is no mean of two.
        self.penalty_weight = updates.gradient_penalty * (1.0 if of_sum or of_pairs else 0.5)
        self.has_classes = discriminator.class_logits > 0
        if updates.loss in RELATIVE:
            require_one_answer(discriminator, f"the loss {updates.loss}")
        if self.penalty_weight:
            require_one_answer(discriminator, "the gradient penalty")
            require_slopes(discriminator, "the gradient penalty", "updates.gradient_penalty")
        self.penalty: Any = GradientPenalty(discriminator) if self.penalty_weight else None
        of_class = self.has_classes * ("loss_d_class",), self.has_classes * ("loss_g_class",)
        fooled = () if self.threshold is None else ("fool_rate",)
        self.scalars = (
            *("loss_d", *of_class[0], *(("penalty",) if self.penalty_weight else ())),
            *("loss_g", *of_class[1], *fooled, *(self.has_classes * ("accuracy_class",))),
            *(("accuracy_real", "accuracy_fake") if fooled else ("accuracy_pairs",)),
        )

    def logits_of(self, images, masks):
        """Return D's logits, float32, (N, 1), and its class logits, (N, classes), or the logits again without any."""
        found = self.discriminator(images, *masks)
        return found if self.has_classes else (found, found)

    def discriminator_loss(self, images, real_count: int, labels, targets, masks, epsilon):
        """Return D's loss, its logits, and a tuple of the losses to report.

        Args:
            images: float32, N×C×H×W, of which the first `real_count` are real.
            real_count: all, none, or half of them.
            labels: a tuple: those of the real images, int32, (real_count,), or nothing without classes.
            targets: float32, (N, 1).
            masks: a tuple of D's dropout masks, bool, N long each.
            epsilon: a tuple: where the gradient penalty is measured, float32, (N / 2, 1, 1, 1), if there is any.
        """
        logits, class_logits = self.logits_of(images, masks)
        adversarial = self.scale * self.adversarial_loss(logits, real_count, targets)
        loss = adversarial
        reported: tuple = (adversarial,)
        if self.has_classes:
            of_class = 0.0 * adversarial
            if real_count > 0:
                part_real = real_count / images.shape[0]
                of_class = (
                    self.class_scale * part_real * losses.class_cross_entropy(class_logits[:real_count], labels[0])
                )
            loss, reported = loss + of_class, (*reported, of_class)
        if self.penalty_weight > 0:
            penalty = self.penalty.one_centred(images[:real_count], images[real_count:], epsilon[0])
            loss, reported = loss + self.penalty_weight * penalty, (*reported, penalty)
        return loss, logits, reported

    def adversarial_loss(self, logits, real_count: int, targets):
        """Return the adversarial part of D's loss, as a mean over all its images."""
        if self.loss in CROSS_ENTROPIES:
            return losses.binary_cross_entropy(logits, targets)
        if self.loss == "least_squares":
            return losses.least_squares_loss(logits, targets)
        if self.loss == "hinge":
            return losses.hinge_loss(logits, targets)
        if self.loss == "wasserstein":
            return losses.wasserstein_loss(logits, targets)
        if self.loss == "relativistic":
            return losses.relativistic_pairing_loss(logits[:real_count] - logits[real_count:])
        return losses.relativistic_average_loss(logits[:real_count], logits[real_count:])

    def generator_loss(self, fake, real, labels, masks):
        """Return G's loss on its images, and a tuple of the values to report.

        Args:
            fake: float32, N×C×H×W.
            real: as many real images; only a relativistic loss looks at them.
            labels: a tuple: those that G was asked for, int32, (N,), or nothing without classes.
            masks: a tuple of D's dropout masks, bool, N long each.
        """
        logits, class_logits = self.logits_of(fake, masks)
        adversarial = self.fooling_loss(logits, real)
        loss = adversarial
        reported: tuple = (adversarial,)
        if self.has_classes:
            of_class = losses.class_cross_entropy(class_logits, labels[0])
            loss, reported = loss + of_class, (*reported, of_class)
        if self.threshold is not None:
            reported = (*reported, fraction_true(logits > self.threshold))
        if self.has_classes:
            reported = (*reported, fraction_true(ops.argmax(class_logits, 1) == labels[0]))
        return loss, reported

    def fooling_loss(self, logits, real):
        """Return the adversarial part of G's loss."""
        if self.loss == "non_saturating":
            return losses.non_saturating_generator_loss(logits)
        if self.loss == "saturating":
            return losses.saturating_generator_loss(logits)
        if self.loss == "least_squares":
            return losses.least_squares_loss(logits, self.target)
        if self.loss in ("hinge", "wasserstein"):
            return losses.critic_generator_loss(logits)
        logits_real = self.logits_of(real, ())[0]
        if self.loss == "relativistic":
            return losses.relativistic_pairing_loss(logits - logits_real)
        return 2.0 * losses.relativistic_average_loss(logits, logits_real)

    def accuracies(self, logits_real, logits_fake):
        """Return a tuple: what part of its images D is right about, two scalars or one; see `scalars`."""
        if self.threshold is None:
            return (fraction_true(logits_real > logits_fake),)
        return fraction_true(logits_real > self.threshold), fraction_true(logits_fake < self.threshold)
