"""The pieces that networks of every kind share."""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.common.initializer import Normal

INITIALIZERS = {
    "mindspore": None,  # nn.Dense and nn.Conv2d as they are: weights and biases uniform, +-1/sqrt(fan in)
    "glorot_uniform": "xavier_uniform",  # Keras and TF-slim: +-sqrt(6 / (fan in + fan out)), biases 0
    "normal_0.02": Normal(0.02),  # Radford et al. 2016: N(0, 0.02), biases 0
}


class Sigmoid(nn.Cell):
    """1/(1 + exp(−x)), element-wise; in inference mode it gives NaN where x is infinite.

    That a number overflowed on the way here would otherwise end as a pixel of 0 or 1, and nobody would see it.
    """

    def construct(self, x):
        found = ops.sigmoid(x)
        return found if self.training else found + (x - x)


class Tanh(nn.Cell):
    """tanh, element-wise, as 2·sigmoid(2x) − 1, which is right to 2e-6; of what is infinite NaN, as `Sigmoid`.

    MindSpore's own on CPU is wrong by up to 1e-4 near ±5 (2.8.0), and there leaves [−1, 1]: an exported file that
    another runtime draws with would differ by as much.
    """

    def construct(self, x):
        found = 2.0 * ops.sigmoid(2.0 * x) - 1.0
        return found if self.training else found + (x - x)


OUTPUTS = {"tanh": (Tanh, (-1.0, 1.0)), "sigmoid": (Sigmoid, (0.0, 1.0))}  # and in which range they give pixels


def initialized(initializer: str) -> dict:
    """Return the arguments that make a Dense or Conv2d layer start as `INITIALIZERS` says."""
    weights = INITIALIZERS[initializer]
    return {} if weights is None else {"weight_init": weights, "bias_init": "zeros"}


def initialized_weights(initializer: str) -> dict:
    """Return the same for a layer without bias."""
    return {name: start for name, start in initialized(initializer).items() if name == "weight_init"}


class LeakyReLU(nn.Cell):
    """max(x, slope·x), element-wise, for 0 <= slope <= 1 (Maas et al. 2013); slope 0 is ReLU.

    Written as slope·x + (1 − slope)·relu(x): the same function to 2e-7, and on
    CPU eight times faster, forward and backward, than `nn.LeakyReLU`, whose
    gradient goes through Maximum.

    In inference mode NaN stays NaN: on CPU `ops.relu` makes it 0, and so does `ops.maximum(x, 0.0)`, but not with its
    operands the other way round.
    """

    def __init__(self, slope: float):
        super().__init__()
        self.slope = slope
        self.rest = 1.0 - slope

    def construct(self, x):
        if self.slope == 0:
            return ops.relu(x) if self.training else ops.maximum(0.0, x)
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


class Dropout(nn.Cell):
    """Inverted dropout (Srivastava et al. 2014) whose mask is an input, so that a run can be replayed.

    `nn.Dropout` keeps its random state inside the kernel, where no checkpoint reaches it.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.scale = 1.0 / (1.0 - rate)

    def construct(self, x, kept):
        """Return x where `kept`, bool of x's shape, is true, scaled to keep the mean, and 0 elsewhere."""
        return x * (kept.astype(mstype.float32) * self.scale)


class LabelCode(nn.Cell):
    """A label as numbers: the one-hot class, or the one-hot tags of an image, place by place, behind each other.

    Input: label, int32, (N,), 0 to classes − 1; with places, (N, places), 0 for an empty one, else 1 to classes.
    Output: float32, (N, size), where size is `classes`, or, with places, places·(classes + 1); 0 without classes.
    """

    def __init__(self, classes: int, places: int):
        super().__init__()
        self.depth = classes + 1 if places else classes
        self.size = places * self.depth if places and classes else classes

    def construct(self, label):
        return ops.one_hot(label, self.depth).reshape((-1, self.size)).astype(mstype.float32)


class Conditioned(nn.Cell):
    """Features, with the label's code behind them where there are classes (Mirza and Osindero 2014).

    Inputs: features, float32, (N, size); label as `LabelCode` takes it, only where classes > 0.
    Output: float32, (N, size + more), where more is the size of the label's code.
    """

    def __init__(self, classes: int, places: int):
        super().__init__()
        self.classes = classes
        self.code = LabelCode(classes, places)
        self.more = self.code.size

    def construct(self, features, label=None):
        if self.classes == 0:
            return features
        return ops.concat((features, self.code(label)), 1)


