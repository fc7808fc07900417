"""The recipes' networks in PyTorch, from a recipe's settings. Weights start as PyTorch's do: speed is the same.

Strided layers have the odd pixel of their padding first, where MindSpore has it last: the same system turned half
round, and the faster one here, which copies nothing to pad it. `benchmarks.check` turns the weights.
"""

import math

import torch
from torch import nn
from torch.nn import functional


def activation(slope):
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


def hidden(layer, width, settings, norm, first):
    """Return the layer, BatchNorm where the settings say so, and the activation."""
    wanted = settings.batch_norm
    has_norm = wanted.place != "none" and (wanted.first_layer or not first)
    norms = [norm(width, wanted.epsilon, 1 - wanted.momentum)] if has_norm else []
    return [layer, *norms, activation(settings.slope)]


def dense_layers(sizes, slope):
    pairs = zip(sizes, sizes[1:])
    return [layer for before, width in pairs for layer in (nn.Linear(before, width), activation(slope))]


def output_of(settings):
    return nn.Tanh() if settings.output == "tanh" else nn.Sigmoid()


def label_size(data):
    return data.max_tags * (data.classes + 1) if data.max_tags else data.classes or data.clusters


def one_hot(label, data):
    """Return labels, or an image's tags one after the other, as numbers, (N, label_size)."""
    depth = label_size(data) // max(data.max_tags, 1)
    return functional.one_hot(label, depth).flatten(1).float()


class Generator(nn.Module):
    """Latents, with the label beside them where there is one, to images; `layers` are those of a subclass."""

    def __init__(self, recipe):
        super().__init__()
        self.data = recipe.data
        inputs = recipe.latent.size - (recipe.data.clusters > 0) + label_size(recipe.data)  # see RpGAN
        self.layers = nn.Sequential(*self.make(recipe.networks["generator"], recipe.data, inputs))

    def forward(self, latent, label=None):
        return self.layers(latent if label is None else torch.cat((latent, one_hot(label, self.data)), 1))


class MLPGenerator(Generator):
    def make(self, settings, data, before):
        layers = []
        for index, width in enumerate(settings.widths):
            layers += hidden(nn.Linear(before, width), width, settings, nn.BatchNorm1d, first=index == 0)
            before = width
        return [*layers, nn.Linear(before, data.channels * data.size**2), output_of(settings)]


class MLPDiscriminator(nn.Module):
    """Images to logits; with clusters by projection (Miyato and Koyama 2018), and also to class logits."""

    def __init__(self, recipe):
        super().__init__()
        settings, data = recipe.networks["discriminator"], recipe.data
        sizes = (data.channels * data.size**2, *settings.widths)
        self.layers, self.real = nn.Sequential(*dense_layers(sizes, settings.slope)), nn.Linear(sizes[-1], 1)
        if data.clusters:
            self.fitting, self.classes = nn.Embedding(data.clusters, sizes[-1]), nn.Linear(sizes[-1], data.clusters)

    def forward(self, images, label=None):
        features = self.layers(images)
        logits = self.real(features)
        if label is None:
            return logits
        return logits + (features * self.fitting(label)).sum(1, keepdim=True), self.classes(features)


