"""The compiled functions, called with NumPy's arrays: for checks and measurements, away from MindSpore."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np


class Functions:
    """The functions of one library, as `convolution.cc` names them."""

    def __init__(self, library: str):
        self._library = ctypes.CDLL(library)

    def __call__(self, name: str, inputs: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray:
        """Return what function `name` makes of inputs, float32, (..., geometry): float32 of this shape.

        Raises:
            RuntimeError: where the function reports that it cannot.
        """
        result = np.full(shape, np.nan, np.float32)
        arrays = [np.ascontiguousarray(array) for array in (*inputs, result)]
        count = len(arrays)
        data = (ctypes.c_void_p * count)(*(array.ctypes.data for array in arrays))
        dimensions = (ctypes.c_int * count)(*(array.ndim for array in arrays))
        sizes = [(ctypes.c_int64 * array.ndim)(*array.shape) for array in arrays]
        shapes = (ctypes.c_void_p * count)(*(ctypes.addressof(size) for size in sizes))
        types = (ctypes.c_char_p * count)(*(array.dtype.name.encode() for array in arrays))
        status = getattr(self._library, name)(count, data, dimensions, shapes, types, None, None)
        if status != 0:
            raise RuntimeError(f"{name} returned {status}")
        return arrays[-1]
