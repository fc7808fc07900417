"""What a bundle promises: its models, their inputs and outputs, where their files lie, and how equal they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ms_gan.errors import Command, UserError, quoted, shown
from ms_gan.files import stays_below
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.randomness import random_stream
from ms_gan.sampling import Inputs, seeded_inputs
from ms_gan.schema.recipe import Latent

CONTRACT = "contract.json"
CONTRACT_VERSION = 2
TENSORS = {  # beside labels, by model
    "generator": {"inputs": ["latent"], "outputs": ["image"]},
    "encoder": {"inputs": ["image"], "outputs": ["mean", "log_variance"]},
}
SIZES = {"image": (3,), "label": (0, 1)}  # how many behind the batch; of all others there is one
MODELS = tuple(TENSORS)  # what makes images is always called the generator, the decoder of a CVAE too
FORMATS = ("mindir", "onnx")
WEIGHTS = ("float32", "float16")
BATCH = "batch"  # the first size of every shape in the file
Record = TypeVar("Record")
# the files by which folders are known; the last is of ms_gan 0.1
MARKS = {"state.json": "checkpoint", "provenance.json": "run", "recipe.json": "run"}
ANOTHER_COPY = "use another copy of the bundle"
# Fields of the dataclasses below, by what they are in JSON; _record asks for that.
TEXT: Any = partial(field, metadata={"json": (str, "text")})
WHOLE: Any = partial(field, metadata={"json": (int, "a whole number")})
NUMBER: Any = partial(field, metadata={"json": ((int, float), "a number")})
LIST: Any = partial(field, metadata={"json": (list, "a list")})
OBJECT: Any = partial(field, metadata={"json": (dict, "an object")})


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    Args:
        name: "latent", "label", "image", "mean" or "log_variance".
        shape: sizes behind the batch.
        type: "float32" or "int32".
        meaning: what the numbers stand for, for readers.
        range: least and greatest value; None for any finite number.
        layout, channels: of images.
        distribution: of latents, a key of DISTRIBUTIONS.
    """

    name: str = TEXT()
    shape: tuple[int, ...] = LIST()
    type: str = TEXT()
    meaning: str = TEXT(default="")
    range: tuple[float, float] | None = LIST(default=None)
    layout: str | None = TEXT(default=None)
    channels: str | None = TEXT(default=None)
    distribution: str | None = TEXT(default=None)

    def batch_of(self, rows: Any) -> list[Any]:
        """Return the whole shape, of `rows` rows."""
        return [rows, *self.shape]

    @property
    def latent(self) -> Latent:
        """What latents are drawn from, where this is one."""
        return Latent(size=self.shape[0], distribution=self.distribution or "normal")


@dataclass(frozen=True)
class ModelSpec:
    """One model: its tensors, and its file in each format, relative to the bundle."""

    meaning: str = TEXT()
    inputs: tuple[TensorSpec, ...] = LIST()
    outputs: tuple[TensorSpec, ...] = LIST()
    files: Mapping[str, str] = OBJECT()


@dataclass(frozen=True)
class Proof:
    """How a model's file was compared with the checkpoint's network.

    `greatest_difference` is max |difference| over all outputs at the batch sizes `batches`. Of files with weights of
    float16 the network that they are compared with has its weights rounded, too; `rounding` is how far that moved its
    outputs at most, at the same batches.
    """

    against: str = TEXT()
    runtime: str = TEXT()
    batches: tuple[int, ...] = LIST()
    greatest_difference: float = NUMBER()
    tolerance: float = NUMBER()
    rounding: float = NUMBER(default=0.0)


@dataclass(frozen=True)
class ModelFile:
    """A model's file as it was exported."""

    sha256: str = TEXT()
    bytes: int = WHOLE()


@dataclass(frozen=True)
class RecordedScores:
    """What `eval --metrics` recorded of a checkpoint.

    Args:
        protocol: how many images were compared with which, from which seed.
        generated, real: the scores by their names (docs/metrics.md), of samples and of real images.
        judge: which one, in words; None for scores without a judge.
    """

    protocol: Mapping[str, Any] = OBJECT()
    generated: Mapping[str, float] = OBJECT()
    real: Mapping[str, float] = OBJECT()
    judge: str | None = TEXT(default=None)


