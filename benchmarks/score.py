"""Score generators: the Fréchet distance to MNIST's test images, and whether a classifier reads the digits asked for.

    python benchmarks/score.py --data-path DIR RUN_OR_CHECKPOINT…

This is what the tables of docs/reproductions.md were made with. New scores are those of `eval --metrics`, by the judge
of ckpt/judges; the two judges' distances do not compare.

fd_10k_test: 10,000 images of latents of seed 1 against the 10,000 test images, in the 84 features of the judge
of benchmarks/judge.py, which is trained once and kept in the cache; the row "real" is 10,000 training images
against the test images, what a perfect generator would score. class_accuracy: for conditional generators, the share of
10,000 images, 1,000 a class, in which the judge reads the class that was asked for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

COUNT, SEED = 10_000, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-path", required=True)
    parser.add_argument("places", nargs="*", metavar="RUN_OR_CHECKPOINT")
    options = parser.parse_args()

    from ms_gan import data, runtime

    runtime.set_up("CPU")
    from judge import NAME, judged, load

    from ms_gan.cli.trained import load_trained
    from ms_gan.evaluation.metrics import frechet_distance, moments
    from ms_gan.evaluation.sampling import seeded_inputs
    from ms_gan.files import cache_folder

    train, test = (data.load("mnist", split, options.data_path) for split in ("train", "test"))
    judge = load(train, test, cache_folder() / "judges" / f"{NAME}_{train.sha256[:12]}.ckpt")
    real = np.float32(test.images) / 255
    of_test = moments(judged(judge, real)[0])
    some = np.float32(train.images[np.random.default_rng(SEED).permutation(len(train.images))[:COUNT]]) / 255
    rows = [("real", frechet_distance(moments(judged(judge, some)[0]), of_test), None)]
    for place in options.places:
        trained = load_trained(place)
        labels = np.arange(COUNT) % len(trained.labels.names) if trained.labels else None
        images = trained.draw(seeded_inputs(trained.recipe["latent"], COUNT, SEED, labels))
        features, classes = judged(judge, images)
        accuracy = None if labels is None else float(np.mean(classes == labels))
        rows.append((f"{place} at step {trained.step:,}", frechet_distance(moments(features), of_test), accuracy))
        counts = np.bincount(classes, minlength=10) / COUNT
        print(f"{place}: classes that the judge reads: " + " ".join(f"{share:.1%}" for share in counts))
    print(f"{'':60} {'fd_10k_test':>12} {'ratio':>8} {'class_accuracy':>15}")
    for name, distance, accuracy in rows:
        print(f"{name:60} {distance:12.3f} {distance / rows[0][1]:8.1f} "
              f"{'' if accuracy is None else f'{accuracy:.2%}':>15}")


if __name__ == "__main__":
    main()
