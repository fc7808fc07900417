"""From the tensors of a request to a model's inputs. Everything that can be wrong is said in one sentence."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ms_gan.delivery.contract import Contract, ModelSpec, TensorSpec
from ms_gan.errors import Setting, UserError, shown
from ms_gan.labels import LabelNames
from ms_gan.sampling import Inputs, in_turn, seeded_inputs

WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
PROTOCOL_TYPES = {"float32": "FP32", "int32": "INT32"}  # of the Open Inference Protocol
BYTES_PER_NUMBER = 32  # as JSON writes it, with room to spare
BYTES_BESIDE = 1 << 20
MOST_BYTES = 2**31 - 1  # of a message over gRPC
ENDS = ("the server ends", 503)  # what is answered to requests that are under way then
MOST_NAMED = 40  # labels in a message
MOST_AXES = 8  # of a tensor; images have four


class RequestError(Exception):
    """A request that cannot be answered: one sentence for its sender, and the status of HTTP."""

    def __init__(self, sentence: str, status: int = 400):
        super().__init__(sentence)
        self.status = status


class Tensor(NamedTuple):
    """A tensor as a request holds it: the protocol's type, its shape, and its elements, flat or nested."""

    datatype: str
    shape: Sequence[int]
    data: Any


def model_inputs(
    tensors: Sequence[tuple[str, Tensor]], model: ModelSpec, label_names: LabelNames | None, most_rows: int
) -> Inputs:
    """Return latents or images, float32, N×size or N×C×H×W, and where the model takes them labels, int32.

    A request to a generator holds `latent` itself, or `seed` and `num`: the images that `infer` draws of the seed.
    `label` holds numbers or names, one for each row; with a seed, each label in turn. Raises RequestError.
    """
    given, spec = dict(tensors), model.inputs[0]
    more = ("seed", "num") if spec.name == "latent" else ()
    allowed = [*(each.name for each in model.inputs), *more]
    require_names("input", [name for name, _ in tensors], allowed)
    if not given:
        raise RequestError(f"there are no inputs; this model takes {', '.join(allowed)}")
    labels = _labels(given["label"], model.inputs[1], label_names) if label_names and "label" in given else None
    if spec.name not in given:
        if spec.name != "latent":
            raise RequestError(f"{spec.name} is missing; this model takes {', '.join(allowed)}")
        return _seeded(given, spec, labels, label_names, most_rows)
    if "seed" in given or "num" in given:
        raise RequestError("send latent, or seed and num, not both")
    rows = _numbers(given[spec.name], spec)
    _require_rows(len(rows), most_rows)
    if label_names is None:
        return (rows,)
    if labels is None:
        raise RequestError(f"label is missing; the names are {_listed(label_names)}")
    if len(labels) != len(rows):
        raise RequestError(f"{spec.name} has {len(rows)} rows and label {len(labels)}; send one label for each")
    return rows, labels


def from_bytes(name: str, datatype: str, content: bytes) -> np.ndarray:
    """Return what bytes hold, as Triton's clients send them: flat numbers, or bytes objects for the datatype BYTES."""
    from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype  # MLServer's own command goes without

    try:
        if datatype == "BYTES":
            return deserialize_bytes_tensor(content)
        return np.frombuffer(content, triton_to_np_dtype(datatype))
    except (ValueError, struct.error) as error:
        told = f"{shown(name)} has {len(content):,} bytes, which are no elements of {shown(datatype)}"
        raise RequestError(told) from error


def require_names(kind: str, names: Sequence[str], allowed: Sequence[str]) -> None:
    """Raise RequestError for the name of an input or output that the model does not have, or that comes twice."""
    for name in names:
        if name not in allowed:
            raise RequestError(f"there is no {kind} {shown(name)}; this model has {', '.join(allowed)}")
        if names.count(name) > 1:
            raise RequestError(f"the {kind} {name} is there twice")


def most_body_bytes(contract: Contract, most_rows: int) -> int:
    """Return the bytes of the largest request or answer of `most_rows` rows, as JSON.

    Raises UserError for more rows than a message over gRPC can hold.
    """
    bytes_per_row = BYTES_PER_NUMBER * max(
        sum(math.prod(spec.shape) for spec in side)
        for model in contract.models.values()
        for side in (model.inputs, model.outputs)
    )
    most = (MOST_BYTES - BYTES_BESIDE) // bytes_per_row
    if most_rows > most:
        wrong = f"{shown(most_rows)} images in one request make a message larger than gRPC carries"
        raise UserError(wrong, "give ", Setting("max_batch", str(most)), " for this bundle, or less")
    return BYTES_BESIDE + most_rows * bytes_per_row


def _seeded(
    given: Mapping[str, Tensor],
    spec: TensorSpec,
    labels: np.ndarray | None,
    label_names: LabelNames | None,
    most_rows: int,
) -> Inputs:
    count = _scalar("num", given["num"], 1, 2**31) if "num" in given else (1 if labels is None else len(labels))
    seed = _scalar("seed", given["seed"], 0, 2**32) if "seed" in given else 1
    _require_rows(count, most_rows)
    if labels is not None and len(labels) > count:
        raise RequestError(f"label has {len(labels)} rows, and num asks for {count} images; send at most one for each")
    if label_names is not None:
        labels = label_names.each() if labels is None else labels
        labels = in_turn(labels, count)
    return seeded_inputs(spec.latent, count, seed, labels)


