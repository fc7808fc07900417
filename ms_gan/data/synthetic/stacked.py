"""Stacked digits: three of them as the colours of one image, with 1,000 modes to find (Che et al. 2017)."""

from __future__ import annotations

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.data.synthetic.drawn import STREAMS
from ms_gan.errors import Setting, UserError

COUNTS = {"train": 128_000, "test": 26_000}  # as Lin et al. 2018 ("PacGAN") train, and as many as they sample
CLASSES = tuple(f"{number:03}" for number in range(1000))


def stack(digits: ImageData) -> ImageData:
    """Return images of three digits each, drawn with replacement, always the same ones: uint8, N×3×H×W.

    The first digit is the red channel, and the hundreds of the label. `digits` have one channel. Raises UserError
    unless they have ten classes.
    """
    if len(digits.classes) != 10:
        problem = f"{digits.called}: has {len(digits.classes)} classes, and stacked images are made of ten"
        raise UserError(problem, "name other data with ", Setting("data_path"))
    random = np.random.Generator(np.random.Philox(key=[0, STREAMS[digits.split]]))
    chosen = random.integers(0, len(digits.images), (COUNTS[digits.split], 3))
    assert digits.labels is not None
    labels = (digits.labels[chosen] @ np.array([100, 10, 1], np.int32)).astype(np.int32)
    return ImageData(
        "stacked_digits" if digits.name == "digits" else "stacked_mnist",
        digits.split,
        f"stacked from {digits.source}",
        digits.images[chosen, 0],
        labels,
        CLASSES,
        channels_from=digits.name,
    )
