"""What the compiled functions compute, by the book, in NumPy: what they are checked against."""

from __future__ import annotations

from collections.abc import Sequence
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


def max_pool(x: np.ndarray) -> np.ndarray:
    """Return the largest of each 2×2 pixels of x, (N, C, H, W); at an odd edge of those that are there."""
    rows = np.maximum.reduceat(x, np.arange(0, x.shape[2], 2), axis=2)
    return np.maximum.reduceat(rows, np.arange(0, x.shape[3], 2), axis=3)


def max_pool_gradient(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return its gradient: each dy at the first of its pixels, row by row, that is the largest."""
    y, dx, taken = max_pool(x), np.zeros_like(x), np.zeros(dy.shape, bool)
    for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
        part = x[:, :, a::2, b::2]
        height, width = part.shape[2:]
        here = (part == y[:, :, :height, :width]) & ~taken[:, :, :height, :width]
        dx[:, :, a::2, b::2] = here * dy[:, :, :height, :width]
        taken[:, :, :height, :width] |= here
    return dx


def _by_channel(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return values.reshape((1, -1) + (1,) * (like.ndim - 2))


def _over_channels(values: np.ndarray) -> np.ndarray:
    return values.sum(axis=(0, *range(2, values.ndim)))


def ending(z: np.ndarray, bias: np.ndarray, slope: float) -> np.ndarray:
    """Return LeakyReLU of z, (N, C) or (N, C, H, W), with a bias, (C,), added."""
    found = z + _by_channel(bias, z)
    return np.where(found > 0, found, slope * found)


def activation_gradient(dy: np.ndarray, y: np.ndarray, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients before LeakyReLU, whose results are y, and to the bias."""
    dz = np.where(y > 0, dy, slope * dy)
    return dz, _over_channels(dz)


def normalize(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float, slope: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return batch normalisation with LeakyReLU, and the mean and the variance of each channel."""
    count = x.size / x.shape[1]
    mean = _over_channels(x) / count
    variance = _over_channels((x - _by_channel(mean, x)) ** 2) / count
    scale = gamma / np.sqrt(variance + epsilon)
    return ending(x * _by_channel(scale, x), beta - mean * scale, slope), mean, variance


def normalize_gradient(
    dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float, slope: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return its gradients with respect to x, gamma and beta."""
    y, mean, variance = normalize(x, gamma, beta, epsilon, slope)
    inverse = 1 / np.sqrt(variance + epsilon)
    normal = (x - _by_channel(mean, x)) * _by_channel(inverse, x)
    dz, dbeta = activation_gradient(dy, y, slope)
    dgamma = _over_channels(dz * normal)
    count = x.size / x.shape[1]
    centred = dz - _by_channel(dbeta, x) / count - normal * _by_channel(dgamma, x) / count
    return centred * _by_channel(gamma * inverse, x), dgamma, dbeta


@dataclass(frozen=True)
class Stage:
    """A Dense layer, of weight, (outputs, inputs), and bias; or batch normalisation, of gamma and beta; then LeakyReLU.

    `share` is that of a batch's statistics in the moving ones.
    """

    normalizes: bool
    first: np.ndarray
    second: np.ndarray
    slope: float
    epsilon: float = 0.0
    share: float = 0.0

    def numbers(self) -> tuple[float, ...]:
        """Return it as the compiled functions take it, but for its parameters."""
        return float(self.normalizes), self.slope, self.epsilon, self.share


class Stack:
    """Stages, one after the other, of x, (N, inputs), in float64.

    `values` are x and what comes out of each stage, `statistics` mean and variance of each that normalises.
    """

    def __init__(self, stages: Sequence[Stage], x: np.ndarray):
        self.stages = stages
        self.values = [x.astype(np.float64)]
        self.statistics: list[np.ndarray] = []
        for stage in stages:
            if stage.normalizes:
                y, *found = normalize(self.values[-1], stage.first, stage.second, stage.epsilon, stage.slope)
                self.statistics += found
            else:
                y = ending(self.values[-1] @ stage.first.T.astype(np.float64), stage.second, stage.slope)
            self.values.append(y)

    def hidden(self) -> np.ndarray:
        """Return in a row what the compiled function keeps for the gradients."""
        return _row([*self.statistics, *self.values[1:-1]])

    def gradients(self, dy: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the gradient to z of each Dense layer, before its LeakyReLU, and those to all parameters."""
        of_z: list[np.ndarray] = []
        of_parameters: list[np.ndarray] = []
        for stage, x, y in reversed(list(zip(self.stages, self.values, self.values[1:]))):
            if stage.normalizes:
                dy, *found = normalize_gradient(dy, x, stage.first, stage.second, stage.epsilon, stage.slope)
            else:
                dz, bias = activation_gradient(dy, y, stage.slope)
                dy, of_z, found = dz @ stage.first.astype(np.float64), [dz, *of_z], [dz.T @ x, bias]
            of_parameters = [*found, *of_parameters]
        return of_z, of_parameters

    def rest(self, dy: np.ndarray) -> np.ndarray:
        """Return in a row the gradients that the compiled function keeps beside the first dz."""
        of_z, of_parameters = self.gradients(dy)
        of_norms = [found for i, found in enumerate(of_parameters) if self.stages[i // 2].normalizes]
        is_open = not self.stages[-1].normalizes and self.stages[-1].slope == 1.0  # its dz is dy
        return _row([*of_norms, *(of_z[1:-1] if is_open else of_z[1:])])

    def twice(self, change: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
        """Return what a change of the first dz is to dy, and to all weights but the first, of Dense layers alone."""
        of_z, _ = self.gradients(dy)
        of_weights: list[np.ndarray] = []
        for index, stage in enumerate(self.stages):
            if index > 0:
                of_weights.append(of_z[index].T @ change)
                change = change @ stage.first.T.astype(np.float64)
            change, _ = activation_gradient(change, self.values[index + 1], stage.slope)
        return [change, *of_weights]


def _row(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(array.ravel() for array in arrays)])


@dataclass(frozen=True)
class Adam:
    """The numbers of Adam (Kingma and Ba 2015)."""

    rate: float
    beta1: float
    beta2: float
    epsilon: float

    def update(
        self, updates: int, weight: np.ndarray, first: np.ndarray, second: np.ndarray, gradient: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the weight and its two moments after an update, counted from 1."""
        first = self.beta1 * first + (1 - self.beta1) * gradient
        second = self.beta2 * second + (1 - self.beta2) * gradient**2
        rate = self.rate * np.sqrt(1 - self.beta2**updates) / (1 - self.beta1**updates)
        return weight - rate * first / (np.sqrt(second) + self.epsilon), first, second


def squash(x: np.ndarray, to_both_sides: bool) -> np.ndarray:
    """Return tanh x, or else 1 / (1 + exp(−x))."""
    return np.tanh(x) if to_both_sides else 0.5 + 0.5 * np.tanh(0.5 * x)


def squash_gradient(dy: np.ndarray, y: np.ndarray, to_both_sides: bool) -> np.ndarray:
    """Return its gradient, where y came out."""
    return dy * (1 - y * y if to_both_sides else y * (1 - y))