def _require_rows(rows: int, most_rows: int) -> None:
    if rows < 1:
        raise RequestError("the request asks for no images")
    if rows > most_rows:
        raise RequestError(f"the request asks for {rows:,} images; this server takes at most {most_rows:,} at once")


def _array(name: str, tensor: Tensor, datatypes: Sequence[str], dtype: Any) -> np.ndarray:
    """Return a tensor's elements in its own shape."""
    if tensor.datatype not in datatypes:
        kinds = "a whole number's type, such as INT32" if datatypes == WHOLE else " or ".join(datatypes)
        raise RequestError(f"{name} must be {kinds}, not {shown(tensor.datatype)[1:-1]}")
    try:
        in_bytes = isinstance(tensor.data, np.ndarray)
        # as objects, since of texts NumPy would make all as long as the longest
        array = tensor.data if in_bytes else np.array(tensor.data, object)
        if not in_bytes and array.ndim > 1 and list(array.shape) != list(tensor.shape):
            raise RequestError(
                f"{name} has data nested as {shown(list(array.shape))}, not as its shape {shown(list(tensor.shape))}"
            )
        known = array.dtype.kind in "fiu" if in_bytes else set(map(type, array.ravel())) <= {int, float}
        if dtype is not object and not known and array.size:  # text and truth are no numbers
            raise ValueError(array.dtype)
        if tensor.datatype in WHOLE and not in_bytes:
            bounds = np.iinfo(tensor.datatype.lower())
            if any(type(each) is int and not bounds.min <= each <= bounds.max for each in array.ravel()):
                raise ValueError(tensor.datatype)
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            array = array.astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise RequestError(f"{name} has elements that are not {tensor.datatype}") from error
    shape = list(tensor.shape)
    try:
        if len(shape) > MOST_AXES or min(shape, default=0) < 0:  # -1 would be any number
            raise ValueError(shape)
        return array.reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise RequestError(f"{name} has {array.size} elements, which do not fill its shape {shown(shape)}") from error


def _require_shape(array: np.ndarray, spec: TensorSpec) -> None:
    if array.ndim == 0 or array.shape[1:] != spec.shape:
        wanted = ", ".join(map(str, spec.batch_of("n")))
        raise RequestError(f"{spec.name} must have the shape [{wanted}], not {list(array.shape)}")


def _numbers(tensor: Tensor, spec: TensorSpec) -> np.ndarray:
    array = _array(spec.name, tensor, ("FP32",), np.float32)
    _require_shape(array, spec)
    if not np.isfinite(array).all():
        raise RequestError(f"{spec.name} has elements that are not finite numbers")
    low, high = spec.range or (-np.inf, np.inf)
    if array.size and not (low <= array.min() and array.max() <= high):
        raise RequestError(f"{spec.name} has elements outside {low:g} to {high:g}")
    return array


def _scalar(name: str, tensor: Tensor, low: int, end: int) -> int:
    array = _array(name, tensor, WHOLE, object)
    if array.size != 1 or type(array.item()) is not int:
        raise RequestError(f"{name} must be one whole number, of the shape [1]")
    if not low <= array.item() < end:
        raise RequestError(f"{name} must be from {low} to {end - 1}, not {shown(array.item())}")
    return array.item()


def _labels(tensor: Tensor, spec: TensorSpec, label_names: LabelNames) -> np.ndarray:
    """Return labels, int32, (n,) or (n, max_tags), of names or numbers; classes also from (n, 1), as for Triton."""
    named = tensor.datatype == "BYTES"
    array = _array("label", tensor, ("BYTES",) if named else WHOLE, object)
    if not array.size:
        raise RequestError("label is empty")
    if array.ndim == 2 and array.shape[1] == 1 and (named or not spec.shape):
        array = array[:, 0]
    if named:
        _require_shape(array, TensorSpec("label", (), "int32"))
        return np.stack([_named(text, label_names) for text in array])
    _require_shape(array, spec)
    low, high = spec.range or (0, 0)
    for number in array.ravel():
        if type(number) is not int or not low <= number <= high:
            told = f"label must be whole numbers from {low} to {high}, not {shown(number)}"
            raise RequestError(f"{told}; the names are {_listed(label_names)}")
    array = array.astype(np.int32)
    for row in array if spec.shape else ():
        tags = sorted(set(row[row > 0].tolist()))
        if row.tolist() != tags + [0] * (len(row) - len(tags)):
            raise RequestError(f"label {row.tolist()}: tags come each once, in rising order, then zeros")
    return array


def _named(text: Any, label_names: LabelNames) -> np.ndarray:
    if type(text) not in (str, bytes, int):
        raise RequestError("label has elements that are not BYTES")
    try:
        return label_names.label(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
    except UserError as error:
        how = "some of {}, joined by commas" if label_names.max_tags else "one of {}"
        raise RequestError(f"label: {error.problem}; send {how.format(_listed(label_names))}") from error


def _listed(label_names: LabelNames) -> str:
    names = label_names.names
    return f"{', '.join(names[:MOST_NAMED])}{', …' if len(names) > MOST_NAMED else ''}"
