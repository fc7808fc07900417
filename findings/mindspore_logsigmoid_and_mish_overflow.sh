#!/usr/bin/env bash
# MindSpore 2.8.0, CPU: logsigmoid, which is there so that the loss of a GAN does not overflow, is -infinity from -89
# on, with a gradient of NaN; and mish, which is nearly its input where that is large, is NaN from 45 on.
#
# Guess, written down before: logsigmoid(-100) is -100 with the gradient 1, and mish(100) is 100.
# Seen: logsigmoid computes as log(sigmoid(x)). -softplus(-x) is right at both ends, and so is
# binary_cross_entropy_with_logits.
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
class Look(nn.Cell):
    def construct(self, x):
        return ops.logsigmoid(x), -ops.softplus(-x), ops.mish(-x / 2)


class LogSigmoid(nn.Cell):
    def construct(self, x):
        return ops.logsigmoid(x)


class Stable(nn.Cell):
    def construct(self, x):
        return -ops.softplus(-x)


x = Tensor(numpy.float32([-80, -100]))
names = ("logsigmoid", "-softplus(-x)", "mish(-x / 2)", "slope of logsigmoid", "slope of -softplus(-x)")
found = {name: y.asnumpy() for name, y in zip(names, (*Look()(x), mindspore.grad(LogSigmoid())(x), mindspore.grad(Stable())(x)))}
print("MindSpore", mindspore.__version__, "of -80 and -100:")
for name, values in found.items():
    print(f"  {name}: {values[0]:g} {values[1]:g}")
assert all(abs(found[name][0] - value) < 1e-3 for name, value in zip(names, (-80, -80, 40, 1, 1)))
last = [found[name][1] for name in names]
lost = numpy.isneginf(last[0]) and numpy.isnan(last[2]) and numpy.isnan(last[3])
raise SystemExit(not (lost and last[1] == -100 and last[4] == 1))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
