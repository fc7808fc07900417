#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: the L1 term of nn.FTRL drives positive weights away from 0.
#
# Guess, written down before: it follows the formula of its own documentation, where the weight is
# (sign(u) * l1 - u) / (...) if |u| > l1, and 0 otherwise: l1 brings weights of both signs nearer to 0.
# Seen: the sign is left out. From 1 and from -1, with a gradient of 1 and of -1, the first step goes to 0.5936 and -0.5936
# by the formula, with l1 of 0.1. MindSpore goes to 0.6127 and -0.5936; without l1 it goes to 0.6032 and -0.6032. So the
# regularisation that is chosen for sparse weights makes the positive ones larger.
# Seen beside this script: the same in 2.10.0, and in PyNative mode. l2 is right.
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
START = numpy.float32([1, -1])
GRADIENT = numpy.float32([1, -1])
RATE, ACCUMULATED = 0.1, 0.1


def seen(l1):
    weight = Parameter(Tensor(START), name="weight")
    nn.FTRL([weight], initial_accum=ACCUMULATED, learning_rate=RATE, l1=l1)((Tensor(GRADIENT),))
    return weight.asnumpy()


def by_formula(l1):
    before, after = ACCUMULATED**0.5, (ACCUMULATED + GRADIENT**2) ** 0.5
    u = GRADIENT - (after - before) / RATE * START
    return numpy.where(abs(u) > l1, (numpy.sign(u) * l1 - u) / (after / RATE), 0)


print("MindSpore", mindspore.__version__)
for l1 in (0.0, 0.1):
    print("l1 of {}: seen {}, by formula {}".format(l1, seen(l1).round(4), by_formula(l1).round(4)))
right = numpy.allclose(seen(0.0), by_formula(0.0), atol=1e-5) and abs(seen(0.1)[1] - by_formula(0.1)[1]) < 1e-5
wrong = seen(0.1)[0] > seen(0.0)[0] + 0.005
raise SystemExit(not (right and wrong))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
