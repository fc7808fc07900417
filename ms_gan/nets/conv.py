"""Convolutional generators and discriminators (after Radford et al. 2016, "DCGAN").

Sizes are parameters: where strides or pooling do not divide the image size, a generator starts at
the next larger size and crops its images centrally, and a discriminator's layers round up.
"""

from __future__ import annotations

import math

from mindspore import nn

from ms_gan.nets.conditioning import Conditioned
from ms_gan.nets.heads import Discriminator, Heads
from ms_gan.nets.layers import OUTPUTS, BatchNorm1d, CentralCrop, Chain, Dropout, activated, dense_layers, initialized
from ms_gan.schema import networks
from ms_gan.schema.networks import NetworkInputs

POOLINGS = {name: getattr(nn, layer) for name, layer in networks.POOLINGS.items()}


def upsampling_layer(before: int, after: int, kernel_size: int, stride: int, initializer: str) -> nn.Cell:
    """A transposed convolution, N×before×H×W to N×after×(stride·H)×(stride·W).

    With stride 1 that is a convolution with the kernel turned round. Since weights start at random, it is the same
    system, so the plain and faster layer is taken. (From "mindspore" weights of larger strides start larger: there
    MindSpore's transposed convolutions count the channels `after` for those that come in.)
    """
    layer = nn.Conv2d if stride == 1 else nn.Conv2dTranspose
    return layer(before, after, kernel_size, stride, pad_mode="same", has_bias=True, **initialized(initializer))


class ConvGenerator(nn.Cell):
    """Latents to images: Dense to a small map of `start_channels`, then one convolution for each of `widths`.

    Inputs: latent, float32, (N, latent_size); with classes also the label, as `OneHotLabel` takes it. Output: float32,
    (N, *image_shape), in `pixel_range`: [−1, 1] for the output "tanh", [0, 1] for "sigmoid".

    `strides` has one number more than `widths`: the last is that of the layer that makes pixels. Every layer but that
    one ends in LeakyReLU(slope), with BatchNorm where `batch_norm` says; its `first_layer` is the Dense layer, and so
    is that of `first_initializer`.
    """

    def __init__(self, settings: networks.ConvGenerator, inputs: NetworkInputs):
        super().__init__()
        channels, size, _ = inputs.image_shape
        growth = math.prod(settings.strides)
        self.start_channels = settings.start_channels
        self.start_size = -(-size // growth)
        self.crop = CentralCrop(self.start_size * growth, size)
        activation, self.pixel_range = OUTPUTS[settings.output]
        features = self.start_channels * self.start_size**2
        self.condition = Conditioned(inputs.classes, inputs.max_tags)
        dense = nn.Dense(inputs.latent_size + self.condition.more, features, **initialized(settings.first_initializer))
        self.start = Chain([dense, *activated(settings, BatchNorm1d, features, first=True)])
        layers: list[nn.Cell] = []
        before = self.start_channels
        for width, stride in zip(settings.widths, settings.strides):
            layers.append(upsampling_layer(before, width, settings.kernel_size, stride, settings.initializer))
            layers += activated(settings, nn.BatchNorm2d, width, first=False)
            before = width
        layers.append(
            upsampling_layer(before, channels, settings.kernel_size, settings.strides[-1], settings.initializer)
        )
        self.layers = Chain([*layers, activation()])

    def construct(self, latent, label=None):
        maps = self.start(self.condition(latent, label))
        return self.crop(self.layers(maps.reshape((-1, self.start_channels, self.start_size, self.start_size))))


class ConvDiscriminator(Discriminator):
    """Images to logits: a convolution for each of `widths`, Dense layers of `dense_widths`, then a head.

    Inputs: images, float32, (N, *image_shape); with dropout also one mask for each convolution, bool, of shape
    (N, *shape) for each of `dropout_shapes`; where it is conditioned on labels, also the label. Output: as `Heads`.

    A convolution is followed by LeakyReLU(slope), with BatchNorm where `batch_norm` says, by `pooling` over 2×2 ("max",
    "average" or "none"), and by dropout at `dropout_rate`, 0 for none. `first_initializer` is that of the first
    convolution.
    """

    def __init__(self, settings: networks.ConvDiscriminator, inputs: NetworkInputs):
        super().__init__()
        channels, size, _ = inputs.image_shape
        convolutions: list[nn.Cell] = []
        shapes = []
        starts = [settings.first_initializer] + [settings.initializer] * (len(settings.widths) - 1)
        for before, width, stride, start in zip(
            (channels, *settings.widths), settings.widths, settings.strides, starts
        ):
            layers: list[nn.Cell] = [
                nn.Conv2d(
                    before, width, settings.kernel_size, stride, pad_mode="same", has_bias=True, **initialized(start)
                ),
                *activated(settings, nn.BatchNorm2d, width, first=not convolutions),
            ]
            size = -(-size // stride)
            if settings.pooling != "none":
                layers.append(POOLINGS[settings.pooling](2, 2, pad_mode="same"))
                size = -(-size // 2)
            convolutions.append(Chain(layers))
            shapes.append((width, size, size))
        self.convolutions, self.convolution_count = nn.CellList(convolutions), len(convolutions)
        self.pooling, self.dropout_rate = settings.pooling, settings.dropout_rate
        self.dropout_shapes = tuple(shapes) if self.dropout_rate else ()
        self.dropout = Dropout(self.dropout_rate)
        widths = (math.prod(shapes[-1]), *settings.dense_widths)
        dense = dense_layers(widths, settings.slope, settings.initializer)
        self.dense = Chain(dense) if dense else None
        self.class_logits = inputs.class_logits
        self.heads = Heads(widths[-1], inputs, initialized(settings.initializer))

    def maps(self, images, count):
        """Return what the first `count` convolutions make of images, float32, (N, width, H, W), without dropout."""
        x = images
        for convolution in self.convolutions[:count]:
            x = convolution(x)
        return x

    def features(self, images, *masks):
        """Return what the head sees, float32, (N, features)."""
        x = images
        for index, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if self.dropout_rate:
                x = self.dropout(x, masks[index])
        x = x.reshape((x.shape[0], -1))
        if self.dense is not None:
            x = self.dense(x)
        return x

    def construct(self, images, *others):
        masks = len(self.dropout_shapes)
        return self.heads(self.features(images, *others[:masks]), *others[masks:])
