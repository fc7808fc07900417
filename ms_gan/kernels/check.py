"""A small check of the compiled functions against NumPy. As a program: of the library named on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from ms_gan.kernels import reference
from ms_gan.kernels.compiled import Functions

TOLERANCE = 2e-5  # of the largest number; what is right stays below 5e-6

# Images, inputs, height, width, outputs, kernel size, stride: each way of computing, odd sizes, lanes left over.
CONVOLUTIONS = (
    (5, 9, 7, 9, 19, 5, 1),
    (3, 8, 9, 9, 10, 3, 1),
    (17, 3, 8, 7, 5, 5, 2),
    (2, 20, 9, 8, 17, 4, 2),
    (1, 2, 5, 6, 1, 3, 3),
)
PRODUCTS = ((33, 70, 300), (7, 1, 20), (16, 48, 5))  # rows, columns, numbers that are added up
MAPS = ((5, 20), (3, 5, 7, 7))
EPSILON, SLOPE, SHARE = 1e-3, 0.2, 0.1

# The name of a function, its inputs, and what it should find.
Case = tuple[str, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]


def check(library: str) -> None:
    """Raise ArithmeticError where a library computes something else than NumPy does."""
    functions, stream = Functions(library), np.random.default_rng(0)
    for cases in (_convolutions, _products, _channels):
        for name, inputs, expected in cases(stream):
            results = functions(name, inputs, *(array.shape for array in expected))
            for found, right in zip(results if len(expected) > 1 else [results], expected):
                error = np.abs(found - right).max() / np.abs(right).max()
                if not error < TOLERANCE:
                    shapes = ", ".join("x".join(map(str, array.shape)) for array in inputs)
                    raise ArithmeticError(f"{name} of {shapes} is wrong by {error:.1e}")


def _drawn(stream: np.random.Generator, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [stream.standard_normal(shape).astype(np.float32) for shape in shapes]


def _exact(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float64) for array in arrays]


def _convolutions(stream: np.random.Generator) -> Iterator[Case]:
    slope = np.array([SLOPE], np.float32)
    for images, inputs, height, width, outputs, kernel_size, stride in CONVOLUTIONS:
        out_size = (-(-height // stride), -(-width // stride))
        pads = [max((out - 1) * stride + kernel_size - size, 0) // 2 for out, size in zip(out_size, (height, width))]
        geometry = reference.Geometry(stride, stride, *pads)
        x, weight, dy, bias, other_bias = _drawn(
            stream,
            (images, inputs, height, width),
            (outputs, inputs, kernel_size, kernel_size),
            (images, outputs, *out_size),
            (outputs,),
            (inputs,),
        )
        exact_x, exact_weight, exact_dy = _exact(x, weight, dy)
        numbers = geometry.array()
        y = reference.convolution(exact_x, exact_weight, geometry, out_size)
        dx = reference.to_input(exact_dy, exact_weight, geometry, (height, width))
        dw = reference.to_weight(exact_x, exact_dy, geometry, (kernel_size, kernel_size))
        yield "convolution", (x, weight, numbers), (y,)
        yield "convolution_to_input", (dy, weight, numbers), (dx,)
        yield "convolution_to_weight", (x, dy, numbers), (dw,)
        yield "convolution", (x, weight, numbers, bias, slope), (reference.ending(y, bias, SLOPE),)
        layer = reference.ending(dx, other_bias, SLOPE)
        yield "convolution_to_input", (dy, weight, numbers, other_bias, slope), (layer,)


def _products(stream: np.random.Generator) -> Iterator[Case]:
    slope = np.array([SLOPE], np.float32)
    for rows, columns, depth in PRODUCTS:
        a, b, bias = _drawn(stream, (rows, depth), (depth, columns), (columns,))
        right = np.matmul(*_exact(a, b))
        for turned in ((0, 0), (0, 1), (1, 0), (1, 1)):
            inputs = (a.T if turned[0] else a, b.T if turned[1] else b, np.array(turned, np.int32))
            yield "product", inputs, (right,)
            yield "product", (*inputs, bias, slope), (reference.ending(right, bias, SLOPE),)


def _channels(stream: np.random.Generator) -> Iterator[Case]:
    numbers = np.array([EPSILON, SLOPE, SHARE], np.float32)
    for shape in MAPS:
        x, dy, gamma, beta = _drawn(stream, shape, shape, shape[1:2], shape[1:2])
        exact_x, exact_dy, exact_gamma, exact_beta = _exact(x, dy, gamma, beta)
        y, mean, variance = reference.normalize(exact_x, exact_gamma, exact_beta, EPSILON, SLOPE)
        gradients = reference.normalize_gradient(exact_dy, exact_x, exact_gamma, exact_beta, EPSILON, SLOPE)
        statistics = (mean.astype(np.float32), variance.astype(np.float32))
        yield "activation_gradient", (dy, x, numbers[1:2]), reference.activation_gradient(exact_dy, exact_x, SLOPE)
        yield "bias_gradient", (dy,), reference.activation_gradient(exact_dy, exact_x, 1.0)[1:]
        moving = [values.astype(np.float64) for values in (gamma, np.square(beta))]
        sample = x.size / x.shape[1] / (x.size / x.shape[1] - 1)
        moved = [old + SHARE * (new - old) for old, new in zip(moving, (mean, sample * variance))]
        inputs = (x, gamma, beta, numbers, *(values.astype(np.float32) for values in moving))
        yield "normalize", inputs, (y, mean, variance, *moved)
        if x.ndim == 4:
            pooled = reference.max_pool(x)
            gradient = dy[:, :, : pooled.shape[2], : pooled.shape[3]].copy()
            yield "max_pool", (x,), (pooled,)
            yield "max_pool_gradient", (gradient, x, pooled), (reference.max_pool_gradient(gradient, x),)
        yield "normalize_gradient", (dy, x, gamma, beta, numbers, *statistics), gradients


if __name__ == "__main__":
    check(sys.argv[1])
