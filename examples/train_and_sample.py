"""Train a small GAN on arrays, draw from it, and load it again.

In a clone: `PYTHONPATH=. python examples/train_and_sample.py`; where ms_gan is installed, without PYTHONPATH.

It takes about a minute on two cores of a CPU, and writes one run, with its pictures, below `runs/`. The rings that it
draws at the end are only counted.
"""

from __future__ import annotations

import argparse

import numpy as np

import ms_gan


def discs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return grey images, uint8 (count, 28, 28), and labels, int (count,): 0 for a disc, 1 for a ring."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:28, :28]
    centres = random.uniform(10, 18, (count, 2, 1, 1))
    radii = random.uniform(5, 9, (count, 1, 1))
    labels = random.integers(0, 2, count)
    distance = np.hypot(rows - centres[:, 0], columns - centres[:, 1])
    inside = np.clip(radii - distance + 0.5, 0, 1)
    hole = np.clip(radii - 3 - distance + 0.5, 0, 1)
    return np.uint8(np.rint(255 * (inside - hole * labels[:, None, None]))), labels


def main() -> None:
    """Train for a few steps, sample, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--output-dir", default="runs")
    options = parser.parse_args()

    images, labels = discs(4000, seed=1)
    model = ms_gan.train(
        "rpgan",
        images,
        labels,
        label_names=("disc", "ring"),
        test=discs(1000, seed=2),
        steps=options.steps,
        settings={"generator.widths": (64, 128), "discriminator.widths": (128, 64), "scores.every_epochs": 0},
        output_dir=options.output_dir,
    )
    rings = model.sample(16, seed=7, labels=["ring"])
    print(f"{len(rings)} rings: {rings.dtype} {rings.shape}, from {model.home}")

    again = ms_gan.load(model.home)  # a run, a checkpoint, or an exported bundle
    assert np.array_equal(again.sample(16, seed=7, labels=["ring"]), rings), "the same seed draws the same bytes"


if __name__ == "__main__":
    main()
