"""Convolutional generators and discriminators (after Radford et al. 2016, "DCGAN").

Sizes are parameters: where strides or pooling do not divide the image size, a generator starts at
the next larger size and crops its images centrally, and a discriminator's layers round up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mindspore import nn

from ms_gan.nets.blocks import OUTPUTS, BatchNorm1d, CentralCrop, Conditioned, Dropout, LeakyReLU, heads, initialized

POOLINGS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


def upsampling_layer(before: int, after: int, kernel_size: int, stride: int, initializer: str) -> nn.Cell:
    """A transposed convolution, N×before×H×W to N×after×(stride·H)×(stride·W).

    With stride 1 that is a convolution with the kernel turned round: since weights start at
    random, the same system, so the plain and faster layer is taken.
    """
    layer = nn.Conv2d if stride == 1 else nn.Conv2dTranspose
    return layer(before, after, kernel_size, stride, pad_mode="same", has_bias=True, **initialized(initializer))


class ConvGenerator(nn.Cell):
    """Latents to images: Dense to a small map of `start_channels`, then one convolution for each of `widths`.

    Inputs: latent, float32, (N, latent_size); with classes also the label, as `LabelCode` takes it. Output: float32,
    (N, *image_shape), in `pixel_range`: [−1, 1] for the output "tanh", [0, 1] for "sigmoid".

    `strides` has one number more than `widths`: the last is that of the layer that makes pixels. Every
    layer but that one ends in LeakyReLU(slope) and BatchNorm as `batch_norm` says: its `place` is
    "before" or "after" the activation, or "none"; `first_layer` whether the Dense layer has it, too;
    `momentum` the part of the moving statistics that stays at each step; and its `epsilon`.
    `first_initializer` is that of the Dense layer.
    """

    def __init__(
        self,
        latent_size: int,
        classes: int,
        places: int,
        image_shape: tuple[int, int, int],
        start_channels: int,
        widths: Sequence[int],
        strides: Sequence[int],
        kernel_size: int,
        slope: float,
        batch_norm: dict[str, Any],
        output: str,
        first_initializer: str,
        initializer: str,
    ):
        super().__init__()
        channels, size, _ = image_shape
        growth = math.prod(strides)
        self.start_channels = start_channels
        self.start_size = -(-size // growth)
        self.crop = CentralCrop(self.start_size * growth, size)
        activation, self.pixel_range = OUTPUTS[output]

        def finished(norm, features, is_first=False):  # BatchNorm and activation behind a layer
            if batch_norm["place"] == "none" or is_first and not batch_norm["first_layer"]:
                return [LeakyReLU(slope)]
            layers = [norm(features, batch_norm["epsilon"], batch_norm["momentum"]), LeakyReLU(slope)]
            return layers if batch_norm["place"] == "before" else layers[::-1]

        features = start_channels * self.start_size**2
        self.condition = Conditioned(classes, places)
        self.start = nn.SequentialCell(
            [
                nn.Dense(latent_size + self.condition.more, features, **initialized(first_initializer)),
                *finished(BatchNorm1d, features, is_first=True),
            ]
        )
        layers = []
        for before, width, stride in zip([start_channels, *widths], widths, strides):
            layers += [
                upsampling_layer(before, width, kernel_size, stride, initializer),
                *finished(nn.BatchNorm2d, width),
            ]
        last = [start_channels, *widths][-1]
        layers += [upsampling_layer(last, channels, kernel_size, strides[-1], initializer), activation()]
        self.layers = nn.SequentialCell(layers)

    def construct(self, latent, label=None):
        maps = self.start(self.condition(latent, label))
        return self.crop(self.layers(maps.reshape((-1, self.start_channels, self.start_size, self.start_size))))


class ConvDiscriminator(nn.Cell):
    """Images to logits: a convolution for each of `widths`, Dense layers of `dense_widths`, then heads.

    Inputs: images, float32, (N, *image_shape); with dropout also one mask for each convolution, bool, of
    the shapes in `dropout_shapes`, behind N; where it is `judging` by labels, having so many classes and places, also
    the label. Output: as `Heads` or as `ProjectionHead`, which name the `classes`.

    A convolution is followed by LeakyReLU(slope), by `pooling` over 2×2 ("max", "average" or "none"), and by
    dropout at `dropout_rate`, 0 for none. `first_initializer` is that of the first convolution.
    """

    def __init__(
        self,
        classes: int,
        image_shape: tuple[int, int, int],
        widths: Sequence[int],
        strides: Sequence[int],
        kernel_size: int,
        slope: float,
        pooling: str,
        dropout_rate: float,
        dense_widths: Sequence[int],
        first_initializer: str,
        initializer: str,
        judging: tuple[int, int] = (0, 0),
    ):
        super().__init__()
        channels, size, _ = image_shape
        convolutions, shapes = [], []
        for index, (before, width, stride) in enumerate(zip([channels, *widths], widths, strides)):
            layers = [
                nn.Conv2d(
                    before,
                    width,
                    kernel_size,
                    stride,
                    pad_mode="same",
                    has_bias=True,
                    **initialized(initializer if index else first_initializer),
                ),
                LeakyReLU(slope),
            ]
            size = -(-size // stride)
            if pooling != "none":
                layers.append(POOLINGS[pooling](2, 2, pad_mode="same"))
                size = -(-size // 2)
            convolutions.append(nn.SequentialCell(layers))
            shapes.append((width, size, size))
        self.convolutions = nn.CellList(convolutions)
        self.pooling = pooling
        self.dropout_rate = dropout_rate
        self.dropout_shapes = tuple(shapes) if dropout_rate else ()
        self.dropout = Dropout(dropout_rate)
        features = math.prod(shapes[-1])
        dense = []
        for before, width in zip([features, *dense_widths], dense_widths):
            dense += [nn.Dense(before, width, **initialized(initializer)), LeakyReLU(slope)]
        self.dense = nn.SequentialCell(dense) if dense else None
        self.named_classes = classes
        self.heads = heads([features, *dense_widths][-1], classes, judging, initializer)

    def maps(self, images, count):
        """Return what the first `count` convolutions make of images, float32, (N, width, H, W), without dropout."""
        x = images
        for convolution in self.convolutions[:count]:
            x = convolution(x)
        return x

    def features(self, images, *kept):
        """Return what the heads judge by, float32, (N, features)."""
        x = images
        for index, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if self.dropout_rate:
                x = self.dropout(x, kept[index])
        x = x.reshape((x.shape[0], -1))
        if self.dense is not None:
            x = self.dense(x)
        return x

    def construct(self, images, *others):
        masks = len(self.dropout_shapes)
        return self.heads(self.features(images, *others[:masks]), *others[masks:])
