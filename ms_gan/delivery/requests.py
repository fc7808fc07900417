"""From the tensors of a request to a model's inputs: everything that can be wrong with them is said in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ms_gan.delivery.contract import TYPES, Facts
from ms_gan.errors import UserError, shown
from ms_gan.evaluation.sampling import Inputs, seeded_inputs
from ms_gan.labels import LabelNames

WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
MOST_DIMENSIONS = 32  # NumPy's own limit
DATATYPES = {"float32": ("FP32",), "int32": WHOLE}
BYTES_PER_NUMBER = 32  # as JSON writes it, with room to spare
BYTES_BESIDE = 1 << 20
MOST_BYTES = 2**31 - 1  # of a message over gRPC
PROTOCOL_TYPES = {"float32": "FP32", "int32": "INT32"}  # of the Open Inference Protocol


class RequestError(Exception):
    """The request cannot be answered as it is; the message is one sentence for who sent it."""


class Tensor(NamedTuple):
    """A tensor as a request holds it: the protocol's type, its shape, and its elements, flat or nested."""

    datatype: str
    shape: Sequence[int]
    data: Any


def generator_inputs(tensors: dict[str, Tensor], facts: Facts, labels: LabelNames | None, most_rows: int) -> Inputs:
    """Return latents, and where the generator takes them labels.

    A request holds `latent` itself, or `num` images of `seed`, which are those that `infer` draws; and `label`, as
    numbers or as names: one for each image; of a seed's images, each of the labels in turn.
    """
    latent = facts["inputs"][0]
    allowed = ["latent", "seed", "num"] + (["label"] if labels is not None else [])
    for name in tensors:
        if name not in allowed:
            raise RequestError(f"there is no input {shown(name)}; this model takes {', '.join(allowed)}")
    asked = _labels(tensors["label"], facts["inputs"][1], labels) if "label" in tensors else None
    if "latent" in tensors:
        if "seed" in tensors or "num" in tensors:
            raise RequestError("send latent, or seed and num, not both")
        latents = _numbers("latent", tensors["latent"], latent)
        _require_rows(len(latents), most_rows)
        if labels is None:
            return (latents,)
        if asked is None:
            raise RequestError(f"label is missing; {_choices(labels)}")
        if len(asked) != len(latents):
            raise RequestError(f"latent has {len(latents)} rows and label {len(asked)}; send one label for each latent")
        return latents, asked
    if not tensors:
        raise RequestError(f"there are no inputs; this model takes {', '.join(allowed)}")
    count = _scalar("num", tensors["num"], 1, 2**31) if "num" in tensors else (1 if asked is None else len(asked))
    seed = _scalar("seed", tensors["seed"], 0, 2**32) if "seed" in tensors else 1
    _require_rows(count, most_rows)
    if labels is not None:
        asked = labels.each() if asked is None else asked
        if len(asked) > count and "label" in tensors:
            raise RequestError(
                f"label has {len(asked)} rows, and num asks for {count} images; send at most one for each"
            )
        asked = asked[np.arange(count) % len(asked)]
    return seeded_inputs({"size": latent["shape"][1], "distribution": latent["distribution"]}, count, seed, asked)


def encoder_inputs(tensors: dict[str, Tensor], facts: Facts, labels: LabelNames | None, most_rows: int) -> Inputs:
    """Return images, and where the encoder takes them their labels."""
    needed = [tensor["name"] for tensor in facts["inputs"]]
    for name in tensors:
        if name not in needed:
            raise RequestError(f"there is no input {shown(name)}; this model takes {', '.join(needed)}")
    for name in needed:
        if name not in tensors:
            raise RequestError(f"{name} is missing; this model takes {', '.join(needed)}")
    images = _numbers("image", tensors["image"], facts["inputs"][0])
    _require_rows(len(images), most_rows)
    if labels is None:
        return (images,)
    asked = _labels(tensors["label"], facts["inputs"][1], labels)
    if len(asked) != len(images):
        raise RequestError(f"image has {len(images)} rows and label {len(asked)}; send one label for each image")
    return images, asked


def most_body_bytes(contract: Facts, most_rows: int) -> int:
    """Return how long a message may be: the largest request, or answer, of `most_rows` rows, as JSON.

    Raises UserError for rows of which gRPC cannot carry as many.
    """
    bytes_per_row = BYTES_PER_NUMBER * max(
        sum(math.prod(tensor["shape"][1:]) for tensor in tensors)
        for facts in contract["models"].values()
        for tensors in (facts["inputs"], facts["outputs"])
    )
    most = (MOST_BYTES - BYTES_BESIDE) // bytes_per_row
    if most_rows > most:
        raise UserError(
            f"--max-batch {shown(most_rows)}: so many images make a message larger than gRPC carries; "
            f"of this bundle at most {most}"
        )
    return BYTES_BESIDE + most_rows * bytes_per_row


