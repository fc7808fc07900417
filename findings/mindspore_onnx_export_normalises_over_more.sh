#!/usr/bin/env bash
# MindSpore 2.8.0's own export to ONNX, run by onnxruntime 1.19.2: LogSoftmax over the channels of images is one over
# all channels and pixels together, without an error. Softmax over the same axis is right.
#
# Guess, written down before: both are right, or refused.
# Seen: the file is of opset 11, where LogSoftmax takes all axes from the named one on as one; for Softmax the exporter
# writes two transpositions that make up for that, for LogSoftmax none. Over the last axis both are right.
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
x = numpy.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(numpy.float32)


def of_file(network):
    mindspore.onnx.export(network, Tensor(x), file_name="network")
    session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def operators(network):
    mindspore.onnx.export(network, Tensor(x), file_name="network")
    model = onnx.load("network.onnx")
    return model.opset_import[0].version, [node.op_type for node in model.graph.node]


def difference(network):
    return numpy.abs(of_file(network) - network(Tensor(x)).asnumpy()).max()


print("MindSpore", mindspore.__version__, "onnxruntime", onnxruntime.__version__)
found = {f"{kind.__name__}({axis})": difference(kind(axis)) for kind in (nn.LogSoftmax, nn.Softmax) for axis in (1, -1)}
together = numpy.exp(of_file(nn.LogSoftmax(1))).reshape(2, -1).sum(1)
print("differences:", {name: f"{number:.1e}" for name, number in found.items()})
print("exp(LogSoftmax(1)) of the file, summed over all channels and pixels of an image:", together)
assert operators(nn.LogSoftmax(1)) == (11, ["LogSoftmax"])
assert operators(nn.Softmax(1)) == (11, ["Transpose", "Softmax", "Transpose"])
wrong = [name for name, number in found.items() if number > 1e-5]
raise SystemExit(not (wrong == ["LogSoftmax(1)"] and numpy.abs(together - 1).max() < 1e-4))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
