"""The updates of CVAE and CVAE-GAN, worked out apart: networks of a few numbers, gradients by differences, in double.

As in `helpers.procedures`, nothing of what is expected uses MindSpore's gradients or the project's losses. The stand-in
networks are formulas of columns of numbers that NumPy and MindSpore read alike.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from helpers.procedures import (
    BATCH,
    RATE,
    STEPS,
    Data,
    Player,
    StandIn,
    assert_scalars,
    assert_weights,
    cross_entropy,
    sigmoid,
)
from mindspore import ops

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.nets.heads import Discriminator as DiscriminatorBase
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import adam
from ms_gan.schema.recipe import Latent
from ms_gan.steps.base import StepParts
from ms_gan.steps.cvae import CVAEStep
from ms_gan.steps.cvae_gan import CVAEGANStep
from ms_gan.steps.graph import on_device

REAL_FROM = np.log((1 / 3) / (2 / 3))  # where a D that sees two fakes for each real image stands at equilibrium

pytestmark = pytest.mark.usefixtures("device")

COUNT, PIXELS, LATENTS = 12, 3, 2
IMAGES = np.random.default_rng(7).uniform(0.05, 0.95, (COUNT, 1, 1, PIXELS)).astype(np.float32)
LABELS = {
    "classes": np.arange(COUNT, dtype=np.int32) % 3,
    "places": np.random.default_rng(8).integers(0, 4, (COUNT, 2)).astype(np.int32),
    "none": None,
}
START = {
    "encoder": {"a": 0.9, "b": -0.6, "h": 0.4, "k": -0.7, "l": 0.35},
    "generator": {"w": 0.8, "u": -0.45, "v": 0.3},
    "discriminator": {"p": 0.7, "q": -0.5, "r": 0.6, "s": 0.8, "c": 0.1},
}


def number_of(label):
    """A label as one number: its class, or a weighted sum of its tags."""
    return label if label.ndim == 1 else 0.4 * label[:, 0] - 0.7 * label[:, 1]


def code_columns(x, label, a, b, h, k, l):  # noqa: E741
    """E: two means and two log-variances, linear in pixels and label."""
    return a * x[:, 0] + h * label, b * x[:, 1] - h, k * x[:, 2] + l * label, l * x[:, 1] + k


def logit_columns(z, label, w, u, v):
    """G: three pixels before the sigmoid."""
    return w * z[:, 0] + u, u * z[:, 1] + v * label, v * z[:, 0] - w * z[:, 1]


def feature_columns(x, p, q):
    """D: four features, none of them linear in all pixels."""
    return p * x[:, 0], q * x[:, 1] * x[:, 2], p * x[:, 2] + q, q * x[:, 0] * x[:, 0]


def judgement(f, r, s, c):
    """D's head: the log-odds of "real"."""
    return r * f[:, 0] + s * f[:, 1] - s * f[:, 2] + r * f[:, 3] + c


class Labelled(StandIn):
    def __init__(self, network, labelled=False):
        super().__init__(network, START[network])
        self.labelled = labelled

    def label(self, label):
        assert (label is not None) == self.labelled
        return 0.0 if label is None else number_of(label.astype(ms.float32))


class Encoder(Labelled):
    def construct(self, images, label=None):
        x = images.reshape((-1, PIXELS))
        columns = code_columns(x, self.label(label), self.a, self.b, self.h, self.k, self.l)
        return ops.stack(columns[:LATENTS], 1), ops.stack(columns[LATENTS:], 1)


class Generator(Labelled):
    def logits(self, latent, label=None):
        columns = logit_columns(latent, self.label(label), self.w, self.u, self.v)
        return ops.stack(columns, 1).reshape((-1, 1, 1, PIXELS))

    def construct(self, latent, label=None):
        return ops.sigmoid(self.logits(latent, label))


class Discriminator(Labelled, DiscriminatorBase):
    convolution_count = 3

    def maps(self, images, count):
        """Return the first `count` features, as if each were what one more convolution makes."""
        return ops.stack(feature_columns(images.reshape((-1, PIXELS)), self.p, self.q)[:count], 1)

    def construct(self, images):
        return judgement(self.maps(images, 4), self.r, self.s, self.c).reshape((-1, 1))


def make_step(recipe_name, labels="none", distribution="normal", dropout_shapes=(), **changes):
    """The step of a recipe on those networks, and a player for each network, with an Adam of its own."""
    recipe = recipes.load(recipe_name)
    labelled = LABELS[labels] is not None
    names = recipes.FAMILIES[recipe.family].networks
    networks = {"encoder": Encoder("encoder", labelled), "generator": Generator("generator", labelled)}
    if "discriminator" in names:
        networks["discriminator"] = Discriminator("discriminator")
        networks["discriminator"].dropout_shapes = dropout_shapes
    optimizers, players = {}, {}
    for name, beta1 in zip(names, (0.9, 0.5, 0.7)):  # no two alike
        settings = dataclasses.replace(recipe.optimizers[name], learning_rate=RATE, beta1=beta1)
        optimizers[name] = adam(networks[name], f"optimizer_{name}", settings)
        players[name] = Player(START[name], settings, [0])
    latent = Latent(size=LATENTS, distribution=distribution)
    parts = StepParts(Data(IMAGES, LABELS[labels]), networks, optimizers, latent, 3 if labelled else 0, BATCH)
    step = {"cvae": CVAEStep, "cvae_gan": CVAEGANStep}[recipe.family]
    return step(parts, dataclasses.replace(recipe.updates, **changes)), SimpleNamespace(**players)


