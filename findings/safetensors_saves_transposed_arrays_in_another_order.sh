#!/usr/bin/env bash
# safetensors 0.8.0: safetensors.numpy.save_file of a transposed array, or of a part of its columns, writes other
# numbers than NumPy shows. There is no error; for PyTorch's tensors the same library raises one.
#
# Guess, written down before: what is loaded equals what NumPy showed when it was saved.
# Seen: it writes the bytes as they lie in memory, under the shape of the view. [[0, 1, 2], [3, 4, 5]].T comes back as
# [[0, 1], [2, 3], [4, 5]]. After numpy.ascontiguousarray it comes back right. Weights that were transposed from one
# framework's order into another's are the usual case.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet safetensors==0.8.0 numpy==2.2.6
cat >"$folder/look.py" <<'PYTHON'
import numpy
import safetensors
from safetensors.numpy import load_file, save_file

matrix = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
views = {
    "whole": matrix,
    "transposed": matrix.T,
    "columns": matrix[:, :2],
    "copied": numpy.ascontiguousarray(matrix.T),
}
print("safetensors", safetensors.__version__, "NumPy", numpy.__version__)
same = {}
for name, view in views.items():
    save_file({"weight": view}, "weights.safetensors")
    loaded = load_file("weights.safetensors")["weight"]
    same[name] = bool(numpy.array_equal(loaded, view))
    print(name, "saved", view.tolist(), "loaded", loaded.tolist())
raise SystemExit(same != {"whole": True, "transposed": False, "columns": False, "copied": True})
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
