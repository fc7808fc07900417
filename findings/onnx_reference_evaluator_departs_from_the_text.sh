#!/usr/bin/env bash
# onnx 1.23.2: the ReferenceEvaluator, which comes with the standard, computes some operators otherwise than the
# standard's text says. onnxruntime 1.32.0 follows the text in all that stand here.
#
# Guess, written down before: onnxruntime and the ReferenceEvaluator give the same numbers to 1e-5 for valid inputs.
# Seen: LpNormalization with p=1 divides by the sum of the numbers, not of their absolute values. LogSoftmax is the
# logarithm of a softmax that has become 0: minus infinity. MaxPool with auto_pad="SAME_LOWER" pads as SAME_UPPER. An
# export that is proved against the ReferenceEvaluator alone is proved against these, too.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def both(operator, x, **attributes):
    x = numpy.array(x, numpy.float32)
    node = helper.make_node(operator, ["x"], ["y"], **attributes)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", x.shape), ("y", None))
    ]
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with numpy.errstate(divide="ignore"):
        return [
            found[0].ravel().tolist()
            for found in (session.run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x}))
        ]


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
infinite = float("-inf")
cases = {  # the text's numbers, then the ReferenceEvaluator's
    "LpNormalization": (both("LpNormalization", [[3, -1]], p=1, axis=1), [0.75, -0.25], [1.5, -0.5]),
    "LogSoftmax": (both("LogSoftmax", [[0, 120]]), [-120, 0], [infinite, 0]),
    "MaxPool": (
        both("MaxPool", [[[1, 2, 3, 4]]], kernel_shape=[3], strides=[2], auto_pad="SAME_LOWER"),
        [2, 4],
        [3, 4],
    ),
}
for name, (found, text, reference) in cases.items():
    print(name, "text", text, "onnxruntime", found[0], "ReferenceEvaluator", found[1])
raise SystemExit(any(found != [text, reference] for found, text, reference in cases.values()))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
