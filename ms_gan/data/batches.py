"""Which images make up which batch."""

from __future__ import annotations

import numpy as np

from ms_gan.errors import UserError


class EpochShuffle:
    """The indices of every batch of a run, each epoch in its own random order.

    The batch of a step is a pure function of the seed and the number of the
    step, with no state that a checkpoint would have to carry: a run that resumes
    at a step sees exactly the batches that it would have seen without the break.
    """

    def __init__(self, count: int, batch_size: int, seed: int):
        """Shuffle `count` images; 0 <= `seed` < 2**64. Raises UserError if they do not fill one batch."""
        if not 1 <= batch_size <= count:
            raise UserError(
                f"{count} images cannot fill a batch of {batch_size}; give --batch-size from 1 to {count}"
            )
        self.steps_per_epoch = count // batch_size  # the images left over wait for the next epoch's order
        self._count = count
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int32)

    def indices(self, step: int) -> np.ndarray:
        """Return the indices, int32 (batch_size,), of the batch of a step counted from 0 over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self._permutation(epoch), epoch
        start = position * self._batch_size
        return self._order[start : start + self._batch_size].copy()

    def _permutation(self, epoch: int) -> np.ndarray:
        # NumPy promises the raw stream of Philox for ever, that of Generator.permutation only for a version.
        key = np.array([self._seed, epoch], dtype=np.uint64)
        return np.argsort(np.random.Philox(key=key).random_raw(self._count), kind="stable").astype(np.int32)
