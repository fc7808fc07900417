"""What a bundle promises: its models, their inputs and outputs, where their files lie, and how equal they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan.delivery.mistaken import CONTRACT, why_no_bundle
from ms_gan.errors import UserError, shown
from ms_gan.files import stays_below
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.randomness import random_stream
from ms_gan.sampling import Inputs, seeded_inputs
from ms_gan.schema.recipe import Latent

CONTRACT_VERSION = 2
MODELS = ("generator", "encoder")  # what makes images is always called the generator, the decoder of a CVAE too
FIRST_INPUT = {"generator": "latent", "encoder": "image"}
OUTPUTS = {"generator": ["image"], "encoder": ["mean", "log_variance"]}
DIMENSIONS = {"latent": 1, "image": 3, "mean": 1, "log_variance": 1}  # behind the batch
FORMATS = ("mindir", "onnx")
TYPES = {"float32": np.float32, "int32": np.int32}
BATCH = "batch"  # the first size of every shape in the file


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    Args:
        name: "latent", "label", "image", "mean" or "log_variance".
        shape: sizes behind the batch.
        type: a key of TYPES.
        meaning: what the numbers stand for, for readers.
        range: least and greatest value; None for any finite number.
        layout, channels: of images.
        distribution: of latents, a key of DISTRIBUTIONS.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    meaning: str = ""
    range: tuple[float, float] | None = None
    layout: str | None = None
    channels: str | None = None
    distribution: str | None = None

    def batch_of(self, rows: Any) -> list[Any]:
        """Return the whole shape, of `rows` rows."""
        return [rows, *self.shape]

    @property
    def latent(self) -> Latent:
        """What latents are drawn from, where this is one."""
        return Latent(size=self.shape[0], distribution=self.distribution or "normal")

    def to_json(self) -> dict[str, Any]:
        """Return the tensor as the contract's file holds it."""
        content = {key: value for key, value in asdict(self).items() if value is not None}
        content["shape"] = self.batch_of(BATCH)
        return {**content, "range": [None, None]} if self.name == "latent" else content


@dataclass(frozen=True)
class ModelSpec:
    """One model: its tensors, and its file in each format, relative to the bundle."""

    meaning: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the model as the contract's file holds it."""
        tensors = {side: [tensor.to_json() for tensor in getattr(self, side)] for side in ("inputs", "outputs")}
        return {"meaning": self.meaning, **tensors, "files": dict(self.files)}


@dataclass(frozen=True)
class Proof:
    """How a model's file was compared with the checkpoint's network.

    `greatest_difference` is max |difference| over all outputs at the batch sizes `batches`.
    """

    against: str
    runtime: str
    batches: tuple[int, ...]
    greatest_difference: float
    tolerance: float