# The same in double precision, from dictionaries of numbers.


def encode(e, x, label, epsilon):
    """Latents mean + exp(½ log-variance)·ε, and the KL: the sum over latents, the mean over images."""
    columns = np.stack(code_columns(x, label, *e.values()), 1)
    mean, variance = columns[:, :LATENTS], np.exp(columns[:, LATENTS:])
    kl = 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(1).mean()
    return mean + np.sqrt(variance) * epsilon, kl


def draw(g, z, label):
    return sigmoid(np.stack(logit_columns(z, label, *g.values()), 1))


def features_of(d, x):
    return np.stack(feature_columns(x, d["p"], d["q"]), 1)


def logits_of(d, x):
    return judgement(features_of(d, x), d["r"], d["s"], d["c"])


def slopes_of(d, x):
    """What each pixel adds to the logit, worked out by hand from `judgement` of `feature_columns`."""
    p, q, r, s, _ = d.values()
    return np.stack((r * p + 2 * r * q * x[:, 0], s * q * x[:, 2], s * q * x[:, 1] - s * p), 1)


def of_probability(d, x, target):
    return cross_entropy(sigmoid(logits_of(d, x)), target)


def cvae_as_documented(players, x, label, noise, reconstruction, kl_weight):
    """−E log p(x | z) + kl_weight · KL, summed over an image, averaged over the batch; one gradient for E and G."""
    (epsilon,) = noise
    e, g = dict(players.encoder.numbers), dict(players.generator.numbers)

    def parts(e, g):
        z, kl = encode(e, x, label, epsilon)
        drawn = draw(g, z, label)
        if reconstruction == "bernoulli":
            errors = -x * np.log(drawn) - (1 - x) * np.log(1 - drawn)
        else:
            errors = (x - drawn) ** 2
        return errors.sum(1).mean(), kl

    def loss(e, g):
        reconstruction, kl = parts(e, g)
        return reconstruction + kl_weight * kl

    scalars = dict(zip(("loss_reconstruction", "loss_kl"), parts(e, g)), loss=loss(e, g))
    players.encoder.update(lambda n: loss(n, g))
    players.generator.update(lambda n: loss(e, n))
    return scalars


def cvae_gan_as_documented(
    players, x, label, noise, reconstruction_layer, reconstruction_weight, kl_weight, gamma, penalised
):
    """D on x, x̂ and x_p, and on its slope at the first x; then E on KL and D's maps, G on D's maps and what D says.

    Both see the new D, and each the other as it was before.
    """
    epsilon, prior = noise
    e, g, before = (dict(getattr(players, name).numbers) for name in ("encoder", "generator", "discriminator"))

    def reconstructed(e, g):
        return draw(g, encode(e, x, label, epsilon)[0], label)

    def sampled(g):
        return draw(g, prior, label)

    fakes = reconstructed(e, g), sampled(g)
    scalars = {
        "accuracy_real": np.mean(logits_of(before, x) > REAL_FROM),
        "accuracy_reconstructed": np.mean(logits_of(before, fakes[0]) < REAL_FROM),
        "accuracy_sampled": np.mean(logits_of(before, fakes[1]) < REAL_FROM),
    }

    def penalty(n):
        return (slopes_of(n, x[:penalised]) ** 2).sum(1).mean()

    def loss_d(n):
        return of_probability(n, x, 1) + of_probability(n, fakes[0], 0) + of_probability(n, fakes[1], 0)

    scalars["loss_d"], scalars["penalty_real"] = loss_d(before), penalty(before) if gamma else 0.0
    players.discriminator.update(lambda n: loss_d(n) + 0.5 * gamma * penalty(n))
    d = players.discriminator.numbers

    def distance(e, g):
        errors = features_of(d, x) - features_of(d, reconstructed(e, g))
        return (errors[:, :reconstruction_layer] ** 2).sum(1).mean()

    def adversarial(e, g):
        return 0.5 * (of_probability(d, reconstructed(e, g), 1) + of_probability(d, sampled(g), 1))

    scalars["fool_rate"] = np.mean(np.concatenate([logits_of(d, fake) for fake in fakes]) > REAL_FROM)
    scalars["loss_reconstruction"], scalars["loss_kl"] = distance(e, g), encode(e, x, label, epsilon)[1]
    scalars["loss_g"] = adversarial(e, g)
    players.encoder.update(
        lambda n: kl_weight * encode(n, x, label, epsilon)[1] + reconstruction_weight * distance(n, g)
    )
    players.generator.update(lambda n: reconstruction_weight * distance(e, n) + adversarial(e, n))
    return scalars


