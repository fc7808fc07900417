"""A small check of the compiled functions against NumPy. As a program: of the library named on the command line."""

from __future__ import annotations

import sys

import numpy as np

from ms_gan.kernels import reference
from ms_gan.kernels.compiled import Functions

TOLERANCE = 2e-5  # of the largest number; what is right stays below 5e-6

# Images, inputs, height, width, outputs, kernel size, stride: each way of computing, odd sizes, lanes left over.
CASES = (
    (5, 9, 7, 9, 19, 5, 1),
    (3, 8, 9, 9, 10, 3, 1),
    (17, 3, 8, 7, 5, 5, 2),
    (2, 20, 9, 8, 17, 4, 2),
    (1, 2, 5, 6, 1, 3, 3),
)


def check(library: str) -> None:
    """Raise ArithmeticError where a library computes something else than NumPy does."""
    functions, stream = Functions(library), np.random.default_rng(0)
    for images, inputs, height, width, outputs, kernel_size, stride in CASES:
        out_size = (-(-height // stride), -(-width // stride))
        pads = [max((out - 1) * stride + kernel_size - size, 0) // 2 for out, size in zip(out_size, (height, width))]
        geometry = reference.Geometry(stride, stride, *pads)
        shapes = (
            (images, inputs, height, width),
            (outputs, inputs, kernel_size, kernel_size),
            (images, outputs, *out_size),
        )
        x, weight, dy = (stream.standard_normal(shape).astype(np.float32) for shape in shapes)
        exact = [array.astype(np.float64) for array in (x, weight, dy)]
        numbers = geometry.array()
        for name, inputs_of, shape, expected in (
            ("", (x, weight), dy.shape, reference.convolution(exact[0], exact[1], geometry, out_size)),
            ("_to_input", (dy, weight), x.shape, reference.to_input(exact[2], exact[1], geometry, (height, width))),
            (
                "_to_weight",
                (x, dy),
                weight.shape,
                reference.to_weight(exact[0], exact[2], geometry, (kernel_size, kernel_size)),
            ),
        ):
            found = functions("ms_gan_convolution" + name, (*inputs_of, numbers), shape)
            error = np.abs(found - expected).max() / np.abs(expected).max()
            if not error < TOLERANCE:
                raise ArithmeticError(f"convolution{name} of {shapes} is wrong by {error:.1e}")


if __name__ == "__main__":
    check(sys.argv[1])
