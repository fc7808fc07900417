"""What every discriminator declares, and what it says about its features."""

from __future__ import annotations

from mindspore import nn

from ms_gan.nets.conditioning import OneHotLabel
from ms_gan.nets.layers import initialized, initialized_weights
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


def head_for(features: int, inputs: NetworkInputs, initializer: str) -> nn.Cell:
    """Return what ends a discriminator: `Heads`, or `ProjectionHead` for one that sees each image with its label."""
    if inputs.conditioned_on[0]:
        return ProjectionHead(features, *inputs.conditioned_on, inputs.class_logits, initializer)
    return Heads(features, inputs.class_logits, initializer)


class Heads(nn.Cell):
    """A logit for "real", and, where there are classes, one for each class.

    Input: features, float32, (N, features). Output: logits, float32, (N, 1), the log-odds of "real"; with classes a
    tuple of these and class logits, (N, classes). The documents' sigmoid and softmax are part of the losses, where
    they can neither overflow nor saturate.
    """

    def __init__(self, features: int, classes: int, initializer: str):
        super().__init__()
        self.real = nn.Dense(features, 1, **initialized(initializer))
        self.classes = nn.Dense(features, classes, **initialized(initializer)) if classes else None

    def construct(self, features):
        if self.classes is None:
            return self.real(features)
        return self.real(features), self.classes(features)


class ProjectionHead(nn.Cell):
    """A logit for features together with a label (Miyato and Koyama 2018): how real they are, and how well they fit.

    w·h + b + e(label)·h, where e sums a learned vector for each class or tag. Inputs: features h, float32,
    (N, features); label as `OneHotLabel` takes it. Output: logits, float32, (N, 1); with `class_logits` a tuple of
    these and class logits, (N, class_logits), which do not depend on the label.
    """

    def __init__(self, features: int, classes: int, max_tags: int, class_logits: int, initializer: str):
        super().__init__()
        self.one_hot = OneHotLabel(classes, max_tags)
        self.real = nn.Dense(features, 1, **initialized(initializer))
        self.fitting = nn.Dense(features, self.one_hot.size, has_bias=False, **initialized_weights(initializer))
        self.classes = nn.Dense(features, class_logits, **initialized(initializer)) if class_logits else None

    def construct(self, features, label):
        logits = self.real(features) + (self.fitting(features) * self.one_hot(label)).sum(1, keepdims=True)
        if self.classes is None:
            return logits
        return logits, self.classes(features)