DOCUMENTS = [
    ("cvae_late", "classes", {"reconstruction": "bernoulli", "kl_weight": 1.0}),
    ("cvae_early", "none", {"reconstruction": "bernoulli", "kl_weight": 0.5}),
    ("cvae_late", "places", {"reconstruction": "squared", "kl_weight": 0.5}),
    (
        "cvae_gan",
        "places",
        {"reconstruction_layer": 3, "reconstruction_weight": 1.5, "kl_weight": 0.2, "gamma": 3.0, "penalised": 2},
    ),
    (
        "cvae_gan",
        "classes",
        {"reconstruction_layer": 2, "reconstruction_weight": 0.7, "kl_weight": 0.1, "gamma": 0.5, "penalised": 100},
    ),
    (
        "cvae_gan",
        "none",
        {"reconstruction_layer": 3, "reconstruction_weight": 1.0, "kl_weight": 0.5, "gamma": 0.0, "penalised": 2},
    ),
]


def draws(step, purpose="step"):
    """Yield for each step what is random in it, which images it takes, and these in double precision."""
    for number in range(STEPS):
        noise = step.draw_noise(random_stream(3, purpose, number))
        indices = np.random.default_rng(number).permutation(COUNT)[:BATCH].astype(np.int32)
        yield noise, indices, IMAGES[indices].astype(np.float64).reshape(BATCH, PIXELS)


@pytest.mark.parametrize("name, labels, updates", DOCUMENTS)
def test_the_step_does_what_is_documented(name, labels, updates):
    step, players = make_step(name, labels, **updates)
    procedure = cvae_gan_as_documented if name == "cvae_gan" else cvae_as_documented
    assert step.images_per_step == BATCH
    for noise, indices, x in draws(step):
        assert [(each.shape, each.dtype) for each in noise] == [((BATCH, LATENTS), np.float32)] * len(noise)
        label = 0.0 if labels == "none" else number_of(LABELS[labels][indices].astype(np.float64))
        expected = procedure(players, x, label, [each.astype(np.float64) for each in noise], **updates)
        assert_scalars(step, noise, indices, expected)
    for network in step.networks:
        player = getattr(players, network)
        assert_weights(getattr(step, network), player, START[network])
        moved = {key: abs(player.numbers[key] - start) for key, start in START[network].items()}
        assert min(moved.values()) > 0.01, f"{network}: {moved}, not as far as can be seen"


def test_a_cvae_gan_is_first_an_autoencoder_of_pixels():
    step, players = make_step("cvae_gan", "classes", pretraining_steps=7)
    cell = step.pretraining()
    assert step.pretraining_steps == 7
    for noise, indices, x in draws(step, "preparation"):
        label = number_of(LABELS["classes"][indices].astype(np.float64))
        expected = cvae_as_documented(players, x, label, [noise[0].astype(np.float64)], "squared", 0.05)
        found = cell(on_device((indices,)), on_device(noise)).asnumpy()
        wanted = [expected[name] for name in ("loss", "loss_reconstruction", "loss_kl")]
        assert found == pytest.approx(wanted, rel=2e-4, abs=2e-5)
    for network in step.networks:
        moved = assert_weights(getattr(step, network), getattr(players, network), START[network])
        assert (moved == 0) == (network == "discriminator"), f"{network}: D waits"


def test_latents_that_say_nothing_are_remarked():
    assert CVAEStep.remark(None, {"loss": 9.0, "loss_reconstruction": 8.9, "loss_kl": 0.11}) is None
    assert "next to nothing" in CVAEStep.remark(None, {"loss": 9.0, "loss_reconstruction": 8.9, "loss_kl": 0.09})


def test_the_equilibrium_is_where_d_cannot_tell_two_fakes_from_a_real_image():
    d = np.linspace(0.001, 0.999, 99_801)
    losses = -np.log(d) - 2 * np.log(1 - d)
    best = d[losses.argmin()]
    assert best == pytest.approx(1 / 3, abs=1e-4)
    assert CVAEGANStep.equilibrium["loss_d"][0] == pytest.approx(losses.min(), abs=1e-6)
    assert CVAEGANStep.equilibrium["loss_g"][0] == pytest.approx(-np.log(best), abs=1e-4)


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("cvae_gan", {"dropout_shapes": ((1, 1, 3),)}, "discriminator.dropout_rate=0"),
        ("cvae_gan", {"reconstruction_layer": 4}, "reconstruction_layer=4, but .* convolutions is 3"),
    ],
)
def test_what_these_updates_cannot_do_is_refused(name, changes, message):
    with pytest.raises(UserError, match=message):
        make_step(name, **changes)
