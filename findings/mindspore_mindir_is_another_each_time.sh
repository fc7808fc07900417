#!/usr/bin/env bash
# MindSpore 2.8.0: export writes another MindIR of the same network each time, by processes that do the same. The clock
# and an address in memory are written into an attribute of the graph.
#
# Guess, written down before: export(file_format="MINDIR") twice of the same network gives the same bytes.
# Seen: of four files of one network with the same weights, each by a process of its own, no two have one checksum.
# The graph's attribute `compile_phase` is "export.mindir." with two long numbers, the first of them the time. Without
# it all four have the same bytes. A checksum of an export says nothing, then, of whether the network is the same.
# Seen beside this script: in larger networks the list of operators has another order each time, too. Run with
# Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/write.py" <<'PYTHON'
import sys

import mindspore
import numpy
from mindspore import nn

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")
layers = [nn.Dense(3, 4), nn.ReLU(), nn.Dense(4, 2), nn.Tanh(), nn.Softmax()]
network = nn.SequentialCell(layers).set_train(False)
for parameter in network.get_parameters():
    parameter.set_data(mindspore.Tensor(numpy.full(parameter.shape, 0.5, numpy.float32)))
inputs = mindspore.Tensor(numpy.ones((1, 3), numpy.float32))
mindspore.export(network, inputs, file_name=sys.argv[1], file_format="MINDIR")
PYTHON
cat >"$folder/look.py" <<'PYTHON'
import hashlib
from pathlib import Path

import mindspore
from mindspore.train import mind_ir_pb2


def checksum(content):
    return hashlib.sha256(content).hexdigest()[:16]


def without_clock(content):
    model = mind_ir_pb2.ModelProto.FromString(content)
    kept = [one for one in model.graph.attribute if one.name != "compile_phase"]
    del model.graph.attribute[:]
    model.graph.attribute.extend(kept)
    return model.SerializeToString(deterministic=True)


files = [Path(f"{name}.mindir").read_bytes() for name in "abcd"]
print("MindSpore", mindspore.__version__)
for content in files:
    attributes = mind_ir_pb2.ModelProto.FromString(content).graph.attribute
    (phase,) = [one.s.decode() for one in attributes if one.name == "compile_phase"]
    print(checksum(content), phase, "without it", checksum(without_clock(content)))
raise SystemExit(len(set(files)) != 4 or len(set(map(without_clock, files))) != 1)
PYTHON
cd "$folder"
for name in a b c d; do "$folder/venv/bin/python" write.py "$name"; done
"$folder/venv/bin/python" look.py
