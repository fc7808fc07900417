"""Layers that networks of every kind share, and how their weights start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Union

from mindspore import dtype as mstype
from mindspore import nn, ops
from mindspore.common import initializer as initializers

from ms_gan.schema.networks import INITIALIZERS, ConvDiscriminator, ConvGenerator, MLPGenerator

Normalised = Union[MLPGenerator, ConvGenerator, ConvDiscriminator]  # settings of layers that may have BatchNorm


def initialized(initializer: str) -> dict[str, Any]:
    """Return the arguments that make a Dense or Conv2d layer start as `INITIALIZERS` says."""
    start = INITIALIZERS[initializer]
    if start is None:
        return {}
    name, *values = start
    return {"weight_init": getattr(initializers, name)(*values), "bias_init": "zeros"}


def activated(settings: Normalised, norm: type[nn.Cell], width: int, first: bool) -> list[nn.Cell]:
    """Return what ends a hidden layer: LeakyReLU, and batch normalisation, of the class `norm`, where settings say so.

    `first` tells whether it is the network's first layer, for which settings have a word of its own.
    """
    layers: list[nn.Cell] = [LeakyReLU(settings.slope)]
    batch_norm = settings.batch_norm
    if batch_norm.place != "none" and (batch_norm.first_layer or not first):
        layers.insert(int(batch_norm.place == "after"), norm(width, batch_norm.epsilon, batch_norm.momentum))
    return layers


def dense_layers(sizes: Sequence[int], slope: float, initializer: str) -> list[nn.Cell]:
    """Return a Dense layer and LeakyReLU from each of the sizes to the next."""
    layers: list[nn.Cell] = []
    for before, width in zip(sizes, sizes[1:]):
        layers += [nn.Dense(before, width, **initialized(initializer)), LeakyReLU(slope)]
    return layers


class Sigmoid(nn.Cell):
    """1/(1 + exp(−x)), element-wise; in inference mode NaN where x is infinite.

    Otherwise a number that overflowed would end as a pixel of 0 or 1, and nobody would see it.
    """

    def construct(self, x):
        found = ops.sigmoid(x)
        return found if self.training else found + (x - x)


class Tanh(nn.Cell):
    """tanh, element-wise, as 2·sigmoid(2x) − 1, which is right to 2e-6; in inference mode NaN where x is infinite.

    MindSpore's own tanh on CPU is wrong by up to 1e-4 near ±5 (2.8.0), and there leaves [−1, 1]: an exported file that
    another runtime draws with would differ by as much.
    """

    def construct(self, x):
        found = 2.0 * ops.sigmoid(2.0 * x) - 1.0
        return found if self.training else found + (x - x)


class Linear(nn.Cell):
    """x as it is; in inference mode NaN where it is infinite, as of the others."""

    def construct(self, x):
        return x if self.training else x + (x - x)


OUTPUTS = {
    "tanh": (Tanh, (-1.0, 1.0)),
    "sigmoid": (Sigmoid, (0.0, 1.0)),
    "linear": (Linear, (-1.0, 1.0)),
}  # and the range of their pixels


class LeakyReLU(nn.Cell):
    """max(x, slope·x), element-wise, for 0 <= slope <= 1 (Maas et al. 2013); slope 0 is ReLU.

    Written as slope·x + (1 − slope)·relu(x): the same function to 2e-7. On CPU it is eight times faster, forward and
    backward, than `nn.LeakyReLU`, whose gradient goes through Maximum.

    In inference mode NaN stays NaN. On CPU `ops.relu` makes it 0, and so does `ops.maximum(x, 0.0)`, but not with its
    operands the other way round.
    """

    def __init__(self, slope: float):
        super().__init__()
        if not 0 <= slope <= 1:
            raise ValueError(f"the slope of a LeakyReLU must be from 0 to 1, not {slope}")
        self.slope = slope
        self.rest = 1.0 - slope

    def construct(self, x):
        if self.slope == 0:
            return ops.relu(x) if self.training else ops.maximum(0.0, x)
        return self.slope * x + self.rest * ops.relu(x)


class BatchNorm1d(nn.BatchNorm2d):
    """Batch normalisation of features, (N, C) to (N, C) (Ioffe and Szegedy 2015).

    `nn.BatchNorm1d` hands MindSpore's kernel N×C×1×1, where each channel's values lie far apart. Handed 1×C×N×1
    instead, the same kernel computes the same on CPU three times faster, the transposes included. Parameters and
    state are those of `nn.BatchNorm1d`.
    """

    def construct(self, x):
        features_first = ops.transpose(x, (1, 0)).reshape((1, x.shape[1], -1, 1))
        return ops.transpose(super().construct(features_first).reshape((x.shape[1], -1)), (1, 0))


class Downsample(nn.Cell):
    """The mean of each 2×2 pixels, N×C×H×W to N×C×H/2×W/2, for even sizes.

    It can be differentiated any number of times. Penalties of D's slope need that, and MindSpore's average pooling
    cannot be differentiated twice.
    """

    def construct(self, x):
        count, channels, height, width = x.shape
        pixels = x.reshape((-1, height // 2, 2, width // 2, 2))
        return pixels.mean((2, 4)).reshape((count, channels, height // 2, width // 2))


class Upsample(nn.Cell):
    """Each pixel as 2×2 of its kind, N×C×H×W to N×C×2H×2W; it can be differentiated any number of times.

    `ops.tile` cannot: the gradient of its gradient would have twelve dimensions, and MindSpore has eight.
    """

    def __init__(self):
        super().__init__()
        self.ones = ops.ones((1, 2, 1, 2), mstype.float32)

    def construct(self, x):
        _, channels, height, width = x.shape
        pixels = x.reshape((-1, height, 1, width, 1)) * self.ones
        return pixels.reshape((-1, channels, 2 * height, 2 * width))


class Dropout(nn.Cell):
    """Inverted dropout (Srivastava et al. 2014) whose mask is an input, so that a run can be replayed.

    `nn.Dropout` keeps its random state inside the kernel, where no checkpoint reaches it.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.scale = 1.0 / (1.0 - rate)

    def construct(self, x, mask):
        """Return x where `mask`, bool of x's shape, is true, scaled to keep the mean, and 0 elsewhere."""
        return x * (mask.astype(mstype.float32) * self.scale)


class Chain(nn.SequentialCell):
    """Layers that are only ever run together, one after the other.

    `kernels.layers.use_own` may merge neighbours: the first then computes them all, and the others pass its result on.
    """


def cells_within(cell: nn.Cell, but: type[nn.Cell], seen: set[int] | None = None) -> Iterator[nn.Cell]:
    """Give a Cell and each one within it, once; none of the class `but`, nor what is within those."""
    seen = set() if seen is None else seen
    if not isinstance(cell, but) and id(cell) not in seen:
        seen.add(id(cell))
        yield cell
        for child in cell.cells():
            yield from cells_within(child, but, seen)


class CentralCrop(nn.Cell):
    """The middle of images: N×C×before×before to N×C×size×size."""

    def __init__(self, before: int, size: int):
        super().__init__()
        self.exact = before == size
        self.start = (before - size) // 2
        self.end = self.start + size

    def construct(self, images):
        if self.exact:
            return images
        return images[:, :, self.start : self.end, self.start : self.end]
