"""Fully connected generator and discriminator (MindSpore tutorial "GAN图像生成"; after Goodfellow et al. 2014)."""

from __future__ import annotations

import math
from typing import Sequence, Tuple

from mindspore import nn

from ms_gan.nets.blocks import BatchNorm1d, LeakyReLU


class MLPGenerator(nn.Cell):
    """Latents to images: Dense and ReLU, with BatchNorm between them from the second layer on, then tanh.

    Input: float32, (N, latent_size). Output: float32, (N, *image_shape), in [−1, 1].
    """

    pixel_range = (-1.0, 1.0)

    def __init__(self, latent_size: int, image_shape: Tuple[int, int, int], widths: Sequence[int]):
        super().__init__()
        layers = [nn.Dense(latent_size, widths[0]), nn.ReLU()]
        for before, width in zip(widths, widths[1:]):
            layers += [nn.Dense(before, width), BatchNorm1d(width), nn.ReLU()]
        layers += [nn.Dense(widths[-1], math.prod(image_shape)), nn.Tanh()]
        self.layers = nn.SequentialCell(layers)
        self.image_shape = tuple(image_shape)

    def construct(self, latent):
        return self.layers(latent).reshape((-1,) + self.image_shape)


class MLPDiscriminator(nn.Cell):
    """Images to one logit each: Dense and LeakyReLU, then Dense to 1.

    Input: float32, (N, *image_shape). Output: float32, (N, 1), log-odds of "real"; the
    sigmoid of the document is part of the loss, where it can neither overflow nor saturate.
    """

    def __init__(self, image_shape: Tuple[int, int, int], widths: Sequence[int], slope: float):
        super().__init__()
        self.pixels = math.prod(image_shape)
        layers = []
        for before, width in zip([self.pixels, *widths], widths):
            layers += [nn.Dense(before, width), LeakyReLU(slope)]
        layers.append(nn.Dense(widths[-1], 1))
        self.layers = nn.SequentialCell(layers)

    def construct(self, images):
        return self.layers(images.reshape((-1, self.pixels)))
