#!/usr/bin/env bash
# onnx 1.23.2: the ReferenceEvaluator, which comes with the standard, computes LpNormalization and MaxPool otherwise
# than the standard's text says. onnxruntime 1.32.0 follows the text in both.
#
# Guess, written down before: onnxruntime and the ReferenceEvaluator give the same numbers to 1e-5 for valid inputs of
# an operator.
# Seen: LpNormalization with p=1 divides by the sum of the numbers, not of their absolute values. MaxPool with a
# stride and auto_pad="SAME_LOWER" puts the odd padding at the end; where the stride does not divide the length, the
# result is shorter. Whoever compares an export with the ReferenceEvaluator alone has compared it with wrong numbers
# for these. Run with Python 3.11.
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


def both(operator, x, size, **attributes):
    x = numpy.array(x, numpy.float32)
    node = helper.make_node(operator, ["x"], ["y"], **attributes)
    shapes = (("x", x.shape), ("y", (*x.shape[:-1], size)))
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    graph = helper.make_graph([node], "graph", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runs = (session.run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x}))
    return [found[0].ravel().tolist() for found in runs]


def pool(*numbers):
    size = -(-len(numbers) // 2)
    return both("MaxPool", [[numbers]], size, kernel_shape=[3], strides=[2], auto_pad="SAME_LOWER")


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
cases = {  # the text's numbers, then the ReferenceEvaluator's
    "LpNormalization of 3, -1": (both("LpNormalization", [[3, -1]], 2, p=1, axis=1), [0.75, -0.25], [1.5, -0.5]),
    "MaxPool of 1 to 4": (pool(1, 2, 3, 4), [2, 4], [3, 4]),
    "MaxPool of 1 to 5": (pool(1, 2, 3, 4, 5), [2, 4, 5], [3, 5]),
}
for name, (found, text, reference) in cases.items():
    print(name, "text", text, "onnxruntime", found[0], "ReferenceEvaluator", found[1])
raise SystemExit(any(found != [text, reference] for found, text, reference in cases.values()))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
