"""Bounds of the likelihood: the weights against log densities written out in NumPy, the bounds against quadrature."""

from __future__ import annotations

import math

import bounds
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from ms_gan import recipes
from ms_gan.data.description import ImageData
from ms_gan.recipes.build import build_step

pytestmark = pytest.mark.usefixtures("device")

CLASSES, SIZE = 3, 2  # of labels; of the latent
SHAPE = (1, 2, 3)  # of an image


class Numbers:
    """The numbers of a linear encoder and decoder whose label adds to what they say: float64, drawn once."""

    def __init__(self):
        stream = np.random.default_rng(1)
        pixels = math.prod(SHAPE)
        self.mean, self.log_variance = stream.normal(0, 0.7, (2, pixels, SIZE))
        self.mean_of_label, self.log_variance_of_label = stream.normal(0, 0.5, (2, CLASSES, SIZE))
        self.logits = stream.normal(0, 1.5, (SIZE, pixels))
        self.logits_of_label = stream.normal(0, 1, (CLASSES, pixels))
        self.images = stream.random((7, *SHAPE))
        self.labels = np.int32([2, 0, 1, 1, 2, 0, 0])


@pytest.fixture(scope="module")
def numbers():
    return Numbers()


class Encoder(nn.Cell):
    """x and a label to mean and log-variance, linear."""

    def __init__(self, numbers, dtype=np.float64):
        super().__init__()
        self.of_image = Tensor(np.concatenate((numbers.mean, numbers.log_variance), 1).astype(dtype))
        self.of_label = Tensor(np.concatenate((numbers.mean_of_label, numbers.log_variance_of_label), 1).astype(dtype))

    def construct(self, images, label):
        both = ops.matmul(images.reshape((images.shape[0], -1)), self.of_image) + ops.gather(self.of_label, label, 0)
        return both[:, :SIZE], both[:, SIZE:]


class Decoder(nn.Cell):
    """z and a label to the logits of an image, linear."""

    def __init__(self, numbers, dtype=np.float64):
        super().__init__()
        self.of_latent = Tensor(numbers.logits.astype(dtype))
        self.of_label = Tensor(numbers.logits_of_label.astype(dtype))

    def logits(self, latent, label):
        return (ops.matmul(latent, self.of_latent) + ops.gather(self.of_label, label, 0)).reshape((-1, *SHAPE))


def encode(numbers):
    """Mean and log-variance of all images, float64, (7, SIZE) each."""
    flat = numbers.images.reshape(len(numbers.images), -1)
    return (
        flat @ numbers.mean + numbers.mean_of_label[numbers.labels],
        flat @ numbers.log_variance + numbers.log_variance_of_label[numbers.labels],
    )


def log_normal(z, mean, variance):
    """log N(z; mean, variance), summed over the last axis."""
    return (-0.5 * np.log(2 * np.pi * variance) - (z - mean) ** 2 / (2 * variance)).sum(-1)


def log_bernoulli(numbers, z):
    """Σ x log p + (1 − x) log (1 − p) over the pixels of an image, p = 1 / (1 + exp(−logit)); z: (…, 7, SIZE)."""
    logits = z @ numbers.logits + numbers.logits_of_label[numbers.labels]
    x = numbers.images.reshape(len(numbers.images), -1)
    return -(x * np.log(1 + np.exp(-logits)) + (1 - x) * np.log(1 + np.exp(logits))).sum(-1)


def log_likelihood(numbers):
    """log ∫ p(x | z, label) N(z; 0, 1) dz of each image, by Gauss-Hermite quadrature in two dimensions."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.stack(np.meshgrid(points, points), -1).reshape(-1, 1, SIZE)
    shares = np.outer(weights, weights).reshape(-1, 1) / (2 * np.pi)
    return np.log((shares * np.exp(log_bernoulli(numbers, z))).sum(0))


class Drawer(Decoder):
    """The same numbers as the image itself."""

    def construct(self, latent, label):
        return self.logits(latent, label)


def test_weights_are_those_of_the_densities_written_out(numbers, pynative):
    epsilon = np.random.default_rng(2).standard_normal((7, SIZE))
    cell = bounds.ImportanceWeight(Encoder(numbers), Decoder(numbers))
    inputs = [Tensor(array) for array in (numbers.images, epsilon, numbers.labels)]
    weight, prior_to_posterior, kl = (output.asnumpy() for output in cell(*inputs))
    mean, log_variance = encode(numbers)
    variance = np.exp(log_variance)
    z = mean + np.sqrt(variance) * epsilon
    expected = log_normal(z, 0, np.ones(SIZE)) - log_normal(z, mean, variance)
    np.testing.assert_allclose(prior_to_posterior, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(weight, expected + log_bernoulli(numbers, z), rtol=0, atol=1e-12)
    np.testing.assert_allclose(kl, 0.5 * (variance + mean**2 - 1 - log_variance).sum(1), rtol=0, atol=1e-12)
    of_normal_pixels = bounds.ImportanceWeight(Encoder(numbers), Drawer(numbers), variance=0.3)
    drawn = z @ numbers.logits + numbers.logits_of_label[numbers.labels]
    expected += log_normal(numbers.images.reshape(7, -1), drawn, 0.3)
    np.testing.assert_allclose(of_normal_pixels(*inputs)[0].asnumpy(), expected, rtol=1e-6)


def test_weights_stay_finite_where_the_decoder_is_certain(numbers, pynative):
    class Certain(nn.Cell):
        def logits(self, latent, label):
            return ops.full((7, *SHAPE), 1000.0, dtype=ms.float32)

    images = np.float32(numbers.images.round())
    cell = bounds.ImportanceWeight(Encoder(numbers, np.float32), Certain())
    inputs = [Tensor(array) for array in (images, np.zeros((7, SIZE), np.float32), numbers.labels)]
    weight, prior_to_posterior, _ = (output.asnumpy() for output in cell(*inputs))
    np.testing.assert_allclose(weight - prior_to_posterior, -1000 * (1 - images).sum((1, 2, 3)), rtol=1e-5, atol=1e-3)


@pytest.fixture(scope="module")
def drawn(numbers):
    """ImportanceWeight's three outputs for 400 ε an image, as the benchmarks get them."""
    return bounds.log_weights(
        bounds.ImportanceWeight(Encoder(numbers, np.float32), Decoder(numbers, np.float32)),
        np.float32(numbers.images),
        (numbers.labels,),
        SIZE,
        samples=400,
        seed=3,
    )


