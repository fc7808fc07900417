"""The two file formats of an exported network: MindIR and ONNX.

Both are read back as functions from arrays to a tuple of arrays, and take any batch. Each format's packages are
imported where they are needed: to run ONNX nothing of MindSpore is imported, though the requirements install it.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np

from ms_gan.delivery import onnx_graph
from ms_gan.delivery.contract import WEIGHTS_ALONE, ModelSpec
from ms_gan.delivery.rounding import held_exactly, shorten_mindir, shorten_onnx
from ms_gan.errors import Setting, UserError
from ms_gan.runtime import install_command
from ms_gan.sampling import on_arrays

ArrayFunction = Callable[..., tuple[np.ndarray, ...]]  # a model, from a batch of each input to its outputs

OPSET = 15  # from here on BatchNormalization says if it trains; MindSpore writes 11, where some runtimes guess wrongly
TOLERANCES = {"mindir": 0.0, "onnx": 1e-5}  # another runtime adds up in another order


def write_mindir(network: Any, spec: ModelSpec, file: Path, weights: str = "float32") -> None:
    """Write a network, a Cell in inference mode, as MindIR, its inputs named as in the contract.

    `weights`, of contract.WEIGHTS: how it holds matrices and kernels; they are rounded already.

    MindSpore calls them after the Cell's class and how many graphs the process has compiled; MindSpore Lite, and what
    converts for it, finds inputs by their names.
    """
    from mindspore.train import mind_ir_pb2

    model = mind_ir_pb2.ModelProto()
    model.ParseFromString(_exported(network, _any_batch(spec), "MINDIR", file.parent))
    for tensor, told in zip(model.graph.input, spec.inputs):
        _rename(model.graph, tensor.name, told.name)
    if weights != "float32":
        shorten_mindir(model, weights)
    _make_repeatable(model)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _make_repeatable(model: Any) -> None:
    """Let a MindIR of the same network have the same bytes each time.

    MindSpore 2.8 writes operators in an order of chance, and the clock and an address in memory into an attribute of
    the graph: findings/mindspore_mindir_is_another_each_time.sh.
    """
    operators = sorted(model.primitives, key=lambda operator: operator.name)
    del model.primitives[:]
    model.primitives.extend(operators)
    kept = [one for one in model.graph.attribute if one.name != "compile_phase"]
    del model.graph.attribute[:]
    model.graph.attribute.extend(kept)


def read_mindir(file: Path, spec: ModelSpec) -> ArrayFunction:
    """Load a MindIR; it is compiled once, for any batch."""
    import mindspore as ms
    from mindspore import nn

    graph = nn.GraphCell(ms.load(str(file)))
    graph.set_inputs(*_any_batch(spec))
    return on_arrays(graph)


def write_onnx(network: Any, spec: ModelSpec, file: Path, weights: str = "float32") -> None:
    """Write a network, a Cell in inference mode, as ONNX with the contract's names.

    `weights`, of contract.WEIGHTS: how it holds matrices and kernels; they are rounded already.

    MindSpore exports ONNX for one batch size only. The networks reshape by sizes that do not depend on it; where the
    file still holds it, it is made free here. What some runtimes refuse or get wrong is rewritten.
    """
    import mindspore as ms

    onnx = _package("onnx")
    _package("onnx.version_converter")
    example = [ms.Tensor(np.zeros(tensor.batch_of(3), tensor.type)) for tensor in spec.inputs]
    file.parent.mkdir(parents=True, exist_ok=True)
    model = onnx.load_model_from_string(_exported(network, example, "ONNX", file.parent))
    for tensors, described in ((model.graph.input, spec.inputs), (model.graph.output, spec.outputs)):
        for tensor, told in zip(tensors, described):
            _rename(model.graph, tensor.name, told.name)
            tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.producer_name = "ms_gan"
    onnx_graph.write_out_transposed_sizes(model)
    onnx_graph.order_padding(model)
    onnx_graph.turn_log_softmaxes(model)
    model = onnx.version_converter.convert_version(model, OPSET)
    # what is short stays so; kernels are computed of it in use
    onnx_graph.fold_constants(model, kernels=weights == "float32")
    onnx_graph.join_leaky_relus(model)
    onnx_graph.write_out_padding(model)
    if weights != "float32":
        shorten_onnx(model, weights)
    file.write_bytes(model.SerializeToString())


def read_onnx(file: Path, spec: ModelSpec) -> ArrayFunction:
    """Load an ONNX file for onnxruntime on the CPU."""
    options = {"providers": ["CPUExecutionProvider"]}
    session = _package("onnxruntime").InferenceSession(file.read_bytes(), **options)
    names, outputs = ([tensor.name for tensor in side] for side in (spec.inputs, spec.outputs))
    return lambda *arrays: tuple(session.run(outputs, dict(zip(names, arrays))))


WRITERS: dict[str, Callable[[Any, ModelSpec, Path, str], None]] = {"mindir": write_mindir, "onnx": write_onnx}
READERS: dict[str, Callable[[Path, ModelSpec], ArrayFunction]] = {"mindir": read_mindir, "onnx": read_onnx}


def write_weights(network: Any, file: Path, weights: str, facts: Mapping[str, str]) -> None:
    """Write a network's weights as safetensors, under the names of its parameters, with `facts` beside them.

    `weights`, of contract.WEIGHTS: what the other formats hold short is so here, too; scales are at NAME.scales.
    """
    from safetensors.numpy import save

    arrays = {}
    for name, parameter in network.parameters_dict().items():
        array = parameter.asnumpy()
        short = held_exactly(array, weights)
        arrays[name] = np.ascontiguousarray(array if short is None else short.numbers)
        if short is not None and short.scales is not None:
            arrays[f"{name}.scales"] = short.scales
    file.write_bytes(_with_facts(save(arrays), facts))


def _with_facts(content: bytes, facts: Mapping[str, str]) -> bytes:
    """Return a safetensors file with facts about it: safetensors 0.8 writes several in an order of chance.

    It begins with the length of its header, 8 bytes; the header, JSON, is filled up with spaces to a multiple of 8.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps({"__metadata__": dict(facts), **json.loads(content[8:end])}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def require_packages(formats: Sequence[str]) -> None:
    """Raise UserError, before anything is done, where the packages that write and prove a format are missing."""
    without = ("; or do without, with ", Setting("format", "mindir"))
    if "onnx" in formats:
        _package("onnx", *without)
        _package("onnxruntime", *without)
    if WEIGHTS_ALONE in formats:
        _package("safetensors", *without)


def runtime_of(file_format: str, device: str) -> str:
    """Return what a format was proved on."""
    if file_format == "onnx":
        return f"onnxruntime {_package('onnxruntime').__version__}, CPU"
    return f"MindSpore {_package('mindspore').__version__}, {device}"


def format_of(file: Path) -> str:
    """Return the version of a model file's format, such as "ONNX opset 15, IR version 4" or "MindIR version 3"."""
    if file.suffix == f".{WEIGHTS_ALONE}":
        return WEIGHTS_ALONE
    if file.suffix == ".onnx":
        model = _package("onnx").load(str(file), load_external_data=False)
        return f"ONNX opset {model.opset_import[0].version}, IR version {model.ir_version}"
    from mindspore.train import mind_ir_pb2

    model = mind_ir_pb2.ModelProto()
    model.ParseFromString(file.read_bytes())
    return f"MindIR version {model.mind_ir_version}"


def takes_any_rows(file_format: str) -> bool:
    """Return whether a format runs any number of rows without being compiled anew: on a CPU both do."""
    return file_format == "onnx" or _package("mindspore").get_context("device_target") == "CPU"


def _exported(network: Any, inputs: Sequence[Any], file_format: str, place: Path) -> bytes:
    """Return the file that MindSpore exports; it is written in a folder of its own below `place`, and removed.

    MindSpore rejects many characters in paths, spaces among them, so it is given a name alone.
    """
    import mindspore as ms

    name, before = f"network.{file_format.lower()}", os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    with tempfile.TemporaryDirectory(dir=place) as folder:
        try:
            os.chdir(folder)
            ms.export(network, *inputs, file_name=name, file_format=file_format)
        finally:
            os.fchdir(before)  # also where its path is gone
            os.close(before)
        return (Path(folder) / name).read_bytes()


def _any_batch(spec: ModelSpec) -> list[Any]:
    import mindspore as ms

    return [ms.Tensor(shape=tensor.batch_of(None), dtype=getattr(ms, tensor.type)) for tensor in spec.inputs]


def _package(name: str, *otherwise: str | Setting) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        whose = {"safetensors": WEIGHTS_ALONE, "mindspore": "MindIR"}.get(name, "ONNX")
        raise UserError(f"{name} is not installed, and {whose} needs it", install_command(), *otherwise) from error


def _rename(graph: Any, old: str, new: str) -> None:
    for tensor in (*graph.input, *graph.output):
        if tensor.name == old:
            tensor.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
