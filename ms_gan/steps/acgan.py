"""One update of a GAN whose discriminator also names the class (Odena et al. 2017, "AC-GAN")."""

from __future__ import annotations

from mindspore import ops

from ms_gan.losses import binary_cross_entropy, class_cross_entropy
from ms_gan.steps.gan import GANStep, share


class ACGANStep(GANStep):
    """GANStep for a conditional generator and a discriminator with two heads, real or not and which class.

    D learns the classes of real images only: the document gives its fakes a label of zeros, whose
    cross-entropy is 0, and takes the mean over real and fake images alike, which this does, too. G learns to
    be taken for real and for the class it was asked for. Both parts of a loss have the weight 1.

    Reported beside GANStep's scalars, of which loss_d and loss_g are the adversarial parts: loss_d_class, as it is
    part of D's loss, so with the update "mean" half the cross-entropy of the real images; loss_g_class; and
    accuracy_class, the part of G's images whose class D reads as the one that was asked for.

    Arguments are those of GANStep, with `classes` of at least 2.
    """

    labels = "class"
    discriminator_names_classes = True
    scalars = (
        "loss_d",
        "loss_d_class",
        "loss_g",
        "loss_g_class",
        "fool_rate",
        "accuracy_class",
        "accuracy_real",
        "accuracy_fake",
    )

    def discriminator_loss(self, images, real_count: int, labels, targets, kept):
        """As GANStep's; the losses to report are that of real or not, and that of the class."""
        logits, class_logits = self.discriminator(images, *kept)
        adversarial = self.scale * binary_cross_entropy(logits, targets)
        of_class = 0.0 * adversarial
        if real_count > 0:
            part_real = real_count / images.shape[0]
            of_class = self.scale * part_real * class_cross_entropy(class_logits[:real_count], labels)
        return adversarial + of_class, logits, ops.stack((adversarial, of_class))

    def generator_loss(self, fake, labels, kept):
        """As GANStep's; reports both parts of the loss, and how often D is fooled and reads the right class."""
        logits, class_logits = self.discriminator(fake, *kept)
        adversarial = self.adversarial_loss(logits)
        of_class = class_cross_entropy(class_logits, labels)
        right = share(ops.argmax(class_logits, 1) == labels)
        return adversarial + of_class, ops.stack((adversarial, of_class, share(logits > self.real_from), right))
