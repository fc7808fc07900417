"""What model servers find in a bundle beside its models: MLServer's settings, Triton's, and a README of commands."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ms_gan.delivery.contract import CONTRACT, FORMATS, Facts, file_of, held_format
from ms_gan.errors import UserError, shown
from ms_gan.runtime import DEVICE_TARGETS

SERVER_SETTINGS, MODEL_SETTINGS, TRITON_SETTINGS, README = (
    "settings.json",
    "model-settings.json",
    "config.pbtxt",
    "README.md",
)
RUNTIMES = {
    "generator": "ms_gan.delivery.serving.GeneratorRuntime",
    "encoder": "ms_gan.delivery.serving.EncoderRuntime",
}
MOST_ROWS = 64  # images in one request, where nothing else is said
MODEL_VERSION = "1"  # that of the folder in which Triton finds a model
TRITON_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32"}


def write_server_files(folder: Path, contract: Facts, samples: str) -> None:
    """Write what lets MLServer, and with ONNX also Triton, start from the bundle's folder as it is."""
    # MLServer prefers this file to its environment variables, so it holds only what has to be: one process, as the page
    # at / is served from where the models are, and MLServer's workers die under today's versions of what it needs
    _write_json(folder / SERVER_SETTINGS, {"parallel_workers": 0})
    for name, facts in contract["models"].items():
        (folder / name).mkdir(exist_ok=True)
        format = "mindir" if "mindir" in facts["files"] else "onnx"
        _write_json(
            folder / name / MODEL_SETTINGS,
            {
                "name": name,
                "implementation": RUNTIMES[name],
                "platform": f"ms_gan_{format}",
                "parameters": {
                    "version": MODEL_VERSION,
                    "extra": {"format": format, "max_batch": MOST_ROWS, "device_target": "auto"},
                },
            },
        )
        if "onnx" in facts["files"]:
            (folder / name / TRITON_SETTINGS).write_text(triton_settings(name, facts), encoding="utf-8")
    (folder / README).write_text(readme(contract, samples), encoding="utf-8")


