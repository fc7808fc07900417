#!/usr/bin/env bash
# onnxslim 0.1.98: a Mul behind a Conv or ConvTranspose, by a constant that belongs to the columns or the rows of the
# image, becomes one by channels, if there are as many channels as columns or rows.
#
# Guess, written down before: what slim returns computes the same, or leaves the two operators alone.
# Seen: 4 channels of 4 by 4 pixels, multiplied by four numbers of shape (4), (1, 1, 1, 4) or (1, 1, 4, 1), which ONNX
# multiplies along the width or the height: the numbers are multiplied into the weights of the four channels. Nothing
# is said. Shape (1, 4, 1, 1), that of channels, is right, and so is all of it where there are 3 columns. So the same
# network is right or wrong by the size of its image. Run in onnxruntime with its own optimisations switched off.
# Seen beside this script: onnxsim 0.8.1, onnxoptimizer 0.4.2 and onnxruntime 1.32.0 are right; so is Add in onnxslim.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnxslim==0.1.98 onnx==1.19.1 onnxruntime==1.22.1 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxruntime
import onnxslim
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = {"Conv": (4, 2, 3, 3), "ConvTranspose": (2, 4, 3, 3)}
draw = numpy.random.default_rng(1).standard_normal


def network(kind, shape, size):
    """Convolve an image of 2 channels so that 4 of size by size come out, and multiply them by a constant."""
    padding = [0, 0, 0, 0] if kind == "Conv" else [2, 2, 2, 2]
    nodes = [
        helper.make_node(kind, ["x", "weights"], ["channels"], pads=padding),
        helper.make_node("Mul", ["channels", "factors"], ["y"]),
    ]
    constants = {"weights": draw(WEIGHTS[kind]), "factors": draw(shape)}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, size + 2, size + 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, size, size))],
        [numpy_helper.from_array(value.astype("float32"), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


print("onnxslim", onnxslim.__version__)
as_seen = []
for kind in WEIGHTS:
    for shape, size, right in (
        ((1, 4, 1, 1), 4, True),
        ((4,), 4, False),
        ((1, 1, 1, 4), 4, False),
        ((1, 1, 4, 1), 4, False),
        ((3,), 3, True),
    ):
        model = network(kind, shape, size)
        x = draw((1, 2, size + 2, size + 2)).astype("float32")
        before = run(model, x)
        far = numpy.abs(run(onnxslim.slim(model), x) - before).max()
        print(f"{kind} to 4 channels of {size} by {size}, Mul by a constant of shape {shape}: off by {far:.1e}")
        as_seen.append(far < 1e-4 if right else far > 0.1)
raise SystemExit(not all(as_seen))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
