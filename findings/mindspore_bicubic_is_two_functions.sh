#!/usr/bin/env bash
# MindSpore 2.8.0 on CPU, in graph mode: ops.interpolate(mode="bicubic") draws with one cubic where
# align_corners=True, and with another where it is False, the default.
#
# Guess, written down before: in each mode, bicubic with both values of align_corners among them, it equals PyTorch's
# function of the same name and arguments to 1e-5.
# Seen: with align_corners=True the cubic's constant is -0.75, which PyTorch uses, to 0.0008; with False it is -0.5,
# to 0.0016, and what lies outside of the image is left out, not repeated. Numbers with a deviation of 1 then differ
# by up to 0.18 from the cubic with -0.75. So weights of a network that was trained with the one do not fit the other.
# Seen beside this script: the same in 2.10.0, and in PyNative mode. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import math

import mindspore
import numpy
from mindspore import Tensor, ops

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")
x = numpy.random.default_rng(0).standard_normal((6, 6)).astype(numpy.float32)


class Enlarge(mindspore.nn.Cell):
    def __init__(self, corners):
        super().__init__()
        self.corners = corners

    def construct(self, images):
        return ops.interpolate(images, size=(9, 13), mode="bicubic", align_corners=self.corners)


def weight(distance, constant):
    t = abs(distance)
    if t <= 1:
        return (constant + 2) * t**3 - (constant + 3) * t**2 + 1
    return constant * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def matrix(size, target, corners, constant, repeat):
    weights = numpy.zeros((target, size))
    for row in range(target):
        place = row * (size - 1) / (target - 1) if corners else (row + 0.5) * size / target - 0.5
        for column in range(math.floor(place) - 1, math.floor(place) + 3):
            if repeat or 0 <= column < size:
                weights[row, min(max(column, 0), size - 1)] += weight(place - column, constant)
        weights[row] /= weights[row].sum()
    return weights


def distance(corners, constant, repeat):
    found = Enlarge(corners)(Tensor(x[None, None])).asnumpy()
    wanted = matrix(6, 9, corners, constant, repeat) @ x @ matrix(6, 13, corners, constant, repeat).T
    return float(abs(found[0, 0] - wanted).max())


print("MindSpore", mindspore.__version__)
rows = [
    (corners, constant, repeat) for corners in (True, False) for constant, repeat in ((-0.75, True), (-0.5, False))
]
far = {row: distance(*row) for row in rows}
for row, most in far.items():
    print("align_corners %s, constant %s, edge repeated %s: off by at most" % row, round(most, 4))
near = [most < 2e-3 for most in far.values()]
raise SystemExit(near != [True, False, False, True] or sorted(far.values())[2] < 0.1)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
