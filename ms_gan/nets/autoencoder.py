"""Conditional convolutional encoders and decoders (after Kingma and Welling 2014 and Sohn et al. 2015).

Sizes are parameters: where pooling does not divide the image size, the encoder's maps are rounded up, and
the decoder starts as large and crops its images centrally.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan.nets.conditioning import Conditioned, OneHotLabel
from ms_gan.nets.layers import CentralCrop, Chain, LeakyReLU, Sigmoid, initialized
from ms_gan.schema import networks
from ms_gan.schema.networks import NetworkInputs


class ConvEncoder(nn.Cell):
    """Images, and labels where there are classes, to the mean and log-variance of q(z | x, label).

    Inputs: images, float32, (N, *image_shape); with classes also the label, as `OneHotLabel` takes it. Outputs: mean
    and log-variance of independent normal latents, float32, (N, latent_size) each.

    For each of `widths` a convolution, ReLU and max-pooling over 2×2; then a Dense layer of `dense_width` and ReLU. The
    label joins where `label_place` says. "late": its one-hot numbers follow the flattened maps. "early": as one more
    channel after the first ReLU, which repeats the one-hot numbers until it is full.
    """

    def __init__(self, settings: networks.ConvEncoder, inputs: NetworkInputs):
        super().__init__()
        channels, size, _ = inputs.image_shape
        start, widths = initialized(settings.initializer), settings.widths
        late, early = (inputs.classes if settings.label_place == place else 0 for place in ("late", "early"))
        self.channel = LabelChannel(early, inputs.max_tags, size)
        convolutions = []
        for index, (before, width) in enumerate(zip((channels, *widths), widths)):
            if index == 1 and early:
                before += 1
            convolutions.append(nn.Conv2d(before, width, settings.kernel_size, pad_mode="same", has_bias=True, **start))
            size = -(-size // 2)
        self.convolutions = nn.CellList(convolutions)
        self.activation, self.pool = LeakyReLU(0.0), MaxPool()
        self.condition = Conditioned(late, inputs.max_tags)
        self.features = (widths[-1] + (early > 0 and len(widths) == 1)) * size**2
        self.dense = nn.Dense(self.features + self.condition.more, settings.dense_width, **start)
        self.mean = nn.Dense(settings.dense_width, inputs.latent_size, **start)
        self.log_variance = nn.Dense(settings.dense_width, inputs.latent_size, **start)

    def construct(self, images, label=None):
        x = images
        for index, convolution in enumerate(self.convolutions):
            x = self.activation(convolution(x))
            if index == 0:
                x = self.channel(x, label)
            x = self.pool(x)
        x = self.condition(x.reshape((-1, self.features)), label)
        x = self.activation(self.dense(x))
        return self.mean(x), self.log_variance(x)


class MaxPool(nn.Cell):
    """Max-pooling over 2×2, N×C×H×W to N×C×⌈H/2⌉×⌈W/2⌉; NaN in inference if a number is not finite.

    Max-pooling alone skips NaN, and nobody would see that numbers overflowed. The mean of zeros adds nothing. It is of
    the whole image, as Ascend's average-pooling takes float16.
    """

    def __init__(self):
        super().__init__()
        self.greatest = nn.MaxPool2d(2, 2, pad_mode="same")

    def construct(self, x):
        found = self.greatest(x)
        return found if self.training else found + (x - x).mean((1, 2, 3), keep_dims=True)


class LabelChannel(nn.Cell):
    """Maps with one more channel: the one-hot label over and over, cut where the channel is full.

    As in the document. A one-hot label longer than the channel is cut, too. Labels that differ in the rest are then
    one to the encoder: 28 tags, up to 9 of an image, take 261 numbers, more than 16×16; such a label has to join late.

    Inputs: maps, float32, (N, C, size, size); label, only where classes > 0. Output: (N, C + 1, size, size), or the
    maps as they are without classes.
    """

    def __init__(self, classes: int, max_tags: int, size: int):
        super().__init__()
        self.classes = classes
        self.one_hot = OneHotLabel(classes, max_tags)
        self.size = size
        self.repeats = -(-(size**2) // self.one_hot.size) if classes else 0

    def construct(self, maps, label=None):
        if self.classes == 0:
            return maps
        channel = ops.tile(self.one_hot(label), (1, self.repeats))[:, : self.size**2]
        return ops.concat((maps, channel.reshape((-1, 1, self.size, self.size))), 1)


class ConvDecoder(nn.Cell):
    """Latents, and labels where there are classes, to images: the generator of a CVAE.

    Inputs: latent, float32, (N, latent_size); with classes also the label, as `OneHotLabel` takes it. Output: images,
    float32, (N, *image_shape), in [0, 1].

    A Dense layer of `dense_width` and one to a small map of `start_channels`, both linear as in the document; for each
    of `widths` a convolution, ReLU and doubling of the size (each pixel becomes 2×2); a convolution to pixels, sigmoid.
    """

    pixel_range = (0.0, 1.0)

    def __init__(self, settings: networks.ConvDecoder, inputs: NetworkInputs):
        super().__init__()
        channels, size, _ = inputs.image_shape
        start, widths, kernel_size = initialized(settings.initializer), settings.widths, settings.kernel_size
        self.start_channels = settings.start_channels
        self.start_size = -(-size // 2 ** len(widths))
        self.condition = Conditioned(inputs.classes, inputs.max_tags)
        self.dense = Chain(
            nn.Dense(inputs.latent_size + self.condition.more, settings.dense_width, **start),
            nn.Dense(settings.dense_width, self.start_channels * self.start_size**2, **start),
        )
        first = nn.Conv2d(self.start_channels, widths[0], kernel_size, pad_mode="same", has_bias=True, **start)
        layers: list[nn.Cell] = [first]
        for before, width in zip(widths, (*widths[1:], channels)):
            layers += [LeakyReLU(0.0), DoublingConv2d(before, width, kernel_size, **start)]
        self.layers = Chain(layers)
        self.crop = CentralCrop(self.start_size * 2 ** len(widths), size)
        self.pixels = Sigmoid()

    def logits(self, latent, label=None):
        """Return the images before the sigmoid, float32, (N, *image_shape)."""
        maps = self.dense(self.condition(latent, label))
        return self.crop(self.layers(maps.reshape((-1, self.start_channels, self.start_size, self.start_size))))

    def construct(self, latent, label=None):
        return self.pixels(self.logits(latent, label))


class DoublingConv2d(nn.Conv2d):
    """Doubling of height and width, each value becoming 2×2 of itself, and then a convolution of the same size, in one.

    float32, N×before×H×W to N×after×2H×2W; parameters are those of the convolution. Each of the four results for one
    value sees some values twice or more. With the kernel's numbers for these added up, it is a convolution of the small
    maps. That is always the smaller computation, and on CPU twice as fast as doubling the maps.
    """

    def __init__(self, before: int, after: int, kernel_size: int, **start: Any):
        super().__init__(before, after, kernel_size, pad_mode="same", has_bias=True, **start)
        sums = self._sums(kernel_size)
        self.reach = sums.shape[1]  # rows, and columns, of the small maps that a result sees
        both = np.einsum("pau,qbv->uvpqab", sums, sums).reshape(kernel_size**2, -1)
        self.sums = Tensor(both.astype(np.float32))
        self.convolve = ops.Conv2D(4 * after, (self.reach, self.reach), pad_mode="same")

    @staticmethod
    def _sums(kernel_size: int) -> np.ndarray:
        """Return which rows of the kernel, for results at even and odd rows, fall on which rows of the small maps."""
        at_or_before = (kernel_size - 1) // 2
        rows = [[(odd + row - at_or_before) // 2 for row in range(kernel_size)] for odd in (0, 1)]
        radius = max(abs(row) for row in rows[0] + rows[1])
        sums = np.zeros((2, 2 * radius + 1, kernel_size))
        for odd in (0, 1):
            sums[odd, np.array(rows[odd]) + radius, np.arange(kernel_size)] = 1
        return sums

    def construct(self, maps):
        _, before, height, width = maps.shape
        after, reach = self.out_channels, self.reach
        kernels = ops.matmul(self.weight.reshape((after * before, -1)), self.sums).reshape((after, before, 4, -1))
        kernels = kernels.transpose((0, 2, 1, 3)).reshape((4 * after, before, reach, reach))
        results = self.convolve(maps, kernels).reshape((-1, after, 2, 2, height, width))
        spread = results.transpose((0, 1, 4, 2, 5, 3)).reshape((-1, after, 2 * height, 2 * width))
        return spread + self.bias.reshape((1, -1, 1, 1))  # ONNX has no bias_add but that of a convolution
