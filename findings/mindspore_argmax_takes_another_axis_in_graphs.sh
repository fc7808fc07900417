#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: Tensor.argmax() without an axis is that of the last axis, and not of all elements.
#
# Guess, written down before: a method without arguments gives the same in graph mode as in PyNative mode, and as in
# NumPy; its documents say "If None, compute all elements in the tensor. Default None".
# Seen: in PyNative mode the index among all elements, a scalar. In graph mode an array, an index for each row, without an
# error. Tensor.argmin() and ops.argmax(x) are of all elements in both modes; so is Tensor.argmax(None) in graph mode.
# Seen beside this script: the same in 2.10.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import Tensor, nn, ops

mindspore.set_device("CPU")
x = numpy.float32([[1, 9, 2], [8, 3, 10]])


class Places(nn.Cell):
    def construct(self, x):
        return x.argmax(), x.argmax(None), x.argmin(), ops.argmax(x)


print("MindSpore", mindspore.__version__)
found = {}
for name, mode in (("PyNative", mindspore.PYNATIVE_MODE), ("graph", mindspore.GRAPH_MODE)):
    mindspore.set_context(mode=mode)
    found[name] = [place.asnumpy().tolist() for place in Places()(Tensor(x))]
    told = zip(("x.argmax()", "x.argmax(None)", "x.argmin()", "ops.argmax(x)"), found[name])
    print("{} mode: {}".format(name, ", ".join("{} = {}".format(*each) for each in told)))
right = [int(x.argmax()), int(x.argmax()), int(x.argmin()), int(x.argmax())]
raise SystemExit(found["PyNative"] != right or found["graph"] != [x.argmax(1).tolist(), *right[1:]])
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
