"""Weights of two bytes: half the size of a file, the same computation in float32.

A network's matrices and kernels are rounded to float16 before it is exported. Its files hold them as float16, and turn
them into float32 where they are used; so a file computes exactly what the network with rounded weights computes.
Biases and the numbers of norms, which are few, keep float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FLOAT32 = 43  # MindSpore's number of the type, as Cast takes it


def round_weights(network: Any) -> None:
    """Round a Cell's float32 parameters of two or more dimensions to the nearest float16, in place.

    What float16 cannot hold becomes infinite; `export_bundle` refuses a network that draws what is not finite.
    """
    import mindspore as ms

    for parameter in network.get_parameters():
        if parameter.dtype == ms.float32 and parameter.ndim > 1:
            with np.errstate(over="ignore"):
                parameter.set_data(ms.Tensor(parameter.asnumpy().astype(np.float16).astype(np.float32)))


def halve_mindir(model: Any) -> None:
    """Let a MindIR with rounded weights, a ModelProto, hold them as float16."""
    from mindspore.train import mind_ir_pb2 as ir

    graph, nodes = model.graph, [_constant(ir, "to_float32", FLOAT32)]
    widened: dict[str, str] = {}  # what replaces a loaded parameter
    halved = _halve(graph.parameter, ir.TensorProto)
    for node in graph.node:
        nodes.append(node)
        if node.op_type.startswith("REF::UpdateState"):
            continue  # it takes what was loaded only to say in which order
        node.input[:] = [widened.get(name, name) for name in node.input]
        if node.op_type.startswith("REF::Load") and node.input[0] in halved:
            cast = ir.NodeProto(name=f"{node.name}:float32", op_type="REF::Cast:float32", domain=node.domain)
            cast.input.extend([*node.output, "to_float32"])
            cast.output.append(cast.name)
            cast.attribute.extend(node.attribute)  # its shape
            next(one for one in node.attribute if one.name == "shape").tensors[0].data_type = ir.TensorProto.FLOAT16
            nodes.append(cast)
            widened[node.output[0]] = cast.name
    del graph.node[:]
    graph.node.extend(nodes)
    _add_cast(model.primitives.add(), ir.AttributeProto)


def halve_onnx(model: Any) -> None:
    """Let an ONNX with rounded weights, a ModelProto, hold them as float16."""
    from onnx import TensorProto, helper

    graph = model.graph
    halved = _halve(graph.initializer, TensorProto)
    casts = [helper.make_node("Cast", [name], [f"{name}:float32"], to=TensorProto.FLOAT) for name in sorted(halved)]
    for node in graph.node:
        node.input[:] = [f"{name}:float32" if name in halved else name for name in node.input]
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _halve(tensors: Any, kinds: Any) -> set[str]:
    """Turn the matrices and kernels among a file's float32 tensors into float16; return their names.

    They were rounded before; a constant that float16 does not hold exactly stays float32.
    """
    found = set()
    for tensor in tensors:
        if tensor.data_type == kinds.FLOAT and len(tensor.dims) > 1:
            numbers = np.frombuffer(tensor.raw_data, "<f4")
            with np.errstate(over="ignore"):
                halves = numbers.astype("<f2")
            if np.array_equal(halves.astype("<f4"), numbers):
                tensor.raw_data, tensor.data_type = halves.tobytes(), kinds.FLOAT16
                found.add(tensor.name)
    return found


def _constant(ir: Any, name: str, number: int) -> Any:
    node = ir.NodeProto(name=name, op_type="Constant")
    node.output.append(name)
    node.attribute.add(name="value", i=number, type=ir.AttributeProto.INT64)
    return node


def _add_cast(primitive: Any, kinds: Any) -> None:
    """Fill in what a MindIR says of the operator that turns one type into another."""
    primitive.name, primitive.op_type, primitive.instance_name = "Cast:float32", "Cast", "cast"
    primitive.prim_type = primitive.PRIMITIVE_FUNCTION
    for name, tensors in (("input_names", (b"x", b"dst_type")), ("output_names", (b"output",))):
        names = primitive.attribute.add(name=name, type=kinds.LIST)
        for tensor in tensors:
            names.values.add(type=kinds.STRING).strings.append(tensor)
