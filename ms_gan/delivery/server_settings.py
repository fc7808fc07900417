"""What model servers find in a bundle beside its models: MLServer's settings, Triton's, and a README of commands."""

from __future__ import annotations

import json
import math
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ms_gan.delivery.card import card
from ms_gan.delivery.contract import FORMATS, Contract, ModelSpec, TensorSpec
from ms_gan.errors import UserError, shown
from ms_gan.runs.records import write_json
from ms_gan.runtime import DEVICE_TARGETS
from ms_gan.schema.fields import REQUIRED, Settings, WrongSetting, choice, rules, whole

SERVER_SETTINGS, MODEL_SETTINGS, TRITON_SETTINGS = "settings.json", "model-settings.json", "config.pbtxt"
README = "README.md"
MOST_ROWS = 64  # images in one request, where nothing else is said
MOST_WAITING = 4096  # images that wait for a batch, where nothing else is said
MODEL_VERSION = "1"  # the folder in which Triton finds a model
TRITON_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32"}

TEMPLATE = Path(__file__).with_name("README.template")
SECTION = re.compile(r"<!-- if (\w+) -->\n(.*?)<!-- end \1 -->\n", re.S)
NORMAL = 'latent = numpy.random.standard_normal({shape}).astype("float32")'
DRAWN = {  # how NumPy draws four latents of each distribution
    "normal": NORMAL,
    "uniform": 'latent = numpy.random.uniform(-1, 1, {shape}).astype("float32")',
    "sphere": f"{NORMAL}\nlatent /= numpy.linalg.norm(latent, axis=1, keepdims=True)",
}
CLASSES = 'label = (numpy.arange(4) % {known}).astype("int32")'  # of four images
TAGS = 'label = numpy.zeros({shape}, "int32")\nlabel[:, 0] = 1 + numpy.arange(4) % {known}'  # one tag each


@dataclass(frozen=True)
class ModelSettings(Settings):
    """How MLServer's own command serves a model: what it calls `parameters.extra`."""

    format: str = choice(REQUIRED, FORMATS)
    max_batch: int = whole(MOST_ROWS, "the most rows in one request, and in one batch of requests", least=1)
    device_target: str = choice("auto", DEVICE_TARGETS, "where a MindIR runs")
    device_id: int = whole(0, least=0)


def model_settings(extra: Mapping[str, Any], contract: Contract, where: str) -> ModelSettings:
    """Return the settings of `extra`, completed by defaults. Raises UserError, which names `where`, if one is wrong."""
    known = rules(ModelSettings)
    for name in extra.keys() - known.keys():
        raise UserError(f"{where}: there is no parameters.extra {shown(name)}", f"it takes {', '.join(known)}")
    try:
        return ModelSettings(**{"format": contract.held_format, **extra})
    except WrongSetting as error:
        raise UserError(f"{where}: parameters.extra.{error}") from error


def write_server_files(folder: Path, contract: Contract, samples: str) -> None:
    """Write the files with which MLServer, and with ONNX also Triton, start from the bundle's folder."""
    # MLServer prefers this file to its environment variables, so it holds only what has to be: one process, as the page
    # at / is served from where the models are, and MLServer's workers die under today's versions of what it needs
    write_json(folder / SERVER_SETTINGS, {"parallel_workers": 0})
    for name, model in contract.models.items():
        (folder / name).mkdir(exist_ok=True)
        extra = {"format": contract.held_format, "max_batch": MOST_ROWS, "device_target": "auto"}
        settings = {
            "name": name,
            "implementation": f"ms_gan.delivery.serving.{name.title()}Runtime",
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
        # Triton wants a size behind the batch: of a label clients send (N, 1), the model sees (N,)
        shape, reshape = (spec.shape, "") if spec.shape else ((1,), " reshape: { shape: [ ] }")
        dims = ", ".join(map(str, shape))
        lines.append(f'  {{ name: "{spec.name}" data_type: {TRITON_TYPES[spec.type]} dims: [ {dims} ]{reshape} }}')
    return ",\n".join(lines)


def readme(contract: Contract, samples: str) -> str:
    """Return the README: what the bundle holds, and commands that use it. `samples` is the name of its picture."""
    image, *label = (contract.generator.outputs[0], *contract.generator.inputs[1:])
    has = {form: form in contract.generator.files for form in FORMATS}
    has["encoder"] = "encoder" in contract.models
    has["labels"], has["note"] = bool(label), "note" in contract.origin
    text = TEMPLATE.read_text(encoding="utf-8")
    while SECTION.search(text):
        text = SECTION.sub(lambda section: section[2] if has[section[1]] else "", text)
    first_label = {"name": "label", "shape": [1], "datatype": "BYTES", "data": list(contract.labels or ())[:1]}
    request = f", {json.dumps(first_label, ensure_ascii=False)}" if label else ""
    return string.Template(text).substitute(
        title=contract.title,
        dataset=contract.origin["dataset"],
        version=contract.versions["ms_gan"],
        samples=samples,
        note=contract.origin.get("note", ""),
        proofs=_proofs(contract),
        card=card(contract),
        tensors=_tensors(contract),
        image_channels=image.channels,
        image_layout=image.layout,
        image_meaning=image.meaning,
        image_shape=[1, *image.shape],
        image_numbers=math.prod(image.shape),
        label_meaning=label[0].meaning if label else "",
        labels=", ".join(contract.labels or ()),
        onnx_label=', "label": label' if label else "",
        mindspore_label=", mindspore.Tensor(label)" if label else "",
        label_request=request.replace("'", "'\\''"),  # as it stands between a shell's single quotation marks
        # MindSpore 2.8 needs the variable, and says so itself too late
        mlserver_variables="PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python " if has["mindir"] else "",
        format_setting="`format` (mindir or onnx), " if has["mindir"] and has["onnx"] else "",
        device_settings=", `device_target`, `device_id`" if has["mindir"] else "",
        example_arrays="\n".join(_example(spec, len(contract.labels or ())) for spec in contract.generator.inputs),
    )


def _proofs(contract: Contract) -> str:
    return "\n".join(
        f"- `{file}`: equal to {proof.against} to {proof.greatest_difference:g} (at most {proof.tolerance:g}) at "
        f"batches of {', '.join(map(str, proof.batches))}, on {proof.runtime}"
        for file, proof in contract.parity.items()
    )


def _tensors(contract: Contract) -> str:
    return "\n".join(
        f"| `{name}` | {side} | `{spec.name}` | {spec.type} | {_tuple(spec.batch_of('batch'))} |"
        for name, model in contract.models.items()
        for side, specs in (("inputs", model.inputs), ("outputs", model.outputs))
        for spec in specs
    )


def _example(spec: TensorSpec, known: int) -> str:
    """Return Python that makes four rows of an input of the generator; `known` is how many labels there are."""
    text = DRAWN[spec.distribution or "normal"] if spec.name == "latent" else TAGS if spec.shape else CLASSES
    return text.format(shape=_tuple(spec.batch_of(4)), known=known)


def _tuple(sizes: list[Any]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"
