"""Write images and labels in MNIST's format."""

import struct
from pathlib import Path

import numpy as np

NAMES = {"train": "train", "test": "t10k"}  # as the files of each split begin


def write_split(folder: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Write the two files of a split, "train" or "test".

    Args:
        folder: where; it is there already.
        split: which.
        images: uint8 (N, height, width).
        labels: uint8 (N,).
    """
    for kind, array, magic in (("images-idx3", images, 2051), ("labels-idx1", labels, 2049)):
        head = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
        (folder / f"{NAMES[split]}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
