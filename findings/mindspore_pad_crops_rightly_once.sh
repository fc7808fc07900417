#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode and PyNative mode: ops.pad with a negative padding, which crops, answers rightly at its
# first call. Equal calls after it lose more of the image each time.
#
# Guess, written down before: values and gradients are PyTorch's, so equal calls give equal answers.
# Seen: with the padding (-1, 1) and the value 0.5, the rows 1, 2, 3, 4 and 5, 6, 7, 8 become 2, 3, 4, 0.5 and 6, 7, 8, 0.5.
# The second call gives 2, 3, 0.5, 5 and 6, 0.5, 0.5, 0.5, the third 2, 0.5, 4, 0.5 and no number more. A compiled
# function does the same, so a training crops rightly in its first step only. The input is left as it was, and
# paddings without a negative number always agree.
# Seen beside this script: the same in 2.10.0, for the value 0, for tensors of four axes, and where the padding only crops.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import sys

import mindspore
import numpy
from mindspore import Tensor, ops

mindspore.set_device("CPU")
X = numpy.arange(1, 9, dtype=numpy.float32).reshape(2, 4)


def cropped(x):
    return ops.pad(x, (-1, 1), "constant", 0.5)


def widened(x):
    return ops.pad(x, (1, 1), "constant", 0.5)


function = cropped
if sys.argv[1] == "graph":
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    function = mindspore.jit(cropped)
else:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
print("MindSpore", mindspore.__version__, sys.argv[1])
answers = [function(Tensor(X)).asnumpy() for _ in range(3)]
for answer in answers:
    print(answer.tolist())
by_rights = numpy.pad(X[:, 1:], ((0, 0), (0, 1)), constant_values=0.5)
wide = [widened(Tensor(X)).asnumpy() for _ in range(3)]
right = numpy.array_equal(answers[0], by_rights)
right &= all(numpy.array_equal(each, numpy.pad(X, ((0, 0), (1, 1)), constant_values=0.5)) for each in wide)
wrong = (answers[1] == 0.5).sum() == 4 and (answers[2] == 0.5).sum() == 6
raise SystemExit(not (right and wrong))
PYTHON
"$folder/venv/bin/python" "$folder/look.py" graph
"$folder/venv/bin/python" "$folder/look.py" pynative
