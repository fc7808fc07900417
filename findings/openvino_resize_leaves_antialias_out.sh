#!/usr/bin/env bash
# OpenVINO 2026.4.1: ONNX's Resize with antialias=1 is computed without it. There is no error and no warning.
# onnxruntime 1.32.0 computes it.
#
# Guess, written down before: OpenVINO and onnxruntime give the same numbers to 1e-4 where OpenVINO loads a Resize (it
# refuses others, such as coordinate_transformation_mode="half_pixel_symmetric").
# Seen: a row 0, 0, 0, 8, 0, 0, 0, 0, made a quarter as long, is 1.25 and 0.75 in onnxruntime with antialias, linear.
# In OpenVINO it is 0 and 0, as without. Cubic is so, too. An encoder that makes its images smaller first sees others
# there.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

x = numpy.array([0, 0, 0, 8, 0, 0, 0, 0], numpy.float32).reshape(1, 1, 1, 8)


def both(**attributes):
    scales = numpy_helper.from_array(numpy.array([1, 1, 1, 0.25], numpy.float32), "scales")
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", x.shape), ("y", None))
    ]
    graph = helper.make_graph([node], "graph", values[:1], values[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=8).SerializeToString()
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [found[0].ravel() for found in (session.run(None, {"x": x}), compiled([x]))]


print("OpenVINO", openvino.__version__, "onnxruntime", onnxruntime.__version__)
seen = []
for mode in ("linear", "cubic"):
    without, smoothed = both(mode=mode), both(mode=mode, antialias=1)
    print(mode, "onnxruntime without and with:", without[0].round(4), smoothed[0].round(4))
    print(mode, "OpenVINO without and with:", without[1].round(4), smoothed[1].round(4))
    moved = [bool(abs(a - b).max() > 1e-2) for a, b in zip(without, smoothed)]
    seen.append(moved + [bool(abs(without[0] - without[1]).max() < 1e-4)])
raise SystemExit(seen != [[True, False, True]] * 2)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
