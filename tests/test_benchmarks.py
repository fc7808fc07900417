"""What the benchmarks compute, by known answers; they are no part of the package."""

from __future__ import annotations

import gaussians
import numpy as np
import pytest
import tags


def test_what_a_tag_means_is_found_again():
    random = np.random.default_rng(0)
    of_tags, ground = random.random((3, 2, 2)), random.random((2, 2))
    labels = np.int32([[1, 3], [2, 0], [0, 0], [1, 2], [3, 0], [1, 0], [2, 3]])
    has = tags.indicators(labels, 3)
    assert has.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 1]]
    images = ground + np.einsum("nt,thw->nhw", has, of_tags)
    np.testing.assert_allclose(tags.meanings(images, has), of_tags.reshape(3, 4), atol=1e-12)


def test_rank_correlation():
    assert tags.rank_correlation(np.array([1.0, 5, 2]), np.array([10.0, 11, 10.5])) == pytest.approx(1)
    assert tags.rank_correlation(np.array([1.0, 5, 2]), -np.array([10.0, 11, 10.5])) == pytest.approx(-1)
    assert tags.rank_correlation(np.array([1.0, 1, 2, 2]), np.array([4.0, 1, 3, 2])) == pytest.approx(0)  # ties share
    assert tags.rank_correlation(np.array([7, 5, 5, 1]), np.array([3, 2, 1, 0])) == pytest.approx(0.9486833)


def test_a_perfect_sampler_of_the_mixture_finds_all_modes():
    points = gaussians.draw_points(100_000, np.random.default_rng(1))
    modes, share = gaussians.count_modes(points)
    assert modes == 25 and share == pytest.approx(1 - np.exp(-4.5), abs=0.001)  # P(radius < 3 sigma) in the plane


def test_modes_are_counted_by_good_points_alone():
    points = np.array([[0, 0], [0.14, 0], [0.16, 0], [2, 2.149], [4, 4.2], [1, 1], [-4, -4.05]])
    assert gaussians.count_modes(points) == (3, 4 / 7)
    assert gaussians.count_modes(np.full((5, 2), 1.0)) == (0, 0.0)


@pytest.mark.parametrize("family", ["gan", "rpgan"])
def test_each_family_of_the_comparison_trains_on_points(device, family):
    samples = gaussians.train(family, seed=1, steps=1)
    assert set(samples) == {"trained", "ema"}
    assert all(points.shape == (2500, 2) and np.isfinite(points).all() for points in samples.values())
