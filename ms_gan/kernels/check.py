"""A small check of the compiled functions against NumPy. As a program: of the library named on the command line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ms_gan.kernels import reference
from ms_gan.kernels.compiled import Functions

TOLERANCE = 2e-5  # of the largest number; what is right stays below 5e-6

WAY = "MS_GAN_KERNELS_WAY"  # a variable that the compiled functions read

# Images, inputs, height, width, outputs, kernel size, stride: odd sizes, lanes left over, each reach of Winograd's way.
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

ADAM = reference.Adam(0.3, 0.6, 0.9, 1e-2)
ARRAYS = ((1,), (5, 7), (3, 2, 4, 5))  # of a network's parameters
# Images, inputs, and of each stage its outputs, slope and whether it normalises.
STACKS = (
    (5, 9, ((17, SLOPE, False), (33, 0.0, False), (3, 1.0, False))),
    (7, 3, ((10, SLOPE, False), (10, 1.0, True), (18, SLOPE, False))),
    (9, 20, ((5, 0.5, False), (7, 0.0, False), (7, SLOPE, True))),
)
MOST = 24  # inputs of a stack's functions, the last of which may be nothing
NOTHING = np.zeros(1, np.float32)


class Case(NamedTuple):
    """The name of a function, its inputs, and what it should find, where `NOTHING` stands for what has no meaning.

    `changed` are inputs that change in place: where they are, and what they should become.
    """

    name: str
    inputs: tuple[np.ndarray, ...]
    results: tuple[np.ndarray, ...]
    changed: tuple[tuple[int, np.ndarray], ...] = ()


def check(library: str) -> None:
    """Raise ArithmeticError where a library computes something else than NumPy does."""
    functions, stream = Functions(library), np.random.default_rng(0)
    for way in ("d", "w"):  # directly, and Winograd's, which else is taken only where there is more to compute
        with _forced(way):
            _require_right(functions, _convolutions(stream))
    _require_right(functions, _others(stream))


def _require_right(functions: Functions, cases: Iterable[Case]) -> None:
    for case in cases:
        for found, right in compared(functions, case):
            error = np.abs(found - right).max() / np.abs(right).max()
            if not error < TOLERANCE:
                shapes = ", ".join("x".join(map(str, array.shape)) for array in case.inputs)
                raise ArithmeticError(f"{case.name} of {shapes} is wrong by {error:.1e}")


@contextlib.contextmanager
def _forced(way: str) -> Iterator[None]:
    """Have convolutions computed in one way: "d", directly, or "w", Winograd's where there is one."""
    before = os.environ.get(WAY)
    os.environ[WAY] = way
    try:
        yield
    finally:
        if before is None:
            del os.environ[WAY]
        else:
            os.environ[WAY] = before


def compared(functions: Functions, case: Case) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Call a function; give what it found, or changed, each with what it should be."""
    results = functions(case.name, case.inputs, *(array.shape for array in case.results))
    found = results if len(case.results) > 1 else [results]
    yield from ((one, right) for one, right in zip(found, case.results) if right is not NOTHING)
    yield from ((case.inputs[place], right) for place, right in case.changed)


def every_case(stream: np.random.Generator) -> Iterator[Case]:
    """Give a library's functions, with inputs drawn from the stream, and what each should find."""
    yield from _convolutions(stream)
    yield from _others(stream)


def _others(stream: np.random.Generator) -> Iterator[Case]:
    for cases in (_products, _channels, _resampling, _stacks, _updates, _squashes):
        yield from cases(stream)


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
        yield Case("convolution", (x, weight, numbers), (y,))
        yield Case("convolution_to_input", (dy, weight, numbers), (dx,))
        yield Case("convolution_to_weight", (x, dy, numbers), (dw,))
        yield Case("convolution", (x, weight, numbers, bias, slope), (reference.ending(y, bias, SLOPE),))
        layer = reference.ending(dx, other_bias, SLOPE)
        yield Case("convolution_to_input", (dy, weight, numbers, other_bias, slope), (layer,))