def model_settings(extra: dict[str, Any], contract: Facts, where: str) -> dict[str, Any]:
    """Return the settings that a model is served with: what MLServer calls `parameters.extra`, with what is not said.

    They are `format`, "mindir" or "onnx"; `max_batch`, the most rows in one request and in one batch of them; and the
    `device_target` and `device_id` of a MindIR. Raises UserError, which says `where`, for others and for wrong values.
    """

    def whole(value: Any, least: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    known = {  # what a setting is where nothing is said, whether a value is one, and which are
        "format": (held_format(contract), lambda value: value in FORMATS, " or ".join(FORMATS)),
        "max_batch": (MOST_ROWS, lambda value: whole(value, 1), "a whole number from 1"),
        "device_target": ("auto", lambda value: value in DEVICE_TARGETS, f"one of {', '.join(DEVICE_TARGETS)}"),
        "device_id": (0, lambda value: whole(value, 0), "a whole number from 0"),
    }
    for name, value in extra.items():
        if name not in known:
            raise UserError(f"{where}: there is no parameters.extra {shown(name)}; it takes {', '.join(known)}")
        if not known[name][1](value):
            raise UserError(f"{where}: parameters.extra.{name} must be {known[name][2]}, not {shown(value)}")
    return {name: extra.get(name, default) for name, (default, _, _) in known.items()}


def triton_settings(name: str, facts: Facts) -> str:
    """Return Triton's `config.pbtxt` of a model, with dynamic batching."""
    tensors = {
        "input": [_triton_tensor(tensor) for tensor in facts["inputs"]],
        "output": [_triton_tensor(tensor) for tensor in facts["outputs"]],
    }
    lists = "\n".join(
        f"{kind} [\n" + ",\n".join(f"  {tensor}" for tensor in described) + "\n]" for kind, described in tensors.items()
    )
    return (
        f'name: "{name}"\n'
        f'backend: "onnxruntime"\n'
        f'default_model_filename: "{Path(facts["files"]["onnx"]).name}"\n'
        f"max_batch_size: {MOST_ROWS}\n"
        f"{lists}\n"
        f"dynamic_batching {{ }}\n"
    )


def readme(contract: Facts, samples: str) -> str:
    """Return the bundle's README: what it holds, and the commands that use it."""
    generator = contract["models"]["generator"]
    formats = generator["files"]
    tensors = "\n".join(
        f"| `{name}` | {side} | `{tensor['name']}` | {tensor['type']} | "
        f"({', '.join(map(str, tensor['shape']))}{',' if len(tensor['shape']) == 1 else ''}) |"
        for name, facts in contract["models"].items()
        for side in ("inputs", "outputs")
        for tensor in facts[side]
    )
    files = "\n".join(
        f"- `{file}`: equal to {facts['against']} to {facts['greatest_difference']:g} "
        f"(at most {facts['tolerance']:g}) at batches of {', '.join(map(str, facts['batches']))}, "
        f"on {facts['runtime']}"
        for file, facts in contract["parity"].items()
    )
    image = generator["outputs"][0]
    text = f"\n`image` is {image['channels']}, {image['layout']}, from 0 to 1: {image['meaning']}.\n"
    if contract["labels"] is not None:
        text += (
            f"\n`label` is {generator['inputs'][1]['meaning']}. `labels`: "
            f"{', '.join(contract['labels'])}. ms_gan's own server also takes their names.\n"
        )
    note = f"Note: {contract['origin']['note']}.\n\n" if "note" in contract["origin"] else ""
    versions, origin, names = contract["versions"], contract["origin"], [each["name"] for each in generator["inputs"]]
    start = "MLSERVER_HOST=127.0.0.1 mlserver start ."
    if "mindir" in formats:  # MindSpore 2.8 needs it, and says so itself too late
        start = f"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python {start}"
    ask = {
        name: f"curl -s http://127.0.0.1:8080/v2/models/{name}/infer -H 'Content-Type: application/json'"
        for name in contract["models"]
    }
    feeds = ", ".join(f'"{name}": {name}' for name in names)
    tensors_of = ", ".join(f"mindspore.Tensor({name})" for name in names)
    parts = [
        f"""\
# {contract["recipe"]}, step {origin["step"]:,}

Trained on {origin["dataset"]}, exported by ms_gan {versions["ms_gan"]}. `{CONTRACT}` says what goes
in and comes out, and where it comes from; `sha256sum -c SHA256SUMS` checks that nothing was damaged or changed.

![what it draws]({samples})

{note}{files}

| model | | tensor | type | shape |
|---|---|---|---|---|
{tensors}
{text}
## Serve
Over the Open Inference Protocol V2 (REST and gRPC), and with a page to look at. In a clone of ms_gan, which brings its
packages: `bash scripts/run_serve.sh FOLDER`, where FOLDER is this one. Or, with CLONE for the clone, once
`python -m pip install -r CLONE/requirements-serve.txt` and `python -m pip install --no-deps CLONE`; then, in this folder:

```bash
# http://127.0.0.1:8080/; --help for ports, formats and limits
python -m ms_gan serve .
# the same through MLServer's own command, without the limits; MLSERVER_HOST=127.0.0.1 is this machine alone:
# left out, whoever reaches this machine by any network may ask, without encryption
{start}

{ask["generator"]} -d '{_example_request(contract)}'
```
"""
    ]
    if "encoder" in contract["models"]:
        parts.append(f"""
The latent of an image, here a grey one; sent to the generator as `latent`, its `mean` gives the reconstruction:

```bash
python -c '{_example_program(contract)}' |
  {ask["encoder"]} -d @-
```
""")
    settings = ["`max_batch` (images in one request)"]
    if len(formats) > 1:
        settings.insert(0, f"`format` ({' or '.join(formats)})")
    if "mindir" in formats:
        settings += ["`device_target`", "`device_id`"]
    parts.append(f"""
The settings are for you to change: contract and models alone are checked when a server starts. MLServer reads
`{SERVER_SETTINGS}` and its own environment variables (`MLSERVER_HTTP_PORT`, `MLSERVER_GRPC_PORT`,
`MLSERVER_METRICS_PORT`, …), of which the file wins; its `parallel_workers` has to stay 0. `{MODEL_SETTINGS}` of a model
may hold, in `parameters.extra`: {", ".join(settings)}.
""")
    if "onnx" in formats:
        parts.append(f"""
With Triton, which takes this folder as its model repository (the settings are checked against Triton's own definition;
they were not run):

```bash
tritonserver --model-repository=.
```

With onnxruntime alone:

```python
import numpy, onnxruntime
generator = onnxruntime.InferenceSession("{formats["onnx"]}")
{_example_arrays(generator)}
image, = generator.run(["image"], {{{feeds}}})
{_example_of_encoder(contract, "onnx")}```
""")
    if "mindir" in formats:
        parts.append(f"""
With MindSpore alone:

```python
import mindspore, numpy
from mindspore import nn
generator = nn.GraphCell(mindspore.load("{file_of("generator", "mindir")}"))
{_example_arrays(generator)}
image = generator({tensors_of}).asnumpy()
{_example_of_encoder(contract, "mindir")}```
""")
    return "".join(parts)


def _example_of_encoder(contract: Facts, format: str) -> str:
    """Return what makes of images their reconstructions, and, with labels, the same with another label."""
    if "encoder" not in contract["models"]:
        return ""
    file = contract["models"]["encoder"]["files"]["onnx"] if format == "onnx" else file_of("encoder", "mindir")
    conditional = contract["labels"] is not None

    def generate(name: str, label: str) -> str:
        if format == "onnx":
            more = f', "label": {label}' if conditional else ""
            return f'{name}, = generator.run(["image"], {{"latent": mean{more}}})'
        more = f", mindspore.Tensor({label})" if conditional else ""
        return f"{name} = generator(mindspore.Tensor(mean){more}).asnumpy()"

    if format == "onnx":
        own = ', "label": label' if conditional else ""
        load, encode = (
            f'encoder = onnxruntime.InferenceSession("{file}")',
            f'mean, = encoder.run(["mean"], {{"image": image{own}}})',
        )
    else:
        own = ", mindspore.Tensor(label)" if conditional else ""
        load, encode = (
            f'encoder = nn.GraphCell(mindspore.load("{file}"))',
            f"mean = encoder(mindspore.Tensor(image){own})[0].asnumpy()",
        )
    others = (
        ""
        if not conditional
        else f"""
other = numpy.roll(label, 1, 0)  # each image with the label of another: what it would be, were it of that label
{generate("transferred", "other")}"""
    )
    return f"""
{load}
{encode}  # of images that were drawn, or of yours
{generate("reconstructed", "label")}{others}
"""


def _example_request(contract: Facts) -> str:
    inputs: list[dict[str, Any]] = [
        {"name": "seed", "shape": [1], "datatype": "INT64", "data": [7]},
        {"name": "num", "shape": [1], "datatype": "INT32", "data": [4]},
    ]
    return _in_quotes(json.dumps({"inputs": inputs + _example_label(contract)}, ensure_ascii=False))


def _example_program(contract: Facts) -> str:
    """Return a program that prints a request to the encoder; an image's numbers are too many to be written down."""
    sizes = contract["models"]["encoder"]["inputs"][0]["shape"][1:]
    image = {"name": "image", "shape": [1, *sizes], "datatype": "FP32", "data": "?"}
    inputs = json.dumps([image, *_example_label(contract)], ensure_ascii=False)
    inputs = inputs.replace('"?"', f"[0.5] * {math.prod(sizes)}", 1)
    return _in_quotes(f'import json\nprint(json.dumps({{"inputs": {inputs}}}))')


def _example_label(contract: Facts) -> list[dict[str, Any]]:
    if contract["labels"] is None:
        return []
    return [{"name": "label", "shape": [1], "datatype": "BYTES", "data": [contract["labels"][0]]}]


def _in_quotes(text: str) -> str:
    """Return a text as it stands between a shell's single quotation marks."""
    return text.replace("'", "'\\''")


def _example_arrays(facts: Facts) -> str:
    lines = []
    for tensor in facts["inputs"]:
        shape = ", ".join(map(str, [4, *tensor["shape"][1:]])) + ("," if len(tensor["shape"]) == 1 else "")
        if tensor["name"] == "latent":
            draw = {
                "normal": f"numpy.random.standard_normal(({shape}))",
                "uniform": f"numpy.random.uniform(-1, 1, ({shape}))",
                "sphere": f"numpy.random.standard_normal(({shape}))",
            }[tensor["distribution"]]
            lines.append(f'latent = {draw}.astype("float32")')
            if tensor["distribution"] == "sphere":
                lines.append("latent /= numpy.linalg.norm(latent, axis=1, keepdims=True)")
        else:
            _, highest = tensor["range"]
            if len(tensor["shape"]) == 1:
                lines.append(f'label = (numpy.arange(4) % {highest + 1}).astype("int32")')
            else:  # one tag each, in the first place
                lines += [f'label = numpy.zeros(({shape}), "int32")', f"label[:, 0] = 1 + numpy.arange(4) % {highest}"]
    return "\n".join(lines)


def _triton_tensor(tensor: Facts) -> str:
    shape, reshape = tensor["shape"][1:], ""
    if not shape:  # Triton wants a size behind the batch: clients send (N, 1), the model sees (N,)
        shape, reshape = [1], " reshape: { shape: [ ] }"
    return (
        f'{{ name: "{tensor["name"]}" data_type: {TRITON_TYPES[tensor["type"]]} '
        f"dims: [ {', '.join(map(str, shape))} ]{reshape} }}"
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
