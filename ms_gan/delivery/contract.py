"""What a bundle promises: its models, their inputs and outputs, where their files lie, and how equal they are."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Callable, TypeVar

import fastjsonschema
import numpy as np

from ms_gan.errors import Command, UserError, quoted, shown
from ms_gan.files import stays_below
from ms_gan.labels import LabelNames
from ms_gan.randomness import random_stream
from ms_gan.sampling import SAMPLE, Inputs, seeded_inputs
from ms_gan.schema.recipe import Latent

CONTRACT = "contract.json"
SCHEMA = "contract.schema.json"  # of this file, in every bundle; here it lies beside this module
CONTRACT_VERSION = 2
MODELS = ("generator", "encoder")  # what makes images is always called the generator, the decoder of a CVAE too
FORMATS = ("mindir", "onnx")
WEIGHTS_ALONE = "safetensors"  # a further format, of which no model can be run
WEIGHTS = ("float32", "float16", "int8")
BATCH = "batch"  # the first size of every shape in the file
IN_WORDS = {  # the types of JSON
    "array": "a list",
    "object": "an object",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}
Record = TypeVar("Record")
# the files by which folders are known; the last is of ms_gan 0.1
MARKS = {"state.json": "checkpoint", "provenance.json": "run", "recipe.json": "run"}
ANOTHER_COPY = "use another copy of the bundle"


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
        clusters: of latents whose first number chooses one of so many clusters of images.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    meaning: str = ""
    range: tuple[float, float] | None = None
    layout: str | None = None
    channels: str | None = None
    distribution: str | None = None
    clusters: int | None = None

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

    meaning: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Proof:
    """How a model's file was compared with the checkpoint's network.

    `greatest_difference` is max |difference| over all outputs at the batch sizes `batches`. Where a contract's
    `weights` are not float32, the network that is compared with has its weights rounded, too; `rounding` is how far
    that moved its outputs at most, at the same batches.
    """

    against: str
    runtime: str
    batches: tuple[int, ...]
    greatest_difference: float
    tolerance: float
    rounding: float = 0.0


@dataclass(frozen=True)
class ModelFile:
    """A model's file as it was exported.

    Args:
        format: the version of its format, such as "ONNX opset 15, IR version 4".
    """

    sha256: str
    bytes: int
    format: str = ""


@dataclass(frozen=True)
class Seeding:
    """How a seed becomes latents.

    Args:
        numpy: in Python, an expression of `numpy`, `seed` and `n`: float32, (n, size).
        versions: with which versions of NumPy.
    """

    numpy: str
    versions: str = "1.22 and later"

    @classmethod
    def of(cls, latent: Latent) -> Seeding:
        """Return how a seed becomes latents of this distribution and size; `seeded_inputs` draws the same."""
        key = f"numpy.array([seed, {zlib.crc32(SAMPLE.encode())}], 'uint64')"
        stream = f"numpy.random.Generator(numpy.random.Philox(key={key}, counter=[0, 0, 0, 0]))"
        normal = f"{stream}.standard_normal((n, {latent.size}), dtype='float32')"
        drawn = {
            "normal": normal,
            "uniform": f"2 * {stream}.random((n, {latent.size}), dtype='float32') - 1",
            "sphere": f"(lambda normal: normal / numpy.linalg.norm(normal, axis=1, keepdims=True))({normal})",
        }
        return cls(drawn[latent.distribution])


@dataclass(frozen=True)
class RecordedScores:
    """What `eval --metrics` recorded of a checkpoint.

    Args:
        protocol: how many images were compared with which, from which seed.
        generated, real: the scores by their names (docs/metrics.md), of samples and of real images.
        judge: which one, in words; None for scores without a judge.
    """

    protocol: Mapping[str, Any]
    generated: Mapping[str, float]
    real: Mapping[str, float]
    judge: str | None = None


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
        seeding, rows_at_once, loaded_by: as the schema says; None in contracts of earlier versions.
    """

    recipe: str
    family: str
    models: Mapping[str, ModelSpec]
    labels: tuple[str, ...] | None
    origin: Mapping[str, Any]
    versions: Mapping[str, Any]
    parity: Mapping[str, Proof]
    files: Mapping[str, ModelFile]
    weights: str = "float32"
    scores: RecordedScores | None = None
    seeding: Seeding | None = None
    rows_at_once: int | None = None
    loaded_by: Mapping[str, Sequence[str]] | None = None

    @classmethod
    def from_json(cls, document: Any) -> Contract:
        """Return the contract that a file holds. Raises UserError that names the field that is wrong."""
        try:
            whole = schema()(document)
        except fastjsonschema.JsonSchemaValueException as error:
            raise UserError(_refusal(error)) from error
        labels = whole["labels"]
        contract = _record(
            cls,
            whole,
            models={name: _model(name, part, labels) for name, part in whole["models"].items()},
            labels=None if labels is None else tuple(labels),
            parity={file: _record(Proof, proof) for file, proof in whole["parity"].items()},
            files={file: _record(ModelFile, facts) for file, facts in whole["files"].items()},
            scores=_record(RecordedScores, whole["scores"]) if whole.get("scores") else None,
            seeding=_record(Seeding, whole["seeding"]) if whole.get("seeding") else None,
        )
        _require(all(map(stays_below, contract.files)), "files", "inside the bundle")
        for file, proof in contract.parity.items():
            right = proof.greatest_difference <= proof.tolerance
            _require(right, f"parity.{file}.greatest_difference", f"at most the tolerance, {proof.tolerance}")
        proved = [file for file in contract.files if file in contract.parity]
        for name, model in contract.models.items():
            right = all(file in proved for file in model.files.values())
            _require(right, f"models.{name}.files", "listed under files and parity")
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


