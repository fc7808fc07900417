"""The settings of each network, and what every network is told about the data it is built for."""

from __future__ import annotations

from dataclasses import dataclass

from ms_gan.schema.fields import REQUIRED, Settings, WrongSetting, choice, flag, number, section, whole, wholes

INITIALIZERS = ("mindspore", "glorot_uniform", "normal_0.02")
SIZE = {"least": 1, "below": 2**31}
WIDTHS = "how wide each layer is, the first layer first"
KERNEL = "rows and columns of each convolution's kernel"
SLOPE = "slope of LeakyReLU below 0; 0 is ReLU"
INITIALIZER = "how weights start"


@dataclass(frozen=True)
class NetworkInputs:
    """What a network is built for, beside its own settings.

    Args:
        image_shape: channels, height and width of the images.
        latent_size: numbers in a latent; of a generator or an encoder.
        classes: number of classes or tags that a generator or an encoder is conditioned on; 0 for none.
        max_tags: most tags that one image has; 0 where an image has one class.
        class_logits: number of classes for which a discriminator gives logits, beside "real"; 0 for none.
        conditioned_on: classes and max_tags of the label that a discriminator sees with each image; (0, 0) for none.
    """

    image_shape: tuple[int, int, int]
    latent_size: int = 0
    classes: int = 0
    max_tags: int = 0
    class_logits: int = 0
    conditioned_on: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class BatchNorm(Settings):
    """Batch normalisation (Ioffe and Szegedy 2015) of a generator's hidden layers."""

    place: str = choice("before", ("before", "after", "none"), "where it stands: before or after the activation")
    first_layer: bool = flag(False, "whether the first layer has it, too")
    momentum: float = number(0.9, "part of the moving statistics that each step keeps", least=0, below=1)
    epsilon: float = number(1e-5, "added to the variance", above=0)


@dataclass(frozen=True)
class MLPGenerator(Settings):
    """Fully connected: latents to images."""

    widths: tuple[int, ...] = wholes(REQUIRED, WIDTHS, **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    batch_norm: BatchNorm = section(BatchNorm)
    output: str = choice("tanh", ("tanh", "sigmoid"), "what makes pixels: tanh draws in [-1, 1], sigmoid in [0, 1]")
    initializer: str = choice("mindspore", INITIALIZERS, INITIALIZER)

    def check(self) -> None:
        require_widths(self.widths)


@dataclass(frozen=True)
class ConvGenerator(Settings):
    """Convolutional: latents to a small map, and from there to images."""

    start_channels: int = whole(REQUIRED, "channels of the small map", **SIZE)
    widths: tuple[int, ...] = wholes(REQUIRED, WIDTHS, **SIZE)
    strides: tuple[int, ...] = wholes(REQUIRED, "growth of the map by each layer; the last one makes pixels", **SIZE)
    kernel_size: int = whole(5, KERNEL, **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    batch_norm: BatchNorm = section(BatchNorm)
    output: str = choice("tanh", ("tanh", "sigmoid"), "what makes pixels: tanh draws in [-1, 1], sigmoid in [0, 1]")
    first_initializer: str = choice("glorot_uniform", INITIALIZERS, "how the weights of the Dense layer start")
    initializer: str = choice("glorot_uniform", INITIALIZERS, INITIALIZER)

    def check(self) -> None:
        require_widths(self.widths)
        require_strides(self.strides, len(self.widths) + 1)


@dataclass(frozen=True)
class ConvDecoder(Settings):
    """Convolutional: latents, and labels if there are any, to images in [0, 1]; the generator of a CVAE."""

    widths: tuple[int, ...] = wholes(REQUIRED, f"{WIDTHS}; each doubles the map", **SIZE)
    dense_width: int = whole(1024, "width of the first Dense layer", **SIZE)
    start_channels: int = whole(16, "channels of the small map", **SIZE)
    kernel_size: int = whole(3, KERNEL, **SIZE)
    initializer: str = choice("glorot_uniform", INITIALIZERS, INITIALIZER)

    def check(self) -> None:
        require_widths(self.widths)


@dataclass(frozen=True)
class MLPDiscriminator(Settings):
    """Fully connected: images to logits."""

    widths: tuple[int, ...] = wholes(REQUIRED, WIDTHS, **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    initializer: str = choice("mindspore", INITIALIZERS, INITIALIZER)

    def check(self) -> None:
        require_widths(self.widths)


@dataclass(frozen=True)
class ConvDiscriminator(Settings):
    """Convolutional: images to logits."""

    widths: tuple[int, ...] = wholes(REQUIRED, WIDTHS, **SIZE)
    strides: tuple[int, ...] = wholes(REQUIRED, "step of each convolution over the map", **SIZE)
    kernel_size: int = whole(5, KERNEL, **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    pooling: str = choice("none", ("max", "average", "none"), "pooling over 2x2 after each convolution")
    dropout_rate: float = number(0.0, "part of the numbers that dropout sets to 0; 0 for none", least=0, below=1)
    dense_widths: tuple[int, ...] = wholes((), "widths of the Dense layers after the convolutions", **SIZE)
    first_initializer: str = choice("glorot_uniform", INITIALIZERS, "how the weights of the first convolution start")
    initializer: str = choice("glorot_uniform", INITIALIZERS, INITIALIZER)

    def check(self) -> None:
        require_widths(self.widths)
        require_strides(self.strides, len(self.widths))


@dataclass(frozen=True)
class ConvEncoder(Settings):
    """Convolutional: images, and labels if there are any, to the mean and log-variance of their latents."""

    widths: tuple[int, ...] = wholes(REQUIRED, f"{WIDTHS}; each halves the map", **SIZE)
    label_place: str = choice(
        "early", ("late", "early"), "where the label joins: as a channel, or before the last layers"
    )
    kernel_size: int = whole(3, KERNEL, **SIZE)
    dense_width: int = whole(1024, "width of the Dense layer", **SIZE)
    initializer: str = choice("glorot_uniform", INITIALIZERS, INITIALIZER)

    def check(self) -> None:
        require_widths(self.widths)


GENERATORS = (MLPGenerator, ConvGenerator, ConvDecoder)
DISCRIMINATORS = (MLPDiscriminator, ConvDiscriminator)
ENCODERS = (ConvEncoder,)


def require_widths(widths: tuple[int, ...]) -> None:
    """Raise WrongSetting for a network without layers."""
    if not widths:
        raise WrongSetting("widths", "must be at least one whole number, not ()")


def require_strides(strides: tuple[int, ...], count: int) -> None:
    """Raise WrongSetting unless there are as many strides as layers."""
    if len(strides) != count:
        raise WrongSetting("strides", f"must have one number for each of the {count} layers, not {strides}")
