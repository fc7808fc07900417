"""Batches: which images each way of sampling promises, and that no step depends on the steps before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan.data.batches import SAMPLINGS, ContinuousShuffle, EpochShuffle, WithReplacement
from ms_gan.errors import UserError

every_sampling = pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)


def drawn(sampler, first, count):
    """All that `count` steps draw, in one row."""
    return np.concatenate([sampler.indices(step) for step in range(first, first + count)])


# every sampling


@every_sampling
def test_batches_depend_on_seed_and_step_only(sampling):
    in_order = sampling(100, 30, seed=7)
    expected = [in_order.indices(step) for step in range(40)]
    jumping = sampling(100, 30, seed=7)
    for step in (39, 0, 25, 25, 11, 38, 1):
        assert np.array_equal(jumping.indices(step), expected[step])


@every_sampling
def test_a_batch_holds_indices_of_images(sampling):
    batches = [sampling(10, 7, seed=2**64 - 1).indices(step) for step in (0, 1, 2, 10**9)]
    assert all(batch.shape == (7,) and batch.dtype == np.int32 for batch in batches)
    assert min(batch.min() for batch in batches) >= 0 and max(batch.max() for batch in batches) < 10


@every_sampling
def test_an_epoch_has_the_steps_that_the_images_fill(sampling):
    assert [sampling(count, 10, seed=0).steps_per_epoch for count in (10, 19, 20, 105)] == [1, 1, 2, 10]


@every_sampling
def test_steps_and_seeds_differ(sampling):
    sampler = sampling(100, 100, seed=7)
    assert not np.array_equal(sampler.indices(0), sampler.indices(1))
    assert not np.array_equal(sampler.indices(0), sampling(100, 100, seed=8).indices(0))


@every_sampling
def test_a_batch_can_be_changed_without_harm(sampling):
    sampler = sampling(10, 5, seed=0)
    before = sampler.indices(0).copy()
    sampler.indices(0)[:] = -1
    assert np.array_equal(sampler.indices(0), before)


@pytest.mark.parametrize(
    "sampling, expected",
    [
        (EpochShuffle, [3, 5, 2, 7, 0, 6, 1, 4]),
        (ContinuousShuffle, [3, 5, 2, 7, 0, 6, 1, 4]),
        (WithReplacement, [7, 7, 2, 2, 4, 1, 6, 5]),
    ],
)
def test_the_stream_is_the_same_for_ever(sampling, expected):
    assert sampling(8, 8, seed=1).indices(0).tolist() == expected


@pytest.mark.parametrize(
    "sampling, count, batch_size, mend",
    [
        (EpochShuffle, 10, 11, "give a smaller schedule.batch_size"),
        (EpochShuffle, 3, 4, "have at least 4"),
        (EpochShuffle, 4, 5, "give a smaller schedule.batch_size"),
        (ContinuousShuffle, 0, 1, "have at least 4"),
        (WithReplacement, 0, 4, "have at least 4"),
    ],
)
def test_a_batch_that_cannot_be_filled_is_refused(sampling, count, batch_size, mend):
    with pytest.raises(UserError, match=rf"\b{count} images .* {batch_size}; {mend}"):
        sampling(count, batch_size, seed=0)


# epochs


@settings(deadline=None)
@given(
    count=st.integers(1, 300), batch_size=st.integers(1, 40), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 9)
)
def test_no_index_twice_in_an_epoch(count, batch_size, seed, epoch):
    batch_size = min(batch_size, count)
    shuffle = EpochShuffle(count, batch_size, seed)
    indices = drawn(shuffle, epoch * shuffle.steps_per_epoch, shuffle.steps_per_epoch)
    assert len(set(indices.tolist())) == len(indices) == count // batch_size * batch_size


# continuous


@settings(deadline=None)
@given(
    count=st.integers(1, 60), batch_size=st.integers(1, 60), seed=st.integers(0, 2**64 - 1), first=st.integers(0, 10**6)
)
def test_a_queue_holds_every_image_once_in_each_epoch(count, batch_size, seed, first):
    """Wherever one looks: the rest of an epoch, two whole ones, and the beginning of the next."""
    batch_size = min(batch_size, count)
    row = drawn(ContinuousShuffle(count, batch_size, seed), first, -(-3 * count // batch_size))
    begins = -first * batch_size % count  # the first place in the row where an epoch begins
    assert len(set(row[:begins].tolist())) == begins
    for start in (begins, begins + count):
        assert sorted(row[start : start + count]) == list(range(count))
    rest = row[begins + 2 * count :][:count]
    assert len(set(rest.tolist())) == len(rest)


# replacement


def test_with_replacement_every_image_is_as_likely():
    # Of 49 degrees of freedom: mean 49, standard deviation 9.9; 100 is five of these away.
    counts = np.bincount(drawn(WithReplacement(50, 40, seed=5), 0, 1250), minlength=50)
    assert len(counts) == 50 and counts.sum() == 50_000
    assert ((counts - 1000.0) ** 2 / 1000).sum() < 100


def test_with_replacement_the_same_image_may_come_twice():
    # Of 40 draws from 50 images 50 (1 - 0.98^40) = 27.7 differ on average.
    sampler = WithReplacement(50, 40, seed=5)
    different = [len(set(sampler.indices(step).tolist())) for step in range(1000)]
    assert max(different) < 40
    assert np.mean(different) == pytest.approx(27.7, abs=0.4)


def test_with_replacement_a_batch_may_be_larger_than_the_data():
    sampler = WithReplacement(3, 64, seed=0)
    assert sampler.steps_per_epoch == 1
    assert set(sampler.indices(0).tolist()) == {0, 1, 2}
