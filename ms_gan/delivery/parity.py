"""How far two ways to compute the same are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ms_gan.delivery.formats import ArrayFunction
from ms_gan.sampling import Inputs

PARITY_BATCHES = (1, 7, 64)  # images at a time, for which an export is compared


class ParityError(Exception):
    """The exported file does not compute what the checkpoint's network computes."""


def greatest_difference(
    expected: Sequence[tuple[np.ndarray, ...]], model: ArrayFunction, batches: Sequence[Inputs]
) -> float:
    """Return max |expected − found| over every number of a model's outputs for these batches; NaN counts as infinite.

    `expected` are the outputs that there should be for each batch.
    """
    greatest = 0.0
    for ones, batch in zip(expected, batches):
        others = model(*batch)
        if [one.shape for one in ones] != [other.shape for other in others]:
            raise ParityError("the file gives other outputs than the checkpoint's network")
        differences = [np.max(np.abs(one - other)) for one, other in zip(ones, others)]
        greatest = float(np.max(np.nan_to_num([greatest, *differences], nan=np.inf, posinf=np.inf)))
    return greatest
