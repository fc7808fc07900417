"""Groups of images that look alike, for a generator of unlabelled images to choose from."""

from __future__ import annotations

import numpy as np

SIDE = 14  # blocks, across and down, by whose sums images are compared
FITTED = 10_000  # images by which the centres are found, at most
ROUNDS = 50  # of moving them, at most
BLOCK = 10_000  # images whose sums are in memory at once


def find_clusters(images: np.ndarray, count: int) -> np.ndarray:
    """Put images, uint8, N×C×S×S, into `count` groups of such as look alike: int32 (N,), 0 to count − 1.

    k-means (Lloyd 1982) on sums of blocks of pixels, begun by k-means++ (Arthur and Vassilvitskii 2007), always with
    the same choices. Pixels and centres are whole numbers, and distances between them small enough for float64 to add
    up in any order without rounding: the same images make the same groups on every machine, and so are found again when
    a run goes on elsewhere. Other images, be it one less, make other groups. One may be empty where images are alike.
    """
    stream = np.random.Generator(np.random.Philox(key=0))
    some = _features(images[np.sort(stream.permutation(len(images))[:FITTED])])
    centres = _begin(some, count, stream)
    groups = None
    for _ in range(ROUNDS):
        before, groups = groups, _nearest(some, centres)
        if before is not None and (groups == before).all():
            break
        sizes = np.bincount(groups, minlength=count)
        sums = np.stack([some[groups == number].sum(0) for number in range(count)])
        centres = np.where(sizes[:, None] > 0, np.rint(sums / np.maximum(sizes, 1)[:, None]), centres)
    return np.concatenate([_nearest(_features(images[start:start + BLOCK]), centres)
                           for start in range(0, len(images), BLOCK)])


def _features(images: np.ndarray) -> np.ndarray:
    """Return the sums of equal blocks of pixels of the images' middle, whole numbers, float64 (N, C·blocks)."""
    count, channels, size, _ = images.shape
    side = min(SIDE, size)
    block = size // side
    start = (size - side * block) // 2
    middle = images[:, :, start:start + side * block, start:start + side * block]
    sums = middle.reshape(count, channels, side, block, side, block).sum((3, 5), dtype=np.int32)
    return sums.reshape(count, -1).astype(np.float64)


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
