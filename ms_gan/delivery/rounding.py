"""Weights of two bytes or of one: files of half or a quarter of the size, the same computation in float32.

A network's matrices and kernels are rounded before it is exported. Its files hold them short, and turn them into
float32 where they are used; so a file computes exactly what the network with rounded weights computes. Biases and the
numbers of norms, which are few, keep float32.

With float16 each weight is the nearest that the type has. With int8 a weight is a whole number from -127 to 127, times
the scale of its row (the first axis: an output of a layer, or an input of a transposed convolution). A scale has 16
significant bits, so that the product is exact in float32, and every runtime makes the same weights of it. A row whose
scale would be subnormal, as no trained row's is, becomes zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FLOAT32 = 43  # MindSpore's number of the type, as Cast takes it
CAST, SCALE = "Cast:float32", "Mul:scales"  # operators, as a MindIR names them
MOST = 127  # of int8; -128 is left out, so that zero is the middle
SCALE_BITS = 16  # and 7 of the whole number make 23, where float32 has 24


@dataclass(frozen=True)
class Short:
    """A matrix or kernel as a file holds it.

    Args:
        numbers: float16 or int8, in the shape of the weights.
        scales: float32, (rows, 1, …), by which the numbers are multiplied; None: they are the weights.
    """

    numbers: np.ndarray
    scales: np.ndarray | None = None

    def weights(self) -> np.ndarray:
        """Return float32, as whatever runs a file computes them."""
        wide = self.numbers.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            return wide if self.scales is None else wide * self.scales


def shortened(weights: np.ndarray, kind: str) -> Short:
    """Return what is nearest to float32 weights of two or more dimensions, none of which is empty.

    `kind`: "float16" or "int8". What it cannot hold becomes infinite, and what is not finite stays so; of int8 all
    numbers of such a row are infinite or NaN.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return Short(weights.astype(np.float16)) if kind == "float16" else _nearest_int8(weights)


def _nearest_int8(weights: np.ndarray) -> Short:
    rows = weights.reshape(len(weights), -1)
    fraction, exponent = np.frexp(np.abs(rows).max(1) / np.float32(MOST))
    scales = np.ldexp(np.ceil(np.ldexp(fraction, SCALE_BITS)), exponent - SCALE_BITS)
    scales[scales < np.finfo(np.float32).tiny] = 0
    numbers = np.where(scales[:, None] > 0, np.rint(rows / scales[:, None]), 0).astype(np.int8)
    return Short(numbers.reshape(weights.shape), scales.reshape(-1, *[1] * (weights.ndim - 1)))


def held_exactly(weights: np.ndarray, kind: str) -> Short | None:
    """Return how a file holds an array; None where that is not exact, and of vectors and what is not float32.

    `kind`: "float32", which is always None, "float16" or "int8".
    """
    if kind == "float32" or weights.dtype != np.float32 or weights.ndim < 2 or not weights.size:
        return None
    short = shortened(weights, kind)
    return short if np.array_equal(short.weights(), weights) else None


def round_weights(network: Any, kind: str) -> None:
    """Round a Cell's float32 parameters of two or more dimensions, in place.

    `kind`: "float16" or "int8". `export_bundle` refuses a network that draws what is not finite.
    """
    import mindspore as ms

    for parameter in network.get_parameters():
        if parameter.dtype == ms.float32 and parameter.ndim > 1:
            parameter.set_data(ms.Tensor(shortened(parameter.asnumpy(), kind).weights()))