@dataclass(frozen=True)
class Contract:
    """A bundle's `contract.json`.

    Args:
        models: by name, of MODELS.
        labels: the names of classes or tags; None for models without labels.
        origin: which checkpoint of which run; "step" is a whole number.
        versions: of the packages and the machine that exported.
        parity, files: by the file's path relative to the bundle.
        scores: of the exported checkpoint; None if it was not scored.
        weights: the type in which the files hold matrices and kernels, of WEIGHTS; all compute in float32.
    """

    recipe: str = TEXT()
    family: str = TEXT()
    models: Mapping[str, ModelSpec] = OBJECT()
    labels: tuple[str, ...] | None = LIST()
    origin: Mapping[str, Any] = OBJECT()
    versions: Mapping[str, Any] = OBJECT()
    parity: Mapping[str, Proof] = OBJECT()
    files: Mapping[str, ModelFile] = OBJECT()
    weights: str = TEXT(default="float32")
    scores: RecordedScores | None = OBJECT(default=None)

    @classmethod
    def from_json(cls, document: Any) -> Contract:
        """Return the contract that a file holds. Raises UserError that names the field that is wrong."""
        whole = _object(document, "")
        labels, parts = whole.get("labels", ...), _object(whole.get("models"), "models")
        names = labels if isinstance(labels, list) and all(isinstance(name, str) for name in labels) else []
        _require(labels is None or 0 < len(set(names)) == len(names), "labels", "names that differ, or null")
        _require("generator" in parts and set(parts) <= set(MODELS), "models", "generator, and perhaps encoder")
        contract = _record(
            cls,
            whole,
            "",
            models={name: _model(name, part, labels) for name, part in parts.items()},
            labels=None if labels is None else tuple(labels),
            parity=_records(Proof, whole, "parity"),
            files=_records(ModelFile, whole, "files"),
            scores=None if whole.get("scores") is None else _record(RecordedScores, whole["scores"], "scores."),
        )
        _require(type(contract.origin.get("step")) is int, "origin.step", "a whole number")
        _require(contract.weights in WEIGHTS, "weights", " or ".join(WEIGHTS))
        _require(all(map(stays_below, contract.files)), "files", "inside the bundle")
        for file, proof in contract.parity.items():
            right = proof.greatest_difference <= proof.tolerance
            _require(right, f"parity.{file}.greatest_difference", f"at most the tolerance, {proof.tolerance}")
        proved = [file for file in contract.files if file in contract.parity]
        for name, model in contract.models.items():
            right = set(model.files) <= set(FORMATS) and all(file in proved for file in model.files.values())
            _require(right and len(model.files) > 0, f"models.{name}.files", f"of {' or '.join(FORMATS)}, and proved")
        return contract

    def to_json(self) -> dict[str, Any]:
        """Return the contract as its file holds it."""
        return {"contract_version": CONTRACT_VERSION, **asdict(self, dict_factory=_in_json)}

    @property
    def generator(self) -> ModelSpec:
        """The model that draws images."""
        return self.models["generator"]

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


def read_contract(folder: Path) -> Contract:
    """Read a bundle's contract. Raises UserError that names the field that is missing or wrong."""
    path = folder / CONTRACT
    if not path.is_file():
        raise _no_bundle(folder)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged (not JSON)", ANOTHER_COPY) from error
    version = document.get("contract_version") if isinstance(document, dict) else None
    if version not in (None, CONTRACT_VERSION):
        wrong = f"{path}: of version {shown(version)}, which this program does not read"
        raise UserError(wrong, "use the version of ms_gan that wrote it")
    try:
        return Contract.from_json(document)
    except UserError as error:
        raise UserError(f"{path}: damaged ({error})", ANOTHER_COPY) from error


