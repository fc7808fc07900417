"""The compiled functions themselves, against NumPy in float64; and how they are built."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import subprocess
import threading
from concurrent import futures
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import python
from helpers.refusals import refused

from ms_gan.kernels import build, check, reference
from ms_gan.kernels.compiled import Functions
from ms_gan.kernels.reference import Geometry

NAMES = "convolution", "convolution_to_input", "convolution_to_weight"
WAYS = {"": "the faster way", "d": "directly", "w": "by Winograd"}


@pytest.fixture(scope="module")
def functions(own_kernels):
    return Functions(str(own_kernels))


def tensors(stream, *shapes):
    return [stream.standard_normal(shape).astype(np.float32) for shape in shapes]


def computed(functions, geometry, x, weight, dy):
    numbers = geometry.array()
    return (
        functions(NAMES[0], (x, weight, numbers), dy.shape),
        functions(NAMES[1], (dy, weight, numbers), x.shape),
        functions(NAMES[2], (x, dy, numbers), weight.shape),
    )


def expected(geometry, x, weight, dy):
    x, weight, dy = (array.astype(np.float64) for array in (x, weight, dy))
    return (
        reference.convolution(x, weight, geometry, dy.shape[2:]),
        reference.to_input(dy, weight, geometry, x.shape[2:]),
        reference.to_weight(x, dy, geometry, weight.shape[2:]),
    )


def drawn(stream):
    """Sizes of any kind: (geometry, shapes of x, weight and y)."""
    while True:
        images, inputs, outputs = (
            int(stream.choice(c))
            for c in ((1, 2, 3, 5, 7, 8, 9, 16, 17, 25, 33), (1, 2, 3, 8, 17, 33), (1, 2, 4, 7, 8, 9, 17, 40))
        )
        kernel, stride = stream.integers(1, 7, 2), stream.integers(1, 4, 2)
        size, pads = stream.integers(1, 19, 2), stream.integers(0, 4, (2, 2))
        if stream.random() < 0.7:
            kernel[1], stride[1] = kernel[0], stride[0]
        if stream.random() < 0.5:  # pad_mode "same"
            missing = np.maximum((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads = np.stack([missing // 2, missing - missing // 2], 1)
        out = (size + pads.sum(1) - kernel) // stride + 1
        if (out > 0).all():
            geometry = Geometry(int(stride[0]), int(stride[1]), int(pads[0, 0]), int(pads[1, 0]))
            return geometry, (images, inputs, *size), (outputs, inputs, *kernel), (images, outputs, *out)


@pytest.mark.parametrize("way", WAYS, ids=WAYS.values())
def test_any_sizes(functions, monkeypatch, way):
    if way:
        monkeypatch.setenv("MS_GAN_KERNELS_WAY", way)
    stream = np.random.default_rng(7)
    for _ in range(60):
        geometry, *shapes = drawn(stream)
        arrays = tensors(stream, *shapes)
        for name, found, right in zip(NAMES, computed(functions, geometry, *arrays), expected(geometry, *arrays)):
            error = np.abs(found - right).max() / max(np.abs(right).max(), 1e-3)
            assert error < 1e-5, (name, geometry, shapes, error)


# Layers of the recipes: acgan, dcgan, cvae_early. Summing directly in float32 is wrong by about 1e-6, too.
LAYERS = [
    (128, 80, 80, 14, 5, 1),
    (128, 80, 40, 14, 5, 2),
    (128, 1, 80, 28, 5, 2),
    (64, 35, 70, 7, 5, 2),
    (8, 64, 256, 8, 5, 1),
    (64, 33, 16, 16, 3, 1),
]


@pytest.mark.parametrize("sizes", LAYERS, ids=str)
def test_sizes_of_recipes(functions, sizes):
    images, inputs, outputs, size, kernel, stride = sizes
    out = -(-size // stride)
    pad = max((out - 1) * stride + kernel - size, 0) // 2
    geometry = Geometry(stride, stride, pad, pad)
    shapes = (images, inputs, size, size), (outputs, inputs, kernel, kernel), (images, outputs, out, out)
    arrays = tensors(np.random.default_rng(1), *shapes)
    for found, right in zip(computed(functions, geometry, *arrays), expected(geometry, *arrays)):
        assert np.abs(found - right).max() < 4e-6 * np.abs(right).max()


def test_what_the_gradients_are(functions):
    """<dy, conv(x, w)> = <x, to_input(dy, w)> = <w, to_weight(x, dy)>: each is linear in both of its tensors."""
    stream = np.random.default_rng(2)
    for _ in range(20):
        geometry, *shapes = drawn(stream)
        x, weight, dy = tensors(stream, *shapes)
        y, dx, dw = (array.astype(np.float64) for array in computed(functions, geometry, x, weight, dy))
        products = (y * dy).sum(), (dx * x).sum(), (dw * weight).sum()
        assert np.ptp(products) <= 1e-5 * np.sqrt((y**2).sum() * (dy.astype(float) ** 2).sum())


def test_layers_end_with_a_bias_and_leaky_relu(functions, monkeypatch):
    stream = np.random.default_rng(8)
    for number in range(60):
        monkeypatch.setenv("MS_GAN_KERNELS_WAY", "dw"[number % 2])
        geometry, *shapes = drawn(stream)
        x, weight, dy = tensors(stream, *shapes)
        slope = np.array([stream.choice([0.0, 0.2, 1.0])], np.float32)
        y, dx, _ = expected(geometry, x, weight, dy)
        for name, inputs, right in ((NAMES[0], (x, weight), y), (NAMES[1], (dy, weight), dx)):
            bias = stream.standard_normal(right.shape[1]).astype(np.float32)
            found = functions(name, (*inputs, geometry.array(), bias, slope), right.shape)
            right = reference.ending(right, bias, float(slope[0]))
            assert np.abs(found - right).max() < 1e-5 * max(np.abs(right).max(), 1.0), (name, geometry, shapes)


def test_products_of_any_sizes(functions):
    stream = np.random.default_rng(9)
    for _ in range(150):
        rows, columns, depth = (int(stream.choice([1, 2, 7, 8, 9, 16, 17, 50, 97, 130, 300, 600])) for _ in range(3))
        turned = stream.integers(0, 2, 2).astype(np.int32)
        shapes = [(depth, rows) if turned[0] else (rows, depth), (columns, depth) if turned[1] else (depth, columns)]
        a, b, bias = tensors(stream, *shapes, (columns,))
        right = np.matmul(*(m.astype(np.float64).T if t else m.astype(np.float64) for m, t in zip((a, b), turned)))
        assert np.abs(functions("product", (a, b, turned), right.shape) - right).max() < 3e-6 * np.abs(right).max()
        found = functions("product", (a, b, turned, bias, np.array([0.3], np.float32)), right.shape)
        right = reference.ending(right, bias, 0.3)
        assert np.abs(found - right).max() < 3e-6 * np.abs(right).max()


MAPS = [(1, 3), (5, 16), (700, 17), (128, 1024), (2, 3, 1, 1), (33, 2, 7, 7), (3, 5, 16, 1), (4, 3, 60, 70)]


@pytest.mark.parametrize("shape", MAPS, ids=str)
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_channels(functions, shape, slope):
    """Also where the mean is far from zero, as after layers with large biases."""
    stream = np.random.default_rng(10)
    x, dy, gamma, beta = tensors(stream, shape, shape, shape[1:2], shape[1:2])
    x += 20 * stream.standard_normal((1, shape[1]) + (1,) * (len(shape) - 2)).astype(np.float32)
    numbers, exact = np.array([1e-3, slope, 0.25], np.float32), [a.astype(np.float64) for a in (x, dy, gamma, beta)]
    y, mean, variance = reference.normalize(exact[0], *exact[2:], 1e-3, slope)
    old = (gamma, np.abs(beta))
    found = functions("normalize", (x, gamma, beta, numbers, *old), y.shape, *4 * [mean.shape])
    sample = x.size // shape[1] / max(x.size // shape[1] - 1, 1)
    for moved, before, batch in zip(found[3:], old, (mean, sample * variance)):
        assert np.abs(moved - (0.75 * before + 0.25 * batch)).max() < 1e-5 * max(np.abs(batch).max(), 1.0)
    found = found[:3]
    gradients = reference.normalize_gradient(exact[1], exact[0], *exact[2:], 1e-3, slope)
    found += functions(
        "normalize_gradient", (dy, x, gamma, beta, numbers, found[1], found[2]), *(g.shape for g in gradients)
    )
    for found_one, right in zip(found, (y, mean, variance, *gradients)):
        assert np.abs(found_one - right).max() < 2e-5 * max(np.abs(right).max(), 1.0)
    dz, db = reference.activation_gradient(exact[1], exact[0], slope)
    found = functions("activation_gradient", (dy, x, numbers[1:2]), dz.shape, db.shape)
    assert np.array_equal(found[0], np.where(x > 0, dy, numbers[1] * dy))
    assert np.abs(found[1] - db).max() <= 1e-6 * np.abs(dz).sum()
    total = exact[1].sum((0, *range(2, dy.ndim)))
    assert np.abs(functions("bias_gradient", (dy,), db.shape) - total).max() <= 1e-6 * np.abs(dy).sum()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 5, 8), (2, 3, 6, 1), (2, 2, 1, 7), (40, 9, 33, 34)], ids=str)
def test_max_pooling(functions, shape):
    """Numbers of few values, so that many pixels are the largest."""
    stream = np.random.default_rng(11)
    x = stream.integers(-2, 3, shape).astype(np.float32)
    right = reference.max_pool(x)
    assert np.array_equal(functions("max_pool", (x,), right.shape), right)
    (dy,) = tensors(stream, right.shape)
    found = functions("max_pool_gradient", (dy, x, right), shape)
    assert np.array_equal(found, reference.max_pool_gradient(dy, x)) and np.isclose(found.sum(), dy.sum(), atol=1e-2)


def test_padding_same_is_found_from_the_sizes(functions):
    x, weight, y = tensors(np.random.default_rng(3), (2, 3, 7, 8), (4, 3, 5, 4), (2, 4, 4, 4))
    found = functions(NAMES[0], (x, weight, Geometry(2, 2, -1, -1).array()), y.shape)
    assert np.array_equal(found, functions(NAMES[0], (x, weight, Geometry(2, 2, 2, 1).array()), y.shape))


@pytest.mark.parametrize("way", WAYS, ids=WAYS.values())
def test_nan_stays_in_its_image(functions, monkeypatch, way):
    if way:
        monkeypatch.setenv("MS_GAN_KERNELS_WAY", way)
    stream = np.random.default_rng(4)
    for stride in (1, 2):
        out = -(-9 // stride)
        x, weight, dy = tensors(stream, (7, 8, 9, 9), (8, 8, 5, 5), (7, 8, out, out))
        geometry = Geometry(stride, stride, 2, 2)
        clean = computed(functions, geometry, x, weight, dy)
        x[3, 5, 4, 4] = dy[3, 5, 2, 2] = np.nan
        for before, after in zip(clean[:2], computed(functions, geometry, x, weight, dy)[:2]):
            assert np.isnan(after[3]).any()
            assert np.array_equal(np.delete(before, 3, 0), np.delete(after, 3, 0))


def drawn_stack(stream, count, normalizes, last):
    """Return stages of any widths, x, dy and a change of the first dz."""
    width, images = int(stream.integers(1, 71)), int(stream.integers(8 if normalizes else 1, 41))
    (x,), stages = tensors(stream, (images, width)), []
    for index in range(count):
        slope = float(stream.choice([0.0, 0.2, 1.0])) if index < count - 1 else last
        norm = normalizes and 0 < index and not stages[-1].normalizes and (index == 1 or stream.random() < 0.5)
        outputs = width if norm else int(stream.integers(1, 71))
        first, second = tensors(stream, (outputs,) if norm else (outputs, width), (outputs,))
        if not norm:
            first /= np.sqrt(np.float32(width))
        stages.append(reference.Stage(norm, first, second, slope, 0.1, 0.25))
        width = outputs
    return stages, x, *tensors(stream, (images, width), (images, len(stages[0].second)))


def has_clear_signs(stages, x):
    """Whether rounding cannot give a number before LeakyReLU another sign, and so another gradient."""
    before = [x, *reference.Stack(stages, x).values[1:]]
    for stage, given in zip(stages, before):
        if stage.slope != 1.0:
            z = reference.Stack([replace(stage, slope=1.0)], given).values[1]
            if np.abs(z).min() < 1e-5:
                return False
    return True


@pytest.mark.parametrize("last", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("normalizes", [False, True], ids=["Dense", "normalised"])
@pytest.mark.parametrize("count", range(2, 9))
def test_stacks(functions, count, normalizes, last):
    stream, tried = np.random.default_rng(12), 0
    while tried < 5:
        stages, *arrays = drawn_stack(stream, count, normalizes, last)
        if not has_clear_signs(stages, arrays[0]):
            continue
        tried += 1
        cases = *check.stack_cases(stages, *arrays), check.statistics_case(stages, arrays[0], stream)
        assert len(cases) == 4 + (not any(stage.normalizes for stage in stages))
        for case in cases:
            for found, right in check.compared(functions, case):
                assert found.shape == right.shape
                error = np.abs(found - right).max() / max(np.abs(right).max(), 1.0 if normalizes else 1e-3)
                assert error < 1e-5, (case.name, [stage.numbers() for stage in stages], error)


def test_statistics_of_one_image(functions):
    """Its variance is 0, and not divided by 0."""
    stages, x, *_ = drawn_stack(np.random.default_rng(13), 4, True, 1.0)
    case = check.statistics_case(stages, x[:1], np.random.default_rng(14))
    pairs = list(check.compared(functions, case))
    assert len(pairs) >= 2
    for found, right in pairs:
        assert np.abs(found - right).max() < 1e-6


SHAPES = [(1,), (3,), (16,), (31, 33), (16384,), (16385,), (5, 3, 4, 4), (7, 9001)]
ADAMS = [
    reference.Adam(1e-3, 0.9, 0.999, 1e-8),
    reference.Adam(0.1, 0.0, 0.99, 1e-3),
    reference.Adam(2e-4, 0.5, 0.9, 0),
]


@pytest.mark.parametrize("adam", ADAMS, ids=str)
def test_adam(functions, adam):
    """Five updates, each of which begins with what the one before left."""
    stream = np.random.default_rng(15)
    weights = tensors(stream, *SHAPES)
    first, second = ([np.zeros(shape, np.float32) for shape in SHAPES] for _ in range(2))
    start, powers = [weight.copy() for weight in weights], np.ones((2, 1), np.float32)
    exact = [(weight.astype(np.float64), np.zeros(weight.shape), np.zeros(weight.shape)) for weight in weights]
    numbers = [np.array([value], np.float32) for value in (adam.rate, adam.beta1, adam.beta2, adam.epsilon)]
    rounded = reference.Adam(*(float(number[0]) for number in numbers))
    for update in range(1, 6):
        gradients = tensors(stream, *SHAPES)
        kept = [gradient.copy() for gradient in gradients]
        functions("adam", (*powers, *numbers, *weights, *first, *second, *gradients), (1,))
        exact = [rounded.update(update, *old, new) for old, new in zip(exact, gradients)]
        assert np.allclose(powers[:, 0], [adam.beta1**update, adam.beta2**update], rtol=1e-6)
        assert all(map(np.array_equal, gradients, kept))
        # the powers are float32, too: of 1 - beta2^updates, they leave few digits
        by_powers = 6e-8 / (1 - adam.beta2) * adam.rate
        for found, right, more in zip((weights, first, second), zip(*exact), (by_powers, 0, 0)):
            largest = max(np.abs(array).max() for array in right)
            for one, other in zip(found, right):
                assert np.abs(one - other).max() <= 1e-6 * largest + more
    assert all(np.abs(new - old).max() > 2 * adam.rate for new, old in zip(weights[3:], start[3:]))


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.9, 1.0])
def test_follow(functions, rate):
    stream = np.random.default_rng(16)
    case = check.follow_case(rate, tensors(stream, *SHAPES), tensors(stream, *SHAPES))
    kept = [array.copy() for array in case.inputs]
    for found, right in check.compared(functions, case):
        assert np.abs(found - right).max() <= 5e-7 * max(np.abs(right).max(), 1.0)
    first_of_now = 1 + len(SHAPES)
    assert all(map(np.array_equal, case.inputs[first_of_now:], kept[first_of_now:]))
    assert rate > 0 or all(map(np.array_equal, case.inputs, kept))


@pytest.mark.parametrize("to_both_sides", [True, False], ids=["tanh", "sigmoid"])
def test_squash(functions, to_both_sides):
    """Of all sizes from far below rounding to far beyond the limits; NaN stays NaN, and infinity gives the limits."""
    stream, numbers = np.random.default_rng(17), np.array([to_both_sides], np.float32)
    small = 10.0 ** np.linspace(-40, 0, 1000)
    x = np.concatenate([np.linspace(-100, 100, 40001), np.linspace(-10, 10, 40001), small, -small, [0.0]])
    x = x.astype(np.float32)
    right = reference.squash(x.astype(np.float64), to_both_sides)
    y = functions("squash", (x, numbers), x.shape)
    assert np.abs(y - right).max() < 3e-7
    assert y.min() >= (-1.0 if to_both_sides else 0.0) and y.max() <= 1.0
    (dy,) = tensors(stream, x.shape)
    dx = functions("squash_gradient", (dy, y, numbers), x.shape)
    assert (
        np.abs(dx - reference.squash_gradient(dy.astype(np.float64), y.astype(np.float64), to_both_sides)).max() < 6e-7
    )
    odd = np.array([[1.0, np.nan, np.inf, -np.inf, -np.nan, 3e38, -3e38]], np.float32)
    least = -1.0 if to_both_sides else 0.0
    limits = [[reference.squash(1.0, to_both_sides), np.nan, 1.0, least, np.nan, 1.0, least]]
    assert np.allclose(functions("squash", (odd, numbers), odd.shape), limits, rtol=0, atol=3e-7, equal_nan=True)


BYTES = """
import hashlib, os, sys
import numpy as np
from ms_gan.kernels import check, reference
from ms_gan.kernels.compiled import Functions
from ms_gan.kernels.reference import Geometry
functions, digest = Functions(sys.argv[1]), hashlib.sha256()
for n, i, o, size, k, s in ((37, 12, 20, 9, 5, 1), (8, 40, 24, 8, 5, 2), (16, 1, 9, 28, 5, 2), (5, 16, 16, 8, 3, 1)):
    stream, out = np.random.default_rng(0), -(-size // s)
    os.environ[check.WAY] = sys.argv[2]
    x, w, dy = (stream.standard_normal(t).astype("f") for t in ((n, i, size, size), (o, i, k, k), (n, o, out, out)))
    g = Geometry(s, s, -1, -1).array()
    calls = (("", (x, w), dy.shape), ("_to_input", (dy, w), x.shape), ("_to_weight", (x, dy), w.shape))
    for name, inputs, shape in 3 * calls:
        digest.update(functions("convolution" + name, (*inputs, g), shape).tobytes())
for rows, columns, depth in ((128, 784, 300), (33, 1, 50), (7, 130, 1030)):
    a, b = (stream.standard_normal(t).astype("f") for t in ((rows, depth), (columns, depth)))
    digest.update(functions("product", (a, b, np.array([0, 1], "i")), (rows, columns)).tobytes())
for shape in ((50, 100), (9, 30, 7, 7)):
    x, gamma = stream.standard_normal(shape).astype("f"), np.ones(shape[1], "f")
    numbers = np.array([1e-3, 0.2, 0.1], "f")
    for found in functions("normalize", (x, gamma, gamma, numbers, gamma, gamma), shape, *4 * [gamma.shape]):
        digest.update(found.tobytes())
def drawn(*shapes):
    return [stream.standard_normal(shape).astype("f") for shape in shapes]
def stages(*sizes):
    for width, outputs, norm in zip(sizes, sizes[1:], (0, 0, normalizes, 0)):
        yield reference.Stage(bool(norm), *drawn((outputs,) if norm else (outputs, width), (outputs,)), 0.2, 0.1, 0.1)
large, cases = ((300, 301), (40, 40, 5, 5), (7,)), []
for normalizes in (0, 1):
    stack = list(stages(99, 300, 260, 260, 33))
    arrays = drawn((130, 99), (130, 33), (130, 300))
    cases += [*check.stack_cases(stack, *arrays), check.statistics_case(stack, arrays[0], stream)]
cases.append(check.adam_case(reference.Adam(0.1, 0.5, 0.9, 1e-8), 2, *(drawn(*large) for _ in range(4))))
cases.append(check.follow_case(0.1, drawn(*large), drawn(*large)))
for sides in (0, 1):
    cases += [check.Case(name, (*drawn(*count * [(130, 784)]), np.array([sides], "f")), (np.zeros((130, 784)),))
        for count, name in enumerate(("squash", "squash_gradient"), 1)]
for case in cases:
    results = functions(case.name, case.inputs, *(right.shape for right in case.results))
    for found in results if len(case.results) > 1 else [results]:
        digest.update(found.tobytes())
    for place, _ in case.changed:
        digest.update(case.inputs[place].tobytes())
print(digest.hexdigest())
"""


def test_bytes_do_not_depend_on_threads(own_kernels):
    by_way = []
    for way in "dw":
        found = {python("-c", BYTES, own_kernels, way, MS_GAN_KERNELS_THREADS=threads).stdout for threads in "1232"}
        assert len(found) == 1
        by_way += found
    assert len(set(by_way)) == 2 and {len(digest.strip()) for digest in by_way} == {64}


THREADS = """
import os, sys
from ms_gan.kernels.check import check
before = len(os.listdir("/proc/self/task"))
check(sys.argv[1])
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_threads_that_are_no_number_are_as_many_as_the_cores(own_kernels):
    def started(**variables):
        return int(python("-c", THREADS, own_kernels, OPENBLAS_NUM_THREADS="1", **variables).stdout)

    assert [started(MS_GAN_KERNELS_THREADS=count) for count in ("1", "4")] == [0, 3]
    assert (
        started(MS_GAN_KERNELS_THREADS="") == started(MS_GAN_KERNELS_THREADS="many") == len(os.sched_getaffinity(0)) - 1
    )


def _in_child(path, results):
    x, weight, y = tensors(np.random.default_rng(5), (40, 8, 9, 9), (8, 8, 3, 3), (40, 8, 9, 9))
    results.put(Functions(path)(NAMES[0], (x, weight, Geometry(1, 1, 1, 1).array()), y.shape).sum())


def test_a_forked_process_has_threads_of_its_own(own_kernels):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    _in_child(str(own_kernels), results)
    child = context.Process(target=_in_child, args=(str(own_kernels), results))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert results.get() == results.get()


def test_a_process_that_is_forked_during_a_call_is_not_locked_out(own_kernels):
    context, done = multiprocessing.get_context("fork"), threading.Event()
    results = context.SimpleQueue()

    def compute():
        while not done.is_set():
            _in_child(str(own_kernels), queue.SimpleQueue())

    busy = threading.Thread(target=compute)
    busy.start()
    try:
        for _ in range(30):
            child = context.Process(target=_in_child, args=(str(own_kernels), results))
            child.start()
            child.join(60)
            if child.exitcode is None:
                child.kill()
            assert child.exitcode == 0
    finally:
        done.set()
        busy.join()


MUTATIONS = {
    "winograd.h": ("NEAR_SCALE = -81.0f / 130", "NEAR_SCALE = 81.0f / 130"),
    "channels.h": ("(b[2 * j] + b[2 * j + 1])) * factor", "(b[2 * j] + b[2 * j])) * factor"),
    "channels.h ": ("a[2 * j + 1] = x[from + j] * factor", "a[2 * j + 1] = x[from] * factor"),
}


@pytest.mark.parametrize("file", [*MUTATIONS, "nothing"])
def test_the_check_finds_an_error_in_what_is_seldom_taken(file, own_kernels, tmp_path):
    compiler, *_ = build._compilers()
    right, wrong = MUTATIONS.get(file, ("", ""))
    file = file if right else build.SOURCE.name
    changed = Path(shutil.copytree(build.SOURCE.parent, tmp_path / "kernels"), file.strip())
    assert right in changed.read_text()
    changed.write_text(changed.read_text().replace(right, wrong))
    library, source = tmp_path / "wrong.so", changed.parent / build.SOURCE.name
    options = [flag for flag in build.FLAGS if not flag.startswith("-O")]
    subprocess.run([*compiler, "-O1", *options, str(source), "-o", str(library)], check=True)
    if right:
        assert "is wrong by" in refused(check.check, str(library), error=ArithmeticError)
    else:
        check.check(str(library))


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("height", [1, 2])
def test_max_pooling_keeps_what_is_not_a_number(at, height, functions):
    x = np.array([[3.0, 1.0], [2.0, 0.0]], np.float32)[:height]
    x.flat[at % x.size] = np.nan
    assert np.isnan(functions("max_pool", (x[None, None],), (1, 1, 1, 1))).all()


@pytest.mark.parametrize("height, to", [(1, 1), (2, 3)])
def test_the_gradient_of_what_is_not_a_number_goes_to_the_last_pixel(height, to, functions):
    x = np.full((1, 1, height, 2), np.nan, np.float32)
    found = functions("max_pool_gradient", (np.ones((1, 1, 1, 1), np.float32), x, x[..., :1, :1]), x.shape)
    assert found.ravel().tolist() == [float(place == to) for place in range(x.size)]


def test_many_equal_numbers_are_added_up_to_what_they_are(functions):
    dy = np.full((1, 2, 400, 700), 0.1, np.float32)  # in float32 alone their sum is wrong by 6e-4
    assert functions("bias_gradient", (dy,), (2,)) == pytest.approx(28_000, rel=1e-5)


def test_threads_may_call_at_the_same_time(functions):
    x, weight, y = tensors(np.random.default_rng(5), (32, 8, 12, 12), (8, 8, 3, 3), (32, 8, 12, 12))
    inputs = (x, weight, Geometry(1, 1, 1, 1).array())
    right = functions(NAMES[0], inputs, y.shape)

    def equal(_):
        return np.array_equal(functions(NAMES[0], inputs, y.shape), right)

    with futures.ThreadPoolExecutor(4) as threads:
        assert all(threads.map(equal, range(600)))


def test_other_types_and_shapes_are_refused(functions):
    x, weight, y = tensors(np.random.default_rng(6), (1, 1, 3, 3), (1, 1, 3, 3), (1, 1, 3, 3))
    with pytest.raises(RuntimeError, match="returned 1"):
        functions(NAMES[0], (x.astype(np.float16), weight, Geometry(1, 1, 1, 1).array()), y.shape)
    with pytest.raises(RuntimeError, match="returned 1"):
        functions(NAMES[0], (x.repeat(2, 1), weight, Geometry(1, 1, 1, 1).array()), y.shape)
    with pytest.raises(RuntimeError, match="returned 1"):
        functions(NAMES[2], (x, y[:, :, :0], Geometry(1, 1, 1, 1).array()), weight.shape)
    with pytest.raises(RuntimeError, match="returned 1"):
        functions(NAMES[0], (x, weight, Geometry(0, 1, 1, 1).array()), y.shape)


def small_cases():
    """One call of each of the functions, with each number of inputs."""
    stream = np.random.default_rng(18)
    others = [case for case in check.every_case(stream) if not case.name.startswith(("stack", "adam", "follow"))]
    yield from {(case.name, len(case.inputs)): case for case in others}.values()
    parameters = tensors(stream, (4, 3), (4,), (4,), (4,), (5, 4), (5,))
    stages = [reference.Stage(i == 1, *parameters[2 * i : 2 * i + 2], 0.2, 0.1, 0.1) for i in range(3)]
    arrays = tensors(stream, (6, 3), (6, 5), (6, 4))
    yield from check.stack_cases(stages, *arrays)
    yield check.statistics_case(stages, arrays[0], stream)
    yield list(check.stack_cases(stages[:1] + stages[2:], *arrays))[-1]  # without what normalises: twice
    arrays = [tensors(stream, (2, 3), (5,)) for _ in range(4)]
    yield check.adam_case(reference.Adam(0.1, 0.5, 0.9, 1e-8), 1, *arrays)
    yield check.follow_case(0.1, *arrays[:2])


def axes(case, array):
    """Axes along which an input or a result of another size is one too many.

    A convolution takes images of any size: it is not told how much is padded after them.
    """
    if case.name.startswith("convolution") and array.ndim == 4:
        return 0, 1
    return (1,) if case.name == "bias_gradient" and array.ndim > 1 else range(array.ndim)


@pytest.mark.parametrize("case", small_cases(), ids=lambda case: case.name)
def test_each_input_and_result_is_looked_at(functions, case):
    """None of another type, of another size, or of more dimensions; none too many. What is refused changes nothing.

    But statistics: their sizes are known only from what is to change.
    """
    inputs = [array if array.dtype in (np.int32, np.float32) else array.astype(np.float32) for array in case.inputs]
    case = case._replace(inputs=tuple(inputs))
    shapes, kept = [right.shape for right in case.results], [array.copy() for array in case.inputs]

    def refused(inputs, shapes):
        with pytest.raises(RuntimeError, match="returned 1"):
            functions(case.name, inputs, *shapes)

    functions(case.name, [array.copy() for array in case.inputs], *shapes)
    used = [place for place, array in enumerate(case.inputs) if array is not check.NOTHING]
    for place in used:
        given = case.inputs[place]
        others = [given.astype(np.float16), given[..., :0], np.stack([given, given])]
        along = axes(case, given)
        if case.name != "stack_statistics" or place in (1, 2):
            others += [given.take(range(given.shape[axis] - 1), axis) for axis in along]
        if case.name != "stack_statistics" or place == 2:  # which goes by the sizes that it is given
            others += [np.concatenate([given, given], axis) for axis in along]
        for other in others:
            refused((*case.inputs[:place], other, *case.inputs[place + 1 :]), shapes)
    for place, right in enumerate(case.results):
        larger = [tuple(np.add(right.shape, np.eye(right.ndim, dtype=int)[axis])) for axis in axes(case, right)]
        for other in (*larger, (*right.shape, 1)):
            refused(case.inputs, [*shapes[:place], other, *shapes[place + 1 :]])
    refused((*case.inputs, np.ones(1, np.float32)), shapes)
    refused(case.inputs[:-1], shapes)
    assert case.name == "stack_statistics" or all(map(np.array_equal, case.inputs, kept))


def test_statistics_beyond_those_of_a_stack_are_refused(functions):
    case = next(case for case in small_cases() if case.name == "stack_statistics")
    moving = sum(array.size for array in case.inputs[3:] if array is not check.NOTHING)
    with pytest.raises(RuntimeError, match="returned 1"):
        functions(case.name, (case.inputs[0][: moving - 1], *case.inputs[1:]), (1,))


WITHOUT_ZIG = 'import sys; sys.modules["ziglang"] = None'


def described(tmp_path, first="", **environment):
    """What `library` says in a process of its own, with its own cache."""
    program = f"{first}\nfrom ms_gan.kernels.build import library; print(library())"
    variables = {"MS_GAN_CACHE": str(tmp_path / "cache"), "MS_GAN_KERNELS": "1", **environment}
    done = python("-c", program, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def compiler(folder, script):
    folder.mkdir()
    for name in ("c++", "g++", "clang++"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_switched_off(tmp_path):
    assert described(tmp_path, MS_GAN_KERNELS="0") == "MindSpore's kernels (MS_GAN_KERNELS=0)"


def test_no_compiler(tmp_path):
    assert "no C++ compiler" in described(tmp_path, WITHOUT_ZIG, PATH=str(tmp_path))


def test_a_compiler_that_fails(tmp_path):
    path = compiler(tmp_path / "bin", "echo 'x.cc:1:2: error: cannot do this' >&2; exit 1")
    said = "MindSpore's kernels (c++ failed: x.cc:1:2: error: cannot do this)"
    assert described(tmp_path, WITHOUT_ZIG, PATH=path) == said
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_one_compiler_by_two_names_is_tried_once(tmp_path):
    path = compiler(tmp_path / "bin", f"echo called >>{tmp_path}/calls; exit 1")
    for name in ("g++", "clang++"):
        (tmp_path / "bin" / name).unlink()
        (tmp_path / "bin" / name).symlink_to(tmp_path / "bin" / "c++")
    described(tmp_path, WITHOUT_ZIG, PATH=path)
    assert (tmp_path / "calls").read_text().splitlines() == ["called"]


def test_a_library_is_found_again_where_files_seem_to_be_anothers_and_leavings_go(tmp_path):
    first = "import os; uid = os.getuid(); os.getuid = lambda: uid + 1"
    left, new = (tmp_path / "cache" / "kernels" / f".build.{name}" for name in ("left", "new"))
    for folder in (left, new):
        folder.mkdir(parents=True)
    os.utime(left, (0, 0))
    said = python(
        "-c",
        f"{first}\nfrom ms_gan.kernels.build import library; library(); library.cache_clear(); library()",
        MS_GAN_CACHE=str(tmp_path / "cache"),
        MS_GAN_KERNELS="1",
    )
    assert said.stdout.count("compiling kernels for this machine, once") == 1, said.stderr
    assert new.is_dir() and not left.exists()


def test_a_library_that_computes_wrongly_is_not_kept(tmp_path):
    script = f'for last; do :; done\nexec cc -x c -shared -fPIC -o "$last" {tmp_path}/wrong.c'
    names = "\n".join(f"int ms_gan_{name}() {{ return 0; }}" for name in NAMES)
    (tmp_path / "wrong.c").write_text(names)
    assert "wrong when checked" in described(tmp_path, PATH=compiler(tmp_path / "bin", script))
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert described(tmp_path).startswith("MindSpore's kernels (")


def test_a_damaged_library_is_built_anew(tmp_path):
    """A part of one would end this process."""
    first = described(tmp_path)
    assert first.startswith("ms_gan's kernels, compiled by ")
    (built,) = Path(tmp_path, "cache").rglob("*.so")
    whole = built.read_bytes()
    built.write_bytes(whole[: len(whole) // 2])
    assert described(tmp_path) == first
    assert built.stat().st_size == len(whole)


def test_a_path_that_mindspore_cannot_open_is_not_used(tmp_path):
    folder = tmp_path / "a:b"
    assert "no library from a path with a colon" in described(tmp_path, MS_GAN_CACHE=str(folder))
    assert not folder.exists()


def test_each_compiler_is_tried(tmp_path):
    path = compiler(tmp_path / "bin", "exit 1")
    for name in ("g++", "clang++"):
        (tmp_path / "bin" / name).unlink()
    if not any(Path(folder, name).exists() for folder in ("/usr/bin", "/bin") for name in ("g++", "clang++")):
        pytest.skip("there is one compiler here")
    assert described(tmp_path, PATH=path).startswith("ms_gan's kernels, compiled by ")
