#!/usr/bin/env bash
# OpenVINO 2026.4.1 on CPU: in a model whose numbers are uint64, the upper 32 bits are lost, and what comes out is
# called uint64 all the same. In uint8 a shift to the left stops at 255. onnxruntime 1.32.0 and NumPy do neither.
#
# Guess, written down before: Add, Mul and BitShift of uint32 and uint64 are those of NumPy, modulo 2^32 and 2^64.
# Seen: uint32 is right; uint64 is not: 2^32 + 5 and 1 make 6. A graph that makes its own random numbers from a seed
# of 64 bits draws other images there.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import onnxruntime
import openvino
from onnx import TensorProto, helper


def three(operator, a, b, dtype, **attributes):
    a, b = numpy.array([a], dtype), numpy.array([b], dtype)
    kind = helper.np_dtype_to_tensor_dtype(a.dtype)
    values = [helper.make_tensor_value_info(name, kind, [1]) for name in "aby"]
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["y"], **attributes)], "graph", values[:2], values[2:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8).SerializeToString()
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU")
    by_openvino = compiled([a, b])[0]
    assert by_openvino.dtype == dtype
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    by_numpy = {"Add": numpy.add, "BitShift": numpy.left_shift}[operator](a, b)
    return int(by_numpy[0]), int(session.run(None, {"a": a, "b": b})[0][0]), int(by_openvino[0])


print("OpenVINO", openvino.__version__, "onnxruntime", onnxruntime.__version__)
seen = {
    "Add of uint32": three("Add", 2**31 + 5, 2**31, numpy.uint32),
    "Add of uint64": three("Add", 2**32 + 5, 1, numpy.uint64),
    "BitShift of uint32": three("BitShift", 2**31 + 5, 1, numpy.uint32, direction="LEFT"),
    "BitShift of uint8": three("BitShift", 200, 1, numpy.uint8, direction="LEFT"),
}
for name, found in seen.items():
    print(name, "NumPy, onnxruntime, OpenVINO:", *found)
wrong = {
    "Add of uint32": (5, 5, 5),
    "Add of uint64": (2**32 + 6, 2**32 + 6, 6),
    "BitShift of uint32": (10, 10, 10),
    "BitShift of uint8": (144, 144, 255),
}
raise SystemExit(seen != wrong)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
