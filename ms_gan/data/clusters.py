"""Groups of images that look alike, for a generator of unlabelled images to choose from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SIDE = 14  # blocks, across and down, by whose means images are compared
FITTED = 60_000  # images by which groups are found, at most
SMALL_GROUPS, IMAGES_IN_ONE = 1000, 20  # small groups that are joined: at most, and fewer where images are few
ROUNDS = 20  # of moving their centres, at most
BLOCK = 2000  # images whose distances are in memory at once
EXACT = 2**24  # up to here float32 knows every whole number


@dataclass(frozen=True)
class Clusters:
    """Groups that were found: the centres of small groups, float32 (K, D), and which group each is in, int32 (K,)."""

    centres: np.ndarray
    joined: np.ndarray

    def of(self, images: np.ndarray) -> np.ndarray:
        """Return the group that each image falls into: uint8, N×C×S×S, as those it was found in; int32 (N,)."""
        nearest = [
            _two_nearest(_features(images[start : start + BLOCK]), self.centres)[:, 0]
            for start in range(0, len(images), BLOCK)
        ]
        return self.joined[np.concatenate(nearest)]


def find_clusters(images: np.ndarray, count: int) -> Clusters:
    """Find `count` groups, 0 to count − 1, of images that look alike, in such images: uint8, N×C×S×S.

    k-means (Lloyd 1982) makes many small groups; then those are joined, two at a time, that the most images lie
    between, for their sizes: an image links its nearest centre with the next (Martinetz and Schulten 1994), and of two
    groups the mean number of links counts (average linkage, Sokal and Michener 1958). So a group may reach far, through
    images of which each is like the next, where k-means would cut it: 20 of MNIST part its digits better than 64 by
    k-means alone. With fewer than IMAGES_IN_ONE images for each of `count` nothing is joined.

    FITTED images, at most, take part; others fall into the groups that these make. Pixels and centres are whole
    numbers, small enough for float32 to add them up in any order without rounding: the same images make the same groups
    on every machine with the same version of NumPy (whose permutations they follow), and so are found again when a run
    goes on elsewhere. Other images, be it one less, make other groups. There may be fewer where images are alike.
    """
    stream = np.random.Generator(np.random.Philox(key=0))
    some = _features(images[np.sort(stream.permutation(len(images))[:FITTED])])
    centres = some[stream.permutation(len(some))[: max(count, min(SMALL_GROUPS, len(some) // IMAGES_IN_ONE))]]
    nearest = None
    for _ in range(ROUNDS):
        before, nearest = nearest, _two_nearest(some, centres)[:, 0]
        if before is not None and (nearest == before).all():
            break
        centres = _means(some, nearest)
    centres = centres[np.unique(_two_nearest(some, centres)[:, 0])]  # an empty small group has no links to be joined by
    return Clusters(centres, _join(_two_nearest(some, centres), count))


def _features(images: np.ndarray) -> np.ndarray:
    """Return the means of equal blocks of pixels of the images' middle, whole numbers, float32 (N, C·blocks).

    The largest is such that a sum of their products stays EXACT.
    """
    count, channels, size, _ = images.shape
    side = min(SIDE, size)
    block = size // side
    start = (size - side * block) // 2
    middle = images[:, :, start : start + side * block, start : start + side * block]
    sums = middle.reshape(count, channels, side, block, side, block).sum((3, 5), dtype=np.int32).reshape(count, -1)
    most = min(255, math.isqrt(EXACT // sums.shape[1]))
    return (sums * np.int32(most) // (255 * block**2)).astype(np.float32)


def _two_nearest(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the numbers of each feature's nearest centre and of the next: int32 (N, 2); of equally near the first."""
    lengths = (centres**2).sum(1)
    found = np.zeros((len(features), 2), np.int32)
    for start in range(0, len(features), BLOCK):
        distances = lengths - 2 * (
            features[start : start + BLOCK] @ centres.T
        )  # squared, less the feature's own length
        first = distances.argmin(1)
        distances[np.arange(len(first)), first] = np.inf
        found[start : start + BLOCK] = np.stack((first, distances.argmin(1)), 1)
    return found


def _means(features: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the mean of each group's features, rounded, float32; of groups without any none."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(features[order].astype(np.float64), starts)
    return np.rint(sums / sizes[:, None]).astype(np.float32)


def _join(near: np.ndarray, count: int) -> np.ndarray:
    """Join small groups until `count` are left: which of those each is in, int32 (K,).

    `near`, (N, 2), holds the numbers, 0 to K − 1, of the two groups that each image is nearest to, none of them empty.
    """
    sizes = np.bincount(near[:, 0]).astype(np.float64)
    links = np.zeros((len(sizes), len(sizes)))
    np.add.at(links, (near[:, 0], near[:, 1]), 1)
    links += links.T
    joined, left = np.arange(len(sizes)), np.full(len(sizes), True)
    means = links / np.outer(sizes, sizes)
    np.fill_diagonal(means, -1.0)
    for _ in range(len(sizes) - count):
        one, other = divmod(int(means.argmax()), len(means))
        joined[joined == other] = one
        links[one] += links[other]
        links[:, one] += links[:, other]
        sizes[one] += sizes[other]
        left[other] = False
        row = np.where(left, links[one] / np.maximum(sizes[one] * sizes, 1), -1.0)
        row[one] = -1.0
        means[one], means[:, one] = row, row
        means[other], means[:, other] = -1.0, -1.0
    return np.searchsorted(np.flatnonzero(left), joined).astype(np.int32)
