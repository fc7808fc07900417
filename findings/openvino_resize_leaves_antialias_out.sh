#!/usr/bin/env bash
# OpenVINO 2026.4.1: ONNX's Resize with antialias=1 is computed without it, and there is no error. onnxruntime 1.32.0
# computes it.
#
# Guess, written down before: what OpenVINO loads of the modes of Resize gives the same numbers as in onnxruntime, to
# 1e-4 in float32.
# Seen: a row 0, 0, 0, 8, 0, 0, 0, 0, made a quarter as long, is 1.25 and 0.75 in onnxruntime with antialias, linear.
# In OpenVINO it is 0 and 0, as without. Cubic is so, too. A network that shrinks its input this way gets other pixels
# there. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

x = numpy.array([0, 0, 0, 8, 0, 0, 0, 0], numpy.float32).reshape(1, 1, 1, 8)


def both(**attributes):
    scales = numpy_helper.from_array(numpy.array([1, 1, 1, 0.25], numpy.float32), "scales")
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
    shapes = (("x", x.shape), ("y", (1, 1, 1, 2)))
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    graph = helper.make_graph([node], "graph", sides[:1], sides[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [found[0].ravel() for found in (session.run(None, {"x": x}), compiled([x]))]


print("OpenVINO", openvino.__version__, "onnxruntime", onnxruntime.__version__)
wrong = []
for mode, without, smoothed in (("linear", [0, 0], [1.25, 0.75]), ("cubic", [-0.75, 0], [1.499, 0.8525])):
    for antialias, of_onnxruntime in ((0, without), (1, smoothed)):
        found = both(mode=mode, antialias=antialias)
        print(mode, "antialias", antialias, "onnxruntime", found[0].round(4), "OpenVINO", found[1].round(4))
        wrong.append(not numpy.allclose(found, [of_onnxruntime, without], atol=1e-3))
raise SystemExit(any(wrong))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
