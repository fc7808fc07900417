#!/usr/bin/env bash
# MindSpore 2.8.0: putting a Cell in the place of one item of a SequentialCell makes its chain run children that the
# chain never held.
#
# Guess, written down before: network[0] = cell changes the first item, and what follows stays.
# Seen: a subclass with one more child, self.end, which its construct calls after the chain, returns 2 for 1. After
# network[0] = nn.Identity(), which does what the item before did, it returns 4, in both modes: the chain is made anew
# of all children, so that `end` runs in it, too, and then once more. Nothing is said. Whoever replaces layers of
# trained networks, to fuse or to quantise them, gets another network.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
from mindspore import Tensor, nn

mindspore.set_device("CPU")


class Doubled(nn.Cell):
    def construct(self, x):
        return 2 * x


class WithEnd(nn.SequentialCell):
    def __init__(self, *cells):
        super().__init__(*cells)
        self.end = Doubled()

    def construct(self, x):
        return self.end(super().construct(x))


def result(replace):
    network = WithEnd(nn.Identity(), nn.Identity())
    if replace:
        network[0] = nn.Identity()
    return float(network(Tensor(1.0)))


print(mindspore.__version__)
for mode in (mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE):
    mindspore.set_context(mode=mode)
    print("as made", result(False), "with one item replaced", result(True))
PYTHON
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
printf '%s\n' 2.8.0 "as made 2.0 with one item replaced 4.0" "as made 2.0 with one item replaced 4.0" |
  cmp - "$folder/seen"
