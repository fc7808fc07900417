#!/usr/bin/env bash
# MindSpore 2.8.0: train.Dice of a perfect segmentation is 1 divided by how many images a batch has.
#
# Guess, written down before: it is 2 |prediction and truth| / (|prediction| + |truth|), the same however the images are
# divided into batches: 1 where they are equal.
# Seen: equal masks give 1 for one image, 0.5 for two and 0.125 for eight in one batch; eight images one by one give 1. One
# coefficient is made for each batch, and their sum is divided by the number of images. The example of its documentation
# prints such a number, a third of what its formula gives.
# Seen beside this script: the same in 2.10.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import Tensor
from mindspore.train import Dice

masks = (numpy.random.default_rng(0).random((8, 6, 6)) < 0.5).astype(numpy.float32)


def dice(images, batch):
    metric = Dice()
    metric.clear()
    for first in range(0, len(images), batch):
        some = Tensor(images[first : first + batch])
        metric.update(some, some)
    return float(metric.eval())


print("MindSpore", mindspore.__version__)
found = {batch: dice(masks, batch) for batch in (1, 2, 4, 8)}
for batch, value in found.items():
    print("eight perfect images in batches of {}: {:.4f}".format(batch, value))
raise SystemExit(not all(abs(value - 1 / batch) < 1e-4 for batch, value in found.items()))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
