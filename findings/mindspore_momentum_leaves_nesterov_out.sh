#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: nn.Momentum(use_nesterov=True) takes the steps of use_nesterov=False.
#
# Guess, written down before: it follows the formula of its own documentation, w - (g * lr + v * momentum * lr) with
# v = momentum * v + g, as nn.SGD(nesterov=True) does.
# Seen: from 0, with gradients of 1, a rate of 0.1 and a momentum of 0.9, it goes to -0.1, -0.29, -0.561, with and without
# Nesterov's term. nn.SGD goes to -0.19, -0.461, -0.8049. Nothing is said, so a study of Nesterov's momentum compares one
# optimizer with itself.
# Seen beside this script: the same in 2.10.0, and in PyNative mode.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import Parameter, Tensor, nn

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")


def places(make):
    """Return where the weight is after each of three steps from 0, with gradients of 1."""
    weight = Parameter(Tensor(numpy.zeros(3, numpy.float32)), name="weight")
    optimizer = make([weight])
    seen = []
    for _ in range(3):
        optimizer((Tensor(numpy.ones(3, numpy.float32)),))
        seen.append(float(weight.asnumpy()[0]))
    return seen


plain = places(lambda weights: nn.Momentum(weights, 0.1, 0.9))
asked = places(lambda weights: nn.Momentum(weights, 0.1, 0.9, use_nesterov=True))
other = places(lambda weights: nn.SGD(weights, 0.1, momentum=0.9, nesterov=True))
expected, weight, velocity = [], 0.0, 0.0
for _ in range(3):
    velocity = 0.9 * velocity + 1
    weight -= 0.1 + velocity * 0.9 * 0.1
    expected.append(weight)
print("MindSpore", mindspore.__version__)
for name, numbers in (("Momentum", plain), ("with Nesterov", asked), ("SGD, Nesterov", other), ("by formula", expected)):
    print(name, [round(number, 4) for number in numbers])
right = numpy.allclose(other, expected, atol=1e-5)
wrong = asked == plain and not numpy.allclose(asked, expected, atol=0.05)
raise SystemExit(not (right and wrong))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
