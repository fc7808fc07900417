#!/usr/bin/env bash
# MindSpore 2.8.0, CPU: logsigmoid, which is there so that the loss of a GAN does not overflow, is -infinity at
# -90, with a gradient of NaN; and mish, which is nearly its input where that is large, is NaN at 50.
#
# Guess, written down before: logsigmoid(-90) is -90 with the gradient 1, and mish(50) is 50.
# Seen: at each of these numbers logsigmoid is what log(sigmoid(x)) is, to the last bit. -softplus(-x) is right at both
# ends, and so is binary_cross_entropy_with_logits.
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
        one = ops.ones_like(x)
        return (ops.logsigmoid(x), ops.log(ops.sigmoid(x)), -ops.softplus(-x),
                -ops.binary_cross_entropy_with_logits(x, one, one, one, "none"))


class LogSigmoid(nn.Cell):
    def construct(self, x):
        return ops.logsigmoid(x)


x = Tensor(numpy.float32([-80, -90, -100, 100]))
log_sigmoid, by_hand, stable, of_loss = (y.asnumpy() for y in Look()(x))
slope = mindspore.grad(LogSigmoid())(x).asnumpy()
mish = nn.Mish()(Tensor(numpy.float32([40, 50]))).asnumpy()
print("MindSpore", mindspore.__version__)
print("logsigmoid of -80, -90, -100 and 100:", *log_sigmoid, "with the slopes", *slope)
print("-softplus(-x):", *stable, "-binary_cross_entropy_with_logits:", *of_loss)
print("mish of 40 and 50:", *mish)
right = [-80, -90, -100, 0]
assert numpy.allclose(stable, right, atol=1e-3) and numpy.allclose(of_loss, right, atol=1e-3)
assert abs(log_sigmoid[0] + 80) < 1e-3 and mish[0] == 40 and numpy.array_equal(log_sigmoid, by_hand)
lost = numpy.isneginf(log_sigmoid[1:3]).all() and numpy.isnan(slope[1:3]).all() and numpy.isnan(mish[1])
raise SystemExit(not lost)
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