def shorten_mindir(model: Any, kind: str) -> None:
    """Let a MindIR with rounded weights, a ModelProto, hold them short."""
    from mindspore.train import mind_ir_pb2 as ir

    graph, nodes = model.graph, [_constant(ir, "to_float32", i=FLOAT32, type=ir.AttributeProto.INT64)]
    widened: dict[str, str] = {}  # what replaces a loaded parameter
    shorts = _shorten(graph.parameter, ir.TensorProto, kind)
    for node in graph.node:
        nodes.append(node)
        if node.op_type.startswith("REF::UpdateState"):
            continue  # it takes what was loaded only to say in which order
        node.input[:] = [widened.get(name, name) for name in node.input]
        if node.op_type.startswith("REF::Load") and node.input[0] in shorts:
            short = shorts[node.input[0]]
            nodes.append(_node(ir, node, CAST, [*node.output, "to_float32"]))
            if short.scales is not None:
                cast, scales = nodes[-1].name, _tensor(ir.TensorProto, f"{node.name}:scales", short.scales)
                nodes.append(_constant(ir, scales.name, tensors=[scales], type=ir.AttributeProto.TENSORS))
                nodes.append(_node(ir, node, SCALE, [cast, scales.name]))
            widened[node.output[0]] = nodes[-1].name
            loaded = next(one for one in node.attribute if one.name == "shape").tensors[0]
            loaded.data_type = _type_of(short.numbers, ir.TensorProto)
    del graph.node[:]
    graph.node.extend(nodes)
    _add_primitive(model, ir, CAST, ("x", "dst_type"))
    if kind == "int8":
        _add_primitive(model, ir, SCALE, ("x", "y"))


def shorten_onnx(model: Any, kind: str) -> None:
    """Let an ONNX with rounded weights, a ModelProto, hold them short."""
    from onnx import TensorProto, helper, numpy_helper

    graph, nodes = model.graph, []
    widened: dict[str, str] = {}  # what replaces a weight
    for name, short in sorted(_shorten(graph.initializer, TensorProto, kind).items()):
        widened[name] = f"{name}:float32"
        nodes.append(helper.make_node("Cast", [name], [widened[name]], to=TensorProto.FLOAT))
        if short.scales is not None:
            graph.initializer.append(numpy_helper.from_array(short.scales, f"{name}:scales"))
            nodes.append(helper.make_node("Mul", [widened[name], f"{name}:scales"], [f"{name}:scaled"]))
            widened[name] = f"{name}:scaled"
    for node in graph.node:
        node.input[:] = [widened.get(name, name) for name in node.input]
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def _shorten(tensors: Any, kinds: Any, kind: str) -> dict[str, Short]:
    """Shorten the matrices and kernels among a file's float32 tensors; return them by name.

    They were rounded before; a constant that would not be held exactly stays float32.
    """
    found = {}
    for tensor in tensors:
        if tensor.data_type == kinds.FLOAT:
            short = held_exactly(np.frombuffer(tensor.raw_data, "<f4").reshape(tuple(tensor.dims)), kind)
            if short is not None:
                tensor.raw_data, tensor.data_type = short.numbers.tobytes(), _type_of(short.numbers, kinds)
                found[tensor.name] = short
    return found


def _type_of(numbers: np.ndarray, kinds: Any) -> int:
    return {"float32": kinds.FLOAT, "float16": kinds.FLOAT16, "int8": kinds.INT8}[str(numbers.dtype)]


def _tensor(kind: Any, name: str, numbers: np.ndarray) -> Any:
    return kind(name=name, dims=numbers.shape, data_type=_type_of(numbers, kind), raw_data=numbers.tobytes())


def _constant(ir: Any, name: str, **value: Any) -> Any:
    node = ir.NodeProto(name=name, op_type="Constant")
    node.output.append(name)
    node.attribute.add(name="value", **value)
    return node


def _node(ir: Any, loaded: Any, primitive: str, inputs: list[str]) -> Any:
    """Return a node by which what was loaded is changed, in its shape; its output has its name."""
    node = ir.NodeProto(name=f"{loaded.name}:{primitive}", op_type=f"REF::{primitive}", domain=loaded.domain)
    node.input.extend(inputs)
    node.output.append(node.name)
    node.attribute.extend(loaded.attribute)  # its shape
    return node


def _add_primitive(model: Any, ir: Any, name: str, inputs: tuple[str, ...]) -> None:
    """Fill in what a MindIR says of an operator; `name` is that of the operator, a colon, and what it is for."""
    operator = name.partition(":")[0]
    primitive = model.primitives.add(name=name, op_type=operator, instance_name=operator.lower())
    primitive.prim_type = primitive.PRIMITIVE_FUNCTION
    for key, tensors in (("input_names", inputs), ("output_names", ("output",))):
        names = primitive.attribute.add(name=key, type=ir.AttributeProto.LIST)
        for tensor in tensors:
            names.values.add(type=ir.AttributeProto.STRING).strings.append(tensor.encode())