@cache
def schema() -> Callable[[Any], Any]:
    """Return a function that returns a contract's JSON, or raises JsonSchemaValueException."""
    return fastjsonschema.compile(json.loads(Path(__file__).with_name(SCHEMA).read_text(encoding="utf-8")))


def _refusal(error: fastjsonschema.JsonSchemaValueException) -> str:
    """Return in one sentence which field is wrong, and what it must be."""
    place, must = error.path[1:], error.message.partition(" must ")[2]
    if error.rule == "required":
        place, must = [*place, next(name for name in error.rule_definition if name not in error.value)], "be there"
    elif error.rule == "type":
        kinds = [error.rule_definition] if isinstance(error.rule_definition, str) else error.rule_definition
        must = f"be {_either([IN_WORDS[kind] for kind in kinds])}"
    elif error.rule == "const":
        must = f"be {json.dumps(error.rule_definition)}"
    elif error.rule == "enum":
        must = f"be {_either(error.rule_definition)}"
    return f"{'.'.join(place) or 'it'} must {must}"


def _either(choices: Sequence[str]) -> str:
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def _record(kind: type[Record], content: Mapping[str, Any], **known: Any) -> Record:
    """Return a dataclass of what an object in JSON holds; `known` fields were read before."""
    found = {each.name: content[each.name] for each in fields(kind) if each.name in content}  # type: ignore[arg-type]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()} | known)


def _model(name: str, content: Mapping[str, Any], labels: Sequence[str] | None) -> ModelSpec:
    place = f"models.{name}.inputs"
    right = len(content["inputs"]) == 1 + (labels is not None)
    _require(right, place, "with a label" if labels is not None else "without a label")
    return _record(
        ModelSpec,
        content,
        inputs=tuple(_tensor(one, f"{place}.{at}", labels or ()) for at, one in enumerate(content["inputs"])),
        outputs=tuple(_tensor(one, f"models.{name}.outputs.{at}", ()) for at, one in enumerate(content["outputs"])),
    )


def _tensor(content: Mapping[str, Any], place: str, labels: Sequence[str]) -> TensorSpec:
    spec = _record(TensorSpec, content, shape=tuple(map(int, content["shape"][1:])))
    if spec.name == "label":
        expected = (0, len(labels) - (not spec.shape))
        _require(spec.range == expected, f"{place}.range", json.dumps(expected))
    return replace(spec, range=None) if spec.name == "latent" else spec
