#!/usr/bin/env bash
# onnxruntime 1.30.0, with its default optimisations: zeros that Pad puts around an image are no longer zeros if
# MaxPool follows. So were 1.20.1 to 1.27.0; 1.19.2 and 1.32.0 are right.
#
# Guess, written down before (as a program's check): a graph gives the same numbers to 1e-4 with all optimisations and
# with none.
# Seen: Pad and MaxPool become one MaxPool with padding, which leaves the edge out instead of seeing zeros there.
# Where all numbers are negative, each maximum at the edge is 0 by the graph, and came out as the largest negative
# number. An ONNX that was proved in 1.19.2 gives other numbers in 1.20 to 1.30.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.19.1 onnxruntime==1.30.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = -1 - numpy.arange(16, dtype=numpy.float32).reshape(1, 1, 4, 4)
nodes = [
    helper.make_node("Pad", ["x", "sizes"], ["padded"]),
    helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
]
sizes = numpy_helper.from_array(numpy.array([0, 0, 1, 1, 0, 0, 1, 1], numpy.int64), "sizes")
values = [
    helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", x.shape), ("y", None))
]
graph = helper.make_graph(nodes, "graph", values[:1], values[1:], [sizes])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def draw(level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    return (
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        .run(None, {"x": x})[0]
        .ravel()
        .tolist()
    )


none, all_of_them = (
    draw(getattr(onnxruntime.GraphOptimizationLevel, name)) for name in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL")
)
print("onnxruntime", onnxruntime.__version__, "without optimisations", none, "with", all_of_them)
raise SystemExit((none, all_of_them) != ([0, 0, 0, -6], [-1, -2, -5, -6]))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
