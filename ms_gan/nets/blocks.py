"""The pieces that networks of every kind share."""

from __future__ import annotations

from mindspore import nn, ops


class LeakyReLU(nn.Cell):
    """max(x, slope·x), element-wise, for 0 <= slope <= 1 (Maas et al. 2013).

    Written as slope·x + (1 − slope)·relu(x): the same function to 2e-7, and on
    CPU eight times faster, forward and backward, than `nn.LeakyReLU`, whose
    gradient goes through Maximum.
    """

    def __init__(self, slope: float):
        super().__init__()
        self.slope = slope
        self.rest = 1.0 - slope

    def construct(self, x):
        return self.slope * x + self.rest * ops.relu(x)


class BatchNorm1d(nn.BatchNorm2d):
    """Batch normalisation of features, (N, C) to (N, C) (Ioffe and Szegedy 2015).

    `nn.BatchNorm1d` hands MindSpore's kernel N×C×1×1, where each channel's values lie
    far apart; handed 1×C×N×1 instead, the same kernel computes the same on CPU three
    times faster, the transposes included. Parameters and state are those of `nn.BatchNorm1d`.
    """

    def construct(self, x):
        features_first = ops.transpose(x, (1, 0)).reshape((1, x.shape[1], -1, 1))
        return ops.transpose(super().construct(features_first).reshape((x.shape[1], -1)), (1, 0))


class UnitRange(nn.Cell):
    """A generator whose images are brought from its own pixel range to [0, 1].

    Sampling, export and parity all go through this one Cell. Inputs are those of
    the generator; the output is float32, N×C×H×W, in [0, 1]. It is always in
    inference mode: BatchNorm uses its moving statistics.
    """

    def __init__(self, generator: nn.Cell, pixel_range):
        super().__init__()
        low, high = pixel_range
        self.generator = generator
        self.scale = 1.0 / (high - low)
        self.shift = -low / (high - low)
        self.set_train(False)

    def construct(self, latent):
        # MindSpore's tanh on CPU leaves [-1, 1] by up to 1e-5, and [0, 1] is a promise
        return ops.clamp(self.generator(latent) * self.scale + self.shift, 0.0, 1.0)
