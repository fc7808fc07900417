#!/usr/bin/env bash
# onnx 1.23.2, run by onnxruntime 1.32.0: version_converter.convert_version of a model that enlarges images linearly,
# from opset 9 or 10 to 11 or later, gives a model whose images are shifted; of one with Softmax, LogSoftmax or
# Hardmax over an inner axis, in some directions, one that normalises over other axes. There is no error.
#
# Guess, written down before: for each operator a converted model either gives the same numbers in onnxruntime (to
# 1e-6), or the conversion raises.
# Seen: onnxruntime places pixels by their left upper corner up to opset 10, whose text does not say where they lie;
# from 11 on an attribute says it, with half_pixel as default, and the converter does not write it. Up to opset 12,
# `axis` splits the axes into two groups, and the second is normalised as one; from 13 on it names the one axis. From
# 13 down, Softmax and LogSoftmax keep the number as it stands, and from 11 up Hardmax does. Softmax and LogSoftmax
# from 11 up are right. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, version_converter

ramp = numpy.arange(4, dtype=numpy.float32).reshape(1, 1, 1, 4)
stack = numpy.random.default_rng(0).standard_normal((2, 3, 4)).astype(numpy.float32)
scales = numpy_helper.from_array(numpy.array([1, 1, 1, 2], numpy.float32), "scales")


def model(node, opset, shape, result, *held):
    sides = [
        helper.make_tensor_value_info(*of)
        for of in (("x", TensorProto.FLOAT, shape), ("y", TensorProto.FLOAT, result))
    ]
    graph = helper.make_graph([node], "graph", sides[:1], sides[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def draw(network, x):
    onnx.checker.check_model(network, full_check=True)
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
wrong = []
corner, centre = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
for operator, opset in (("Upsample", 9), ("Resize", 10)):
    node = helper.make_node(operator, ["x", "scales"], ["y"], mode="linear")
    before = model(node, opset, (1, 1, 1, 4), (1, 1, 1, 8), scales)
    for target in (11, 13, 18):
        converted = version_converter.convert_version(before, target)
        (resize,) = (node for node in converted.graph.node if node.op_type == "Resize")
        named = "coordinate_transformation_mode" in [attribute.name for attribute in resize.attribute]
        found = [draw(network, ramp).ravel().tolist() for network in (before, converted)]
        print(operator, "of opset", opset, found[0], "as", target, found[1], "places named:", named)
        wrong.append(found != [corner, centre] or named)


def sums(numbers, operator):
    numbers = numpy.exp(numbers) if operator == "LogSoftmax" else numbers
    return [bool(numpy.allclose(numbers.sum(axes), 1)) for axes in (1, (1, 2))]


each, together = [True, False], [False, True]
for operator, opset, target, before_and_after in (
    ("Softmax", 13, 12, (each, together)),
    ("Softmax", 13, 11, (each, together)),
    ("LogSoftmax", 13, 12, (each, together)),
    ("LogSoftmax", 13, 11, (each, together)),
    ("Softmax", 11, 13, (together, together)),
    ("LogSoftmax", 11, 13, (together, together)),
    ("Hardmax", 11, 13, (together, each)),
):
    before = model(helper.make_node(operator, ["x"], ["y"], axis=1), opset, stack.shape, stack.shape)
    found = [draw(network, stack) for network in (before, version_converter.convert_version(before, target))]
    same, seen = bool(numpy.allclose(*found)), tuple(sums(numbers, operator) for numbers in found)
    print(operator, opset, "to", target, "sums to 1 over axis 1, over 1 and 2:", *seen, "same:", same)
    wrong.append(seen != before_and_after or same != (seen[0] == seen[1]))
raise SystemExit(any(wrong))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
