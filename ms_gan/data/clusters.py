"""Groups of images that look alike, for a generator of unlabelled images to choose from."""

from __future__ import annotations

import numpy as np

SIDE = 14  # blocks, across and down, whose sums an image is compared by
FITTED = 10_000  # images by which the centres are found, at most
ROUNDS = 50  # of moving them, at most
BLOCK = 20_000  # images whose distances are in memory at once


def find_clusters(images: np.ndarray, count: int) -> np.ndarray:
    """Put images, uint8, N×C×S×S, into `count` groups of such as look alike: int32 (N,), 0 to count − 1.

    k-means (Lloyd 1982) on sums of blocks of pixels, begun by k-means++ (Arthur and Vassilvitskii 2007), always with
    the same choices. All numbers are whole, and small enough for float64 to add up in any order without rounding: the
    same images make the same groups on every machine, so these are found again when a run goes on elsewhere, and mean
    the same to a run that begins with another's networks. A group may be empty where images are alike or few.
    """
    features = _features(images)
    stream = np.random.Generator(np.random.Philox(key=0))
    some = features[np.sort(stream.permutation(len(features))[:FITTED])]
    centres = _begin(some, count, stream)
    groups = None
    for _ in range(ROUNDS):
        before, groups = groups, _nearest(some, centres)
        if before is not None and (groups == before).all():
            break
        sizes = np.bincount(groups, minlength=count)
        sums = np.stack([some[groups == number].sum(0) for number in range(count)])
        centres = np.where(sizes[:, None] > 0, np.rint(sums / np.maximum(sizes, 1)[:, None]), centres)
    return np.concatenate([_nearest(features[start:start + BLOCK], centres)
                           for start in range(0, len(features), BLOCK)])


def _features(images: np.ndarray) -> np.ndarray:
    """Return the sums of blocks of pixels, whole numbers, float64 (N, C·blocks)."""
    size = images.shape[-1]
    edges = np.unique(np.arange(min(SIDE, size)) * size // min(SIDE, size))
    down = np.add.reduceat(images, edges, axis=2, dtype=np.int32)
    return np.add.reduceat(down, edges, axis=3).reshape(len(images), -1).astype(np.float64)


def _begin(features: np.ndarray, count: int, stream: np.random.Generator) -> np.ndarray:
    """Choose `count` features as centres, each the likelier, the farther it is from those before, squared."""
    centres = [features[stream.integers(len(features))]]
    left = _squared_distances(features, centres[0][None])[:, 0]
    while len(centres) < count:
        sums = np.cumsum(left)
        centres.append(features[np.searchsorted(sums, stream.random() * sums[-1], side="right") % len(features)])
        left = np.minimum(left, _squared_distances(features, centres[-1][None])[:, 0])
    return np.stack(centres)


def _nearest(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the number of each feature's nearest centre, of equally near ones the first: int32 (N,)."""
    return _squared_distances(features, centres).argmin(1).astype(np.int32)


def _squared_distances(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return (features**2).sum(1)[:, None] - 2 * features @ centres.T + (centres**2).sum(1)
