"""Which images make up which batch.

Each order is a pure function of the seed and the number of the step, with no state that a checkpoint
would have to carry: a run that resumes at a step sees exactly what it would have seen without the break.
"""

from __future__ import annotations

import functools

import numpy as np

from ms_gan.errors import Setting, UserError
from ms_gan.schema import recipe
from ms_gan.schema.recipe import SMALLEST_BATCH


class BatchOrder:
    """Says which images make up which batch, and how many steps an epoch has.

    Built with the number of images, how many of them a step takes, and a seed, 0 <= seed < 2**64. Raises UserError
    where the images cannot fill a batch.
    """

    repeats = False  # whether a batch may hold an image more than once

    def __init__(self, count: int, per_step: int, seed: int):
        if not 1 <= (1 if self.repeats else per_step) <= count:
            smaller = ("give a smaller ", Setting("schedule.batch_size"), " or more images")
            more = (f"have at least {SMALLEST_BATCH}, since no batch is smaller",)
            mend = smaller if count >= SMALLEST_BATCH else more
            raise UserError(f"{count} images cannot fill a batch of {per_step}", *mend)
        self.steps_per_epoch = max(1, count // per_step)
        self._count = count
        self._per_step = per_step
        self._seed = seed
        self._order = functools.lru_cache(maxsize=1)(self._shuffled)

    def indices(self, step: int) -> np.ndarray:
        """Return the indices, int32 (per_step,), of a step counted from 0 over all epochs."""
        raise NotImplementedError

    def _shuffled(self, epoch: int) -> np.ndarray:
        """Return all indices in the random order of an epoch, int32 (count,)."""
        return np.argsort(_raw(self._seed, epoch, self._count), kind="stable").astype(np.int32)


class EpochShuffle(BatchOrder):
    """Each epoch sees the images in a random order of its own; those left over wait for the next epoch's order."""

    def indices(self, step: int) -> np.ndarray:
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self._per_step
        return self._order(epoch)[start : start + self._per_step].copy()


class ContinuousShuffle(BatchOrder):
    """A queue of one random order of all images after the other: a batch may span two of them."""

    def indices(self, step: int) -> np.ndarray:
        first, last = step * self._per_step, (step + 1) * self._per_step
        parts = []
        while first < last:
            epoch, position = divmod(first, self._count)
            part = self._order(epoch)[position : position + last - first]
            parts.append(part)
            first += len(part)
        return np.concatenate(parts)


class WithReplacement(BatchOrder):
    """Each image of each batch is drawn from all of them."""

    repeats = True

    def indices(self, step: int) -> np.ndarray:
        return (_raw(self._seed, step, self._per_step) % np.uint64(self._count)).astype(np.int32)


# by the names that a recipe knows, in their order
SAMPLINGS: dict[str, type[BatchOrder]] = dict(zip(recipe.SAMPLINGS, (EpochShuffle, ContinuousShuffle, WithReplacement)))


def _raw(seed: int, counter: int, count: int) -> np.ndarray:
    # NumPy promises that the raw stream of Philox stays; the methods of Generator may change with a version.
    return np.random.Philox(key=np.array([seed, counter], dtype=np.uint64)).random_raw(count)
