"""Networks of a few numbers, their gradients by differences, and a document's update, worked out apart with NumPy.

Nothing of what is expected uses MindSpore's gradients or the project's losses.
"""

from __future__ import annotations

import dataclasses

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from ms_gan import recipes
from ms_gan.nets.heads import Discriminator as DiscriminatorBase
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import adam
from ms_gan.schema.recipe import Latent
from ms_gan.steps.base import StepParts
from ms_gan.steps.gan_forms import gan_step
from ms_gan.steps.graph import on_device
from ms_gan.steps.optimizers import AllReduceOptimizer

BATCH, RATE, STEPS = 6, 0.1, 3
IMAGES = np.float32([0.3, -0.8, 1.2, 0.5, -0.1, 0.9, 2.0, -1.5, 0.7, 0.2, -0.4, 1.1])
LABELS = np.int32([0, 1, 2] * 4)
SHIFT_IN_INFERENCE = 0.25  # stands for BatchNorm: G draws something else in inference mode
START = {"g": {"w": 0.7, "u": -0.2, "v": 0.15}, "d": {"a": 0.4, "c": 0.1, "b": 0.3}}


def image(g, latent, label, training):
    """G: w·z + u, + v·label, + a shift in inference mode."""
    return g["w"] * latent + g["u"] + g["v"] * label + (0.0 if training else SHIFT_IN_INFERENCE)


def logit(d, x):
    """D: a·x + c."""
    return d["a"] * x + d["c"]


def class_logits(d, x):
    """D's other head, three classes: 0, b·x, −b·x."""
    return np.stack((0 * x, d["b"] * x, -d["b"] * x), -1)


class StandIn(nn.Cell):
    """A network whose weights are numbers with names."""

    def __init__(self, network, numbers):
        super().__init__()
        for name, value in numbers.items():
            setattr(self, name, Parameter(Tensor(value, ms.float32), name=f"{network}.{name}"))


class Generator(StandIn):
    def __init__(self):
        super().__init__("generator", START["g"])

    def construct(self, latent, label=None):
        x = self.w * latent + self.u
        if label is not None:
            x = x + self.v * label.astype(ms.float32).reshape((-1, 1))
        if not self.training:
            x = x + SHIFT_IN_INFERENCE
        return x.reshape((-1, 1, 1, 1))


class Discriminator(StandIn, DiscriminatorBase):
    def __init__(self, classes):
        super().__init__("discriminator", START["d"])
        self.class_logits = classes

    def construct(self, images, mask=None):
        x = images.reshape((-1, 1))
        if mask is not None:
            x = x * mask.astype(ms.float32).reshape((-1, 1)) * 1.25
        logits = self.a * x + self.c
        if self.class_logits:
            return logits, ops.concat((0 * x, self.b * x, -self.b * x), 1)
        return logits


class Data(nn.Cell):
    def __init__(self, images=IMAGES, labels=LABELS):
        super().__init__()
        self.all = Tensor(images.reshape((len(images), 1, 1, -1)))
        self.all_labels = None if labels is None else Tensor(labels)

    def construct(self, indices):
        return ops.gather(self.all, indices, 0)

    def labels(self, indices):
        return ops.gather(self.all_labels, indices, 0)


def make_step(recipe_name, classes=0, dropout=False, devices=1, discriminator=None, batch=BATCH, **changes):
    """The step of a recipe on those networks, and the Adam of both, whose learning rate moves them visibly."""
    recipe = recipes.load(recipe_name)
    generator, twin, discriminator = Generator(), Generator(), discriminator or Discriminator(classes)
    for name in START["g"]:
        setattr(twin, name, getattr(generator, name))
    if dropout:
        discriminator.dropout_shapes, discriminator.dropout_rate = ((1, 1, 1),), 0.2
    settings = dataclasses.replace(recipe.optimizers["generator"], learning_rate=RATE)
    if settings.decay_rate != 1:
        settings = dataclasses.replace(settings, decay_steps=2)  # so that three updates show it
    networks = {"generator": generator, "discriminator": discriminator}
    optimizers = {name: adam(network, f"o_{name}", settings) for name, network in networks.items()}
    if devices > 1:
        optimizers = {name: AllReduceOptimizer(optimizer, devices) for name, optimizer in optimizers.items()}
    parts = StepParts(
        data=Data(),
        networks=networks,
        optimizers=optimizers,
        latent=Latent(size=1),
        classes=classes,
        batch_size=batch,
        devices=devices,
        generator_in_inference=twin,
    )
    return gan_step(parts, dataclasses.replace(recipe.updates, **changes)), settings


