#!/usr/bin/env bash
# MindSpore 2.8.0, CPU: the gradient of leaky_relu at 0 is 0.6 where its slope is 0.2.
#
# Guess, written down before: 0.2, as in PyTorch, or 1; relu's is 0 there, so 0.2.
# Seen: the mean of both, and 0.75 with a slope of 0.5, as if it were the maximum of x and slope·x, whose gradient is
# shared by equals. relu's gradient at 0 is 0.
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
class Leaky(nn.Cell):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def construct(self, x):
        return ops.leaky_relu(x, self.slope)


x = Tensor(numpy.float32([-1, 0, 1]))
found = [mindspore.grad(one)(x).asnumpy().round(6).tolist() for one in (Leaky(0.2), Leaky(0.5), nn.ReLU())]
print("MindSpore", mindspore.__version__, "slopes at -1, 0 and 1")
for name, slopes in zip(("leaky_relu, 0.2", "leaky_relu, 0.5", "relu"), found):
    print(f"  {name}:", *slopes)
expected = [[0.2, 0.6, 1], [0.5, 0.75, 1], [0, 0, 1]]
raise SystemExit(not numpy.allclose(found, expected, atol=1e-6))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
