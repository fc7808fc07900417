#!/usr/bin/env bash
# MindSpore 2.8.0, CPU: whether maximum keeps a NaN depends on the order of its arguments, and clamp and relu lose it.
#
# Guess, written down before: NaN comes out of all of them, as it does in NumPy, in PyTorch and in the operators of ONNX
# that MindSpore exports them to; at least maximum(x, 0) and maximum(0, x) agree.
# Seen: maximum(x, 0), clamp(x, 0, 1) and relu(x) give 0, maximum(0, x) and minimum(1, maximum(0, x)) give NaN. So a
# network that has overflowed may end in finite, black images, and a check of its output for NaN sees nothing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import numpy
import mindspore
from mindspore import Tensor, nn, ops

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")


class Look(nn.Cell):
    def construct(self, x):
        return (ops.maximum(x, 0.0), ops.clamp(x, 0.0, 1.0), ops.relu(x), ops.maximum(0.0, x),
                ops.minimum(1.0, ops.maximum(0.0, x)))


names = ("maximum(x, 0)", "clamp(x, 0, 1)", "relu(x)", "maximum(0, x)", "minimum(1, maximum(0, x))")
found = dict(zip(names, (float(y.asnumpy()[0]) for y in Look()(Tensor(numpy.float32([numpy.nan, 0.5]))))))
print("MindSpore", mindspore.__version__, "of NaN:", found)
lost = [name for name in names if found[name] == 0]
kept = [name for name in names if numpy.isnan(found[name])]
raise SystemExit((lost, kept) != (list(names[:3]), list(names[3:])))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