@dataclass(frozen=True)
class ModelFile:
    """A model's file as it was exported."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Contract:
    """A bundle's `contract.json`.

    Args:
        models: by name, of MODELS.
        labels: the names of classes or tags; None for models without labels.
        origin: which checkpoint of which run; "step" is a whole number.
        versions: of the packages and the machine that exported.
        parity, files: by the file's path relative to the bundle.
    """

    recipe: str
    family: str
    models: Mapping[str, ModelSpec]
    labels: tuple[str, ...] | None
    origin: Mapping[str, Any]
    versions: Mapping[str, Any]
    parity: Mapping[str, Proof]
    files: Mapping[str, ModelFile]

    @classmethod
    def from_json(cls, document: Any) -> Contract:
        """Return the contract that a file holds. Raises WrongField, which names the field that is wrong."""
        whole = _Part(document)
        labels = whole.get("labels", None if whole.holds("labels", None) else list)
        if labels is not None:
            whole.require("labels", bool(labels) and all(isinstance(name, str) for name in labels), "names")
            whole.require("labels", len(set(labels)) == len(labels), "names that differ")
        parity = {name: _proof(part) for name, part in whole.part("parity").parts().items()}
        files = {
            name: ModelFile(part.get("sha256", str), part.get("bytes", int, 0))
            for name, part in whole.part("files").parts().items()
        }
        for name in files:
            whole.require("files", stays_below(name), f"files inside the bundle, not {shown(name)}")
        models = {}
        for name, part in whole.part("models").parts().items():
            whole.require("models", name in MODELS, f"{' and '.join(MODELS)}, not {shown(name)}")
            models[name] = _model(name, part, labels)
            for file in models[name].files.values():
                part.require("files", file in files and file in parity, "listed under the contract's files and parity")
        whole.part("models").part("generator")
        whole.part("origin").get("step", int)
        return cls(
            recipe=whole.get("recipe", str),
            family=whole.get("family", str, ""),
            models=models,
            labels=None if labels is None else tuple(labels),
            origin=whole.get("origin", dict),
            versions=whole.get("versions", dict, {}),
            parity=parity,
            files=files,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the contract as its file holds it."""
        return {
            "contract_version": CONTRACT_VERSION,
            "recipe": self.recipe,
            "family": self.family,
            "models": {name: model.to_json() for name, model in self.models.items()},
            "labels": self.labels,
            "origin": dict(self.origin),
            "versions": dict(self.versions),
            "parity": {name: asdict(proof) for name, proof in self.parity.items()},
            "files": {name: asdict(file) for name, file in self.files.items()},
        }

    @property
    def generator(self) -> ModelSpec:
        """The model that draws images."""
        return self.models["generator"]

    @property
    def latent(self) -> Latent:
        """What the generator's latents are drawn from."""
        return self.generator.inputs[0].latent

    @property
    def label_names(self) -> LabelNames | None:
        """The names behind the labels; None for models without labels."""
        return None if self.labels is None else LabelNames(self.labels, *self.generator.inputs[1].shape)

    @property
    def title(self) -> str:
        """Recipe and step, such as "mlp, step 93,600"."""
        return f"{self.recipe}, step {self.origin['step']:,}"

    @property
    def held_format(self) -> str:
        """The format to use where none is asked for: MindIR where every model has one, else ONNX."""
        return "mindir" if all("mindir" in model.files for model in self.models.values()) else "onnx"


class WrongField(ValueError):
    """A field of a contract that is not what it must be: its dotted name, and what it must be."""

    def __init__(self, field: str, must_be: str):
        super().__init__(f"{field} must be {must_be}")


def read_contract(folder: Path) -> Contract:
    """Read a bundle's contract. Raises UserError that names the field that is missing or wrong."""
    path = folder / CONTRACT
    if not path.is_file():
        raise why_no_bundle(folder)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document.get("contract_version") if isinstance(document, dict) else None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged (not JSON)", "use another copy of the bundle") from error
    if version is not None and version != CONTRACT_VERSION:
        raise UserError(
            f"{path}: of version {shown(version)}, which this program does not read",
            "use the version of ms_gan that wrote it",
        )
    try:
        return Contract.from_json(document)
    except WrongField as error:
        raise UserError(f"{path}: damaged ({error})", "use another copy of the bundle") from error


def file_of(model: str, file_format: str) -> str:
    """Return where a model's file lies in the bundle; the ONNX lies where Triton looks for it."""
    return f"{model}.mindir" if file_format == "mindir" else f"{model}/1/{model}.onnx"


def example_inputs(model: ModelSpec, label_names: LabelNames | None, count: int, seed: int) -> Inputs:
    """Return a batch for a model: seeded latents, or noise as images, and labels in turn."""
    first = model.inputs[0]
    if first.name == "latent":
        batch = seeded_inputs(first.latent, count, seed)
    else:
        batch = (random_stream(seed, "parity").random(first.batch_of(count), dtype=np.float32),)
    return batch if label_names is None else (*batch, _labels_in_turn(label_names, model.inputs[1].shape, count))


def _labels_in_turn(label_names: LabelNames, shape: Sequence[int], count: int) -> np.ndarray:
    known = len(label_names.names)
    if not shape:
        return np.arange(count, dtype=np.int32) % known
    rows = np.zeros((count, *shape), np.int32)
    for number, row in enumerate(rows):  # of no tag, of one, and so on up to the most tags
        tags = number % (min(len(row), known) + 1)
        row[:tags] = 1 + np.sort((number + np.arange(tags)) % known)
    return rows


