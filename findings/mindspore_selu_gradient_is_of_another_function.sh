#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: the gradient of ops.selu and nn.SeLU below 0 is of another function, and below
# -0.84 it has the wrong sign.
#
# Guess, written down before: value and gradient are PyTorch's; below 0 the gradient is scale * alpha * exp(x), always
# positive.
# Seen: the values are right. The gradient is scale * (selu(x) + 1), where scale * alpha + selu(x) would be right: -0.117
# in place of 0.647 at -1, and -0.705 in place of 0.088 at -3. A network with this activation climbs where it should
# descend.
# Seen beside this script: the same in 2.10.0, and in PyNative mode.
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
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
cell = nn.SeLU()


def by_function(x):
    return ops.selu(x)


def by_cell(x):
    return cell(x)


x = numpy.float32([-3, -1, -0.5, 0.5, 2])
value = ops.selu(Tensor(x)).asnumpy()
gradients = [mindspore.grad(each)(Tensor(x)).asnumpy() for each in (by_function, by_cell)]
true_value = numpy.where(x < 0, SCALE * ALPHA * numpy.expm1(x), SCALE * x)
true_gradient = numpy.where(x < 0, SCALE * ALPHA * numpy.exp(x), SCALE)
print("MindSpore", mindspore.__version__)
for row in zip(x, value, true_value, gradients[0], gradients[1], true_gradient):
    print("at {}: value {:.3f} of {:.3f}; gradient {:.3f} and {:.3f} of {:.3f}".format(*row))
right = numpy.allclose(value, true_value, atol=1e-5) and numpy.allclose(gradients[0][3:], SCALE, atol=1e-5)
other = SCALE * (true_value[:3] + 1)
wrong = all(numpy.allclose(each[:3], other, atol=1e-4) and (each[:2] < 0).all() for each in gradients)
raise SystemExit(not (right and wrong))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