def upsampling(before, after, kernel_size, stride):
    if stride == 1:
        return nn.Conv2d(before, after, kernel_size, padding=kernel_size // 2)
    return nn.ConvTranspose2d(before, after, kernel_size, stride, kernel_size // 2, stride - 1)


class ConvGenerator(Generator):
    def make(self, settings, data, inputs):
        before, size = settings.start_channels, data.size // math.prod(settings.strides)
        features = before * size**2
        layers = hidden(nn.Linear(inputs, features), features, settings, nn.BatchNorm1d, first=True)
        layers.append(nn.Unflatten(1, (before, size, size)))
        for width, stride in zip(settings.widths, settings.strides):
            layer = upsampling(before, width, settings.kernel_size, stride)
            layers += hidden(layer, width, settings, nn.BatchNorm2d, first=False)
            before = width
        last = upsampling(before, data.channels, settings.kernel_size, settings.strides[-1])
        return [*layers, last, output_of(settings)]


class ConvDiscriminator(nn.Module):
    """Images to logits, of an AC-GAN also to class logits; `maps` are what the first convolutions make of them."""

    def __init__(self, recipe):
        super().__init__()
        settings, data = recipe.networks["discriminator"], recipe.data
        before, size, blocks = data.channels, data.size, []
        for width, stride in zip(settings.widths, settings.strides):
            layer = nn.Conv2d(before, width, settings.kernel_size, stride, settings.kernel_size // 2)
            layers, before, size = [layer, activation(settings.slope)], width, -(-size // stride)
            if settings.pooling == "max":
                layers.append(nn.MaxPool2d(2))
                size //= 2
            if settings.dropout_rate:
                layers.append(nn.Dropout(settings.dropout_rate))
            blocks.append(nn.Sequential(*layers))
        self.convolutions = nn.Sequential(*blocks)
        sizes = (before * size**2, *settings.dense_widths)
        self.dense = nn.Sequential(nn.Flatten(), *dense_layers(sizes, settings.slope))
        self.real = nn.Linear(sizes[-1], 1)
        self.classes = nn.Linear(sizes[-1], data.classes) if recipe.family == "acgan" else None

    def maps(self, images, count):
        return self.convolutions[:count](images)

    def judge(self, maps, count):
        """Return the logits of images from what the first `count` convolutions made of them."""
        features = self.dense(self.convolutions[count:](maps))
        return self.real(features) if self.classes is None else (self.real(features), self.classes(features))

    def forward(self, images):
        return self.judge(images, 0)


class Encoder(nn.Module):
    """Images and tags to mean and log-variance; the tags join as one more channel after the first convolution."""

    def __init__(self, recipe):
        super().__init__()
        settings, self.data = recipe.networks["encoder"], recipe.data
        channels, size, half = recipe.data.channels, recipe.data.size, settings.kernel_size // 2
        first, second = settings.widths
        self.first = nn.Sequential(nn.Conv2d(channels, first, settings.kernel_size, padding=half), activation(0))
        convolution = nn.Conv2d(first + 1, second, settings.kernel_size, padding=half)
        dense = dense_layers((second * (size // 4) ** 2, settings.dense_width), 0)
        middle = [nn.MaxPool2d(2), convolution, activation(0), nn.MaxPool2d(2), nn.Flatten()]
        self.rest = nn.Sequential(*middle, *dense)
        self.mean = nn.Linear(settings.dense_width, recipe.latent.size)
        self.log_variance = nn.Linear(settings.dense_width, recipe.latent.size)

    def forward(self, images, label):
        numbers, size = one_hot(label, self.data), self.data.size
        channel = numbers.repeat(1, -(-(size**2) // numbers.shape[1]))[:, : size**2].view(-1, 1, size, size)
        x = self.rest(torch.cat((self.first(images), channel), 1))
        return self.mean(x), self.log_variance(x)


class Decoder(Generator):
    def make(self, settings, data, inputs):
        size, widths, half = data.size // 2 ** len(settings.widths), settings.widths, settings.kernel_size // 2
        channels = settings.start_channels
        layers = [nn.Linear(inputs, settings.dense_width), nn.Linear(settings.dense_width, channels * size**2)]
        layers += [nn.Unflatten(1, (channels, size, size))]
        layers += [nn.Conv2d(channels, widths[0], settings.kernel_size, padding=half)]
        for width, after in zip(widths, (*widths[1:], data.channels)):
            convolution = nn.Conv2d(width, after, settings.kernel_size, padding=half)
            layers += [activation(0), nn.Upsample(scale_factor=2), convolution]
        return [*layers, nn.Sigmoid()]
