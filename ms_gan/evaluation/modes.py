"""How many modes of stacked images a generator draws: each channel is a digit, and a mode is the number they make."""

from __future__ import annotations

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.evaluation.judge import Judge
from ms_gan.evaluation.metrics import mode_coverage, of_count
from ms_gan.evaluation.protocol import Subject, labels_of
from ms_gan.evaluation.scores import Scores

STACKED = 26_000  # samples in which modes are counted


def add_modes(scores: Scores, subject: Subject, judge: Judge, reference: ImageData, seed: int) -> None:
    """Count the modes of stacked images. `judge`, of the data set of the channels, reads each channel.

    The count is that of the reference images, uint8, N×C×H×W, but at most STACKED. Adds modes_<count> and kl_<count>,
    the divergence from uniform in nats, for as many samples and as many reference images. A conditional generator gets
    the reference images' labels.
    """
    count = min(STACKED, len(reference.images))
    labels = labels_of(reference)[:count] if subject.conditional else None
    images = subject.images(count, seed, labels)
    of_generated, of_real = (
        mode_coverage(_mode_of(judge, some), len(reference.classes)) for some in (images, reference.images[:count])
    )
    scores.add_each(f"{{}}_{of_count(count)}", of_generated, of_real)


def _mode_of(judge: Judge, images: np.ndarray) -> np.ndarray:
    """Return the number that the digits of an image's channels make, int64 (N,)."""
    digits = [judge.read(images[:, channel : channel + 1]) for channel in range(images.shape[1])]
    return sum(read * len(judge.classes) ** place for place, read in enumerate(reversed(digits)))