def test_the_bound_rises_with_the_samples_towards_the_likelihood(numbers, drawn):
    exact = log_likelihood(numbers).mean()
    rises = [bounds.importance_bound(drawn[0], k) for k in (1, 2, 8, 50, 400)]
    assert all(after - before > 1e-4 for before, after in zip(rises, rises[1:4])), rises
    assert rises[0] < exact - 0.1, "the encoder is none that fits"
    assert abs(rises[-1] - exact) < 0.05, (rises, exact)


def test_the_second_output_is_minus_kl_in_the_mean(drawn):
    _, prior_to_posterior, kl = drawn
    assert prior_to_posterior.shape == kl.shape == (400, 7)
    assert np.ptp(kl, 0).max() == 0, "KL does not depend on ε"
    for each, formula in ((prior_to_posterior, kl[0]), (prior_to_posterior.mean(1, keepdims=True), kl[0].mean())):
        standard_error = each.std(0, ddof=1) / math.sqrt(400)
        errors = each.mean(0, dtype=np.float64) + formula
        assert (np.abs(errors) < 3 * standard_error).all(), errors / standard_error
    assert standard_error < 0.06 * formula, "or it says nothing"


def test_samples_are_those_of_the_seed_however_many_images_go_at_once(numbers, drawn, monkeypatch, pynative):
    weight = bounds.ImportanceWeight(Encoder(numbers, np.float32), Decoder(numbers, np.float32))
    arguments = weight, np.float32(numbers.images), (numbers.labels,), SIZE, 3
    monkeypatch.setattr(bounds, "CHUNK", 3)
    for found, expected in zip(bounds.log_weights(*arguments, seed=3), drawn):
        np.testing.assert_allclose(found, expected[:3], rtol=0, atol=1e-5)
    assert np.abs(bounds.log_weights(*arguments, seed=4)[0] - drawn[0][:3]).min() > 1e-6
    assert np.abs(np.diff(drawn[0][:3], axis=0)).min() > 1e-6, "each sample has its own ε"


def test_bounds_by_hand():
    weights = np.float32([[0, -3000], [math.log(3), -3000], [math.log(5), -3001], [math.log(7), -2999]])
    assert bounds.importance_bound(weights, 1) == pytest.approx(weights.astype(np.float64).mean(), abs=1e-9)
    pairs = (math.log(2) + math.log(6)) / 2, (-3000 + math.log((math.exp(-1) + math.exp(1)) / 2) - 3000) / 2
    assert bounds.importance_bound(weights, 2) == pytest.approx(sum(pairs) / 2, abs=1e-6)
    all_four = math.log(4), -3000 + math.log((2 + math.exp(-1) + math.exp(1)) / 4)
    assert bounds.importance_bound(weights, 4) == pytest.approx(sum(all_four) / 2, abs=1e-6)


def test_one_sample_gives_minus_the_loss_of_the_step(pynative):
    recipe = recipes.override(
        recipes.load("cvae_early"),
        (
            "data.size=8",
            "data.rotate_and_mirror=False",
            "latent.size=4",
            "encoder.widths=[3]",
            "encoder.dense_width=6",
            "generator.widths=[3]",
            "generator.start_channels=3",
            "generator.dense_width=6",
            "schedule.batch_size=4",
            "updates.reconstruction=bernoulli",
            "updates.kl_weight=1.0",
        ),
    )
    stream = np.random.default_rng(5)
    images = stream.integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    labels = np.int32([[1, 4] + [0] * 7, [28] + [0] * 8, [0] * 9, [2, 3, 9] + [0] * 6])
    names = tuple(map(str, range(28)))
    step = build_step(recipe, ImageData("noise", "train", "a test", images, labels, names, 9), seed=1)
    inputs = [Tensor(images.astype(np.float32) / 255), Tensor(stream.standard_normal((4, 4)).astype(np.float32))]
    _, (loss, _, loss_kl) = step.loss(inputs[0], (Tensor(labels),), inputs[1])
    cell = bounds.ImportanceWeight(step.encoder, step.generator)
    weight, prior_to_posterior, kl = (output.asnumpy() for output in cell(*inputs, Tensor(labels)))
    assert kl.mean() == pytest.approx(float(loss_kl), rel=1e-5)
    # the step takes KL by its formula where a weight has it at this ε
    assert bounds.importance_bound((weight - prior_to_posterior - kl)[None], 1) == pytest.approx(-float(loss), rel=1e-6)
