#!/usr/bin/env bash
# onnx 1.23.2, run by onnxruntime 1.32.0: version_converter.convert_version of a model with Softmax or LogSoftmax over
# an axis that is not the last, from operator set 13 to 12 or 11, gives a model that normalises over that axis and all
# behind it together. There is no error. Upwards, from 11 to 13, the same two are right, and Hardmax is wrong.
#
# Guess, written down before: the converted model gives the same numbers to 1e-6, or the conversion raises.
# Seen: until set 12 the attribute `axis` says where a matrix is folded, from 13 on which axis is normalised. Down,
# the attribute is kept as it stands: 2 by 3 by 4 numbers over axis 1 no longer sum to 1 over it, but over axes 1 and
# 2. For Hardmax, 11 to 13, it is kept, too: of 12 numbers that had one 1 together, every column gets one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, version_converter

x = numpy.random.default_rng(0).standard_normal((2, 3, 4)).astype(numpy.float32)


def model(operator, operators):
    node = helper.make_node(operator, ["x"], ["y"], axis=1)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy"]
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", operators)], ir_version=8)


def draw(network):
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def sums(operator, operators, target):
    before = model(operator, operators)
    found = [draw(before), draw(version_converter.convert_version(before, target))]
    if operator == "LogSoftmax":
        found = [numpy.exp(each) for each in found]
    over_axis, over_both = ([each.sum(axes) for each in found] for axes in (1, (1, 2)))
    return [
        [bool(numpy.allclose(one, 1)) for one in (over_axis[0], over_both[0])],
        [bool(numpy.allclose(one, 1)) for one in (over_axis[1], over_both[1])],
    ]


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
print("sums to 1 over axis 1; over axes 1 and 2: before, converted")
each, together = [True, False], [False, True]
expected = {
    ("Softmax", 13, 12): [each, together],
    ("LogSoftmax", 13, 12): [each, together],
    ("Softmax", 11, 13): [together, together],
    ("Hardmax", 11, 13): [together, each],
}
seen = {case: sums(*case) for case in expected}
for case, found in seen.items():
    print(*case, *found)
raise SystemExit(seen != expected)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
