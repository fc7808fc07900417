"""Arrays on which metrics are computed here and, for the recorded values, by other libraries."""

from __future__ import annotations

import numpy as np


def features(seed, count, shift=0.0, spread=1.0, dimensions=16):
    """Like a classifier's behind a ReLU: correlated, many of them 0."""
    mix = np.random.default_rng(99).normal(size=(dimensions, dimensions))
    normal = np.random.default_rng(seed).standard_normal((count, dimensions))
    return np.maximum(normal @ mix * spread + shift, 0)


def draw_pixels():
    """Samples, validation and test images, float32, and labels of the samples and of the test images."""
    stream = np.random.default_rng(3)
    images = [np.float32(stream.random((count, 6, 6))) for count in (400, 100, 150)]
    return (*images, stream.integers(0, 4, 400), stream.integers(0, 4, 150))


REAL, GENERATED = features(1, 1500), features(2, 1200, 0.5, 0.8)
