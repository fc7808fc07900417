"""From requests to a model's inputs, and from those that wait to batches: nothing wrong gets by, nobody is lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import tracemalloc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.commands import HANGS
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan.delivery.batcher import Batcher, compute
from ms_gan.delivery.contract import ModelSpec, TensorSpec
from ms_gan.delivery.inference_request import RequestError, Tensor, model_inputs
from ms_gan.delivery.served_model import ServedModel
from ms_gan.delivery.server_metrics import Metrics
from ms_gan.labels import LabelNames
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent

MOST = 8
ANIMALS, TAGS = LabelNames(("cat", "dog", "owl")), LabelNames(("cat", "dog", "owl", "yak"), 3)
LATENT = TensorSpec("latent", (5,), "float32", distribution="normal")
IMAGE = TensorSpec("image", (1, 2, 3), "float32", range=(0.0, 1.0))
LABEL = TensorSpec("label", (), "int32", range=(0, 2))
SEVERAL = TensorSpec("label", (3,), "int32", range=(0, 4))
KINDS = {  # the labels, and what a model takes
    "plain": (None, []),
    "classes": (ANIMALS, [LABEL]),
    "tags": (TAGS, [SEVERAL]),
}


def inputs_of(spec, tensors, kind):
    labels, more = KINDS[kind]
    return model_inputs(list(tensors.items()), ModelSpec("", (spec, *more), (), {}), labels, MOST)


def generator(tensors, kind="plain"):
    return inputs_of(LATENT, tensors, kind)


def encoder(tensors, kind="plain"):
    return inputs_of(IMAGE, tensors, kind)


def floats(*shape):
    values = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    return Tensor("FP32", list(shape), values.ravel().tolist())


def whole(*values, datatype="INT64"):
    return Tensor(datatype, [len(values)], list(values))


def names(*texts):
    return Tensor("BYTES", [len(texts)], list(texts))


def sentence(error):
    text = str(error)
    assert text and "\n" not in text and len(text) < 1000 and "--" not in text, text
    return text


def of_seed(count, seed, distribution="normal"):
    """The latents that `infer` draws of a seed."""
    return seeded_inputs(Latent(size=5, distribution=distribution), count, seed)[0]


# what is taken


def test_a_seed_stands_for_the_latents_that_infer_draws():
    expected = of_seed(4, 7)
    (found,) = generator({"seed": whole(7), "num": whole(4, datatype="UINT8")})
    assert np.array_equal(found, expected) and found.dtype == np.float32
    assert np.array_equal(generator({"num": whole(2)})[0], of_seed(2, 1)), "without a seed, 1"
    for seed in (whole(7), Tensor("INT64", [], 7), Tensor("INT32", [1, 1], [[7]])):
        assert np.array_equal(generator({"seed": seed})[0], expected[:1]), "without a number, one"
    assert not np.array_equal(generator({"seed": whole(2**32 - 1)})[0], expected[:1])
    for distribution in ("uniform", "sphere"):
        spec = TensorSpec("latent", (5,), "float32", distribution=distribution)
        (latents,) = inputs_of(spec, {"seed": whole(3), "num": whole(6)}, "plain")
        assert np.array_equal(latents, of_seed(6, 3, distribution)), "the distribution is the model's"


def test_latents_are_taken_as_they_are_flat_or_nested():
    flat = floats(2, 5)
    nested = Tensor("FP32", [2, 5], np.reshape(flat.data, (2, 5)).tolist())
    expected = np.linspace(0, 1, 10, dtype=np.float32).reshape(2, 5)
    for tensor in (flat, nested):
        (latents,) = generator({"latent": tensor})
        assert np.array_equal(latents, expected) and latents.dtype == np.float32
    (latents,) = generator({"latent": Tensor("FP32", [1, 5], [1, -2, 3, 4, 500])})
    assert latents.tolist() == [[1, -2, 3, 4, 500]], "whole numbers will do, of any size"


@pytest.mark.parametrize(
    "label, expected",
    [
        (whole(2, 0), [2, 0]),
        (whole(2, 0, datatype="UINT8"), [2, 0]),
        (Tensor("INT32", [2, 1], [2, 0]), [2, 0]),
        (Tensor("INT32", [2, 1], [[2], [0]]), [2, 0]),
        (names("owl", "cat"), [2, 0]),
        (names(b"owl", b"cat"), [2, 0]),
        (Tensor("BYTES", [2, 1], [b"owl", b"cat"]), [2, 0]),
    ],
)
def test_a_class_is_a_number_or_a_name(label, expected):
    latents, labels = generator({"latent": floats(2, 5), "label": label}, "classes")
    assert labels.tolist() == expected and labels.dtype == np.int32 and labels.shape == (2,)
    latents, labels = generator({"seed": whole(4), "label": label}, "classes")
    assert labels.tolist() == expected, "one image for each label"
    assert np.array_equal(latents, of_seed(2, 4))
    assert generator({"num": whole(5), "label": label}, "classes")[1].tolist() == [2, 0, 2, 0, 2], "each in turn"
    images, labels = encoder({"image": floats(2, 1, 2, 3), "label": label}, "classes")
    assert images.dtype == np.float32 and images.min() == 0 and images.max() == 1 and labels.tolist() == expected


def test_tags_are_numbers_in_rising_order_or_names():
    for label, expected in (
        (Tensor("INT64", [2, 3], [1, 4, 0, 0, 0, 0]), [[1, 4, 0], [0, 0, 0]]),
        (names("yak,cat", ""), [[1, 4, 0], [0, 0, 0]]),
        (names(" dog , owl,owl "), [[2, 3, 0]]),
        (Tensor("BYTES", [2, 1], [b"yak,cat", b""]), [[1, 4, 0], [0, 0, 0]]),
    ):
        labels = generator({"seed": whole(1), "label": label}, "tags")[1]
        assert labels.tolist() == expected and labels.dtype == np.int32


def test_where_an_image_has_one_tag_its_numbers_stand_below_each_other():
    spec = ModelSpec("", (LATENT, TensorSpec("label", (1,), "int32", range=(0, 2))), (), {})
    asked = [("seed", whole(1)), ("label", Tensor("INT32", [2, 1], [1, 2]))]
    assert model_inputs(asked, spec, LabelNames(("cat", "dog"), 1), MOST)[1].tolist() == [[1], [2]]


def test_without_a_label_each_name_has_its_turn():
    assert generator({"num": whole(4)}, "classes")[1].tolist() == [0, 1, 2, 0]
    assert generator({"num": whole(2)}, "classes")[1].tolist() == [0, 1]
    assert generator({"num": whole(5)}, "tags")[1].tolist() == [[1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0], [1, 0, 0]]


def test_latents_alone_are_answered_without_drawing():
    drawn = []

    def model(latents):
        drawn.append(len(latents))
        return (np.zeros((len(latents), 1, 2, 2), np.float32),)

    spec = ModelSpec("", (LATENT,), (TensorSpec("image", (1, 2, 2), "float32"),), {})
    contract = SimpleNamespace(models={"generator": spec}, label_names=None)
    served = ServedModel(model, "generator", contract, "onnx", MOST)
    drawn.clear()  # at the start it is tried out
    asked = [("seed", whole(7)), ("num", whole(3))]
    found = asyncio.run(served.infer(asked, ["latent"]))
    assert list(found) == ["latent"] and np.array_equal(found["latent"], of_seed(3, 7)) and not drawn
    both = asyncio.run(served.infer(asked, ["latent", "image"]))
    assert list(both) == ["latent", "image"] and drawn


# what is refused

LATENTS = {"latent": floats(2, 5)}
REFUSED = {  # the model, what is sent, the labels, and what the sentence names
    "nothing": (generator, {}, "plain", "no inputs"),
    "an unknown input": (generator, {"noise": floats(1, 5)}, "plain", "no input 'noise'"),
    "a label for no labels": (generator, {**LATENTS, "label": whole(1, 1)}, "plain", "no input 'label'"),
    "a latent and a seed": (generator, {**LATENTS, "seed": whole(1)}, "plain", "not both"),
    "a latent too short": (generator, {"latent": floats(2, 4)}, "plain", "must have the shape [n, 5], not [2, 4]"),
    "a latent without batch": (generator, {"latent": floats(5)}, "plain", "must have the shape [n, 5], not [5]"),
    "no rows": (generator, {"latent": Tensor("FP32", [0, 5], [])}, "plain", "no images"),
    "too many rows": (generator, {"latent": floats(9, 5)}, "plain", "asks for 9 images; this server takes at most 8"),
    "another type": (generator, {"latent": Tensor("FP64", [1, 5], [0.0] * 5)}, "plain", "must be FP32, not FP64"),
    "too few elements": (generator, {"latent": Tensor("FP32", [2, 5], [0.0] * 9)}, "plain", "9 elements"),
    "a ragged latent": (generator, {"latent": Tensor("FP32", [2, 5], [[0.0], [0.0, 1.0]])}, "plain", "elements"),
    "words": (generator, {"latent": Tensor("FP32", [1, 5], ["a"] * 5)}, "plain", "elements that are not FP32"),
    "a flag among numbers": (generator, {"latent": Tensor("FP32", [1, 5], [0.5, 1, 2, 3, True])}, "plain", "not FP32"),
    "a shape of many axes": (
        generator,
        {"seed": Tensor("INT64", [1] * 100_000, [1])},
        "plain",
        "fill its shape [1, 1,",
    ),
    "no names": (generator, {"label": Tensor("BYTES", [1], None)}, "classes", "elements that are not BYTES"),
    "a flag for a name": (generator, {"label": Tensor("BYTES", [1], [True])}, "classes", "elements that are not BYTES"),
    "not a number": (generator, {"latent": Tensor("FP32", [1, 5], [0, 0, float("nan"), 0, 0])}, "plain", "not finite"),
    "more than FP32": (generator, {"latent": Tensor("FP32", [1, 5], [0, 0, 0, 0, 1e39])}, "plain", "not finite"),
    "far more": (generator, {"latent": Tensor("FP32", [1, 5], [0, 0, 0, 0, 10**400])}, "plain", "not FP32"),
    "a negative shape": (generator, {"latent": Tensor("FP32", [-1, 5], [0.0] * 5)}, "plain", "[-1, 5]"),
    "an enormous shape": (generator, {"latent": Tensor("FP32", [2**62, 5], [0.0] * 5)}, "plain", "elements"),
    "a negative seed": (generator, {"seed": whole(-1)}, "plain", "seed must be from 0 to 4294967295, not -1"),
    "a seed too large": (generator, {"seed": whole(2**32)}, "plain", "seed must be from 0 to 4294967295"),
    "two seeds": (generator, {"seed": whole(1, 2)}, "plain", "seed must be one whole number"),
    "no seed": (generator, {"seed": whole()}, "plain", "seed must be one whole number"),
    "a real seed": (generator, {"seed": Tensor("FP32", [1], [1.0])}, "plain", "seed must be a whole number's type"),
    "half a seed": (generator, {"seed": Tensor("INT64", [1], [1.5])}, "plain", "seed must be one whole number"),
    "no images": (generator, {"num": whole(0)}, "plain", "num must be from 1"),
    "a latent without label": (generator, LATENTS, "classes", "label is missing; the names are cat, dog, owl"),
    "too few labels": (generator, {**LATENTS, "label": whole(1)}, "classes", "latent has 2 rows and label 1"),
    "more labels than images": (generator, {"num": whole(1), "label": whole(1, 1)}, "classes", "label has 2 rows"),
    "a label too large": (generator, {"label": whole(3)}, "classes", "numbers from 0 to 2, not 3; the names are cat"),
    "a negative label": (generator, {"label": whole(-1)}, "classes", "whole numbers from 0 to 2, not -1"),
    "a label beyond int32": (generator, {"label": whole(2**32)}, "classes", "whole numbers from 0 to 2"),
    "no label": (generator, {"label": whole()}, "classes", "label is empty"),
    "labels side by side": (generator, {"label": Tensor("INT32", [1, 2], [1, 1])}, "classes", "shape [n]"),
    "a real label": (generator, {"label": Tensor("FP32", [1], [1.0])}, "classes", "a whole number's type"),
    "half a label": (generator, {"label": Tensor("INT32", [1], [0.5])}, "classes", "from 0 to 2, not 0.5"),
    "an unknown name": (generator, {"label": names("cta")}, "classes", "no class 'cta' (did you mean cat?); send one"),
    "bytes that are no text": (generator, {"label": names(b"\xff\xfe")}, "classes", "label"),
    "an unknown tag": (generator, {"label": names("cat,cow")}, "tags", "there is no tag 'cow'"),
    "too many tags": (generator, {"label": names("cat,dog,owl,yak")}, "tags", "4 tags, but an image has at most 3"),
    "tags without places": (generator, {"label": whole(1, 2, 3)}, "tags", "label must have the shape [n, 3], not [3]"),
    "tags that fall": (generator, {"label": Tensor("INT32", [1, 3], [2, 1, 0])}, "tags", "in rising order, then zeros"),
    "a tag twice": (generator, {"label": Tensor("INT32", [1, 3], [1, 1, 0])}, "tags", "each once"),
    "a zero before a tag": (generator, {"label": Tensor("INT32", [1, 3], [0, 1, 2])}, "tags", "then zeros"),
    "a tag too large": (generator, {"label": Tensor("INT32", [1, 3], [1, 5, 0])}, "tags", "from 0 to 4, not 5"),
    "no image": (encoder, {"label": whole(1)}, "classes", "image is missing"),
    "a latent for an encoder": (encoder, {"latent": floats(1, 5)}, "plain", "no input 'latent'"),
    "an image of another size": (encoder, {"image": floats(1, 1, 3, 2)}, "plain", "not [1, 1, 3, 2]"),
    "pixels too bright": (encoder, {"image": Tensor("FP32", [1, 1, 2, 3], [255.0] * 6)}, "plain", "outside 0 to 1"),
    "pixels too dark": (encoder, {"image": Tensor("FP32", [1, 1, 2, 3], [-1.0] * 6)}, "plain", "outside 0 to 1"),
    "fewer labels than images": (encoder, {"image": floats(2, 1, 2, 3), "label": whole(1)}, "classes", "has 2 rows"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_answered_is_refused_in_one_sentence(what):
    read, tensors, kind, named = REFUSED[what]
    with pytest.raises(RequestError) as caught:
        read(tensors, kind)
    assert named in sentence(caught.value) and caught.value.status == 400


def test_one_long_text_among_many_takes_no_more_memory_than_it_has():
    texts = ["x" * 100_000] + [""] * 4000  # NumPy would make all as long as the longest: 1.6 GB
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="elements that are not FP32"):
            generator({"latent": Tensor("FP32", [1, 5], texts)}, "plain")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


DATATYPES = st.sampled_from(["BOOL", "UINT8", "UINT64", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"])
NUMBERS = st.one_of(st.integers(-3, 10), st.integers(-(2**63), 2**64 - 1), st.floats(), st.booleans(), st.none())
TEXTS = st.one_of(st.text(max_size=5), st.binary(max_size=5), st.sampled_from(["cat", b"dog", "cat,owl", "nan", "1"]))
SCALARS = st.one_of(NUMBERS, TEXTS, st.dictionaries(st.text(max_size=2), st.integers(), max_size=1))
NESTED = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=6), max_leaves=20)


@st.composite
def tensors_of_all_kinds(draw):
    """Tensors of any type, shape and content, half of them of a shape that fits their content."""
    shape = draw(st.lists(st.one_of(st.integers(-1, 6), st.integers(-(2**63), 2**63 - 1)), max_size=5))
    fitting = draw(st.booleans())
    if fitting:
        shape = draw(st.sampled_from([[1], [2], [1, 1], [1, 5], [2, 5], [2, 3], [1, 1, 2, 3], []]))
        element = draw(st.sampled_from([st.integers(-1, 5), st.floats(-1, 2, width=32), SCALARS]))
        data = draw(st.lists(element, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    else:
        data = draw(NESTED)
    return Tensor(draw(DATATYPES), shape, data)


@settings(deadline=None, max_examples=300)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    encodes=st.booleans(),
    tensors=st.dictionaries(
        st.sampled_from(["latent", "seed", "num", "label", "image", "other\n"]), tensors_of_all_kinds(), max_size=3
    ),
)
def test_whatever_is_sent_is_either_refused_in_a_sentence_or_fits_the_model(kind, encodes, tensors):
    try:
        inputs = (encoder if encodes else generator)(tensors, kind)
    except RequestError as error:
        sentence(error)
        return
    first, *others = inputs
    assert first.dtype == np.float32 and np.isfinite(first).all() and 1 <= len(first) <= MOST
    assert first.shape[1:] == ((1, 2, 3) if encodes else (5,))
    assert len(others) == (kind != "plain")
    for label in others:
        assert label.dtype == np.int32 and label.shape == (len(first), *([3] if kind == "tags" else []))
        assert label.min() >= 0 and label.max() <= (4 if kind == "tags" else 2)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), rows=st.integers(1, MOST), tags=st.booleans())
def test_every_request_that_is_right_is_taken(data, rows, tags):
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    latents = data.draw(st.lists(numbers, min_size=5 * rows, max_size=5 * rows))
    label = st.sets(st.integers(1, 4), max_size=3) if tags else st.integers(0, 2)
    chosen = data.draw(st.lists(label, min_size=rows, max_size=rows))
    labels = [sorted(row) + [0] * (3 - len(row)) for row in chosen] if tags else chosen
    texts = [",".join(TAGS.names[tag - 1] for tag in row) if tags else ANIMALS.names[row] for row in chosen]
    for label in (Tensor("INT32", list(np.shape(labels)), np.ravel(labels).tolist()), names(*texts)):
        found = generator({"latent": Tensor("FP32", [rows, 5], latents), "label": label}, "tags" if tags else "classes")
        assert np.array_equal(found[0].ravel(), np.float32(latents)) and found[1].tolist() == labels


# batches


class Recording:
    """A model that remembers how many rows came at once; it gives each row's sum, and its double.

    While `held` is cleared it does not answer.
    """

    def __init__(self, opened=True):
        self.rows, self.threads, self.held = [], set(), threading.Event()
        if opened:
            self.held.set()

    def __call__(self, numbers, labels):
        assert len(numbers) == len(labels)
        self.rows.append(len(numbers))
        self.threads.add(threading.get_ident())
        self.held.wait(60)
        if (numbers == -1).any():
            raise ArithmeticError("a row that cannot be")
        return numbers.sum(axis=1) + labels, 2 * numbers

    async def busy(self, batches=1):
        """Wait until it computes so many batches."""
        while len(self.rows) < batches:
            await asyncio.sleep(0.001)


def batcher_of(model, most_rows=MOST, most_waiting=1000):
    return Batcher(model, most_rows, most_waiting, Metrics().of("generator"))


def check(arrays, answer):
    sums, doubled = answer
    assert np.array_equal(sums, arrays[0].sum(axis=1) + arrays[1]) and np.array_equal(doubled, 2 * arrays[0])


def rows_of(number, count):
    return np.full((count, 3), number, np.float32) + np.arange(count)[:, None], np.full(count, number % 7, np.int32)


WRONG = (np.full((1, 3), -1, np.float32), np.zeros(1, np.int32))


async def asked(batcher, *requests):
    """Tasks of requests, in this order."""
    tasks = [asyncio.ensure_future(batcher.submit(arrays)) for arrays in requests]
    await asyncio.sleep(0)
    return tasks


def test_many_clients_get_their_own_rows_in_order_and_no_batch_is_too_large():
    model = Recording()

    async def ask(batcher, client):
        random = np.random.default_rng(client)
        for number in range(40):
            arrays = rows_of(1000 * client + 10 * number, int(random.integers(1, MOST + 1)))
            check(arrays, await batcher.submit(arrays))

    async def ask_all():
        batcher = batcher_of(model)
        await asyncio.gather(*(ask(batcher, client) for client in range(16)))

    asyncio.run(ask_all())
    assert max(model.rows) <= MOST, "never more rows than allowed"
    assert len(model.rows) < 16 * 40, "requests that wait share a batch"
    assert len(model.threads) == 1 and threading.get_ident() not in model.threads


def test_a_full_queue_refuses_at_once_and_takes_again_what_then_fits():
    model = Recording()

    async def ask():
        batcher = batcher_of(model, most_waiting=5)
        model.held.clear()
        (first,) = await asked(batcher, rows_of(1, MOST))
        await model.busy()
        waiting = await asked(batcher, rows_of(2, 2), rows_of(3, 3))
        for rows in (1, 4):
            with pytest.raises(
                RequestError, match="^the server is busy: 5 images wait already; ask again later$"
            ) as full:
                await batcher.submit(rows_of(9, rows))
            assert full.value.status == 503
        with pytest.raises(RequestError):
            batcher.require_room()
        model.held.set()
        check(rows_of(1, MOST), await first)
        for answer, number in zip(waiting, (2, 3)):
            check(rows_of(number, number), await answer)
        check(rows_of(9, MOST), await batcher.submit(rows_of(9, MOST)))

    asyncio.run(ask())
    assert sum(model.rows) == 2 * MOST + 5, "what was refused is not computed"


def test_a_request_that_would_fill_the_queue_more_than_it_may_is_refused():
    model = Recording(opened=False)

    async def ask():
        batcher = batcher_of(model, most_waiting=5)
        (first,) = await asked(batcher, rows_of(1, 1))
        await model.busy()
        waiting = await asked(batcher, rows_of(2, 3))
        with pytest.raises(RequestError, match="3 images wait already"):
            await asyncio.wait_for(batcher.submit(rows_of(9, 3)), HANGS)
        waiting += await asked(batcher, rows_of(3, 2))
        model.held.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(ask())
    assert model.rows == [1, 5]


def test_requests_that_nobody_waits_for_leave_the_queue_at_once():
    model, metrics = Recording(), Metrics()

    async def ask():
        batcher = Batcher(model, MOST, 5, metrics.of("generator"))
        model.held.clear()
        (first,) = await asked(batcher, rows_of(1, 1))
        await model.busy()
        for _ in range(3):
            left = await asked(batcher, rows_of(2, 2), rows_of(3, 3))
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            batcher.require_room(5)
            assert b'ms_gan_queue_images{model="generator"} 0.0' in metrics.text("")[0]
        (last,) = await asked(batcher, rows_of(4, 5))
        model.held.set()
        check(rows_of(1, 1), await first)
        check(rows_of(4, 5), await last)

    asyncio.run(ask())
    assert model.rows == [1, 5], "what nobody waits for is not computed"


def test_one_request_may_always_wait_however_short_the_queue_is():
    model = Recording()

    async def ask():
        batcher = batcher_of(model, most_waiting=1)
        model.held.clear()
        (first,) = await asked(batcher, rows_of(1, MOST))
        await model.busy()
        (second,) = await asked(batcher, rows_of(2, MOST))
        model.held.set()
        check(rows_of(1, MOST), await first)
        check(rows_of(2, MOST), await second)

    asyncio.run(ask())


def test_requests_that_wait_go_together_as_far_as_they_fit():
    async def ask():
        model = Recording(opened=False)
        batcher = batcher_of(model)
        requests = [rows_of(10 * number, count) for number, count in enumerate((1, 3, 3, 2, 5, 4, 8, 1))]
        tasks = await asked(batcher, requests[0])
        await model.busy()
        tasks += await asked(batcher, *requests[1:])
        model.held.set()
        for arrays, answer in zip(requests, await asyncio.gather(*tasks)):
            check(arrays, answer)
        assert model.rows == [1, 8, 5, 4, 8, 1], "in the order in which they came"

    asyncio.run(ask())


def test_a_failure_reaches_everyone_in_the_batch_and_nobody_else():
    async def ask():
        model = Recording(opened=False)
        batcher = batcher_of(model)
        tasks = await asked(batcher, rows_of(0, 1))
        await model.busy()
        tasks += await asked(batcher, rows_of(5, 2), WRONG, rows_of(7, MOST))
        model.held.set()
        first, good, wrong, later = await asyncio.gather(*tasks, return_exceptions=True)
        for answer in (good, wrong):
            assert isinstance(answer, ArithmeticError) and str(answer) == "a row that cannot be"
        check(rows_of(0, 1), first)
        check(rows_of(7, MOST), later)
        check(rows_of(9, 1), await batcher.submit(rows_of(9, 1)))

    asyncio.run(ask())


@pytest.mark.parametrize("staying", [True, False])
def test_a_cancelled_request_is_skipped(staying):
    async def ask():
        model = Recording(opened=False)
        batcher = batcher_of(model)
        (first,) = await asked(batcher, rows_of(0, 1))
        await model.busy()
        cancelled, *others = await asked(batcher, rows_of(1, 3), *([rows_of(2, 2)] if staying else []))
        cancelled.cancel()
        model.held.set()
        check(rows_of(0, 1), await first)
        for other in others:
            check(rows_of(2, 2), await other)
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        check(rows_of(3, 1), await batcher.submit(rows_of(3, 1)))
        assert model.rows == ([1, 2, 1] if staying else [1, 1])

    asyncio.run(ask())


@pytest.mark.parametrize("fails", [False, True])
def test_a_client_that_leaves_while_its_rows_are_computed_harms_no_other(fails):
    async def ask():
        model, turns = Recording(), threading.Semaphore(0)
        model.held = SimpleNamespace(wait=lambda seconds: turns.acquire(timeout=seconds))  # a batch at a time
        batcher = batcher_of(model)
        (first,) = await asked(batcher, rows_of(0, 1))
        await model.busy()
        leaves, stays = await asked(batcher, WRONG if fails else rows_of(1, 2), rows_of(2, 2))
        turns.release()
        await first
        await model.busy(2)
        leaves.cancel()
        turns.release(2)
        (answer,) = await asyncio.wait_for(asyncio.gather(stays, return_exceptions=True), HANGS)
        if fails:
            assert isinstance(answer, ArithmeticError)
        else:
            check(rows_of(2, 2), answer)
        check(rows_of(3, 1), await asyncio.wait_for(batcher.submit(rows_of(3, 1)), HANGS))

    asyncio.run(ask())


def test_abandoned_requests_are_answered_at_once_also_while_the_rows_are_computed():
    async def ask():
        model = Recording(opened=False)
        batcher = batcher_of(model)
        tasks = await asked(batcher, *(rows_of(number, MOST) for number in range(3)), rows_of(1, 1))
        tasks[-1].cancel()
        await model.busy()
        batcher.abandon()
        for task in (*tasks[:-1], *await asked(batcher, rows_of(9, 1))):
            with pytest.raises(RequestError, match="the server ends"):
                await task
        model.held.set()
        await compute(lambda: None)  # behind what is computed
        assert len(model.rows) == 1, "what nobody waits for is not computed"

    asyncio.run(ask())


def test_what_was_answered_is_not_kept():
    async def ask():
        batcher, arrays = batcher_of(Recording()), rows_of(1, 1)
        sent = weakref.ref(arrays[0])
        await batcher.submit(arrays)
        await asyncio.sleep(0.01)
        del arrays
        gc.collect()
        return sent() is None

    assert asyncio.run(ask())


def test_of_several_models_one_at_a_time_computes():
    """MindSpore stands still where two do."""
    busy, together = [], []

    def model(numbers, labels):
        busy.append(1)
        together.append(len(busy))
        time.sleep(0.002)
        busy.pop()
        return numbers, labels

    async def ask():
        several = [batcher_of(model, 1) for _ in range(3)]
        await asyncio.gather(*(batcher.submit(rows_of(number, 1)) for number in range(20) for batcher in several))

    asyncio.run(ask())
    assert together == [1] * 60


def test_a_model_is_opened_in_the_thread_that_runs_it_and_what_it_raises_is_raised():
    model = Recording()

    async def ask():
        opened_in = await compute(threading.get_ident)
        await batcher_of(model).submit(rows_of(1, 1))
        with pytest.raises(SystemExit):
            await compute(sys.exit, 3)
        return {opened_in}

    assert asyncio.run(ask()) == model.threads


# what is counted


@pytest.mark.parametrize(
    "error, status",
    [
        (None, 200),
        (RequestError("the server is busy", 503), 503),
        (ArithmeticError("a row that cannot be"), 500),
        (asyncio.CancelledError(), 499),
    ],
)
def test_a_request_is_counted_by_how_it_ended_and_its_seconds(error, status):
    metrics, begun = Metrics(), time.perf_counter()
    with contextlib.suppress(Exception, asyncio.CancelledError), metrics.request("rest") as seen:
        seen.model, seen.images = "generator", 3
        time.sleep(0.01)
        if error:
            raise error
    most = time.perf_counter() - begun
    found = dict(line.rsplit(" ", 1) for line in metrics.text("")[0].decode().splitlines() if not line.startswith("#"))
    of = 'model="generator",protocol="rest"'
    assert found[f'ms_gan_requests_total{{{of},status="{status}"}}'] == "1.0"
    assert 0.01 <= float(found[f"ms_gan_request_duration_seconds_sum{{{of}}}"]) <= most
    assert found.get(f"ms_gan_images_total{{{of}}}") == ("3.0" if status == 200 else None)


def test_figures_come_as_the_header_accept_asks():
    text, kind = Metrics().text("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n") and kind.startswith("application/openmetrics-text")
    text, kind = Metrics().text("")
    assert not text.endswith(b"# EOF\n") and kind.startswith("text/plain")
