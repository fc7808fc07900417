"""Convolutions by the book, in NumPy: what the compiled ones are checked against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Geometry:
    """Strides and padding of a convolution; what is padded below and on the right follows from the sizes."""

    stride_h: int
    stride_w: int
    top: int
    left: int

    def array(self) -> np.ndarray:
        """Return it as the compiled functions take it."""
        return np.array([self.stride_h, self.stride_w, self.top, self.left], np.int32)


def _windows(geometry: Geometry, weight_shape: tuple, y_shape: tuple, height: int, width: int):
    """Yield for each number (a, b) of a kernel which rows and columns of y and of x it joins."""

    def ranges(size: int, out: int, stride: int, pad: int, tap: int):
        at = np.arange(out) * stride + tap - pad
        inside = (at >= 0) & (at < size)
        return np.flatnonzero(inside), at[inside]

    for a in range(weight_shape[2]):
        rows, from_rows = ranges(height, y_shape[2], geometry.stride_h, geometry.top, a)
        for b in range(weight_shape[3]):
            columns, from_columns = ranges(width, y_shape[3], geometry.stride_w, geometry.left, b)
            yield a, b, np.ix_(rows, columns), np.ix_(from_rows, from_columns)


def convolution(x: np.ndarray, weight: np.ndarray, geometry: Geometry, out_size: tuple[int, int]) -> np.ndarray:
    """Return y, (N, O, *out_size), of x, (N, I, H, W), and weight, (O, I, *kernel_size), in x's precision."""
    y = np.zeros((x.shape[0], weight.shape[0], *out_size), x.dtype)
    for a, b, (rows, columns), (from_rows, from_columns) in _windows(geometry, weight.shape, y.shape, *x.shape[2:]):
        y[:, :, rows, columns] += np.einsum(
            "nihw,oi->nohw", x[:, :, from_rows, from_columns], weight[:, :, a, b], optimize=True
        )
    return y


def to_input(dy: np.ndarray, weight: np.ndarray, geometry: Geometry, in_size: tuple[int, int]) -> np.ndarray:
    """Return the gradient with respect to x."""
    dx = np.zeros((dy.shape[0], weight.shape[1], *in_size), dy.dtype)
    for a, b, (rows, columns), (from_rows, from_columns) in _windows(geometry, weight.shape, dy.shape, *in_size):
        dx[:, :, from_rows, from_columns] += np.einsum(
            "nohw,oi->nihw", dy[:, :, rows, columns], weight[:, :, a, b], optimize=True
        )
    return dx


def to_weight(x: np.ndarray, dy: np.ndarray, geometry: Geometry, kernel_size: tuple[int, int]) -> np.ndarray:
    """Return the gradient with respect to the weight."""
    dw = np.zeros((dy.shape[1], x.shape[1], *kernel_size), x.dtype)
    for a, b, (rows, columns), (from_rows, from_columns) in _windows(geometry, dw.shape, dy.shape, *x.shape[2:]):
        dw[:, :, a, b] = np.einsum(
            "nihw,nohw->oi", x[:, :, from_rows, from_columns], dy[:, :, rows, columns], optimize=True
        )
    return dw
