"""Networks as they leave a run: in inference mode, for images in [0, 1]."""

from __future__ import annotations

from mindspore import nn, ops


class UnitRangeGenerator(nn.Cell):
    """A generator whose images are brought from the data's pixel range to [0, 1].

    Sampling, export and parity all go through this one Cell. Inputs are those of the generator. Output: float32,
    N×C×H×W, in [0, 1], and NaN where numbers overflowed. It is always in inference mode: BatchNorm uses its moving
    statistics.
    """

    def __init__(self, generator: nn.Cell, pixel_range: tuple[float, float]):
        super().__init__(auto_prefix=False)  # the network keeps its names
        low, high = pixel_range
        self.generator = generator
        self.scale = 1.0 / (high - low)
        self.shift = -low / (high - low)
        self.set_train(False)

    def construct(self, *inputs):
        # Rounding may leave [0, 1] by a last digit, and that range is a promise. `ops.clamp` makes NaN 0 on CPU, and so
        # do these with their operands the other way round.
        return ops.minimum(1.0, ops.maximum(0.0, self.generator(*inputs) * self.scale + self.shift))


class UnitRangeInput(nn.Cell):
    """A network that takes images in [0, 1]. It is always in inference mode.

    Inputs: image, float32, N×C×H×W, in [0, 1]; label, where the network takes one. Outputs are the network's.
    """

    def __init__(self, network: nn.Cell, pixel_range: tuple[float, float]):
        super().__init__(auto_prefix=False)  # the network keeps its names
        self.network = network
        self.low, high = pixel_range
        self.scale = high - self.low
        self.set_train(False)

    def construct(self, image, *label):
        return self.network(image * self.scale + self.low, *label)


class UnitRangeEncoder(UnitRangeInput):
    """An encoder that takes images in [0, 1]."""


class UnitRangeDiscriminator(UnitRangeInput):
    """A discriminator that takes images in [0, 1], without dropout.

    Output: logits, float32, (N, 1), the log-odds of "real".
    """

    def construct(self, image, *label):
        logits = super().construct(image, *label)
        return logits[0] if isinstance(logits, tuple) else logits
