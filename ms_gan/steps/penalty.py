"""What the zero-centred gradient penalty asks of a discriminator (Mescheder et al. 2018, "R1")."""

from __future__ import annotations

from mindspore import nn

from ms_gan.errors import UserError


def require_slopes(discriminator: nn.Cell, family: str, gamma: float) -> None:
    """Raise UserError for a discriminator whose slope, the gradient of its score, cannot be paid for in its loss.

    With a weight of that, `gamma`, of 0, only for one with dropout.
    """
    if discriminator.dropout_shapes:
        raise UserError(
            f"the family {family} asks D several times in a step, and dropout would change it from time to "
            "time; set discriminator.dropout_rate=0"
        )
    if gamma and getattr(discriminator, "pooling", "none") != "none":
        raise UserError(
            f"the family {family} differentiates D twice, which MindSpore cannot do with pooling; "
            "set discriminator.pooling=none, and strides of 2 instead, or updates.gamma=0"
        )