def draws(step, steps=STEPS):
    """Yield for each step what is random in it, and which images it takes."""
    for number in range(steps):
        noise = step.draw_noise(random_stream(3, "step", number))
        indices = np.random.default_rng(number).integers(0, len(IMAGES), step.images_per_step)
        yield noise, indices.astype(np.int32)


def assert_scalars(step, noise, indices, expected, rel=2e-4):
    """Do one update, and compare all that it reports with what is expected."""
    found = dict(zip(step.scalars, step(on_device((indices,)), on_device(noise)).asnumpy()))
    assert found == pytest.approx(expected, rel=rel, abs=rel / 10)


def assert_weights(cell, player, start, atol=2e-4):
    """Compare a network's numbers with a player's; return how far the one that moved most is from its start."""
    found = {parameter.name.rsplit(".", 1)[1]: float(parameter) for parameter in cell.get_parameters()}
    assert found == pytest.approx(player.numbers, abs=atol)
    return max(abs(player.numbers[name] - start[name]) for name in start)


class Player:
    """Some numbers, and Adam as Keras, TensorFlow and MindSpore write it; `counter` counts its updates."""

    def __init__(self, numbers, settings, counter):
        self.numbers, self.settings, self.counter = dict(numbers), settings, counter
        self.moments = {name: [0.0, 0.0] for name in numbers}

    def update(self, loss):
        """Move against the gradient of `loss`, a function of the numbers; return the loss before."""
        before = loss(self.numbers)
        gradients = {}
        for name in self.numbers:
            up, down = dict(self.numbers), dict(self.numbers)
            up[name], down[name] = up[name] + 1e-6, down[name] - 1e-6
            gradients[name] = (loss(up) - loss(down)) / 2e-6
        beta1, beta2 = self.settings.beta1, self.settings.beta2
        rate = RATE * self.settings.decay_rate ** (self.counter[0] / self.settings.decay_steps)
        self.counter[0] += 1
        corrected = rate * np.sqrt(1 - beta2 ** self.counter[0]) / (1 - beta1 ** self.counter[0])
        for name, gradient in gradients.items():
            moments = self.moments[name]
            moments[0] = beta1 * moments[0] + (1 - beta1) * gradient
            moments[1] = beta2 * moments[1] + (1 - beta2) * gradient**2
            self.numbers[name] -= corrected * moments[0] / (np.sqrt(moments[1]) + self.settings.epsilon)
        return before


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(probability, target):
    return np.mean(-target * np.log(probability) - (1 - target) * np.log(1 - probability))


def flat(array):
    return np.asarray(array, np.float64).reshape(len(array))


def mlp_as_published(g, d, real, labels, noise):
    """Tutorial: D on BCE(real, 1) + BCE(fake, 0), then G on BCE(D(G(z)), 1) with the same z; both in training mode."""
    z = flat(noise.discriminator[0].inputs[0])
    fake = image(g.numbers, z, 0, True)
    scalars = accuracies(d.numbers, real, fake)
    scalars["loss_d"] = d.update(
        lambda n: cross_entropy(sigmoid(logit(n, real)), 1) + cross_entropy(sigmoid(logit(n, fake)), 0)
    )
    return {**scalars, **fool(g, d, z)}


def fool(g, d, z, loss=lambda fooled: -np.mean(np.log(fooled))):
    """Update G against D, by a loss of D's probabilities; return what is reported of it."""
    fool_rate = np.mean(logit(d.numbers, image(g.numbers, z, 0, True)) > 0)
    loss_g = g.update(lambda n: loss(sigmoid(logit(d.numbers, image(n, z, 0, True)))))
    return {"fool_rate": fool_rate, "loss_g": loss_g}


def accuracies(d, real, fake):
    return {"accuracy_real": np.mean(logit(d, real) > 0), "accuracy_fake": np.mean(logit(d, fake) < 0)}
