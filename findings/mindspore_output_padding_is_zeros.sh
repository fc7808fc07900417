#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: what output_padding adds to nn.Conv2dTranspose is a row and a column of zeros. In
# nn.Conv3dTranspose it is computed.
#
# Guess, written down before: both compute it, as PyTorch does: output_padding only makes the output longer at one end,
# where the kernel reaches.
# Seen: a kernel of 3, stride 2, padding 1 and output_padding 1, the usual way to double an image, of a 2x2 image with a 1
# in its last corner. By rights the last row is 0, 7, 8, 9 for the kernel 1 to 9. Conv2dTranspose gives 0, 0, 0, 0.
# Conv3dTranspose of the same gives 0, 7, 8, 9. So generators that are carried over from PyTorch draw a black edge below
# and on the right.
# Seen beside this script: the same in PyNative mode, and in 2.10.0.
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
kernel = numpy.arange(1, 10, dtype=numpy.float32).reshape(3, 3)
image = numpy.float32([[0, 0], [0, 1]])

by_rights = numpy.zeros((5 + 1, 5 + 1), numpy.float32)  # of 2x2 at stride 2, with a kernel of 3, and one more
for row in range(2):
    for column in range(2):
        by_rights[2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += image[row, column] * kernel
by_rights = by_rights[1:-1, 1:-1]  # the padding cuts one off at each side

flat = nn.Conv2dTranspose(1, 1, 3, stride=2, pad_mode="pad", padding=1, output_padding=1)
flat.weight.set_data(Tensor(kernel.reshape(1, 1, 3, 3)))
solid = nn.Conv3dTranspose(
    1, 1, (1, 3, 3), stride=(1, 2, 2), pad_mode="pad", padding=(0, 0, 1, 1, 1, 1), output_padding=(0, 1, 1)
)
solid.weight.set_data(Tensor(kernel.reshape(1, 1, 1, 3, 3)))
two = flat(Tensor(image[None, None])).asnumpy()[0, 0]
three = solid(Tensor(image[None, None, None])).asnumpy()[0, 0, 0]
print("MindSpore", mindspore.__version__)
for name, found in (("by rights", by_rights), ("Conv2dTranspose", two), ("Conv3dTranspose", three)):
    print(name, found.tolist())
right = numpy.array_equal(three, by_rights) and numpy.array_equal(two[:-1, :-1], by_rights[:-1, :-1])
wrong = not two[-1].any() and not two[:, -1].any() and by_rights[-1].any()
raise SystemExit(not (right and wrong))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