class _Part:
    """An object in a contract's JSON, and the dotted name of its place."""

    def __init__(self, content: Any, place: str = ""):
        if not isinstance(content, dict):
            raise WrongField(place or "it", "an object")
        self.content, self.place = content, place

    def require(self, name: str, right: bool, must_be: str) -> None:
        """Raise WrongField for the field `name` unless `right`."""
        if not right:
            raise WrongField(f"{self.place}{name}", must_be)

    def holds(self, name: str, value: Any) -> bool:
        """Return whether the field is there and has this value."""
        return self.content.get(name, ...) is value

    def get(self, name: str, kind: Any, default: Any = ...) -> Any:
        """Return a field of this type (None for null); `default` where it is left out."""
        value = self.content.get(name, default)
        kinds = {str: "text", int: "a whole number", list: "a list", dict: "an object", (int, float): "a number"}
        right = value is None if kind is None else isinstance(value, kind) and not isinstance(value, bool)
        self.require(name, value is not ... and right, f"there, and be {kinds.get(kind, 'null')}")
        return value

    def part(self, name: str) -> _Part:
        """Return the object in a field."""
        return _Part(self.get(name, dict), f"{self.place}{name}.")

    def parts(self, name: str | None = None) -> dict[str, _Part]:
        """Return the objects in this object, or in the list in a field, by name or index."""
        items = self.content.items() if name is None else enumerate(self.get(name, list))
        before = self.place if name is None else f"{self.place}{name}."
        return {str(key): _Part(item, f"{before}{key}.") for key, item in items}


def _model(name: str, part: _Part, labels: Sequence[str] | None) -> ModelSpec:
    inputs = tuple(_tensor(one, labels) for one in part.parts("inputs").values())
    outputs = tuple(_tensor(one, labels) for one in part.parts("outputs").values())
    expected = [FIRST_INPUT[name], *([] if labels is None else ["label"])]
    part.require("inputs", [tensor.name for tensor in inputs] == expected, f"named {', '.join(expected)}")
    part.require(
        "inputs", name != "generator" or inputs[0].distribution in DISTRIBUTIONS, f"of {', '.join(DISTRIBUTIONS)}"
    )
    part.require("outputs", [tensor.name for tensor in outputs] == OUTPUTS[name], f"named {', '.join(OUTPUTS[name])}")
    files = part.get("files", dict)
    part.require("files", bool(files) and set(files) <= set(FORMATS), f"of {' and '.join(FORMATS)}")
    return ModelSpec(part.get("meaning", str, ""), inputs, outputs, files)


def _tensor(part: _Part, labels: Sequence[str] | None) -> TensorSpec:
    name, shape = part.get("name", str), part.get("shape", list)
    right = shape[:1] == [BATCH] and all(type(size) is int and size > 0 for size in shape[1:])
    part.require("shape", right, f'"{BATCH}" and then whole numbers')
    dimensions = DIMENSIONS.get(name, len(shape) - 1)
    right = len(shape) == 1 + dimensions and (name != "label" or dimensions < 2)
    part.require("shape", right, f"of {DIMENSIONS.get(name, 'at most 1')} sizes behind the batch")
    kind = "int32" if name == "label" else "float32"
    part.require("type", part.holds("type", kind) or part.get("type", str) == kind, kind)
    limits = part.content.get("range", ...)
    if name == "label" and labels is not None:
        expected = [0, len(labels) - (len(shape) == 1)]
        part.require("range", limits == expected, f"{expected}, as there are {len(labels)} labels")
    if name in FIRST_INPUT.values() or limits is not ...:
        part.require("range", _is_range(limits), "two numbers, the smaller first, or [null, null]")
    texts = {key: part.get(key, str) for key in ("layout", "channels", "distribution") if key in part.content}
    limits = None if limits in (..., [None, None]) else tuple(limits)
    return TensorSpec(name, tuple(shape[1:]), kind, part.get("meaning", str, ""), limits, **texts)


def _is_range(limits: Any) -> bool:
    if not isinstance(limits, list) or len(limits) != 2:
        return False
    low, high = limits
    return low is high is None or (isinstance(low, (int, float)) and isinstance(high, (int, float)) and low <= high)


def _proof(part: _Part) -> Proof:
    difference, tolerance = (part.get(name, (int, float)) for name in ("greatest_difference", "tolerance"))
    part.require("greatest_difference", difference <= tolerance, f"at most the tolerance, {tolerance}")
    against, runtime = (part.get(name, str, "") for name in ("against", "runtime"))
    return Proof(against, runtime, tuple(part.get("batches", list, [])), difference, tolerance)
