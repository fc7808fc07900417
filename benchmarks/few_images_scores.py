"""Score the checkpoints of a run that was trained on few images: python -m benchmarks.few_images_scores RUN FILE

FILE gets them as JSON: for each checkpoint at the end of an epoch, and for real images, held-out ones, in place of
samples. fd_test, precision and recall: against test images. fd_held_out: against held-out images, to choose by. nearer:
see `nearer`. far: the median distance of samples to the nearest image trained on, divided by that of test images.
Images trained on count in each way that the run showed them, turned and mirrored; so do the held-out ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ms_gan
from benchmarks.few_images import COUNT
from ms_gan import files
from ms_gan.evaluation import metrics
from ms_gan.evaluation.judge import Judge
from ms_gan.evaluation.judge_training import judge_for
from ms_gan.evaluation.protocol import as_shown
from ms_gan.randomness import random_stream
from ms_gan.runs.checkpoints import checkpoint_name, checkpoint_steps
from ms_gan.runs.run_folder import validation_split
from ms_gan.sampling import draw_bytes

SEED = 1  # of the latents, and of the choice of images


class Reference:
    """What samples are compared with, all of it uint8, N×C×H×W.

    Args:
        judge: of the data.
        test, held_out: as many images of the test split, and of those that were held out.
        trained_on, others: the images that the run was trained on, in each way that it showed them, and as many that
            were held out, in the same ways.
    """

    def __init__(
        self, judge: Judge, test: np.ndarray, held_out: np.ndarray, trained_on: np.ndarray, others: np.ndarray
    ):
        self.judge, self.trained_on, self.others = judge, trained_on, others
        self.test = judge.features(test)
        self.held_out = metrics.moments(judge.features(held_out))
        self.usual_distance = float(np.median(metrics.nearest(test, trained_on)[0]))

    def scores(self, images: np.ndarray) -> dict[str, float]:
        """Return the scores of images, uint8, N×C×H×W."""
        features = self.judge.features(images)
        found = metrics.moments(features)
        shares = metrics.precision_recall_density_coverage(self.test, features)
        distances = metrics.nearest(images, self.trained_on)[0]
        return {
            "fd_test": metrics.frechet_distance(found, metrics.moments(self.test)),
            "fd_held_out": metrics.frechet_distance(found, self.held_out),
            "precision": shares["precision"],
            "recall": shares["recall"],
            "nearer": nearer(distances, metrics.nearest(images, self.others)[0]),
            "far": float(np.median(distances)) / self.usual_distance,
        }


def nearer(to_trained_on: np.ndarray, to_others: np.ndarray) -> float:
    """Return the share of samples that are nearer to an image trained on than to any of as many others; ties are half.

    Both: distances of the samples, (N,). It is a half, in expectation, for images that owe nothing to those trained on.
    """
    return float(np.mean((to_trained_on < to_others) + 0.5 * (to_trained_on == to_others)))


def scored_steps(steps: Sequence[int], steps_per_epoch: int) -> list[int]:
    """Return the steps, ascending, at the ends of epochs, and the last one; the start is none."""
    return [step for step in steps if step and (step % steps_per_epoch == 0 or step == steps[-1])]


def scores_of(run: Path) -> dict[str, Any]:
    """Return the scores of a run."""
    model = ms_gan.load(run)
    train, test = (model.fitting(model.load(split)) for split in ("train", "test"))
    trained_on, held_out = validation_split(model.settings, train)
    assert held_out is not None, "the study holds images out"
    count, few = min(COUNT, len(test.images)), len(trained_on.images)
    order = random_stream(SEED, "few images").permutation(len(held_out.images))
    others, real, chosen = order[:few], order[few : few + count], order[-count:]
    judge = judge_for(train, test, lambda line: print(line, flush=True))
    test = test.only(random_stream(SEED, "few images, test").permutation(len(test.images))[:count])
    of_held_out = held_out.images
    near = (np.concatenate(as_shown(some, model.recipe.data)) for some in (trained_on.images, of_held_out[others]))
    reference = Reference(judge, test.images, of_held_out[chosen], *near)
    labels = test.labels if model.conditional else None
    looks = []
    folder = run / "checkpoints"
    for step in scored_steps(checkpoint_steps(folder), model.recipe.schedule.steps_per_epoch):
        drawing = ms_gan.load(folder / checkpoint_name(step))
        images = draw_bytes(drawing.draw, drawing.latent, count, SEED, labels)
        looks.append({"step": step, **reference.scores(images)})
        print(f"step {step:,}: Fréchet distance to test images {looks[-1]['fd_test']:.2f}", flush=True)
    real_scores = reference.scores(of_held_out[real])
    del real_scores["fd_held_out"]  # these may be among the images that it compares with
    return {"trained_on": few, "compared": count, "judge": judge.sha256, "checkpoints": looks, "real": real_scores}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m benchmarks.few_images_scores RUN FILE")
    files.write_file(Path(sys.argv[2]), (json.dumps(scores_of(Path(sys.argv[1])), indent=1) + "\n").encode())
