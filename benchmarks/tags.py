"""How far a conditional model of tagged images does what its tags say, and whether frequent tags do better.

    python benchmarks/tags.py RUN_OR_CHECKPOINT…

A tag's meaning is its image in a linear regression of the training images on their tags. The model's change is the
mean difference between 200 images with the tag and without it, from the same latents, with the other tags of real
images. The response is the projection of the change on the meaning, divided by the meaning's squared length: 1 if the
tag changes images as it does real ones, 0 if it does nothing.
"""

from __future__ import annotations

import argparse

import clone
import numpy as np

import ms_gan
from ms_gan.evaluation.metrics import tag_indicators

SEED, DRAWN = 1, 200


def meanings(images: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Return each tag's image, (tags, pixels), by least squares with a constant."""
    design = np.column_stack((np.ones(len(has)), has))
    return np.linalg.lstsq(design, images.reshape(len(images), -1), rcond=None)[0][1:]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation; equal values share the mean of their ranks."""
    ranks = [
        np.array([(values < value).sum() + (values == value).sum() / 2 for value in values])
        for values in (first, second)
    ]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN_OR_CHECKPOINT")
    for run in parser.parse_args().runs:
        model = ms_gan.load(run)
        if model.label_names is None or not model.label_names.max_tags:
            raise ms_gan.UserError(f"{run}: {model.name} takes no tags", "name a model that does")
        names = model.label_names.names
        real = model.fitting(model.load("train", rotate_and_mirror=False))
        has = tag_indicators(real.labels, len(names))
        meaning = meanings(np.float64(real.images) / 255, has)
        responses = np.empty(len(names))
        for tag, name in enumerate(names):
            free = np.flatnonzero((has[:, tag] == 0) & (real.labels[:, -1] == 0))
            if not len(free):
                raise ms_gan.UserError(
                    f"{run}: no image has room for the tag {name!r}", "train with more data.max_tags"
                )
            chosen = real.labels[np.random.default_rng((SEED, tag)).choice(free, DRAWN)]
            without = [",".join(names[other - 1] for other in label if other) for label in chosen]
            added = [f"{label},{name}" for label in without]
            drawn = [np.float64(model.sample(DRAWN, seed=tag, labels=labels)) for labels in (added, without)]
            change = (drawn[0] - drawn[1]).mean(0).ravel() / 255
            responses[tag] = change @ meaning[tag] / (meaning[tag] @ meaning[tag])
        shares = has.mean(0)
        print(
            f"{run}: {model.name}, step {model.step:,}: mean response {responses.mean():.2f}; rank "
            f"correlation with how frequent a tag is {rank_correlation(shares, responses):+.2f}"
        )
        for tag in np.argsort(-shares):
            print(f"  {names[tag]:16} on {shares[tag]:5.1%} of the images, response {responses[tag]:5.2f}")


if __name__ == "__main__":
    clone.run(main)