def _array(name: str, tensor: Tensor, datatypes: Sequence[str], type: Any) -> np.ndarray:
    """Return a tensor's elements in its own shape."""
    if tensor.datatype not in datatypes:
        kinds = "a whole number's type, such as INT32" if datatypes == WHOLE else " or ".join(datatypes)
        raise RequestError(f"{name} must be {kinds}, not {tensor.datatype}")
    shape = list(tensor.shape)
    if not all(isinstance(size, int) and size >= 0 for size in shape) or len(shape) > MOST_DIMENSIONS:
        raise RequestError(f"{name} has the shape {shown(shape)}, which no tensor has")
    try:
        array = np.array(tensor.data, object) if type is object else np.array(tensor.data)
        if type is not object and (array.dtype.kind not in "fiu" and array.size):  # text and truth are no numbers
            raise ValueError(array.dtype)
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            array = array.astype(type)
    except (ValueError, TypeError, OverflowError) as error:
        raise RequestError(f"{name} has elements that are not {tensor.datatype}") from error
    if array.size != int(np.prod(shape, dtype=object)):
        raise RequestError(f"{name} has {array.size} elements, and its shape {shown(shape)} says another number")
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise RequestError(f"{name} has the shape {shown(shape)}, which no tensor has") from error


def _numbers(name: str, tensor: Tensor, facts: Facts) -> np.ndarray:
    array = _array(name, tensor, DATATYPES[facts["type"]], TYPES[facts["type"]])
    if list(array.shape[1:]) != facts["shape"][1:] or array.ndim == 0:
        raise _wrong_shape(name, tensor, facts)
    if not np.isfinite(array).all():
        raise RequestError(f"{name} has elements that are not finite numbers")
    low, high = facts["range"]
    if low is not None and array.size and not (low <= array.min() and array.max() <= high):
        raise RequestError(f"{name} has elements outside {low:g} to {high:g}")
    return array


def _wrong_shape(name: str, tensor: Tensor, facts: Facts) -> RequestError:
    wanted = ", ".join(map(str, ["n", *facts["shape"][1:]]))
    return RequestError(f"{name} must have the shape [{wanted}], not {list(tensor.shape)}")


def _scalar(name: str, tensor: Tensor, low: int, end: int) -> int:
    array = _array(name, tensor, WHOLE, object)
    if array.size != 1 or type(array.item()) is not int:
        raise RequestError(f"{name} must be one whole number, of the shape [1]")
    if not low <= array.item() < end:
        raise RequestError(f"{name} must be from {low} to {end - 1}, not {shown(array.item())}")
    return array.item()


def _labels(tensor: Tensor, facts: Facts, names: LabelNames) -> np.ndarray:
    """Return labels, int32, (n,) or (n, places), of names or of numbers; classes also from (n, 1), as to Triton."""
    if tensor.datatype == "BYTES":
        texts = _array("label", tensor, ("BYTES",), object)
        if texts.ndim == 0 or texts.ndim > 2 or texts.shape[1:] not in ((), (1,)):
            raise RequestError(
                f"label as text must have the shape [n], one text for each image, not {list(tensor.shape)}"
            )
        texts = texts.ravel()
        try:
            read = [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]
            rows: list[np.ndarray] = [names.label(text) for text in read]
        except UnicodeDecodeError as error:
            raise RequestError("label is not UTF-8") from error
        except UserError as error:
            told = " ".join(str(error).replace("--label takes", "send").replace("--label ", "").split())
            raise RequestError(f"label: {told}") from error
        if not rows:
            raise RequestError("label is empty")
        return np.stack(rows)
    array = _array("label", tensor, WHOLE, object)
    if not all(type(number) is int for number in array.ravel()):
        raise RequestError("label has elements that are not whole numbers")
    if not names.places and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if list(array.shape[1:]) != facts["shape"][1:] or array.ndim == 0 or not array.size:
        raise _wrong_shape("label", tensor, facts)
    low, high = facts["range"]
    wrong = [number for number in array.ravel() if not low <= number <= high]
    if wrong:
        raise RequestError(f"label must be from {low} to {high}, not {shown(wrong[0])}; {_choices(names)}")
    array = array.astype(np.int32)
    if names.places:
        for row in array:
            tags = row[row > 0]
            if list(row) != sorted(set(tags.tolist())) + [0] * (names.places - len(tags)):
                raise RequestError(f"label {row.tolist()}: tags come each once, in rising order, then zeros")
    return array


def _require_rows(rows: int, most_rows: int) -> None:
    if rows < 1:
        raise RequestError("the request asks for no images")
    if rows > most_rows:
        raise RequestError(f"the request asks for {rows:,} images; this server takes at most {most_rows:,} at once")


def _choices(names: LabelNames) -> str:
    shown = ", ".join(names.names[:40]) + (", …" if len(names.names) > 40 else "")
    return f"the names are {shown}"
