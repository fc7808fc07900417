#!/usr/bin/env bash
# MindSpore 2.8.0: after mindspore.set_seed, a loop that asks a dataset for an iterator in each epoch sees the images of
# the first epoch again and again, in the same order and with the same random flips.
#
# Guess, written down before: a dataset that is iterated twice has a fresh order the second time. (The same seed gives the
# same run, not the same epochs.) MindSpore's page on what differs from TensorFlow's shuffle names the seed, and says in
# the same sentence that each iteration is shuffled anew.
# Seen: each of create_dict_iterator(num_epochs=1), create_dict_iterator() and "for batch in dataset" begins with the
# seed again. One iterator over all epochs, and a run without a seed, shuffle anew. So a training that is made
# repeatable by a seed, and has a loop over epochs as above, trains on one order and on images that are never flipped
# otherwise.
# Seen beside this script: the same in 2.10.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import sys

import mindspore
import mindspore.dataset
import numpy
from mindspore.dataset import vision

if sys.argv[1:] == ["seed"]:
    mindspore.set_seed(1)
images = numpy.arange(24 * 16, dtype=numpy.uint16).reshape(24, 4, 4, 1).astype(numpy.uint8)
dataset = mindspore.dataset.NumpySlicesDataset({"image": images}, shuffle=True)
dataset = dataset.map(vision.RandomHorizontalFlip(0.5), "image").batch(6)
repeated = {}


def remember(name, epochs):
    """Whether all epochs gave the same images in the same order."""
    first, *later = [numpy.concatenate(list(epoch)) for epoch in epochs]
    repeated[name] = all(numpy.array_equal(first, each) for each in later)


def of(iterator):
    return (batch["image"] for batch in iterator)


remember("an iterator for each epoch", (of(dataset.create_dict_iterator(num_epochs=1, output_numpy=True)) for _ in range(3)))
remember("the same without num_epochs", (of(dataset.create_dict_iterator(output_numpy=True)) for _ in range(3)))
remember("for batch in dataset", ((batch[0].asnumpy() for batch in dataset) for _ in range(3)))
iterator = dataset.create_dict_iterator(num_epochs=3, output_numpy=True)
remember("one iterator for all epochs", (of(iterator) for _ in range(3)))
print("MindSpore", mindspore.__version__, "with" if sys.argv[1:] == ["seed"] else "without", "a seed; the same images each epoch:")
for name, same in repeated.items():
    print("  {}: {}".format(name, same))
once = [name for name in repeated if name != "one iterator for all epochs"]
as_seen = sys.argv[1:] == ["seed"]
raise SystemExit(any(repeated[name] != as_seen for name in once) or repeated["one iterator for all epochs"])
PYTHON
"$folder/venv/bin/python" "$folder/look.py" seed
"$folder/venv/bin/python" "$folder/look.py"
