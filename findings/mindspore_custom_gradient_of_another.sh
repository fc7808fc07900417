#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: two ops.Custom of one function, each with a bprop of its own, get the gradient of
# only one of them, without an error.
#
# Guess, written down before: each has the gradient that its own bprop gives, as each has in a graph of its own.
# Seen: with bprops of slope 2 and 3, their sum has the gradient 4, or 6 in the other order, and not 5. An attribute
# that tells the two apart, added with add_prim_attr, gives 5. It is the same for functions of a library (func_type
# "aot") and for those of Python ("pyfunc", as here). So an operator that is made once for each layer, with what the
# layer is like in a closure, trains with the gradients of another layer.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import Tensor, nn, ops

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")


def identity(x):
    return x


def operator(slope, attribute=None):
    def bprop(x, out, dout):
        return (dout * slope,)

    made = ops.Custom(identity, lambda shape: shape, lambda dtype: dtype, func_type="pyfunc", bprop=bprop)
    if attribute:
        made.add_prim_attr("which", attribute)
    return made


class One(nn.Cell):
    def __init__(self, first):
        super().__init__()
        self.first = first

    def construct(self, x):
        return self.first(x).sum()


class Both(One):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second

    def construct(self, x):
        return self.first(x).sum() + self.second(x).sum()


def slope(cell):
    return float(mindspore.grad(cell)(Tensor(numpy.float32([1, 2]))).asnumpy()[0])


apart = [slope(One(operator(number))) for number in (2.0, 3.0)]
together = [slope(Both(operator(2.0), operator(3.0))), slope(Both(operator(3.0), operator(2.0)))]
told_apart = slope(Both(operator(2.0, "first"), operator(3.0, "second")))
print("MindSpore", mindspore.__version__, "apart:", apart, "together:", together, "told apart:", told_apart)
raise SystemExit(apart != [2, 3] or not set(together) <= {4, 6} or told_apart != 5)
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
