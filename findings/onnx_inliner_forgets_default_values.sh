#!/usr/bin/env bash
# onnx 1.23.2: inliner.inline_local_functions leaves out the default value that a function of the model gives to an
# attribute. Where a call does not set the attribute, the inlined model computes with the operator's default instead.
#
# Guess, written down before: an inlined model computes the same as the model with its functions, attributes that
# refer to others, default values and nested calls included.
# Seen: a function with `alpha` of 0.3 around LeakyRelu, called without it. onnxruntime 1.32.0 multiplies numbers below
# 0 by 0.3. After inlining, LeakyRelu stands without `alpha`, which means 0.01. So it is with a call inside another
# function, and with a value that is handed on under another name. Where a call says the value, inlining is right.
# Nothing is said, and onnx's checker passes both models. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnx.inliner
import onnxruntime
from onnx import TensorProto, helper

VERSIONS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def handing_on(node, source):
    node.attribute.add(name="alpha", ref_attr_name=source, type=onnx.AttributeProto.FLOAT)
    return node


def function(name, node, without=(), **defaults):
    held = [helper.make_attribute(*item) for item in defaults.items()]
    return helper.make_function("own", name, ["x"], ["y"], [node], VERSIONS, without, held)


def call(name, **attributes):
    return helper.make_node(name, ["x"], ["y"], domain="own", **attributes)


leaky = handing_on(helper.make_node("LeakyRelu", ["x"], ["y"]), "alpha")
FUNCTIONS = [
    function("Own", leaky, alpha=0.3),
    function("Around", call("Own")),
    function("Renamed", handing_on(call("Own"), "slope"), slope=0.4),
]


def draw(node, inlined):
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy"]
    graph = helper.make_graph([node], "graph", sides[:1], sides[1:])
    network = helper.make_model(graph, opset_imports=VERSIONS, functions=FUNCTIONS, ir_version=9)
    network = onnx.inliner.inline_local_functions(network) if inlined else network
    onnx.checker.check_model(network, full_check=True)
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": numpy.array([-2, -1, 1], numpy.float32)})[0].round(4).tolist()


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
changed = []
for node, slope, after in (
    (call("Own"), 0.3, 0.01),
    (call("Around"), 0.3, 0.01),
    (call("Renamed"), 0.4, 0.01),
    (call("Own", alpha=0.5), 0.5, 0.5),
    (call("Renamed", slope=0.5), 0.5, 0.5),
):
    found = draw(node, inlined=False), draw(node, inlined=True)
    print(node.op_type, [attribute.f for attribute in node.attribute], "with functions", found[0], "inlined", found[1])
    expected = [numpy.array([-2 * each, -each, 1], numpy.float32) for each in (slope, after)]
    changed.append(not numpy.allclose(found, expected, atol=1e-4))
raise SystemExit(any(changed))
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