class ChosenByLatent(nn.Cell):
    """A generator whose latent chooses the label that the network within is asked for (Sage et al. 2018).

    So a generator of unlabelled images can draw groups that have nothing in common without drawing what lies between
    them. The latent's first number chooses, by the `thresholds` that lie below it; the others are the network's own
    latent.

    Inputs: latent, float32, (N, 1 + latent_size of the network); and the label, int32, (N,), 0 to labels − 1, to be
    drawn instead of the chosen one. Output: the network's.
    """

    def __init__(self, network: nn.Cell, labels: int):
        super().__init__()
        self.network, self.pixel_range = network, network.pixel_range
        self.thresholds = Parameter(Tensor(np.zeros(labels - 1, np.float32)), name="thresholds", requires_grad=False)

    def construct(self, latent, label=None):
        if label is None:
            label = (latent[:, :1] > self.thresholds).astype(mstype.float32).sum(1).astype(mstype.int32)
        return self.network(latent[:, 1:], label)


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


class Heads(nn.Cell):
    """What a discriminator says about its features: a logit for "real", and, where there are classes, one for each.

    Input: float32, (N, features). Output: logits, float32, (N, 1), the log-odds of "real"; with
    classes a tuple of these and class logits, (N, classes). The documents' sigmoid and softmax
    are part of the losses, where they can neither overflow nor saturate.
    """

    def __init__(self, features: int, classes: int, initializer: str):
        super().__init__()
        self.real = nn.Dense(features, 1, **initialized(initializer))
        self.classes = nn.Dense(features, classes, **initialized(initializer)) if classes else None

    def construct(self, features):
        if self.classes is None:
            return self.real(features)
        return self.real(features), self.classes(features)


def heads(features: int, classes: int, judging: tuple[int, int], initializer: str) -> nn.Cell:
    """Return what ends a discriminator: `Heads`, or, `judging` by a label, a `ProjectionHead`."""
    if judging[0]:
        return ProjectionHead(features, *judging, classes, initializer)
    return Heads(features, classes, initializer)


class ProjectionHead(nn.Cell):
    """A score of features together with a label (Miyato and Koyama 2018): how real they are, and how well they fit it.

    w·h + b + e(label)·h, where e sums a learned vector for each class or tag. Inputs: features h, float32,
    (N, features); label as `LabelCode` takes it. Output: float32, (N, 1); where it `names` so many classes, a tuple of
    these and class logits, (N, names), by which it reads the features without being told the label.
    """

    def __init__(self, features: int, classes: int, places: int, names: int, initializer: str):
        super().__init__()
        self.code = LabelCode(classes, places)
        self.real = nn.Dense(features, 1, **initialized(initializer))
        self.fitting = nn.Dense(features, self.code.size, has_bias=False, **initialized_weights(initializer))
        self.classes = nn.Dense(features, names, **initialized(initializer)) if names else None

    def construct(self, features, label):
        score = self.real(features) + (self.fitting(features) * self.code(label)).sum(1, keepdims=True)
        if self.classes is None:
            return score
        return score, self.classes(features)


class UnitRange(nn.Cell):
    """A generator whose images are brought from the data's pixel range to [0, 1].

    Sampling, export and parity all go through this one Cell. Inputs are those of
    the generator; the output is float32, N×C×H×W, in [0, 1], and NaN where numbers
    overflowed. It is always in inference mode: BatchNorm uses its moving statistics.
    """

    def __init__(self, generator: nn.Cell, pixel_range):
        super().__init__(auto_prefix=False)  # the network keeps its names
        low, high = pixel_range
        self.generator = generator
        self.scale = 1.0 / (high - low)
        self.shift = -low / (high - low)
        self.set_train(False)

    def construct(self, *inputs):
        # rounding may leave [0, 1] by a last digit, and that range is a promise; `ops.clamp` makes NaN 0 on CPU, and so
        # do these with their operands the other way round
        return ops.minimum(1.0, ops.maximum(0.0, self.generator(*inputs) * self.scale + self.shift))


class EncoderOfUnitRange(nn.Cell):
    """An encoder that takes images in [0, 1], in inference mode: what is exported of it.

    Inputs: image, float32, N×C×H×W, in [0, 1], and the label, where the encoder takes one. Outputs are the encoder's.
    """

    def __init__(self, encoder: nn.Cell, pixel_range):
        super().__init__(auto_prefix=False)  # the network keeps its names
        low, high = pixel_range
        self.encoder = encoder
        self.scale = high - low
        self.low = low
        self.set_train(False)

    def construct(self, image, *label):
        return self.encoder(image * self.scale + self.low, *label)


class DiscriminatorOfUnitRange(nn.Cell):
    """A discriminator that takes images in [0, 1], in inference mode.

    Inputs: image, float32, N×C×H×W, in [0, 1], and the label, where it judges by one. Output: float32, (N, 1), the
    log-odds of "real".
    """

    def __init__(self, discriminator: nn.Cell, pixel_range):
        super().__init__()
        low, high = pixel_range
        self.discriminator = discriminator
        self.scale = high - low
        self.low = low
        self.set_train(False)

    def construct(self, image, *label):
        judged = self.discriminator(image * self.scale + self.low, *label)
        return judged[0] if isinstance(judged, tuple) else judged
