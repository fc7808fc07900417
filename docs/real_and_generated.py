"""Draw docs/real_and_generated.png: python docs/real_and_generated.py RUN

RUN is one of `train --recipe rpgan --dataset digits --set data.classes=10 --set scores.every_epochs=0 --epochs 12`.
Left are the first test images of each class of that data set, which the project draws itself. Right are the images that
the run draws for seed 1. Nothing is selected.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a clone
import ms_gan
from ms_gan import data

ROWS, CLASSES, GAP, BETWEEN = 5, 10, 2, 24  # a column for each digit; pixels between images, and between both halves


def real() -> np.ndarray:
    """Return the first images of each digit, uint8 (ROWS, CLASSES, 28, 28)."""
    test = data.load("digits", "test")
    return np.stack([test.images[test.labels == digit][:ROWS, 0] for digit in range(CLASSES)], axis=1)


def generated(run: str) -> np.ndarray:
    """Return the images of seed 1, each digit in turn, uint8 (ROWS, CLASSES, 28, 28)."""
    return ms_gan.load(run).sample(ROWS * CLASSES).reshape(ROWS, CLASSES, 28, 28)


def sheet(images: np.ndarray) -> np.ndarray:
    """Return images (rows, columns, height, width) as one picture, with gaps of mid-grey."""
    spaced = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, GAP)), constant_values=128)
    rows, columns, height, width = spaced.shape
    return spaced.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)[:-GAP, :-GAP]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python docs/real_and_generated.py RUN")
    halves = sheet(real()), sheet(generated(sys.argv[1]))
    white = np.full((halves[0].shape[0], BETWEEN), 255, np.uint8)
    Image.fromarray(np.hstack([halves[0], white, halves[1]])).save(Path(__file__).with_suffix(".png"), optimize=True)
