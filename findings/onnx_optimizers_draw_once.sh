#!/usr/bin/env bash
# onnxslim 0.1.98, onnxsim 0.8.1, onnxoptimizer 0.4.2 and onnxscript 0.7.2: what they make of a model that draws random
# numbers itself no longer draws as it did. onnxslim draws once and for all; onnxsim and onnxoptimizer give two places
# one draw; onnxscript does the one or the other where the draw is Bernoulli or Dropout. Nothing is said.
#
# Guess, written down before: each keeps two RandomNormal, RandomUniform, Bernoulli or training Dropout operators, which
# have no seed, as two that draw anew at each run.
# Seen: two draws, each added to the input, run twice by onnxruntime 1.32.0, its own optimisations switched off. "two"
# says that both draws differ, "anew" that both runs do. The passes of onnxoptimizer are those that it calls fusions
# and eliminations, as onnxsim runs them. onnxscript.optimizer leaves RandomNormal and RandomUniform as they are.
# Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 onnx-ir==1.1.0 onnxscript==0.7.2 \
    onnxslim==0.1.98 onnxsim==0.8.1 onnxoptimizer==0.4.2 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnx
import onnxoptimizer
import onnxruntime
import onnxscript.optimizer
import onnxsim
import onnxslim
from onnx import TensorProto, helper, numpy_helper

x = numpy.zeros((4, 25), numpy.float32)
DRAWS = {  # the inputs and attributes of each
    "RandomNormal": ([], {"shape": x.shape}),
    "RandomUniform": ([], {"shape": x.shape}),
    "Bernoulli": (["half"], {}),
    "Dropout": (["half", "share", "training"], {}),
}
HELD = {"half": numpy.full(x.shape, 0.5, numpy.float32), "share": numpy.float32(0.5), "training": numpy.array(True)}
TOOLS = {
    "as it was": lambda model: model,
    "onnxslim": onnxslim.slim,
    "onnxsim": lambda model: onnxsim.simplify(model)[0],
    "onnxoptimizer": lambda model: onnxoptimizer.optimize(model, onnxoptimizer.get_fuse_and_elimination_passes()),
    "onnxscript": onnxscript.optimizer.optimize,
}


def model(operator):
    inputs, attributes = DRAWS[operator]
    nodes = [helper.make_node(operator, inputs, [name], **attributes) for name in ("a", "b")]
    nodes += [helper.make_node("Add", [name, "x"], [f"{name}_and_x"]) for name in ("a", "b")]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "a_and_x", "b_and_x")]
    held = [numpy_helper.from_array(HELD[name], name) for name in inputs]
    graph = helper.make_graph(nodes, "graph", sides[:1], sides[1:], held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def seen(made):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (a, b), (again, _) = (session.run(None, {"x": x}) for _ in range(2))
    two, anew = not numpy.array_equal(a, b), not numpy.array_equal(a, again)
    return f"{'two' if two else 'one'}, {'anew' if anew else 'once'}"


found = {tool: [seen(optimize(model(operator))) for operator in DRAWS] for tool, optimize in TOOLS.items()}
print(*DRAWS, sep="; ")
for tool, kinds in found.items():
    print(tool, *kinds, sep="; ")
wanted = {
    "as it was": ["two, anew"] * 4,
    "onnxslim": ["two, once"] * 4,
    "onnxsim": ["one, anew"] * 4,
    "onnxoptimizer": ["one, anew"] * 4,
    "onnxscript": ["two, anew", "two, anew", "two, once", "two, once"],
}
raise SystemExit(found != wanted)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
