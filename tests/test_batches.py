"""Batches: each image once per epoch, and a step's batch never depends on the steps before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan.data.batches import EpochShuffle
from ms_gan.errors import UserError


@settings(deadline=None)
@given(
    count=st.integers(1, 300),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 9),
)
def test_no_index_twice_in_an_epoch(count, batch_size, seed, epoch):
    batch_size = min(batch_size, count)
    shuffle = EpochShuffle(count, batch_size, seed)
    assert shuffle.steps_per_epoch == count // batch_size
    first = epoch * shuffle.steps_per_epoch
    batches = [shuffle.indices(step) for step in range(first, first + shuffle.steps_per_epoch)]
    assert all(batch.shape == (batch_size,) and batch.dtype == np.int32 for batch in batches)
    indices = np.concatenate(batches)
    assert len(set(indices.tolist())) == len(indices)
    assert indices.min() >= 0 and indices.max() < count


def test_every_index_once_when_the_batches_fill_the_epoch():
    shuffle = EpochShuffle(60, 12, seed=3)
    indices = np.concatenate([shuffle.indices(step) for step in range(5)])
    assert sorted(indices) == list(range(60))
    assert list(indices) != list(range(60))


def test_batches_depend_on_seed_and_step_only():
    in_order = EpochShuffle(100, 10, seed=7)
    expected = [in_order.indices(step) for step in range(40)]
    jumping = EpochShuffle(100, 10, seed=7)
    for step in (39, 0, 25, 25, 11, 38, 1):
        assert np.array_equal(jumping.indices(step), expected[step])


def test_the_stream_is_the_same_for_ever():
    assert EpochShuffle(8, 8, seed=1).indices(0).tolist() == [3, 5, 2, 7, 0, 6, 1, 4]


def test_epochs_and_seeds_differ():
    shuffle = EpochShuffle(100, 100, seed=7)
    assert not np.array_equal(shuffle.indices(0), shuffle.indices(1))
    assert not np.array_equal(shuffle.indices(0), EpochShuffle(100, 100, seed=8).indices(0))


def test_a_batch_can_be_changed_without_harm():
    shuffle = EpochShuffle(10, 5, seed=0)
    before = shuffle.indices(0).copy()
    shuffle.indices(0)[:] = -1
    assert np.array_equal(shuffle.indices(0), before)


@pytest.mark.parametrize("count, batch_size", [(10, 11), (0, 1), (10, 0)])
def test_a_batch_that_cannot_be_filled_is_refused(count, batch_size):
    with pytest.raises(UserError, match=rf"\b{count} images .* {batch_size}; .*--batch-size"):
        EpochShuffle(count, batch_size, seed=0)