def _products(stream: np.random.Generator) -> Iterator[Case]:
    slope = np.array([SLOPE], np.float32)
    for rows, columns, depth in PRODUCTS:
        a, b, bias = _drawn(stream, (rows, depth), (depth, columns), (columns,))
        right = np.matmul(*_exact(a, b))
        for turned in ((0, 0), (0, 1), (1, 0), (1, 1)):
            inputs = (a.T if turned[0] else a, b.T if turned[1] else b, np.array(turned, np.int32))
            yield Case("product", inputs, (right,))
            yield Case("product", (*inputs, bias, slope), (reference.ending(right, bias, SLOPE),))


def _channels(stream: np.random.Generator) -> Iterator[Case]:
    numbers = np.array([EPSILON, SLOPE, SHARE], np.float32)
    for shape in MAPS:
        x, dy, gamma, beta = _drawn(stream, shape, shape, shape[1:2], shape[1:2])
        exact_x, exact_dy, exact_gamma, exact_beta = _exact(x, dy, gamma, beta)
        y, mean, variance = reference.normalize(exact_x, exact_gamma, exact_beta, EPSILON, SLOPE)
        gradients = reference.normalize_gradient(exact_dy, exact_x, exact_gamma, exact_beta, EPSILON, SLOPE)
        statistics = (mean.astype(np.float32), variance.astype(np.float32))
        yield Case(
            "activation_gradient", (dy, x, numbers[1:2]), reference.activation_gradient(exact_dy, exact_x, SLOPE)
        )
        yield Case("bias_gradient", (dy,), reference.activation_gradient(exact_dy, exact_x, 1.0)[1:])
        moving = [values.astype(np.float64) for values in (gamma, np.square(beta))]
        sample = x.size / x.shape[1] / (x.size / x.shape[1] - 1)
        moved = [old + SHARE * (new - old) for old, new in zip(moving, (mean, sample * variance))]
        inputs = (x, gamma, beta, numbers, *(values.astype(np.float32) for values in moving))
        yield Case("normalize", inputs, (y, mean, variance, *moved))
        if x.ndim == 4:
            pooled = reference.max_pool(x)
            gradient = dy[:, :, : pooled.shape[2], : pooled.shape[3]].copy()
            yield Case("max_pool", (x,), (pooled,))
            yield Case("max_pool_gradient", (gradient, x, pooled), (reference.max_pool_gradient(gradient, x),))
        yield Case("normalize_gradient", (dy, x, gamma, beta, numbers, *statistics), gradients)


def _resampling(stream: np.random.Generator) -> Iterator[Case]:
    x, factor = _drawn(stream, (3, 5, 6, 10), (1,))
    halved = x.reshape(3, 5, 3, 2, 5, 2).sum((3, 5), np.float64) * factor
    yield Case("shrink", (x, factor), (halved,))
    yield Case("grow", (x, factor), (x.repeat(2, 2).repeat(2, 3).astype(np.float64) * factor,))


def _stacks(stream: np.random.Generator) -> Iterator[Case]:
    for images, inputs, sizes in STACKS:
        stages, width = [], inputs
        for outputs, slope, normalizes in sizes:
            parameters = _drawn(stream, (outputs,) if normalizes else (outputs, width), (outputs,))
            stages.append(reference.Stage(normalizes, parameters[0], parameters[1], slope, EPSILON, SHARE))
            width = outputs
        x, dy, change = _drawn(stream, (images, inputs), (images, width), (images, sizes[0][0]))
        yield from stack_cases(stages, x, dy, change)
        yield statistics_case(stages, x, stream)


def stack_cases(stages: Sequence[reference.Stage], x: np.ndarray, dy: np.ndarray, change: np.ndarray) -> Iterator[Case]:
    """Give a stack's values, its gradients, and, where nothing normalises, what a change of the first dz does."""
    stack, exact_dy = reference.Stack(stages, x), dy.astype(np.float64)
    parameters = [array for stage in stages for array in (stage.first, stage.second)]
    numbers = _numbers_of(stages)
    (dz, *_), of_parameters = stack.gradients(exact_dy)
    rest = stack.rest(exact_dy)
    rest = rest if rest.size else NOTHING  # which no one reads
    y, hidden, kept_dz, kept_rest = _rounded(stack.values[-1], stack.hidden(), dz, rest)
    yield Case("stack", _filled(x, numbers, *parameters), (stack.values[-1], stack.hidden()))
    yield Case("stack_gradient", _filled(dy, y, x, numbers, hidden, *parameters), (dz, rest))
    inputs = _filled(dy, x, numbers, hidden, kept_dz, kept_rest, *parameters)
    yield Case("stack_to_parameters", inputs, tuple(of_parameters))
    if not any(stage.normalizes for stage in stages):
        inputs = _filled(change, dy, y, x, numbers, hidden, kept_rest, *parameters)
        yield Case("stack_twice", inputs, tuple(stack.twice(change.astype(np.float64), exact_dy)))


