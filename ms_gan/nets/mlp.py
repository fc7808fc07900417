"""Fully connected generators and discriminators (after Goodfellow et al. 2014)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mindspore import nn

from ms_gan.nets.blocks import OUTPUTS, BatchNorm1d, Conditioned, LeakyReLU, heads, initialized


class MLPGenerator(nn.Cell):
    """Latents to images: hidden layers of `widths`, then a Dense layer and `output`.

    Inputs: latent, float32, (N, latent_size); with classes also the label, as `LabelCode` takes it. Output: float32,
    (N, *image_shape), in `pixel_range`: [−1, 1] for the output "tanh", [0, 1] for "sigmoid".

    A hidden layer is Dense and LeakyReLU(slope), with BatchNorm as `batch_norm` says: its `place` is
    "before" or "after" the activation, or "none"; `first_layer` whether the first layer has it, too;
    `momentum` the part of the moving statistics that stays at each step; and its `epsilon`.
    """

    def __init__(
        self,
        latent_size: int,
        classes: int,
        places: int,
        image_shape: tuple[int, int, int],
        widths: Sequence[int],
        slope: float,
        batch_norm: dict[str, Any],
        output: str,
        initializer: str,
    ):
        super().__init__()
        self.condition = Conditioned(classes, places)
        activation, self.pixel_range = OUTPUTS[output]
        layers = []
        for index, (before, width) in enumerate(zip([latent_size + self.condition.more, *widths], widths)):
            layers.append(nn.Dense(before, width, **initialized(initializer)))
            norm = []
            if batch_norm["place"] != "none" and (index > 0 or batch_norm["first_layer"]):
                norm = [BatchNorm1d(width, batch_norm["epsilon"], batch_norm["momentum"])]
            before_activation = batch_norm["place"] == "before"
            layers += [*norm, LeakyReLU(slope)] if before_activation else [LeakyReLU(slope), *norm]
        layers += [nn.Dense(widths[-1], math.prod(image_shape), **initialized(initializer)), activation()]
        self.layers = nn.SequentialCell(layers)
        self.image_shape = tuple(image_shape)

    def construct(self, latent, label=None):
        return self.layers(self.condition(latent, label)).reshape((-1,) + self.image_shape)


class MLPDiscriminator(nn.Cell):
    """Images to logits: Dense and LeakyReLU(slope) for each of `widths`, then `Heads` or a `ProjectionHead`.

    Inputs: images, float32, (N, *image_shape); where it is `judging` by labels, having so many classes and places, also
    the label. Output: as `Heads` or as `ProjectionHead`, which name the `classes`.
    """

    dropout_shapes = ()  # it has no dropout
    dropout_rate = 0.0

    def __init__(
        self,
        classes: int,
        image_shape: tuple[int, int, int],
        widths: Sequence[int],
        slope: float,
        initializer: str,
        judging: tuple[int, int] = (0, 0),
    ):
        super().__init__()
        self.pixels = math.prod(image_shape)
        layers = []
        for before, width in zip([self.pixels, *widths], widths):
            layers += [nn.Dense(before, width, **initialized(initializer)), LeakyReLU(slope)]
        self.layers = nn.SequentialCell(layers)
        self.named_classes = classes
        self.heads = heads(widths[-1], classes, judging, initializer)

    def features(self, images):
        """Return what the heads judge by, float32, (N, features)."""
        return self.layers(images.reshape((-1, self.pixels)))

    def construct(self, images, *label):
        return self.heads(self.features(images), *label)
