#!/usr/bin/env bash
# MindSpore 2.8.0 (and 2.10.0): a float that save_checkpoint takes in `append_dict` comes back from load_checkpoint
# rounded to float32; a large one as infinity, a small one as 0. Whole numbers, booleans and strings come back as they
# were.
#
# Guess, written down before: int, float, bool and str come back with exactly their value.
# Seen: 0.1 comes back as 0.10000000149…, 1e300 as infinity, 1e-50 as 0, and 2**40 as 2**40. A learning rate, a loss
# or a time that is kept there is another number after a restart; kept as a string (repr), it is the same.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import mindspore
from mindspore import nn

mindspore.set_device("CPU")
kept = {"rate": 0.1, "large": 1e300, "small": 1e-50, "whole": 2**40, "flag": True, "text": repr(0.1)}
mindspore.save_checkpoint(nn.Dense(2, 2), "network.ckpt", append_dict=kept)
loaded = mindspore.load_checkpoint("network.ckpt")
found = {name: loaded[name] if name == "text" else loaded[name].asnumpy().item() for name in kept}
print("MindSpore", mindspore.__version__)
for name, value in kept.items():
    print(name, repr(value), "comes back as", repr(found[name]))
same = {name: found[name] == value for name, value in kept.items()}
wrong = {"rate": False, "large": False, "small": False, "whole": True, "flag": True, "text": True}
raise SystemExit(same != wrong or found["large"] != float("inf") or found["small"] != 0)
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