def _no_bundle(path: Path) -> UserError:
    """Return the error for a path without a contract: what it is instead, and the path or command to use."""
    wrong = f"{path}: not a bundle"
    if not path.exists():
        return UserError(f"{wrong}: there is no such file or folder")
    if path.is_file():
        return UserError(f"{wrong}, but a file", "name the folder that `export` wrote")
    kind = next((kind for name, kind in MARKS.items() if (path / name).is_file()), None)
    if kind is None:
        return UserError(f"{wrong} (no {CONTRACT} in it)", "`export` writes one: ", Command("export", Path("RUN")))
    bundle = (path.parent.parent if kind == "checkpoint" else path) / "export"
    if (bundle / CONTRACT).is_file():
        return UserError(f"{wrong}, but a {kind}", f"the run's bundle is {quoted(bundle)}")
    return UserError(f"{wrong}, but a {kind}", "export it first: ", Command("export", path))


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


def _in_json(fields_of_one: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dataclass as the contract's file holds it: of a tensor the whole shape, and nothing that is not said."""
    content = dict(fields_of_one)
    if "shape" in content:
        content = {key: value for key, value in content.items() if value is not None}
        content["shape"] = [BATCH, *content["shape"]]
        content.update({"range": [None, None]} if content["name"] == "latent" else {})
    return content


def _require(right: bool, name: str, must_be: str) -> None:
    if not right:
        raise UserError(f"{name} must be {must_be}")


def _object(content: Any, place: str) -> dict[str, Any]:
    _require(isinstance(content, dict), place.rstrip(".") or "it", "an object")
    return content


def _record(kind: type[Record], content: Any, place: str, **known: Any) -> Record:
    """Return a dataclass of what an object in JSON holds, each field of its type; `known` fields were read before."""
    found = dict(known)
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name not in known:
            value = _object(content, place).get(each.name, each.default)
            of, called = each.metadata["json"]
            right = value is each.default or isinstance(value, of) and not isinstance(value, bool)
            _require(right and value is not MISSING, f"{place}{each.name}", called)
            found[each.name] = tuple(value) if isinstance(value, list) else value
    return kind(**found)


def _records(kind: type[Record], content: Any, name: str) -> dict[str, Record]:
    """Return the dataclasses in an object of a contract, by their names."""
    return {key: _record(kind, value, f"{name}.{key}.") for key, value in _object(content.get(name), name).items()}


def _model(name: str, content: Any, labels: Sequence[str] | None) -> ModelSpec:
    place, tensors = f"models.{name}.", {}
    for side, names in TENSORS[name].items():
        names = [*names, "label"] if side == "inputs" and labels is not None else names
        found: Any = _object(content, place).get(side)
        right = isinstance(found, list) and [isinstance(one, dict) and one.get("name") for one in found] == names
        _require(right, f"{place}{side}", f"a list of {', '.join(names)}")
        tensors[side] = tuple(_tensor(one, f"{place}{side}.{at}.", labels or ()) for at, one in enumerate(found))
    return _record(ModelSpec, content, place, **tensors)


def _tensor(content: Any, place: str, labels: Sequence[str]) -> TensorSpec:
    spec = _record(TensorSpec, content, place)
    (batch, *sizes), possible = spec.shape or (None,), SIZES.get(spec.name, (1,))
    right = batch == BATCH and len(sizes) in possible and all(type(size) is int and size > 0 for size in sizes)
    _require(right, f"{place}shape", f'"{BATCH}" and then {" or ".join(map(str, possible))} whole numbers')
    kind = "int32" if spec.name == "label" else "float32"
    _require(spec.type == kind, f"{place}type", kind)
    ranges = {"latent": (None, None), "image": (0, 1), "label": (0, len(labels) - (not sizes))}
    expected = ranges.get(spec.name)
    _require(spec.range == expected, f"{place}range", json.dumps(expected))
    known = spec.name != "latent" or spec.distribution in DISTRIBUTIONS
    _require(known, f"{place}distribution", f"one of {', '.join(DISTRIBUTIONS)}")
    return replace(spec, shape=tuple(sizes), range=None if spec.name == "latent" else spec.range)
