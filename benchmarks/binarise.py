"""Write MNIST with pixels of 0 and 255 only, for the likelihoods of autoencoders.

    python benchmarks/binarise.py DIR OUTPUT

Each pixel is drawn once, white with the probability that its brightness says (Salakhutdinov and Murray 2008), from
seed 1: the same files each time. Train with --data-path OUTPUT.
"""

import sys
from pathlib import Path

import clone  # makes the package importable
from mnist_format import NAMES, write_split


def main() -> None:
    from ms_gan.data.mnist import load_mnist  # the API reads no files of images
    from ms_gan.randomness import random_stream

    if len(sys.argv) != 3 or Path(sys.argv[2]).exists():
        raise SystemExit("usage: python benchmarks/binarise.py DIR OUTPUT, a folder that is not there yet")
    output = Path(sys.argv[2])
    for split in NAMES:
        data = load_mnist(split, sys.argv[1])
        output.mkdir(parents=True, exist_ok=True)
        drawn = random_stream(1, f"binarise {split}").random(data.images.shape) * 255 < data.images
        write_split(output, split, drawn[:, 0] * 255, data.labels)


if __name__ == "__main__":
    clone.run(main)
