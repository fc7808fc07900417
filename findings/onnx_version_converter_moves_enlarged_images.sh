#!/usr/bin/env bash
# onnx 1.23.2, run by onnxruntime 1.32.0: version_converter.convert_version of a model that enlarges images linearly,
# from operator set 9 or 10 to 11 or later, gives a model whose images are shifted. There is no error, and no warning.
#
# Guess, written down before: the converted model gives the same numbers to 1e-6, or the conversion raises.
# Seen: up to set 10, Resize and Upsample take a pixel's left upper corner for its place ("asymmetric"). From 11 on
# this is an attribute whose default is "half_pixel", and the converter leaves it to the default. A ramp 0, 1, 2, 3
# that is enlarged twice was 0, 0.5, 1, 1.5, … and becomes 0, 0.25, 0.75, 1.25, …. With mode="nearest" and a whole
# factor nothing changes.
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

x = numpy.arange(4, dtype=numpy.float32).reshape(1, 1, 1, 4)
scales = numpy_helper.from_array(numpy.array([1, 1, 1, 2], numpy.float32), "scales")


def model(operator, operators, mode):
    node = helper.make_node(operator, ["x", "scales"], ["y"], mode=mode)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", x.shape), ("y", None))
    ]
    graph = helper.make_graph([node], "graph", values[:1], values[1:], [scales])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", operators)], ir_version=8)


def draw(network):
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].ravel().tolist()


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
seen = []
for operator, operators in (("Upsample", 9), ("Resize", 10)):
    for mode in ("linear", "nearest"):
        before = model(operator, operators, mode)
        seen.append((draw(before), draw(version_converter.convert_version(before, 13))))
        print(operator, "of set", operators, mode, "before", seen[-1][0], "as set 13", seen[-1][1])
corner, centre = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
copies = [0, 0, 1, 1, 2, 2, 3, 3]
raise SystemExit(seen != [(corner, centre), (copies, copies)] * 2)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
