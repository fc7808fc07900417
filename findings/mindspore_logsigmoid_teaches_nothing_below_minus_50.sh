#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: the gradient of nn.LogSigmoid is 0 at -50 and -80, where its value is right, and NaN
# at -100. It is 1 there.
#
# Guess, written down before: the gradient at -200 is 1, and 0 at 200: that of log(sigmoid(x)) is sigmoid(-x).
# Seen: the value is -50 at -50, and the gradient 0. From about -88 on the value is -inf, and the gradient NaN. G's usual
# loss, -logsigmoid(D(G(z))), is there so that G learns most where D is sure. Written with this cell it teaches G nothing
# there, in silence, and ends in NaN beyond.
# Seen beside this script: the same in 2.10.0, and in PyNative mode. The function ops.logsigmoid has the gradient 1 at
# -50 and -80, and the same NaN. BCEWithLogitsLoss and the gradient of ops.softplus are right everywhere.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import Tensor, nn

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")
cell = nn.LogSigmoid()


def log_sigmoid(x):
    return cell(x)


x = numpy.float32([-100, -80, -50, -20, 0])
value = cell(Tensor(x)).asnumpy()
gradient = mindspore.grad(log_sigmoid)(Tensor(x)).asnumpy()
print("MindSpore", mindspore.__version__)
for row in zip(x, value, gradient):
    print("at {:.0f}: value {:.4f}, gradient {:.4f}".format(*row))
right = numpy.allclose(value[1:], -numpy.logaddexp(0, -x[1:])) and numpy.allclose(gradient[3:], [1, 0.5])
wrong = value[0] == -numpy.inf and numpy.isnan(gradient[0]) and (gradient[1:3] == 0).all()
raise SystemExit(not (right and wrong))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
