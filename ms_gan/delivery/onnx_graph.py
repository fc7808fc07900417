"""Rewrites of the ONNX that MindSpore exports, so that more runtimes take it, and all compute the same.

What each is for was seen in the version that is named; docs/bundle.md lists the runtimes that were tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

MAKE_CONSTANTS = ("Constant", "Cast")
MAKE_KERNELS = (*MAKE_CONSTANTS, "MatMul", "Reshape", "Transpose")
SLICE = ("starts", "ends", "axes")  # inputs of the operator, behind what is sliced


def write_out_transposed_sizes(model: Any) -> None:
    """Give transposed convolutions equal padding on both sides in place of the size of their output.

    MindSpore writes all four sizes of the output, and onnxruntime refuses more than two. Where the padding is uneven,
    rows and columns too many are drawn, and cut off: IREE 3.13 and onnx2torch 1.5 refuse unequal padding.
    """
    from onnx import helper

    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != "ConvTranspose":
            continue
        told = _attributes(node)
        sizes = [int(size) for size in told["output_shape"][-2:]]
        pads = told.get("pads")  # top, bottom, left, right; with `same` there are none, and the odd one is the last
        if pads:
            before, totals = pads[::2], [pads[0] + pads[1], pads[2] + pads[3]]
        else:
            totals = [
                (-(-size // stride) - 1) * stride + kernel - size
                for size, kernel, stride in zip(sizes, told["kernel_shape"], told["strides"])
            ]
            before = [max(0, total) // 2 for total in totals]
        equal = [max(0, min(first, total - first)) for first, total in zip(before, totals)]
        _set_pads(node, equal * 2)
        if any(total < 0 for total in totals):  # kernels smaller than their steps
            node.attribute.append(helper.make_attribute("output_padding", [max(0, -total) for total in totals]))
        if any(total > 0 and total != 2 * of_each for total, of_each in zip(totals, equal)):
            whole, drawn = f"{node.output[0]}:uncut", node.output[0]
            node.output[0] = whole
            starts = [first - of_each for first, of_each in zip(before, equal)]
            ends = [start + size for start, size in zip(starts, sizes)]
            names = [_add_numbers(model, f"{drawn}:{name}", of) for name, of in zip(SLICE, (starts, ends, [2, 3]))]
            nodes.append(helper.make_node("Slice", [whole, *names], [drawn], name=f"{drawn}:cut"))
    _replace_nodes(model, nodes)


def order_padding(model: Any) -> None:
    """Bring convolutions' padding into ONNX's order, (top, left, bottom, right).

    MindSpore 2.8 writes its own, (top, bottom, left, right): findings/mindspore_onnx_export_pads_other_sides.sh.
    """
    for node in model.graph.node:
        pads = _attributes(node).get("pads", []) if node.op_type == "Conv" else []
        if len(pads) == 4:
            top, bottom, left, right = pads
            _set_pads(node, [top, left, bottom, right])


def turn_log_softmaxes(model: Any) -> None:
    """Bring the axis of each LogSoftmax to the end, and back: before opset 13 it takes all axes behind it, too.

    MindSpore 2.8 does so for Softmax alone: findings/mindspore_onnx_export_normalises_over_more.sh.
    """
    from onnx import helper, shape_inference

    if all(node.op_type != "LogSoftmax" for node in model.graph.node):
        return
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in (*graph.value_info, *graph.input)}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "LogSoftmax":
            nodes.append(node)
            continue
        axis, order = _attributes(node)["axis"], list(range(ranks[node.input[0]]))
        order[axis], order[-1] = order[-1], order[axis]
        drawn = node.output[0]
        turned, back = f"{drawn}:turned", f"{drawn}:to_turn_back"
        nodes.append(helper.make_node("Transpose", [node.input[0]], [turned], name=turned, perm=order))
        nodes.append(helper.make_node("LogSoftmax", [turned], [back], name=node.name, axis=-1))
        nodes.append(helper.make_node("Transpose", [back], [drawn], name=back, perm=order))
    _replace_nodes(model, nodes)


def fold_constants(model: Any, kernels: bool = True) -> None:
    """Compute what no input changes, of the operators that a kernel is made by, and hold it as initializers.

    kernels: also those that a network makes of its weights, such as `DoublingConv2d`'s. onnx2torch 1.5 refuses a
    convolution with a kernel that is computed. Without: constants alone.
    """
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    known = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if all(name in known for name in node.input) and node.op_type in (MAKE_KERNELS if kernels else MAKE_CONSTANTS):
            inputs = {name: numpy_helper.to_array(known[name]) for name in node.input}
            for name, value in zip(node.output, ReferenceEvaluator(node).run(None, inputs)):
                known[name] = numpy_helper.from_array(value, name)
        else:
            nodes.append(node)
    _replace_nodes(model, nodes, known.values())


def join_leaky_relus(model: Any) -> None:
    """Turn slope·x + (1 − slope)·relu(x), as `nets.layers.LeakyReLU` computes it, into the operator LeakyRelu.

    The same to 2e-7. MindSpore Lite 2.0 makes a ReLU of the four operators behind a dense layer, without a word
    (findings/mindspore_lite_relu_of_a_shared_product.sh).
    """
    from onnx import helper, numpy_helper

    numbers = {
        tensor.name: float(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer if not tensor.dims
    }
    made = {name: node for node in model.graph.node for name in node.output}

    def scaled(name: str) -> tuple[str, float] | None:
        """Return what a name multiplies, and by which number."""
        node = made.get(name)
        if node is None or node.op_type != "Mul":
            return None
        one, other = node.input
        if one in numbers:
            one, other = other, one
        return (one, numbers[other]) if other in numbers else None

    nodes = []
    for node in model.graph.node:
        parts = [part for part in map(scaled, node.input) if part] if node.op_type == "Add" else []
        for (x, slope), (above, rest) in (parts, parts[::-1]) if len(parts) == 2 else ():
            relu = made.get(above)
            if relu and relu.op_type == "Relu" and relu.input[0] == x and abs(slope + rest - 1) < 1e-6:
                node = helper.make_node("LeakyRelu", [x], node.output, name=node.name, alpha=slope)
                break
        nodes.append(node)
    _replace_nodes(model, nodes)


def write_out_padding(model: Any) -> None:
    """Say by numbers what convolutions and poolings pad, in place of `auto_pad`, which onnx2torch 1.5 refuses.

    Raises ValueError where the height or width of what is padded cannot be known beforehand.
    """
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.input)
    }
    for node in model.graph.node:
        told = _attributes(node)
        kind = told.get("auto_pad", b"NOTSET").decode()
        if kind == "NOTSET":
            continue
        kernel = told["kernel_shape"]
        totals = [0] * len(kernel)
        if kind != "VALID":
            sizes = shapes.get(node.input[0], [])[2:]
            if len(sizes) != len(kernel) or not all(size > 0 for size in sizes):
                raise ValueError(f"the size of {node.input[0]!r} is not known: {sizes}")
            strides, dilations = (told.get(name, [1] * len(kernel)) for name in ("strides", "dilations"))
            totals = [
                max(0, (-(-size // stride) - 1) * stride + (side - 1) * dilation + 1 - size)
                for size, side, stride, dilation in zip(sizes, kernel, strides, dilations)
            ]
        less, more = ([total // 2 for total in totals], [total - total // 2 for total in totals])
        _set_pads(node, more + less if kind == "SAME_LOWER" else less + more)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _set_pads(node: Any, pads: list[int]) -> None:
    from onnx import helper

    kept = [each for each in node.attribute if each.name not in ("auto_pad", "output_shape", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


def _add_numbers(model: Any, name: str, numbers: list[int]) -> str:
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
    return name


def _replace_nodes(model: Any, nodes: Iterable[Any], initializers: Iterable[Any] | None = None) -> None:
    """Set a model's nodes, and its initializers; leave out of both what nothing uses."""
    graph, all_nodes = model.graph, list(nodes)
    uses = Counter(name for node in all_nodes for name in node.input)
    uses.update(tensor.name for tensor in graph.output)
    kept = []
    for node in reversed(all_nodes):
        if any(uses[name] for name in node.output):
            kept.append(node)
        else:
            uses.subtract(node.input)
    tensors = [each for each in (graph.initializer if initializers is None else initializers) if uses[each.name]]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)
