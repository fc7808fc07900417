"""Residual generators and discriminators without normalisation (after Huang et al. 2024, "R3GAN").

A block adds to its maps what two convolutions make of them. The second one starts at zero: at first a block does
nothing, and numbers do not grow with the network's depth ("Fixup", Zhang et al. 2019). Between sizes maps are resampled
by fixed means: a pixel becomes 2×2 of its kind, or 2×2 become their mean.
"""

from __future__ import annotations

import math
from typing import Any

from mindspore import nn, ops
from mindspore.common.initializer import Normal

from ms_gan.nets.conditioning import Present
from ms_gan.nets.heads import Discriminator, Heads
from ms_gan.nets.layers import OUTPUTS, CentralCrop, Chain, Downsample, LeakyReLU, Upsample
from ms_gan.schema import networks
from ms_gan.schema.networks import NetworkInputs


def starting(fan_in: int, gain: float = 1.0) -> dict[str, Any]:
    """Return the arguments that make a layer's weights start as N(0, gain² / fan_in), with biases of 0."""
    return {"weight_init": Normal(gain / math.sqrt(fan_in)), "bias_init": "zeros"}


def convolution(before: int, after: int, kernel_size: int, gain: float = 1.0) -> nn.Conv2d:
    """Return a convolution with a bias, N×before×H×W to N×after×H×W."""
    start = starting(before * kernel_size**2, gain)
    return nn.Conv2d(before, after, kernel_size, pad_mode="same", has_bias=True, **start)


class Block(nn.Cell):
    """A residual block: x plus what a convolution, LeakyReLU(slope) and a convolution make of it, N×channels×H×W.

    `depth` is how many blocks a network has: the more, the smaller the weights of each at the start.
    """

    def __init__(self, channels: int, slope: float, depth: int):
        super().__init__()
        gain = math.sqrt(2.0 / (1.0 + slope**2) / depth)
        last = nn.Conv2d(channels, channels, 3, pad_mode="same", weight_init="zeros")
        self.layers = Chain([convolution(channels, channels, 3, gain), LeakyReLU(slope), last])

    def construct(self, x):
        return x + self.layers(x)


class ResidualGenerator(nn.Cell):
    """Latents to images: Dense to a small map of widths[0] channels, then blocks at each size, twice the one before.

    Inputs: latent, float32, (N, latent_size); with classes also the label, as `Present` takes it. Output: float32,
    (N, *image_shape), about in `pixel_range`: nothing ends the last convolution, for "linear".
    """

    def __init__(self, settings: networks.ResidualGenerator, inputs: NetworkInputs):
        super().__init__()
        channels, size, _ = inputs.image_shape
        widths, count = settings.widths, len(settings.widths)
        self.start_size = -(-size // 2 ** (count - 1))
        self.start_channels = widths[0]
        self.crop = CentralCrop(self.start_size * 2 ** (count - 1), size)
        self.label = Present(inputs.classes, inputs.max_tags) if inputs.classes else None
        features = inputs.latent_size + inputs.classes
        self.start = nn.Dense(features, widths[0] * self.start_size**2, **starting(features))
        layers: list[nn.Cell] = []
        for index, width in enumerate(widths):
            if index > 0:
                layers += [convolution(widths[index - 1], width, 1), Upsample()]
            layers += [Block(width, settings.slope, settings.blocks * count) for _ in range(settings.blocks)]
        activation, self.pixel_range = OUTPUTS[settings.output]
        self.layers = Chain([*layers, convolution(widths[-1], channels, 3), activation()])

    def construct(self, latent, label=None):
        if self.label is not None:
            latent = ops.concat((latent, self.label(label)), 1)
        maps = self.start(latent).reshape((-1, self.start_channels, self.start_size, self.start_size))
        return self.crop(self.layers(maps))


class ResidualDiscriminator(Discriminator):
    """Images to logits: a convolution to widths[0] channels, then blocks at each size, half the one before, and heads.

    Inputs: images, float32, (N, *image_shape); where it is conditioned on labels, also the label, as `Present` takes
    it. Output: as of `Heads`. Images that cannot be halved so often get a border of zeros.
    """

    def __init__(self, settings: networks.ResidualDiscriminator, inputs: NetworkInputs):
        super().__init__()
        channels, size, _ = inputs.image_shape
        widths, count = settings.widths, len(settings.widths)
        whole = -(-size // 2 ** (count - 1)) * 2 ** (count - 1)
        before, size = (whole - size) // 2, whole
        after = whole - before - inputs.image_shape[1]
        self.pad = nn.Pad(((0, 0), (0, 0), (before, after), (before, after))) if after else None
        layers: list[nn.Cell] = [convolution(channels, widths[0], 3)]
        for index, width in enumerate(widths):
            if index > 0:
                layers += [Downsample(), convolution(widths[index - 1], width, 1)]
                size //= 2
            layers += [Block(width, settings.slope, settings.blocks * count) for _ in range(settings.blocks)]
        self.layers = Chain([*layers, LeakyReLU(settings.slope)])
        features = widths[-1] * size**2
        self.class_logits = inputs.class_logits
        self.heads = Heads(features, inputs, starting(features), Present(*inputs.conditioned_on))

    def features(self, images):
        """Return what the heads see, float32, (N, features)."""
        padded = images if self.pad is None else self.pad(images)
        return self.layers(padded).reshape((images.shape[0], -1))

    def construct(self, images, *label):
        return self.heads(self.features(images), *label)
