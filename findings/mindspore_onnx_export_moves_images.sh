#!/usr/bin/env bash
# MindSpore 2.8.0's own export to ONNX, run by onnxruntime 1.19.2: a transposed convolution with pad_mode="same" draws
# its image one pixel further up and left than MindSpore does, where its padding is odd; no error, no warning, the same
# shape.
#
# Guess, written down before: an exporter refuses what it cannot write, and what it writes computes the same to
# rounding.
# Seen: kernel 3, stride 2 (padding 1 in all): off by more than 1; moved down and right by one pixel, it is the same to
# rounding. Kernel 4, stride 2 (padding 2) is right. The file says auto_pad=SAME_LOWER, in place of numbers.
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
random = numpy.random.default_rng(0)
x = random.standard_normal((1, 2, 7, 7)).astype(numpy.float32)


def differences(kernel):
    network = nn.Conv2dTranspose(2, 2, kernel, stride=2, pad_mode="same")
    network.weight.set_data(Tensor(random.standard_normal(network.weight.shape).astype(numpy.float32)))
    expected = network(Tensor(x)).asnumpy()
    mindspore.onnx.export(network, Tensor(x), file_name="network")
    session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x})[0]
    attributes = {each.name: each for each in onnx.load("network.onnx").graph.node[0].attribute}
    assert attributes["auto_pad"].s == b"SAME_LOWER" and "pads" not in attributes
    moved = numpy.abs(found[:, :, :-1, :-1] - expected[:, :, 1:, 1:])
    return numpy.abs(found - expected).max(), moved.max()


print("MindSpore", mindspore.__version__, "onnxruntime", onnxruntime.__version__)
odd, even = differences(3), differences(4)
print(f"kernel 3: as it is {odd[0]:.1e}, moved by one pixel {odd[1]:.1e}")
print(f"kernel 4: as it is {even[0]:.1e}, moved by one pixel {even[1]:.1e}")
raise SystemExit(not (odd[0] > 1 and odd[1] < 1e-5 and even[0] < 1e-5))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
