#!/usr/bin/env bash
# MNN 3.6.1: of ONNX's Resize, converted by mnnconvert without an error, three things come out otherwise than in
# onnxruntime 1.32.0: cubic at half pixels begins at the wrong pixel, cubic_coeff_a is taken for -0.75, and nearest_mode
# "ceil" for "floor".
#
# Guess, written down before: Resize equals onnxruntime to 1e-5, and the model runs.
# Seen: the rows 0 to 7 of a ramp, made twice as many by cubic, begin with -0.1055, 0.1914, 0.668 in onnxruntime. In MNN
# they begin with 0.668, 0.1914, 0.668: the first row lies before the image, at -0.25, and is drawn as if it lay at 0.75.
# The first column is so, too. A generator that enlarges its images this way gets a wrong edge there. Linear is right,
# and so is cubic with "asymmetric" or "align_corners". Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet MNN==3.6.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import MNN
import numpy
import onnx
import onnxruntime
from MNN import expr
from onnx import TensorProto, helper, numpy_helper


def both(x, scale, **attributes):
    scales = numpy_helper.from_array(numpy.array([1, 1, scale, scale], numpy.float32), "scales")
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
    height, width = (int(scale * side) for side in x.shape[2:])
    shapes = (("x", x.shape), ("y", (1, 1, height, width)))
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    graph = helper.make_graph([node], "graph", sides[:1], sides[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    convert = Path(sys.executable).with_name("mnnconvert")
    command = [convert, "-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", "model.mnn", "--bizCode", "biz"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    runtime = MNN.nn.create_runtime_manager(({"precision": "high", "backend": "CPU", "numThread": 1},))
    network = MNN.nn.load_module_from_file("model.mnn", ["x"], ["y"], runtime_manager=runtime)
    (drawn,) = network.forward([expr.const(x, list(x.shape), expr.NCHW, expr.float)])
    return session.run(None, {"x": x})[0][0, 0], numpy.array(expr.convert(drawn, expr.NCHW).read())[0, 0]


print("MNN", MNN.version(), "onnxruntime", onnxruntime.__version__)
ramp = numpy.tile(numpy.arange(8, dtype=numpy.float32)[:, None], (1, 8))[None, None]
step = numpy.zeros((1, 1, 8, 8), numpy.float32)
step[..., 4:, :] = 8
half, none = {"coordinate_transformation_mode": "half_pixel"}, {"coordinate_transformation_mode": "asymmetric"}
looks = [  # what is enlarged, which rows are shown, what onnxruntime draws there, and what MNN draws
    ("linear", ramp, half, slice(0, 3), [0, 0.25, 0.75], [0, 0.25, 0.75]),
    ("cubic", ramp, half, slice(0, 3), [-0.1055, 0.1914, 0.668], [0.668, 0.1914, 0.668]),
    ("cubic", ramp, none, slice(0, 3), [0, 0.4062, 1], [0, 0.4062, 1]),
    ("cubic", step, none | {"cubic_coeff_a": -0.5}, slice(5, 8), [-0.5, 0, 4], [-0.75, 0, 4]),
    ("nearest", ramp, none | {"nearest_mode": "floor"}, slice(0, 4), [0, 0, 1, 1], [0, 0, 1, 1]),
    ("nearest", ramp, none | {"nearest_mode": "ceil"}, slice(0, 4), [0, 1, 1, 2], [0, 0, 1, 1]),
]
wrong = []
for mode, x, attributes, rows, of_onnxruntime, of_mnn in looks:
    found = [drawn[rows, 5] for drawn in both(x, 2, mode=mode, **attributes)]
    print(mode, attributes, "onnxruntime", found[0].round(4), "MNN", found[1].round(4))
    wrong.append(not numpy.allclose(found, [of_onnxruntime, of_mnn], atol=1e-3))
raise SystemExit(any(wrong))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
