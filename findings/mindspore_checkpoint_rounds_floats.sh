#!/usr/bin/env bash
# MindSpore 2.8.0: a float that save_checkpoint takes in `append_dict` comes back from load_checkpoint rounded to
# float32; a large one as infinity, a small one as 0. Whole numbers, booleans and strings come back with their value.
#
# Guess, written down before: int, float, bool, str come back by load_checkpoint with their value exactly (0.1 as 0.1,
# 2**40 as 2**40, True as True).
# Seen: 0.1 comes back as 0.10000000149…, 1e300 as infinity, 1e-50 as 0, and 2**40 as 2**40. Most learning rates,
# losses and times that are kept there are other numbers after a restart; kept as a string (repr), they are the same.
# Seen beside this script: the same in 2.10.0. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
import numpy
from mindspore import nn

mindspore.set_device("CPU")
kept = {"rate": 0.1, "large": 1e300, "small": 1e-50, "whole": 2**40, "flag": True, "text": repr(0.1)}
mindspore.save_checkpoint(nn.Dense(2, 2), "network.ckpt", append_dict=kept)
loaded = mindspore.load_checkpoint("network.ckpt")
found = {name: loaded[name] if name == "text" else loaded[name].asnumpy().item() for name in kept}
print("MindSpore", mindspore.__version__)
for name, value in kept.items():
    print(name, repr(value), "comes back as", repr(found[name]))
raise SystemExit(found != {**kept, "rate": float(numpy.float32(0.1)), "large": float("inf"), "small": 0.0})
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
