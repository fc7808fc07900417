"""Files in MNIST's format, tiny ones."""

from __future__ import annotations

import gzip
import struct

import numpy as np

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_bytes(array):
    """Return an array as an IDX file: of whole numbers if it is of the type >i4, else of bytes."""
    array = np.asarray(array)
    kind, array = (0x0C, array) if array.dtype == ">i4" else (8, np.uint8(array))
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


def contents(train=12, test=5, seed=0):
    """Return the four files of a tiny MNIST, plain, by the names without .gz."""
    random = np.random.default_rng(seed)
    arrays = []
    for count in (train, test):
        arrays += [random.integers(0, 256, (count, 28, 28)), np.arange(count) % 10]
    return dict(zip(NAMES, map(idx_bytes, arrays)))


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
