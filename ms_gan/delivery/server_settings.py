"""What model servers find in a bundle beside its models: MLServer's settings, Triton's, and a README of commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ms_gan.delivery.contract import FORMATS, Contract, ModelSpec, TensorSpec
from ms_gan.delivery.readme import readme
from ms_gan.errors import UserError, shown
from ms_gan.runs.records import write_json
from ms_gan.runtime import DEVICE_TARGETS

SERVER_SETTINGS, MODEL_SETTINGS, TRITON_SETTINGS = "settings.json", "model-settings.json", "config.pbtxt"
README = "README.md"
RUNTIMES = {
    "generator": "ms_gan.delivery.serving.GeneratorRuntime",
    "encoder": "ms_gan.delivery.serving.EncoderRuntime",
}
MOST_ROWS = 64  # images in one request, where nothing else is said
MODEL_VERSION = "1"  # the folder in which Triton finds a model
TRITON_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32"}


@dataclass(frozen=True)
class ModelSettings:
    """How MLServer's own command serves a model: what it calls `parameters.extra`.

    Args:
        format: "mindir" or "onnx".
        max_batch: the most rows in one request, and in one batch of requests.
        device_target, device_id: where a MindIR runs.
    """

    format: str
    max_batch: int = MOST_ROWS
    device_target: str = "auto"
    device_id: int = 0


MUST_BE: dict[str, tuple[Callable[[Any], bool], str]] = {  # of each setting
    "format": (lambda value: value in FORMATS, " or ".join(FORMATS)),
    "max_batch": (lambda value: type(value) is int and value >= 1, "a whole number from 1"),
    "device_target": (lambda value: value in DEVICE_TARGETS, f"one of {', '.join(DEVICE_TARGETS)}"),
    "device_id": (lambda value: type(value) is int and value >= 0, "a whole number from 0"),
}


def model_settings(extra: Mapping[str, Any], contract: Contract, where: str) -> ModelSettings:
    """Return the settings of `extra`, completed by defaults. Raises UserError, which names `where`, if one is wrong."""
    for name, value in extra.items():
        if name not in MUST_BE:
            raise UserError(f"{where}: there is no parameters.extra {shown(name)}", f"it takes {', '.join(MUST_BE)}")
        right, must_be = MUST_BE[name]
        if not right(value):
            raise UserError(f"{where}: parameters.extra.{name} must be {must_be}, not {shown(value)}")
    return ModelSettings(**{"format": contract.held_format, **extra})


def write_server_files(folder: Path, contract: Contract, samples: str) -> None:
    """Write the files with which MLServer, and with ONNX also Triton, start from the bundle's folder."""
    # MLServer prefers this file to its environment variables, so it holds only what has to be: one process, as the page
    # at / is served from where the models are, and MLServer's workers die under today's versions of what it needs
    write_json(folder / SERVER_SETTINGS, {"parallel_workers": 0})
    for name, model in contract.models.items():
        (folder / name).mkdir(exist_ok=True)
        extra = dataclasses.asdict(ModelSettings(contract.held_format))
        del extra["device_id"]
        settings = {
            "name": name,
            "implementation": RUNTIMES[name],
            "platform": f"ms_gan_{contract.held_format}",
            "parameters": {"version": MODEL_VERSION, "extra": extra},
        }
        write_json(folder / name / MODEL_SETTINGS, settings)
        if "onnx" in model.files:
            (folder / name / TRITON_SETTINGS).write_text(triton_settings(name, model), encoding="utf-8")
    (folder / README).write_text(readme(contract, samples), encoding="utf-8")


def triton_settings(name: str, model: ModelSpec) -> str:
    """Return Triton's `config.pbtxt` of a model, with dynamic batching."""
    return (
        f'name: "{name}"\n'
        f'backend: "onnxruntime"\n'
        f'default_model_filename: "{Path(model.files["onnx"]).name}"\n'
        f"max_batch_size: {MOST_ROWS}\n"
        f"input [\n{_triton_tensors(model.inputs)}\n]\n"
        f"output [\n{_triton_tensors(model.outputs)}\n]\n"
        f"dynamic_batching {{ }}\n"
    )


def _triton_tensors(specs: tuple[TensorSpec, ...]) -> str:
    lines = []
    for spec in specs:
        shape, reshape = spec.shape, ""
        if not shape:  # Triton wants a size behind the batch: clients send (N, 1), the model sees (N,)
            shape, reshape = (1,), " reshape: { shape: [ ] }"
        dims = ", ".join(map(str, shape))
        lines.append(f'  {{ name: "{spec.name}" data_type: {TRITON_TYPES[spec.type]} dims: [ {dims} ]{reshape} }}')
    return ",\n".join(lines)
