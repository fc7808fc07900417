#!/usr/bin/env bash
# MindSpore 2.8.0, CPU: in graph mode Tensor.transpose(0, 1), argmax(), max(1) and min(1) return something else than in
# PyNative mode.
#
# Guess, written down before: a method with the same arguments gives the same in graph mode as in PyNative mode. The
# documents say of argmax, "If None, compute all elements in the tensor. Default None".
# Seen: of a matrix, transpose(0, 1) is transposed in PyNative mode, as in PyTorch; in graph mode it is the matrix as it
# was (the axes 0 and 1 in this order). argmax() is the index among all elements, a scalar, in PyNative mode; in graph
# mode an index for each row. max(1) and min(1) are values and indices in PyNative mode; in graph mode the values alone.
# So max(1)[0], which is each row's maximum in PyNative mode, is the first row's in a graph. No error, no warning. x.T,
# argmax(None), argmin(), ops.argmax(x) and ops.max(x, 1) are the same in both modes.
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


class Alike(nn.Cell):
    def construct(self, x):
        return x.argmax(None), x.argmin(), ops.argmax(x), ops.max(x, 1)[0], x.T


class Unlike(nn.Cell):
    def construct(self, x):
        return x.argmax(), x.max(1)[0], x.min(1)[0], x.transpose(0, 1)


def of(cell):
    return [each.asnumpy().tolist() for each in cell(Tensor(x))]


print("MindSpore", mindspore.__version__)
alike, unlike = {}, {}
for name, mode in (("PyNative", mindspore.PYNATIVE_MODE), ("graph", mindspore.GRAPH_MODE)):
    mindspore.set_context(mode=mode)
    alike[name], unlike[name] = of(Alike()), of(Unlike())
    print("{} mode: x.argmax() = {}, x.max(1)[0] = {}, x.min(1)[0] = {}, x.transpose(0, 1) = {}".format(name, *unlike[name]))
place, rows = int(x.argmax()), x.max(1).tolist()
as_seen = alike["PyNative"] == alike["graph"] == [place, int(x.argmin()), place, rows, x.T.tolist()]
as_seen &= unlike["PyNative"] == [place, rows, x.min(1).tolist(), x.T.tolist()]
as_seen &= unlike["graph"] == [x.argmax(1).tolist(), float(x[0].max()), float(x[0].min()), x.tolist()]
raise SystemExit(not as_seen)
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
