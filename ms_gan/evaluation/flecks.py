"""How many images on a dark ground, such as written digits, have flecks or broken strokes: pure functions of arrays.

A judge hardly sees such faults. Some real images have them, too, so a share has to be compared with that of real ones.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ms_gan.evaluation.metrics import BLOCK, luminance

LIT = 0.25  # of white: brighter pixels are drawn, the others are ground
FLECK = 4  # pixels, at most
DARK_BORDER = 0.75  # of the pixels at the border, at least, where the ground is dark


class Faulty(NamedTuple):
    """Shares of images with a fault. A part is all pixels above LIT that touch each other, also by their corners.

    Attributes:
        flecked: those with a part of at most FLECK pixels beside their largest part.
        broken: those with a part of more pixels beside their largest part.
    """

    flecked: float
    broken: float


def faulty(images: np.ndarray) -> Faulty:
    """Return how many images are flecked or broken, by luminance: uint8, or float32 in [0, 1], N×C×H×W, N at least 1.

    Where a drawing lies in its image makes no difference. Unbiased in N. If k images have a fault, chance alone
    varies k by about √k.
    """
    blocks = [_faults(luminance(images[start : start + BLOCK])) for start in range(0, len(images), BLOCK)]
    return Faulty(*np.concatenate(blocks, axis=1).mean(1).tolist())


def has_dark_ground(images: np.ndarray) -> bool:
    """Return whether DARK_BORDER or more of all border pixels have a luminance of at most LIT; `images` as above."""
    sides = [images[:, :, 0], images[:, :, -1], images[:, :, 1:-1, 0], images[:, :, 1:-1, -1]]
    return float(np.mean(luminance(np.concatenate(sides, axis=2)[..., None]) <= LIT)) >= DARK_BORDER


def _faults(grey: np.ndarray) -> np.ndarray:
    """Return which images, float32 N×H×W, are flecked, and which are broken: bool (2, N)."""
    count, height, width = grey.shape
    column = np.pad(grey, ((0, 0), (1, 1), (1, 1))).reshape(-1, width + 2)  # one below the other: one call for all
    stats = cv2.connectedComponentsWithStats(np.uint8(column > LIT), connectivity=8)[2][1:]  # the first is the ground
    image, pixels = stats[:, cv2.CC_STAT_TOP] // (height + 2), stats[:, cv2.CC_STAT_AREA]
    order = np.lexsort((pixels, image))
    beside = order[:-1][image[order[:-1]] == image[order[1:]]]  # all but the last, the largest, of each image
    small = pixels[beside] <= FLECK
    return np.stack([np.bincount(image[beside[some]], minlength=count) > 0 for some in (small, ~small)])
