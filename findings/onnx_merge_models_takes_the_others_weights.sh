#!/usr/bin/env bash
# onnx 1.23.2: compose.merge_models of two models whose weights have the same name, with a prefix for one of them: an
# If or Loop of that one then computes with the weights of the other model.
#
# Guess, written down before: with prefixes the merged model computes one model after the other, also where both have
# an If whose branches use a weight from outside.
# Seen: the prefix goes to the weight, and to the values that the branch uses, but not to the weight's name inside the
# branch. That name is now the other model's weight. With a prefix for one of the two, either one, onnx's checker
# passes the model, and onnxruntime 1.32.0 draws other numbers. With a prefix for both, merging raises an error that
# says that nodes are not sorted. If no branch uses the weight, all is right. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnx.compose
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = numpy.array([1, 2, 3], numpy.float32)


def value(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])


def model(weight, in_branch):
    """Multiply by a weight if the sum is above 0, else add it; or multiply always."""
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(operator, ["x", "weight"], [name])], name, [], [value(name)])
        for name, operator in (("then", "Mul"), ("else", "Add"))
    }
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["above"]),
        helper.make_node("If", ["above"], ["y"], **branches),
    ]
    nodes = nodes if in_branch else [helper.make_node("Mul", ["x", "weight"], ["y"])]
    held = [("weight", weight), ("zero", 0)]
    held = [numpy_helper.from_array(numpy.float32(number), name) for name, number in held[: 1 + in_branch]]
    graph = helper.make_graph(nodes, "graph", [value("x")], [value("y")], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def draw(network):
    onnx.checker.check_model(network, full_check=True)
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0].tolist()


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__, "x", x.tolist(), "weights 2 and 5")
seen = {}
for in_branch in (False, True):
    for prefixes in ({"prefix1": "a_"}, {"prefix2": "b_"}, {"prefix1": "a_", "prefix2": "b_"}):
        try:
            merged = onnx.compose.merge_models(model(2, in_branch), model(5, in_branch), [("y", "x")], **prefixes)
            found = draw(merged)
        except onnx.checker.ValidationError as error:
            found = str(error).partition(",")[0]
        print("If" if in_branch else "no If", prefixes, found)
        seen[in_branch, *prefixes] = found
by_10, by_4, by_25 = ((x * factor).tolist() for factor in (10, 4, 25))
error = "Nodes in a graph must be topologically sorted"
wanted = {
    (False, "prefix1"): by_10,
    (False, "prefix2"): by_10,
    (False, "prefix1", "prefix2"): by_10,
    (True, "prefix1"): by_25,
    (True, "prefix2"): by_4,
    (True, "prefix1", "prefix2"): error,
}
raise SystemExit(seen != wanted)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
