"""Clusters of unlabelled images: k-means, then average linkage. A generator is trained on them as if on classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ms_gan.data.storage import let_go, parts_of

SIDE = 14  # blocks, across and down, whose means are an image's features
FITTED = 60_000  # images that the clusters are found by, at most
CELLS, IMAGES_PER_CELL = 1000, 20  # cells of k-means: at most, and fewer where images are few
ROUNDS = 20  # of k-means, at most
BLOCK = 2000  # images whose distances are in memory at once
EXACT = 2**24  # float32 holds every whole number up to here


@dataclass(frozen=True)
class Clusters:
    """Clusters that were found: `centres` of the cells, float32 (K, D), and the cluster of each cell, int32 (K,)."""

    centres: np.ndarray
    cluster_of_cell: np.ndarray

    def of(self, images: np.ndarray) -> np.ndarray:
        """Return the cluster of each image, int32 (N,). `images`: uint8, N×C×S×S, like those the clusters are from."""
        cells = [two_nearest(features(part), self.centres)[:, 0] for part in parts_of(images, BLOCK)]
        return self.cluster_of_cell[np.concatenate(cells)]


def find_clusters(images: np.ndarray, count: int) -> Clusters:
    """Find `count` clusters, 0 to count − 1, of images, uint8, N×C×S×S.

    Over-segments with k-means (Lloyd 1982), then merges cells by average linkage (Sokal and Michener 1958). The
    affinity of two cells is the number of images whose two nearest centres they are (Martinetz and Schulten 1994),
    divided by the product of their sizes. A cluster can thus follow a chain of similar images, where k-means would cut
    it: 20 clusters of MNIST separate its digits better than 64 by k-means alone. Nothing is merged where there are
    fewer than IMAGES_PER_CELL images for each of `count`.

    At most FITTED images take part; the others join the clusters that these make. Features and centres are whole
    numbers, small enough for float32 to add up in any order without rounding. So the same images make the same
    clusters on every machine with the same version of NumPy (whose permutations are used), and a run can find them
    again elsewhere. Other images, even one fewer, make other clusters. Identical images may make fewer than `count`.
    """
    stream = np.random.Generator(np.random.Philox(key=0))
    some = np.concatenate(list(_features_of(images, np.sort(stream.permutation(len(images))[:FITTED]))))
    centres = some[stream.permutation(len(some))[: max(count, min(CELLS, len(some) // IMAGES_PER_CELL))]]
    cells = None
    for _ in range(ROUNDS):
        before, cells = cells, two_nearest(some, centres)[:, 0]
        if before is not None and (cells == before).all():
            break
        centres = _means(some, cells)
    centres = centres[np.unique(two_nearest(some, centres)[:, 0])]  # an empty cell has no affinity to any other
    return Clusters(centres, average_linkage(two_nearest(some, centres), count))


def _features_of(images: np.ndarray, chosen: np.ndarray) -> Iterator[np.ndarray]:
    for indices in parts_of(chosen, BLOCK):
        yield features(images[indices])
        let_go(images)


def features(images: np.ndarray) -> np.ndarray:
    """Return the means of equal blocks of pixels at the images' middle: whole numbers, float32 (N, C·blocks).

    They are scaled so that no sum of their products exceeds EXACT.
    """
    count, channels, size, _ = images.shape
    side = min(SIDE, size)
    block = size // side
    start = (size - side * block) // 2
    middle = images[:, :, start : start + side * block, start : start + side * block]
    sums = middle.reshape(count, channels, side, block, side, block).sum((3, 5), dtype=np.int32).reshape(count, -1)
    white = min(255, math.isqrt(EXACT // sums.shape[1]))
    return (sums * np.int32(white) // (255 * block**2)).astype(np.float32)


def two_nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the indices of each point's nearest centre and of the next, int32 (N, 2); the first of equally near ones.

    Both arguments are as `features` returns them: (N, D) and (K, D).
    """
    lengths = (centres**2).sum(1)
    found = np.zeros((len(points), 2), np.int32)
    for start in range(0, len(points), BLOCK):
        # squared distances, less the point's own squared length
        distances = lengths - 2 * (points[start : start + BLOCK] @ centres.T)
        first = distances.argmin(1)
        distances[np.arange(len(first)), first] = np.inf
        found[start : start + BLOCK] = np.stack((first, distances.argmin(1)), 1)
    return found


def average_linkage(nearest: np.ndarray, count: int) -> np.ndarray:
    """Merge the two clusters of greatest affinity until `count` are left; return the cluster of each cell, int32 (K,).

    `nearest`, int (N, 2), holds each image's nearest cell and the next, 0 to K − 1; no cell is empty.
    """
    sizes = np.bincount(nearest[:, 0]).astype(np.float64)
    links = np.zeros((len(sizes), len(sizes)))
    np.add.at(links, (nearest[:, 0], nearest[:, 1]), 1)
    links += links.T
    affinity = links / np.outer(sizes, sizes)
    np.fill_diagonal(affinity, -np.inf)
    cluster = np.arange(len(sizes))
    for _ in range(len(sizes) - count):
        one, other = divmod(int(affinity.argmax()), len(affinity))
        cluster[cluster == other] = one
        links[one] += links[other]
        links[:, one] += links[:, other]
        sizes[one] += sizes[other]
        links[other] = links[:, other] = -np.inf  # it is part of `one` from now on
        affinity[one] = affinity[:, one] = links[one] / (sizes[one] * sizes)
        affinity[other] = affinity[:, other] = affinity[one, one] = -np.inf
    return np.unique(cluster, return_inverse=True)[1].astype(np.int32)


def _means(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the mean of each cell's points, rounded, float32; empty cells are left out."""
    order = np.argsort(cells, kind="stable")
    _, starts, sizes = np.unique(cells[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(points[order].astype(np.float64), starts)
    return np.rint(sums / sizes[:, None]).astype(np.float32)
