"""The validation images: training images that no step sees, kept for scores."""

from __future__ import annotations

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.errors import Setting, UserError
from ms_gan.randomness import random_stream


def split_validation(images: ImageData, count: int, seed: int, keep_labels: bool) -> tuple[ImageData, ImageData | None]:
    """Return the images to train on and `count` validation images, which the seed chooses; None for a count of 0.

    With `keep_labels` there are fewer where a class or tag would else have no image to train on. Raises UserError where
    no image would be left to train on.
    """
    if count == 0:
        return images, None
    total = len(images.images)
    if count >= total:
        raise UserError(
            f"{images.called}: cannot hold out {count:,} of {total:,} images",
            "give a smaller ",
            Setting("scores.held_out"),
        )
    order = random_stream(seed, "held out").permutation(total)
    validation = np.zeros(total, bool)
    validation[order[:count]] = True
    if keep_labels:
        _give_back(images, validation, order[:count])
    return images.only(np.flatnonzero(~validation)), images.only(np.flatnonzero(validation))


def _give_back(images: ImageData, validation: np.ndarray, order: np.ndarray) -> None:
    """Give each class, or tag, without a training image the first validation image that has it. Changes `validation`.

    validation: bool (N,). order: the indices of validation images, the first ones first.
    """
    labels = images.labels
    assert labels is not None
    first = 1 if images.max_tags else 0  # 0 stands for no tag
    trained_on = set(labels[~validation].ravel().tolist())
    for number in order:
        own = {label for label in labels[number].ravel().tolist() if label >= first}
        if own - trained_on:
            validation[number] = False
            trained_on |= own
