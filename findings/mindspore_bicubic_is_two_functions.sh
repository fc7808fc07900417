#!/usr/bin/env bash
# MindSpore 2.8.0 (and 2.10.0) on CPU: ops.interpolate(mode="bicubic") draws with one cubic where align_corners=True,
# and with another where it is False, the default.
#
# Guess, written down before: for each value of align_corners it equals PyTorch's function of the same name and
# arguments to 1e-5, as the modes nearest, nearest-exact, bilinear and area do.
# Seen: with align_corners=True the cubic's constant is -0.75, as in PyTorch, and off by up to 1e-3; with False it is
# -0.5, and what lies outside of the image is left out, not repeated. Numbers with a deviation of 1 then differ by up
# to 0.27 from PyTorch's. So weights of a network that was trained with the one do not fit the other.
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

mindspore.set_device("CPU")
x = numpy.random.default_rng(0).standard_normal((6, 6)).astype(numpy.float32)


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
    found = ops.interpolate(Tensor(x[None, None]), size=(9, 13), mode="bicubic", align_corners=corners).asnumpy()
    wanted = matrix(6, 9, corners, constant, repeat) @ x @ matrix(6, 13, corners, constant, repeat).T
    return float(abs(found[0, 0] - wanted).max())


print("MindSpore", mindspore.__version__)
rows = [
    (corners, constant, repeat) for corners in (True, False) for constant, repeat in ((-0.75, True), (-0.5, False))
]
far = {row: distance(*row) for row in rows}
for row, most in far.items():
    print("align_corners %s, constant %s, edge repeated %s: off by at most" % row, round(most, 4))
near = [most < 5e-3 for most in far.values()]
raise SystemExit(near != [True, False, False, True])
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
