#!/usr/bin/env bash
# MindSpore 2.8.0, CPU: ops.any and mint.any along an axis are wrong for numbers.
#
# Guess, written down before: mint.any(x, axis) of float32 and int32 gives what torch.any does: whether a number is not 0.
# Seen: along an axis the answer is often False where no number is 0, in PyNative as in graph mode, for float32, int32,
# int64 and float16, and ops.any and Tensor.any do the same. Without an axis, and for bool and int8, it is right, and so is
# ops.all. A test for NaN such as ops.any(x != x, axis) is of bool and so is right; ops.any(x, axis), which asks for any
# number but 0, is not. In its place: ops.any(x != 0, axis).
# Seen beside this script: the same in 2.10.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import Tensor, mint, nn, ops

mindspore.set_device("CPU")
stream = numpy.random.default_rng(0)
arrays = [stream.integers(1, 6, (2, 3, 4)) * stream.choice([-1, 1], (2, 3, 4)) for _ in range(100)]  # without a 0


class Any(nn.Cell):
    def construct(self, x):
        return ops.any(x, 0)


WAYS = {
    "ops.any(x, 0)": lambda x: ops.any(x, 0),
    "mint.any(x, 0)": lambda x: mint.any(x, 0),
    "ops.any(x, 0) in a graph": Any(),
    "ops.any(x != 0, 0)": lambda x: ops.any(x != 0, 0),
    "ops.any(x)": lambda x: ops.any(x),
    "ops.all(x, 0)": lambda x: ops.all(x, 0),
}
print("MindSpore", mindspore.__version__)
wrong = {}
for way, function in WAYS.items():
    graph = way.endswith("graph")
    mindspore.set_context(mode=mindspore.GRAPH_MODE if graph else mindspore.PYNATIVE_MODE)
    for kind in ("float32", "int32", "int8", "bool"):
        found = [function(Tensor(array.astype(kind))).asnumpy() for array in arrays]
        wrong[way, kind] = sum(not answer.all() for answer in found)  # no number is 0, so each answer is True
        print("{}, {}: wrong for {} of {} arrays".format(way, kind, wrong[way, kind], len(arrays)))
faulty = [count for (way, kind), count in wrong.items() if way in list(WAYS)[:3] and kind in ("float32", "int32")]
others = [count for (way, kind), count in wrong.items() if way not in list(WAYS)[:3] or kind in ("int8", "bool")]
raise SystemExit(not (min(faulty) > 10 and max(others) == 0))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
