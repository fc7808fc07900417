#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: all equal calls of ops.bernoulli in a graph are one draw.
#
# Guess, written down before: two equal calls of a function that draws random numbers are two draws, in graph mode as in
# PyNative mode, and other ones each time the graph runs.
# Seen: ops.bernoulli(x) twice in one Cell gives the same zeros and ones twice; each run of the graph has others. In
# PyNative mode, and with two seeds, the draws differ. So random changes that are decided by coins of one shape, such as
# "turn half of the images" and "mirror half of the images", always befall the same images. ops.standard_normal,
# ops.uniform, ops.rand, ops.randn, ops.randint, ops.multinomial and ops.dropout draw twice.
# Seen beside this script: the same in 2.10.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import Tensor, nn, ops

mindspore.set_device("CPU")
images = Tensor(numpy.zeros(1000, numpy.float32))


class Coins(nn.Cell):
    def construct(self, images):
        return ops.bernoulli(images, p=0.5), ops.bernoulli(images, p=0.5)


class SeededCoins(nn.Cell):
    def construct(self, images):
        return ops.bernoulli(images, p=0.5, seed=1), ops.bernoulli(images, p=0.5, seed=2)


class Numbers(nn.Cell):
    def construct(self, images):
        return ops.rand(1000), ops.rand(1000)


def alike(cell):
    """The share of places in which both draws of a run are equal, and in which two runs' first draws are."""
    first, second = (tuple(draw.asnumpy() for draw in cell(images)) for _ in range(2))
    return float((first[0] == first[1]).mean()), float((first[0] == second[0]).mean())


print("MindSpore", mindspore.__version__)
found = {}
for name, mode in (("graph", mindspore.GRAPH_MODE), ("PyNative", mindspore.PYNATIVE_MODE)):
    mindspore.set_context(mode=mode)
    for cell in (Coins(), SeededCoins(), Numbers()):
        called = type(cell).__name__
        found[name, called] = alike(cell)
        print("{} mode, {}: {:.3f} equal in one run, {:.3f} in two runs".format(name, called, *found[name, called]))
one_draw = found["graph", "Coins"][0] == 1 and found["graph", "Coins"][1] < 0.6
others = [each for key, each in found.items() if key[1] != "SeededCoins" and key != ("graph", "Coins")]
seeded = [found[name, "SeededCoins"][0] for name in ("graph", "PyNative")]
raise SystemExit(not (one_draw and max(max(each) for each in others) < 0.6 and max(seeded) < 0.6))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
