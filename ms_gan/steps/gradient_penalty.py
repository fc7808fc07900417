"""Gradient penalties: D pays for the slope of its logit, the gradient with respect to an image."""

from __future__ import annotations

import mindspore as ms
from mindspore import nn, ops

from ms_gan.errors import Setting, UserError
from ms_gan.nets.heads import Discriminator

SMALLEST = 1e-12  # under the root: its slope at 0 is infinite
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class GradientPenalty(nn.Cell):
    """The penalties of one discriminator. They have a gradient of their own, with respect to its weights."""

    def __init__(self, discriminator: Discriminator):
        super().__init__(auto_prefix=False)  # the network keeps its names
        self.discriminator = discriminator
        self.slopes = ms.grad(self.total_logit, 0)

    def total_logit(self, images, label):
        """Return the sum of the images' logits, whose gradient is each one's slope."""
        logits = self.discriminator(images, *label)
        return logits[0].sum() if self.discriminator.class_logits else logits.sum()

    def zero_centred(self, images, label, groups: int):
        """Return the mean squared norm of the slopes in each of so many equal groups, float32, (groups,).

        R1 at real images, R2 at generated ones (Mescheder et al. 2018).

        Args:
            images: float32, N×C×H×W, one group after the other.
            label: a tuple: their labels, where D sees images with their labels, else nothing.
            groups: how many there are.
        """
        slopes = self.slopes(images, label)
        squares = slopes * slopes
        sums = squares.sum().reshape((1,)) if groups == 1 else squares.reshape((groups, -1)).sum(1)
        return sums / (images.shape[0] // groups)

    def one_centred(self, real, fake, epsilon):
        """Return mean((‖slope‖ − 1)²) between real and generated images, a scalar (Gulrajani et al. 2017, "WGAN-GP").

        The slopes are those at epsilon·real + (1 − epsilon)·fake, pair by pair.

        Args:
            real, fake: float32, N×C×H×W.
            epsilon: float32, (N, 1, 1, 1), in [0, 1].
        """
        slopes = self.slopes(epsilon * real + (1.0 - epsilon) * fake, ())
        norms = ops.sqrt((slopes * slopes).reshape((real.shape[0], -1)).sum(1) + SMALLEST)
        return ((norms - 1.0) * (norms - 1.0)).mean()


def require_one_answer(discriminator: Discriminator, what: str) -> None:
    """Raise UserError for a discriminator with dropout, which would answer otherwise each time it is asked in a step.

    `what` is the subject of the sentence, such as "the family rpgan".
    """
    if discriminator.dropout_shapes:
        raise UserError(
            f"{what} asks D several times in a step, and dropout would change its answer",
            "use ",
            Setting("discriminator.dropout_rate", "0"),
        )


def require_slopes(discriminator: Discriminator, what: str, weight: str) -> None:
    """Raise UserError for a discriminator whose slope has no gradient, or is not that of one image.

    `what` is the subject of the sentence, such as "the family rpgan"; `weight` the setting that switches the penalty
    off, such as "updates.gamma".
    """
    if discriminator.pooling != "none":
        raise UserError(
            f"{what} differentiates D twice, which MindSpore cannot do with pooling",
            "use ",
            Setting("discriminator.pooling", "none"),
            " and strides of 2 instead, or ",
            Setting(weight, "0"),
        )
    if any(isinstance(cell, BATCH_NORMS) for _, cell in discriminator.cells_and_names()):
        raise UserError(
            f"{what} penalises D's slope at each image, and BatchNorm makes it depend on the whole batch",
            "use a discriminator without BatchNorm, or ",
            Setting(weight, "0"),
        )
