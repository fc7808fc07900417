#!/usr/bin/env bash
# OpenCV 5.0.0 and 4.14.0, cv2.dnn: networks of ONNX with auto_pad pad the other side than the standard says, without an
# error or a warning, convolutions as well as max-pooling.
#
# Guess, written down before: cv2.dnn computes what onnxruntime does, or refuses.
# Seen: where an odd number of zeros is needed, SAME_LOWER puts the odd one first and SAME_UPPER last. Both versions put
# it last for SAME_LOWER. And 5.0.0 puts it first for SAME_UPPER with kernel 3 and stride 2 on an even width, the usual
# way of halving an image. Each result has the right shape, and is shifted by a pixel. With the same zeros as numbers
# (pads) both versions are right.
# Seen beside this script, of 5.0.0: Softmax of opset 11 is taken over one axis (it is over all from that axis on), as
# tinygrad 0.14.0 takes it; ConvTranspose with auto_pad or output_shape is a row too small or two too large; antialias of
# Resize is left out. Of 149 networks of one or two operators it computed 135 as onnxruntime 1.32.0 did.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import sys

import cv2
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper


def network(width, kernel, stride, operator, **padding):
    """A network that adds, or takes the largest of, `kernel` neighbours in a row."""
    if operator == "Conv":
        node = helper.make_node("Conv", ["x", "weights"], ["y"], strides=[1, stride], **padding)
    else:
        node = helper.make_node("MaxPool", ["x"], ["y"], strides=[1, stride], kernel_shape=[1, kernel], **padding)
    graph = helper.make_graph(
        [node],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, width))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 4, -(-width // stride)))],
        [numpy_helper.from_array(numpy.ones((1, 1, 1, kernel), "float32"), "weights")] if operator == "Conv" else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def by_opencv(model, x):
    net = cv2.dnn.readNetFromONNX(numpy.frombuffer(model.SerializeToString(), numpy.uint8))
    net.setInput(x, "x")
    return net.forward()[0, 0, 0].tolist()


def by_the_text(x, kernel, stride, operator, first, last):
    row = numpy.pad(x[0, 0, 0], (first, last), constant_values=0 if operator == "Conv" else -numpy.inf)
    windows = numpy.lib.stride_tricks.sliding_window_view(row, kernel)[::stride]
    return (windows.sum(1) if operator == "Conv" else windows.max(1)).tolist()


as_seen = []
for side, width, kernel, stride in (("SAME_LOWER", 7, 2, 1), ("SAME_UPPER", 6, 3, 2)):
    x = numpy.tile(numpy.arange(1, width + 1, dtype="float32"), (1, 1, 4, 1))
    first, last = (1, 0) if side == "SAME_LOWER" else (0, 1)
    for operator in ("Conv", "MaxPool"):
        right = by_the_text(x, kernel, stride, operator, first, last)
        other = by_the_text(x, kernel, stride, operator, last, first)
        found = by_opencv(network(width, kernel, stride, operator, auto_pad=side), x)
        in_numbers = by_opencv(network(width, kernel, stride, operator, pads=[0, first, 0, last]), x)
        print(f"OpenCV {cv2.__version__}, {operator}, kernel {kernel}, stride {stride}, {side}: {found}; right: {right}")
        wrong_here = side == "SAME_LOWER" or sys.argv[1].startswith("5.")
        as_seen.append(found == (other if wrong_here else right) and in_numbers == right and right != other)
raise SystemExit(not all(as_seen))
PYTHON
for version in 5.0.0.93 4.14.0.94; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet opencv-python-headless==$version onnx==1.19.1 numpy==2.4.6
    "$folder/$version/bin/python" "$folder/look.py" $version 2>/dev/null
done
