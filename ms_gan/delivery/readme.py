"""A bundle's README: `README.template`, filled in from the contract."""

from __future__ import annotations

import json
import math
import re
import string
from pathlib import Path
from typing import Any

from ms_gan.delivery.contract import Contract, TensorSpec

TEMPLATE = Path(__file__).with_name("README.template")
SECTION = re.compile(r"<!-- if (\w+) -->\n(.*?)<!-- end \1 -->\n", re.S)
DRAWN = {  # how NumPy draws latents of each distribution
    "normal": "numpy.random.standard_normal({shape})",
    "uniform": "numpy.random.uniform(-1, 1, {shape})",
    "sphere": "numpy.random.standard_normal({shape})",
}


def readme(contract: Contract, samples: str) -> str:
    """Return the README: what the bundle holds, and commands that use it. `samples` is the name of its picture."""
    has = {form: form in contract.generator.files for form in ("mindir", "onnx")}
    has["encoder"] = "encoder" in contract.models
    has["labels"], has["note"] = contract.labels is not None, "note" in contract.origin
    text = TEMPLATE.read_text(encoding="utf-8")
    while SECTION.search(text):
        text = SECTION.sub(lambda section: section[2] if has[section[1]] else "", text)
    return string.Template(text).substitute(_values(contract, samples, has))


def _values(contract: Contract, samples: str, has: dict[str, bool]) -> dict[str, Any]:
    """Return the text for each name in the template; "" for names that only occur in left-out sections."""
    image, label = contract.generator.outputs[0], contract.generator.inputs[1:]
    start = "MLSERVER_HOST=127.0.0.1 mlserver start ."
    extra = ["`max_batch` (images in one request)"]
    if has["mindir"] and has["onnx"]:
        extra.insert(0, "`format` (mindir or onnx)")
    if has["mindir"]:  # MindSpore 2.8 needs the variable, and says so itself too late
        start = f"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python {start}"
        extra += ["`device_target`", "`device_id`"]
    files = {
        f"{name}_{form}": contract.models[name].files.get(form, "") if name in contract.models else ""
        for name in ("generator", "encoder")
        for form in ("mindir", "onnx")
    }
    return {
        **files,
        "title": contract.title,
        "dataset": contract.origin["dataset"],
        "version": contract.versions["ms_gan"],
        "samples": samples,
        "note": contract.origin.get("note", ""),
        "proofs": _proofs(contract),
        "tensors": _tensors(contract),
        "image_channels": image.channels,
        "image_layout": image.layout,
        "image_meaning": image.meaning,
        "label_meaning": label[0].meaning if label else "",
        "labels": ", ".join(contract.labels or ()),
        "onnx_label": ', "label": label' if label else "",
        "mindspore_label": ", mindspore.Tensor(label)" if label else "",
        "mlserver_start": start,
        "extra_settings": ", ".join(extra),
        "generator_request": _generator_request(contract),
        "encoder_program": _encoder_program(contract) if has["encoder"] else "",
        "example_arrays": "\n".join(line for spec in contract.generator.inputs for line in _example_lines(spec)),
    }


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


def _generator_request(contract: Contract) -> str:
    inputs: list[dict[str, Any]] = [
        {"name": "seed", "shape": [1], "datatype": "INT64", "data": [7]},
        {"name": "num", "shape": [1], "datatype": "INT32", "data": [4]},
    ]
    return _in_quotes(json.dumps({"inputs": inputs + _first_label(contract)}, ensure_ascii=False))


def _encoder_program(contract: Contract) -> str:
    """Return a program that prints a request to the encoder; an image has too many numbers to write out."""
    sizes = contract.models["encoder"].inputs[0].shape
    image = {"name": "image", "shape": [1, *sizes], "datatype": "FP32", "data": "?"}
    inputs = json.dumps([image, *_first_label(contract)], ensure_ascii=False)
    inputs = inputs.replace('"?"', f"[0.5] * {math.prod(sizes)}", 1)
    return _in_quotes(f'import json\nprint(json.dumps({{"inputs": {inputs}}}))')


def _first_label(contract: Contract) -> list[dict[str, Any]]:
    if contract.labels is None:
        return []
    return [{"name": "label", "shape": [1], "datatype": "BYTES", "data": [contract.labels[0]]}]


def _example_lines(spec: TensorSpec) -> list[str]:
    """Return lines of Python that make four rows of an input of the generator."""
    shape = _tuple(spec.batch_of(4))
    if spec.name == "latent":
        lines = [f'latent = {DRAWN[spec.distribution or "normal"].format(shape=shape)}.astype("float32")']
        norm = ["latent /= numpy.linalg.norm(latent, axis=1, keepdims=True)"]
        return lines + (norm if spec.distribution == "sphere" else [])
    _, highest = spec.range or (0, 0)
    if not spec.shape:
        return [f'label = (numpy.arange(4) % {(highest or 0) + 1}).astype("int32")']
    return [f'label = numpy.zeros({shape}, "int32")', f"label[:, 0] = 1 + numpy.arange(4) % {highest}"]  # one tag each


def _tuple(sizes: list[Any]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def _in_quotes(text: str) -> str:
    """Return a text as it stands between a shell's single quotation marks."""
    return text.replace("'", "'\\''")
