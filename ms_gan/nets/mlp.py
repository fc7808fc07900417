"""Fully connected generators and discriminators (after Goodfellow et al. 2014)."""

from __future__ import annotations

import math

from mindspore import nn

from ms_gan.nets.conditioning import Conditioned
from ms_gan.nets.heads import Discriminator, Heads
from ms_gan.nets.layers import OUTPUTS, BatchNorm1d, Chain, activated, dense_layers, initialized
from ms_gan.schema import networks
from ms_gan.schema.networks import NetworkInputs


class MLPGenerator(nn.Cell):
    """Latents to images: hidden layers of `widths`, then a Dense layer and `output`.

    Inputs: latent, float32, (N, latent_size); with classes also the label, as `OneHotLabel` takes it. Output: float32,
    (N, *image_shape), in `pixel_range`: [−1, 1] for the output "tanh", [0, 1] for "sigmoid".

    A hidden layer is Dense and LeakyReLU(slope), with BatchNorm where `batch_norm` says.
    """

    def __init__(self, settings: networks.MLPGenerator, inputs: NetworkInputs):
        super().__init__()
        self.condition = Conditioned(inputs.classes, inputs.max_tags)
        self.image_shape = inputs.image_shape
        activation, self.pixel_range = OUTPUTS[settings.output]
        start = initialized(settings.initializer)
        before = inputs.latent_size + self.condition.more
        layers: list[nn.Cell] = []
        for index, width in enumerate(settings.widths):
            layers += [nn.Dense(before, width, **start), *activated(settings, BatchNorm1d, width, first=index == 0)]
            before = width
        layers += [nn.Dense(before, math.prod(self.image_shape), **start), activation()]
        self.layers = Chain(layers)

    def construct(self, latent, label=None):
        return self.layers(self.condition(latent, label)).reshape((-1,) + self.image_shape)


class MLPDiscriminator(Discriminator):
    """Images to logits: Dense and LeakyReLU(slope) for each of `widths`, then a head.

    Inputs: images, float32, (N, *image_shape); where it is conditioned on labels, also the label. Output: as `Heads`.
    """

    def __init__(self, settings: networks.MLPDiscriminator, inputs: NetworkInputs):
        super().__init__()
        self.pixels = math.prod(inputs.image_shape)
        self.class_logits = inputs.class_logits
        sizes = (self.pixels, *settings.widths)
        self.layers = Chain(dense_layers(sizes, settings.slope, settings.initializer))
        self.heads = Heads(sizes[-1], inputs, initialized(settings.initializer))

    def features(self, images):
        """Return what the head sees, float32, (N, features)."""
        return self.layers(images.reshape((-1, self.pixels)))

    def construct(self, images, *label):
        return self.heads(self.features(images), *label)
