"""How likely an autoencoder finds images: lower bounds of log p(x | label), in nats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from ms_gan.latents import draw_latents
from ms_gan.losses import bernoulli_reconstruction_of_each, kl_of_each, squared_error_of_each
from ms_gan.randomness import random_stream

CHUNK = 500  # images at once


class ImportanceWeight(nn.Cell):
    """log p(x | z, label) + log p(z) − log q(z | x, label), with z = mean + exp(½ log-variance) · ε.

    Pixels are Bernoulli, or, with a `variance`, normal about the generator's image.

    Inputs: images in the pixel range [0, 1], float32, N×C×H×W; ε, float32, (N, latent_size); and the label, where there
    are labels. Outputs, float32, (N,): the weight; its part log p(z) − log q(z | x, label), whose mean over ε is −KL;
    and KL by its formula.
    """

    def __init__(self, encoder: nn.Cell, generator: nn.Cell, variance: float | None = None):
        super().__init__()
        self.encoder, self.generator, self.variance = encoder, generator, variance
        self.constant = 0.0 if variance is None else 0.5 * math.log(2 * math.pi * variance)
        self.set_train(False)

    def construct(self, images, epsilon, *label):
        mean, log_variance = self.encoder(images, *label)
        latent = mean + ops.exp(0.5 * log_variance) * epsilon
        if self.variance is None:
            losses = bernoulli_reconstruction_of_each(self.generator.logits(latent, *label), images)
        else:
            errors = squared_error_of_each(self.generator(latent, *label), images)
            losses = errors / (2 * self.variance) + self.constant * images[0].size
        prior_to_posterior = 0.5 * (epsilon * epsilon + log_variance - latent * latent).sum(1)
        return prior_to_posterior - losses, prior_to_posterior, kl_of_each(mean, log_variance)


def log_weights(
    weight: ImportanceWeight,
    images: np.ndarray,
    labels: Sequence[np.ndarray],
    latent_size: int,
    samples: int,
    seed: int,
) -> list[np.ndarray]:
    """Return ImportanceWeight's three outputs for `samples` seeded ε an image: float32, (samples, N) each.

    `images`: float32 in [0, 1], N×C×H×W; `labels`: none, or one array for them.
    """
    rows: list[list[np.ndarray]] = []
    for sample in range(samples):
        epsilon = draw_latents("normal", len(images), latent_size, random_stream(seed, "bound", sample))
        parts = []
        for start in range(0, len(images), CHUNK):
            chunk = [array[start : start + CHUNK] for array in (images, epsilon, *labels)]
            parts.append([output.asnumpy() for output in weight(*map(ms.Tensor, chunk))])
        rows.append([np.concatenate(part) for part in zip(*parts)])
    return [np.stack(column) for column in zip(*rows)]


def importance_bound(weights: np.ndarray, samples: int) -> float:
    """Return the mean over images of log (1/k) Σ_k w, k being `samples`, in nats (Burda et al. 2016, equation 8).

    `weights`: logarithms, (K, N), K a multiple of k, of whose groups of k the mean is taken. k = 1 gives the evidence
    lower bound; for greater k the bound rises, in expectation, towards log p(x).
    """
    groups = weights.astype(np.float64).reshape(-1, samples, weights.shape[1])
    greatest = groups.max(1)
    return float((greatest + np.log(np.exp(groups - greatest[:, None]).sum(1)) - math.log(samples)).mean())
