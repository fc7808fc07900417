#!/usr/bin/env bash
# onnxruntime 1.30.0, with its default optimisations: zeros that Pad puts around an image no longer count if MaxPool
# follows.
#
# Guess, written down before, as the check of a program that compared many small graphs: a graph gives the same
# numbers to 1e-4 with all optimisations and with none.
# Seen: Pad and MaxPool become one MaxPool with padding, which leaves the edge out instead of seeing zeros there. It
# shows where all numbers that a window covers at the edge are below 0: the greatest is 0 by the graph, and came out
# as the greatest number in the window. Behind a ReLU nothing changes. Seen beside this script: 1.20.1, 1.21.1,
# 1.22.1, 1.23.2, 1.24.4, 1.25.1 and 1.27.0 do the same; 1.19.2 and 1.32.0 are right. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.19.1 onnxruntime==1.30.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = -1 - numpy.arange(16, dtype=numpy.float32).reshape(1, 1, 4, 4)
nodes = [
    helper.make_node("Pad", ["x", "sizes"], ["padded"]),
    helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
]
sizes = numpy_helper.from_array(numpy.array([0, 0, 1, 1, 0, 0, 1, 1], numpy.int64), "sizes")
shapes = (("x", x.shape), ("y", (1, 1, 2, 2)))
sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
graph = helper.make_graph(nodes, "graph", sides[:1], sides[1:], [sizes])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)


def draw(level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    return session.run(None, {"x": x})[0].ravel().tolist()


levels = (onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
without, optimised = map(draw, levels)
print("onnxruntime", onnxruntime.__version__, "without optimisations", without, "with", optimised)
raise SystemExit((without, optimised) != ([0, 0, 0, -6], [-1, -2, -5, -6]))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
