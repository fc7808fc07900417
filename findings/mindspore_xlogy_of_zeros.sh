#!/usr/bin/env bash
# MindSpore 2.8.0, CPU: xlogy(0, 0) is NaN, although 0 is what xlogy is for.
#
# Guess, written down before: 0, as in SciPy and PyTorch, so that an entropy can be summed over classes that never
# occur.
# Seen: NaN, as 0·log(0) is. xlogy(0, 0.5) is 0.
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
    def construct(self, x, y):
        return ops.xlogy(x, y)


found = Look()(Tensor(numpy.float32([0, 0, 0.5])), Tensor(numpy.float32([0, 0.5, 0.5]))).asnumpy()
print("MindSpore", mindspore.__version__, "xlogy(0, 0), xlogy(0, 0.5), xlogy(0.5, 0.5):", *found)
raise SystemExit(not (numpy.isnan(found[0]) and found[1] == 0 and abs(found[2] + 0.346574) < 1e-5))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
