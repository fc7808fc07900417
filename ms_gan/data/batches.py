"""Which images make up which batch.

Each sampler is a pure function of the seed and the number of the step, with no state that a checkpoint
would have to carry: a run that resumes at a step sees exactly what it would have seen without the break.
"""

from __future__ import annotations

from typing import Callable, Protocol

import numpy as np

from ms_gan.errors import Setting, UserError


class Sampler(Protocol):
    """Says which images make up which batch.

    Built with the number of images, how many of them a step takes, and a seed, 0 <= seed < 2**64.
    """

    steps_per_epoch: int

    def indices(self, step: int) -> np.ndarray:
        """Return the indices, int32 (per_step,), of a step counted from 0 over all epochs."""


class EpochShuffle:
    """Each epoch sees the images in a random order of its own; those left over wait for the next epoch's order."""

    def __init__(self, count: int, per_step: int, seed: int):
        _require(count, per_step)
        self.steps_per_epoch = count // per_step
        self._per_step = per_step
        self._order = _Order(count, seed)

    def indices(self, step: int) -> np.ndarray:
        """Return the indices, int32 (per_step,), of a step counted from 0 over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self._per_step
        return self._order.of(epoch)[start : start + self._per_step].copy()


class ContinuousShuffle:
    """A queue of one random order of all images after the other: a batch may span two of them."""

    def __init__(self, count: int, per_step: int, seed: int):
        _require(count, per_step)
        self.steps_per_epoch = count // per_step
        self._count = count
        self._per_step = per_step
        self._order = _Order(count, seed)

    def indices(self, step: int) -> np.ndarray:
        """Return the indices, int32 (per_step,), of a step counted from 0 over all epochs."""
        first, last = step * self._per_step, (step + 1) * self._per_step
        parts = []
        while first < last:
            epoch, position = divmod(first, self._count)
            part = self._order.of(epoch)[position : position + last - first]
            parts.append(part)
            first += len(part)
        return np.concatenate(parts)


class WithReplacement:
    """Each image of each batch is drawn from all of them."""

    def __init__(self, count: int, per_step: int, seed: int):
        _require(count, 1)
        self.steps_per_epoch = max(1, count // per_step)
        self._count = count
        self._per_step = per_step
        self._seed = seed

    def indices(self, step: int) -> np.ndarray:
        """Return the indices, int32 (per_step,), of a step counted from 0 over all epochs."""
        return (_raw(self._seed, step, self._per_step) % np.uint64(self._count)).astype(np.int32)


SAMPLINGS: dict[str, Callable[[int, int, int], Sampler]] = {
    "epochs": EpochShuffle,
    "continuous": ContinuousShuffle,
    "replacement": WithReplacement,
}


class _Order:
    """The random order of an epoch; the last one is kept."""

    def __init__(self, count: int, seed: int):
        self._count = count
        self._seed = seed
        self._epoch = -1
        self._indices = np.empty(0, dtype=np.int32)

    def of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            raw = _raw(self._seed, epoch, self._count)
            self._indices, self._epoch = np.argsort(raw, kind="stable").astype(np.int32), epoch
        return self._indices


def _raw(seed: int, counter: int, count: int) -> np.ndarray:
    # NumPy promises that the raw stream of Philox stays; the methods of Generator may change with a version.
    return np.random.Philox(key=np.array([seed, counter], dtype=np.uint64)).random_raw(count)


def _require(count: int, per_step: int) -> None:
    if not 1 <= per_step <= count:
        raise UserError(
            f"{count} images cannot fill a batch of {per_step}",
            "give a smaller ",
            Setting("schedule.batch_size"),
            " or more images",
        )
