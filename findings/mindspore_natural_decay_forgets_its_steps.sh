#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: nn.NaturalExpDecayLR decays decay_steps times as fast as its documentation says.
#
# Guess, written down before: rate * exp(-decay_rate * step / decay_steps), and with is_stair the quotient rounded down:
# its documentation's formula, and TensorFlow's.
# Seen: rate * exp(-decay_rate * step); with is_stair rate * exp(-decay_rate * decay_steps * floor(step / decay_steps)).
# After ten steps, with a decay_rate of 0.5 and ten decay_steps, 0.1 has become 0.00067 in place of 0.061. Its
# neighbour ExponentialDecayLR does divide.
# Seen beside this script: the same in 2.10.0; InverseDecayLR divides, too.
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
STEPS = numpy.arange(0, 31, 5)


def rates(schedule):
    return numpy.array([float(schedule(Tensor(int(step), mindspore.int32)).asnumpy()) for step in STEPS])


smooth = rates(nn.NaturalExpDecayLR(0.1, 0.5, 10))
stairs = rates(nn.NaturalExpDecayLR(0.1, 0.5, 10, is_stair=True))
neighbour = rates(nn.ExponentialDecayLR(0.1, 0.5, 10))
documented = 0.1 * numpy.exp(-0.5 * STEPS / 10)
print("MindSpore", mindspore.__version__)
for row in zip(STEPS, smooth, documented):
    print("step {}: {:.3g}, documented {:.3g}".format(*row))
right = numpy.allclose(neighbour, 0.1 * 0.5 ** (STEPS / 10))
wrong = numpy.allclose(smooth, 0.1 * numpy.exp(-0.5 * STEPS), rtol=1e-4)
wrong &= numpy.allclose(stairs, 0.1 * numpy.exp(-0.5 * 10 * (STEPS // 10)), rtol=1e-4)
wrong &= smooth[2] < documented[2] / 50
raise SystemExit(not (right and wrong))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
