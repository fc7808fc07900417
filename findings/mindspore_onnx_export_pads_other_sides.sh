#!/usr/bin/env bash
# MindSpore 2.8.0's own export to ONNX, run by onnxruntime 1.19.2: a convolution that is padded above and below is
# padded above and on the left. There is no error.
#
# Guess, written down before: Conv2d's padding, which is (top, bottom, left, right), becomes the ONNX operator's, which
# is (top, left, bottom, right).
# Seen: the four numbers are copied as they stand. Of an image of 6 by 6, padding=(1, 1, 0, 0) and kernel 3 make 6 by
# 4, the file 5 by 5. In numbers that are the same in either order, such as (1, 1, 1, 1), nothing is wrong.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4 onnx==1.17.0 onnxruntime==1.19.2
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
import onnx
import onnxruntime
from mindspore import Tensor, nn

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")
x = numpy.random.default_rng(0).standard_normal((1, 2, 6, 6)).astype(numpy.float32)


def shapes(padding):
    network = nn.Conv2d(2, 2, 3, pad_mode="pad", padding=padding)
    mindspore.onnx.export(network, Tensor(x), file_name="network")
    pads = next(each for each in onnx.load("network.onnx").graph.node[0].attribute if each.name == "pads")
    assert tuple(pads.ints) == padding
    session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x})[0]
    return network(Tensor(x)).shape[2:], found.shape[2:]


print("MindSpore", mindspore.__version__, "onnxruntime", onnxruntime.__version__)
uneven, even = shapes((1, 1, 0, 0)), shapes((1, 1, 1, 1))
print("padding (1, 1, 0, 0): MindSpore, ONNX", *uneven)
print("padding (1, 1, 1, 1): MindSpore, ONNX", *even)
raise SystemExit((uneven, even) != (((6, 4), (5, 5)), ((6, 6), (6, 6))))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
