"""The settings of each network, and what every network is told about the data it is built for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ms_gan.schema.fields import REQUIRED, Settings, WrongSetting, choice, flag, number, section, whole, wholes

# How weights start: a class of mindspore.common.initializer and its arguments; None for MindSpore's layers as they are.
INITIALIZERS: dict[str, tuple[Any, ...] | None] = {
    "mindspore": None,  # weights and biases uniform, +-1/sqrt(fan in), which transposed convolutions take of the output
    "glorot_uniform": ("XavierUniform",),  # Keras and TF-slim: +-sqrt(6 / (fan in + fan out)), biases 0
    "normal_0.02": ("Normal", 0.02),  # Radford et al. 2016: N(0, 0.02), biases 0
}
POOLINGS = {"max": "MaxPool2d", "average": "AvgPool2d"}  # the class in mindspore.nn
SIZE: dict[str, Any] = {"least": 1, "below": 2**31}
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
    """Batch normalisation (Ioffe and Szegedy 2015) of hidden layers."""

    place: str = choice(
        "before", ("before", "after", "none"), "where it stands: before or after the activation, or nowhere"
    )
    first_layer: bool = flag(False, "whether the first layer has it, too")
    momentum: float = number(0.9, "part of the moving statistics that each step keeps", least=0, below=1)
    epsilon: float = number(1e-5, "added to the variance", above=0)


class Layered(Settings):
    """Base of the settings of a network with a layer for each of its `widths`."""

    widths: tuple[int, ...]

    def check(self) -> None:
        """Refuse a network without layers."""
        if not self.widths:
            raise WrongSetting("widths", "must be at least one whole number, not ()")


class Strided(Layered):
    """Base of the settings of a network with a stride for each layer."""

    strides: tuple[int, ...]
    more_strides = 0  # than there are widths

    def check(self) -> None:
        """Refuse another number of strides than of layers, too."""
        super().check()
        layers = len(self.widths) + self.more_strides
        if len(self.strides) != layers:
            more = " and one for the layer that makes pixels" if self.more_strides else ""
            wanted = f"must have one number for each of the {len(self.widths)} widths{more}, so {layers}"
            raise WrongSetting("strides", f"{wanted}, not {len(self.strides)}: {self.strides}")


@dataclass(frozen=True)
class MLPGenerator(Layered):
    """Fully connected: latents to images."""

    widths: tuple[int, ...] = wholes(REQUIRED, WIDTHS, **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    batch_norm: BatchNorm = section(BatchNorm)
    output: str = choice("tanh", ("tanh", "sigmoid"), "what makes pixels: tanh draws in [-1, 1], sigmoid in [0, 1]")
    initializer: str = choice("mindspore", INITIALIZERS, INITIALIZER)


@dataclass(frozen=True)
class ConvGenerator(Strided):
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

    more_strides = 1


@dataclass(frozen=True)
class ResidualGenerator(Layered):
    """Residual: latents to a small map, and from there to images, each size twice the one before."""

    widths: tuple[int, ...] = wholes(REQUIRED, "channels at each size, the smallest first", **SIZE)
    blocks: int = whole(1, "blocks at each size", **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    output: str = choice("linear", ("linear", "tanh"), "what makes pixels; linear leaves them and cuts off at the ends")


@dataclass(frozen=True)
class ConvDecoder(Layered):
    """Convolutional: latents, and labels if there are any, to images in [0, 1]; the generator of a CVAE."""

    widths: tuple[int, ...] = wholes(REQUIRED, f"{WIDTHS}; each doubles the map", **SIZE)
    dense_width: int = whole(1024, "width of the first Dense layer", **SIZE)
    start_channels: int = whole(16, "channels of the small map", **SIZE)
    kernel_size: int = whole(3, KERNEL, **SIZE)
    initializer: str = choice("glorot_uniform", INITIALIZERS, INITIALIZER)


@dataclass(frozen=True)
class MLPDiscriminator(Layered):
    """Fully connected: images to logits."""

    widths: tuple[int, ...] = wholes(REQUIRED, WIDTHS, **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    initializer: str = choice("mindspore", INITIALIZERS, INITIALIZER)


@dataclass(frozen=True)
class ConvDiscriminator(Strided):
    """Convolutional: images to logits."""

    widths: tuple[int, ...] = wholes(REQUIRED, WIDTHS, **SIZE)
    strides: tuple[int, ...] = wholes(REQUIRED, "step of each convolution over the map", **SIZE)
    kernel_size: int = whole(5, KERNEL, **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)
    batch_norm: BatchNorm = section(BatchNorm, default=BatchNorm(place="none"))
    pooling: str = choice("none", (*POOLINGS, "none"), "pooling over 2x2 after each convolution")
    dropout_rate: float = number(0.0, "part of the numbers that dropout sets to 0; 0 for none", least=0, below=1)
    dense_widths: tuple[int, ...] = wholes((), "widths of the Dense layers after the convolutions", **SIZE)
    first_initializer: str = choice("glorot_uniform", INITIALIZERS, "how the weights of the first convolution start")
    initializer: str = choice("glorot_uniform", INITIALIZERS, INITIALIZER)


@dataclass(frozen=True)
class ResidualDiscriminator(Layered):
    """Residual: images to logits, each size half the one before."""

    widths: tuple[int, ...] = wholes(REQUIRED, "channels at each size, the largest first", **SIZE)
    blocks: int = whole(1, "blocks at each size", **SIZE)
    slope: float = number(0.2, SLOPE, least=0, most=1)


@dataclass(frozen=True)
class ConvEncoder(Layered):
    """Convolutional: images, and labels if there are any, to the mean and log-variance of their latents."""

    widths: tuple[int, ...] = wholes(REQUIRED, f"{WIDTHS}; each halves the map", **SIZE)
    label_place: str = choice(
        "early", ("late", "early"), "where the label joins: before the last layers (late), or as a channel (early)"
    )
    kernel_size: int = whole(3, KERNEL, **SIZE)
    dense_width: int = whole(1024, "width of the Dense layer", **SIZE)
    initializer: str = choice("glorot_uniform", INITIALIZERS, INITIALIZER)
