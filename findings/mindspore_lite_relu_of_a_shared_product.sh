#!/usr/bin/env bash
# MindSpore Lite 2.0.0, CPU, a converted ONNX: where the result d of a Gemm or MatMul goes into a Relu and elsewhere,
# too, all that use d get relu(d), without an error or a warning.
#
# Guess, written down before: d + relu(d) is what it says, as it is with Tanh in place of Relu.
# Seen: it is 2·relu(d), to rounding; off by as much as d is below 0. With Tanh it is right. So a LeakyReLU that is
# written as a·d + (1 − a)·relu(d) behind a dense layer becomes a ReLU; as the one operator LeakyRelu it is right.
#
# mindspore-lite 2.0.0 has wheels for Python 3.7 alone: PYTHON names one (default: python3.7).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.7}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore-lite==2.0.0 numpy==1.21.6 onnx==1.14.1 protobuf==3.20.3
cat >"$folder/look.py" <<'PYTHON'
import mindspore_lite as lite
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

random = numpy.random.RandomState(0)
weight, bias, x = (random.standard_normal(shape).astype("float32") for shape in ((5, 8), (8,), (3, 5)))
held = [numpy_helper.from_array(array, name) for array, name in ((weight, "weight"), (bias, "bias"))]
sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, size)] for name, size in (("x", [3, 5]), ("y", [3, 8]))]


def computed(product, *others):
    name = "_".join(node.op_type for node in (product, *others))
    graph = helper.make_graph([product, *others], name, *sides, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    onnx.save(model, name + ".onnx")
    lite.Converter().convert(lite.FmkType.ONNX, name + ".onnx", name)
    context = lite.Context()
    context.target = ["cpu"]
    network = lite.Model()
    network.build_from_file(name + ".mindir", lite.ModelType.MINDIR, context)
    inputs = network.get_inputs()
    inputs[0].set_data_from_numpy(x)
    return network.predict(inputs)[0].get_data_to_numpy().copy()  # it lives as long as the network


def differ(found, expected):
    return float(numpy.abs(found - expected).max())


add = helper.make_node("Add", ["d", "r"], ["y"])
gemm, matmul = (
    helper.make_node(kind, ["x", "weight", *more], ["d"]) for kind, more in (("Gemm", ["bias"]), ("MatMul", []))
)
seen = {}
for product, d in ((gemm, x @ weight + bias), (matmul, x @ weight)):
    relu = computed(product, helper.make_node("Relu", ["d"], ["r"]), add)
    tanh = computed(product, helper.make_node("Tanh", ["d"], ["r"]), add)
    seen[product.op_type] = (
        differ(relu, d + numpy.maximum(d, 0)) > 1,
        differ(relu, 2 * numpy.maximum(d, 0)) < 1e-5,
        differ(tanh, d + numpy.tanh(d)) < 1e-3,
    )
print("MindSpore Lite", lite.__version__, "d + relu(d) wrong, 2·relu(d), with tanh right:", seen)
raise SystemExit(set(seen.values()) != {(True, True, True)})
PYTHON
cd "$folder" && venv/bin/python look.py