def statistics_case(stages: Sequence[reference.Stage], x: np.ndarray, stream: np.random.Generator) -> Case:
    """Return how moving statistics of a stack go towards those of x."""
    stack, images = reference.Stack(stages, x), len(x)
    factors = (1.0, images / max(images - 1, 1))  # a variance counts as that of a sample
    moving, moved = [], []
    for index, statistics in enumerate(stack.statistics):
        share = [stage.share for stage in stages if stage.normalizes][index // 2]
        moving.append(np.abs(_drawn(stream, statistics.shape)[0]))
        moved.append(moving[-1] + share * (factors[index % 2] * statistics - moving[-1].astype(np.float64)))
    inputs = (*_rounded(stack.hidden()), _numbers_of(stages), np.array([images], np.float32), *moving)
    return Case("stack_statistics", _filled(*inputs), (NOTHING,), tuple(enumerate(moved, 3)))


def _numbers_of(stages: Sequence[reference.Stage]) -> np.ndarray:
    return np.array([stage.numbers() for stage in stages], np.float32).ravel()


def _filled(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    return inputs + (NOTHING,) * (MOST - len(inputs))


def _rounded(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float32) for array in arrays]


def _updates(stream: np.random.Generator) -> Iterator[Case]:
    weights, gradients = _drawn(stream, *ARRAYS), _drawn(stream, *ARRAYS)
    yield adam_case(ADAM, 3, weights, _drawn(stream, *ARRAYS), _drawn(stream, *ARRAYS), gradients)
    yield follow_case(SHARE, _drawn(stream, *ARRAYS), gradients)


def adam_case(
    adam: reference.Adam,
    updates: int,
    weights: Sequence[np.ndarray],
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
) -> Case:
    """Return update number `updates`, counted from 1; the second moments before it are the squares of `second`."""
    second = [np.square(array) for array in second]
    before = [np.array([beta ** (updates - 1)], np.float32) for beta in (adam.beta1, adam.beta2)]
    numbers = [np.array([value], np.float32) for value in (adam.rate, adam.beta1, adam.beta2, adam.epsilon)]
    found = [adam.update(updates, *_exact(*arrays)) for arrays in zip(weights, first, second, gradients)]
    changed = [np.array([beta**updates]) for beta in (adam.beta1, adam.beta2)]
    changed_arrays = [array for kind in zip(*found) for array in kind]
    places = (0, 1, *range(6, 6 + len(changed_arrays)))
    inputs = (*before, *numbers, *weights, *first, *second, *gradients)
    return Case("adam", inputs, (NOTHING,), tuple(zip(places, changed + changed_arrays)))


def follow_case(rate: float, averages: Sequence[np.ndarray], now: Sequence[np.ndarray]) -> Case:
    """Return a step of moving averages."""
    moved = [old + rate * (new - old) for old, new in zip(_exact(*averages), now)]
    return Case("follow", (np.array([rate], np.float32), *averages, *now), (NOTHING,), tuple(enumerate(moved, 1)))


def _squashes(stream: np.random.Generator) -> Iterator[Case]:
    for to_both_sides in (True, False):
        x, dy = _drawn(stream, (3, 37), (3, 37))
        y, numbers = reference.squash(3 * x.astype(np.float64), to_both_sides), np.array([to_both_sides], np.float32)
        yield Case("squash", (3 * x, numbers), (y,))
        dx = reference.squash_gradient(dy.astype(np.float64), y, to_both_sides)
        yield Case("squash_gradient", (dy, y.astype(np.float32), numbers), (dx,))


if __name__ == "__main__":
    check(sys.argv[1])
