"""What every discriminator declares, and what it says about its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn

from ms_gan.nets.conditioning import OneHotLabel
from ms_gan.schema.networks import NetworkInputs


class Discriminator(nn.Cell):
    """Base of every discriminator: what a step asks of it, beside its logits.

    Attributes:
        class_logits: for how many classes it gives logits; with none it returns its logits alone, and no tuple.
        dropout_rate, dropout_shapes: the part that dropout sets to 0, and the shape of each mask, without N.
        pooling: "none", or any other word for one that pools.
        convolution_count: its convolutions; with any it has a method `maps`, as `ConvDiscriminator` has.
    """

    class_logits = 0
    dropout_rate: float = 0.0
    dropout_shapes: tuple[tuple[int, ...], ...] = ()
    pooling = "none"
    convolution_count = 0


class Heads(nn.Cell):
    """What ends a discriminator: a logit for "real", and, where there are `class_logits`, one for each class.

    Inputs: features h, float32, (N, features); where D is `conditioned_on` a label, also the label, as `OneHotLabel`
    takes it. Output: logits, float32, (N, 1), the log-odds of "real"; with class logits a tuple of these and class
    logits, (N, class_logits), which do not depend on the label. The documents' sigmoid and softmax are part of the
    losses, where they can neither overflow nor saturate.

    With a label the logit is the projection w·h + b + e(label)·h (Miyato and Koyama 2018): how real the features are,
    and how well they fit. e sums learned vectors: one for each class; of tags what `label` makes of them, for an
    `OneHotLabel` one for each tag at each of its places.

    Args:
        features: how many there are.
        inputs: what the network is built for.
        start: how Dense layers start, as keyword arguments of theirs.
        label: a Cell from the label to numbers, `size` of each; an `OneHotLabel`, if none is given.
    """

    def __init__(self, features: int, inputs: NetworkInputs, start: Mapping[str, Any], label: Any = None):
        super().__init__()
        self.label = OneHotLabel(*inputs.conditioned_on) if label is None else label
        codes, classes = self.label.size, inputs.class_logits
        self.real = nn.Dense(features, 1, **start)
        self.fitting = nn.Dense(features, codes, has_bias=False, **start) if codes else None
        self.classes = nn.Dense(features, classes, **start) if classes else None

    def construct(self, features, *label):
        logits = self.real(features)
        if self.fitting is not None:
            logits = logits + (self.fitting(features) * self.label(*label)).sum(1, keepdims=True)
        return logits if self.classes is None else (logits, self.classes(features))
