"""The compiled functions, called with NumPy's arrays: for checks and measurements, away from MindSpore."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np


class Functions:
    """The functions of one library, as `operators.cc` names them, without "ms_gan_"."""

    def __init__(self, library: str):
        self._library = ctypes.CDLL(library)

    def __call__(self, name: str, inputs: Sequence[np.ndarray], *shapes: Sequence[int]) -> Any:
        """Return what function `name` makes of inputs: an array, float32, of the given shape, or a list of several.

        Raises:
            RuntimeError: where the function reports that it cannot.
        """
        results = [np.full(shape, np.nan, np.float32) for shape in shapes]
        arrays = [np.ascontiguousarray(array) for array in inputs] + results
        count = len(arrays)
        data = (ctypes.c_void_p * count)(*(array.ctypes.data for array in arrays))
        dimensions = (ctypes.c_int * count)(*(array.ndim for array in arrays))
        sizes = [(ctypes.c_int64 * array.ndim)(*array.shape) for array in arrays]
        shapes_of = (ctypes.c_void_p * count)(*(ctypes.addressof(size) for size in sizes))
        types = (ctypes.c_char_p * count)(*(array.dtype.name.encode() for array in arrays))
        status = getattr(self._library, f"ms_gan_{name}")(count, data, dimensions, shapes_of, types, None, None)
        if status != 0:
            raise RuntimeError(f"{name} returned {status}")
        return results[0] if len(results) == 1 else results
