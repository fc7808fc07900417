"""The compiled functions themselves, against NumPy in float64; and how they are built."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import python

from ms_gan.kernels import reference
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


BYTES = """
import hashlib, sys
import numpy as np
from ms_gan.kernels.compiled import Functions
from ms_gan.kernels.reference import Geometry
functions, digest = Functions(sys.argv[1]), hashlib.sha256()
for n, i, o, size, k, s in ((37, 12, 20, 9, 5, 1), (8, 40, 24, 8, 5, 2), (16, 1, 9, 28, 5, 2), (5, 16, 16, 8, 3, 1)):
    stream, out = np.random.default_rng(0), -(-size // s)
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
print(digest.hexdigest())
"""


def test_bytes_do_not_depend_on_threads(own_kernels):
    found = {python("-c", BYTES, own_kernels, MS_GAN_KERNELS_THREADS=threads).stdout for threads in "1232"}
    assert len(found) == 1 and len(found.pop().strip()) == 64


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


def described(tmp_path, **environment):
    """What `library` says in a process of its own, with its own cache."""
    program = "from ms_gan.kernels.build import library; print(library())"
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
    assert "no C++ compiler" in described(tmp_path, PATH=str(tmp_path))


def test_a_compiler_that_fails(tmp_path):
    path = compiler(tmp_path / "bin", "echo 'x.cc:1:2: error: cannot do this' >&2; exit 1")
    assert described(tmp_path, PATH=path) == "MindSpore's kernels (c++ failed: x.cc:1:2: error: cannot do this)"
    assert not list((tmp_path / "cache").rglob("*.so"))


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
