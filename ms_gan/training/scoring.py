"""A look at the generator every few epochs of a run, by a judge, and the checkpoint that it likes best."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.evaluation.judges import judge_for, why_no_judge
from ms_gan.evaluation.metrics import of_count
from ms_gan.evaluation.sampling import draw_images, seeded_inputs
from ms_gan.evaluation.scores import FEWEST, QuickScores
from ms_gan.nets.blocks import UnitRange
from ms_gan.recipes import Recipe
from ms_gan.runtime import random_stream
from ms_gan.training.checkpoints import checkpoint_name
from ms_gan.training.run_folder import RunFolder, write_json


def hold_out(recipe: Recipe, images: ImageData, seed: int) -> Tuple[ImageData, Optional[ImageData]]:
    """Return the images to train on and, where `scores.held_out` says how many, those that no step sees.

    Which ones these are is the seed's choice. Raises UserError where none would be left to train on.
    """
    count = recipe["scores"]["held_out"]
    if count == 0:
        return images, None
    if count >= len(images.images):
        raise UserError(f"{images.name}, {images.source}: cannot hold out {count:,} of {len(images.images):,} images; "
                        f"give a smaller --set scores.held_out")
    order = random_stream(seed, "held out").permutation(len(images.images))
    return images.only(np.sort(order[count:])), images.only(np.sort(order[:count]))


class TrainingScores:
    """Scores the generator at the end of every few epochs, by training images or by such as were held out.

    The test split decides nothing: it is only looked at to know which judge belongs to the data.

    Attributes: `columns`, the names of the scores, the first of which, a Fréchet distance as a ratio to that of real
    against real, chooses the best checkpoint; `every`, after how many steps there are new ones; `why_none`, the reason
    where these data cannot score a generator, and then there are no columns.
    """

    def __init__(self, recipe: Recipe, images: ImageData, held_out: Optional[ImageData], seed: int,
                 steps_per_epoch: int):
        self.size, self.latent, self.seed = recipe["data"]["size"], recipe["latent"], seed
        self.every = recipe["scores"]["every_epochs"] * steps_per_epoch
        self.why_none: Optional[str] = None
        self.columns: Tuple[str, ...] = ()
        self._scores: Optional[QuickScores] = None
        if self.every:
            self.reference, self.others = _disjoint(images, held_out, recipe["scores"]["images"], seed)
            self.why_none = why_no_judge(images)
            if self.why_none is None and len(self.reference.images) < FEWEST:
                self.why_none = (f"{images.name}, {images.source}, has too few images to compare {FEWEST} with as "
                                 f"many others")
        if self.every and self.why_none is None:
            self.labels = self.reference.labels if recipe["data"]["classes"] else None
            kind = "train" if held_out is None else "held_out"
            self.columns = (f"fd_{of_count(len(self.reference.images))}_{kind}_ratio",)
            self.columns += ("class_accuracy",) if self.labels is not None else ()

    def prepare(self, images: ImageData, test: Optional[ImageData], say: Callable[[str], None]) -> None:
        """Take the splits whose judge is looked for, or trained, when the first score is due: without test, none is.

        `images` are all for training, those held out among them.
        """
        self._judge = lambda: judge_for(images.at_size(self.size), test.at_size(self.size), say)

    def due(self, step: int) -> bool:
        """Tell whether there is to be a score after this step."""
        return bool(self.columns) and step > 0 and step % self.every == 0

    def __call__(self, sampler: UnitRange) -> List[float]:
        """Return the scores, as `columns` names them, of a generator that is in inference mode."""
        if self._scores is None:
            of_both = (some.at_size(self.size).images for some in (self.reference, self.others))
            self._scores = QuickScores(self._judge(), *of_both)
        inputs = seeded_inputs(self.latent, len(self.reference.images), self.seed, self.labels)
        return list(self._scores(draw_images(sampler, inputs), self.labels).values())

    def best_of(self, step: int, score: float, best: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        """Return what is known about the best checkpoint, this step's having this score: itself, or the one before."""
        if best is not None and best["score"] <= score:
            return best
        return {"checkpoint": f"checkpoints/{checkpoint_name(step)}", "step": step, "chosen_by": self.columns[0],
                "score": score}


def mark_best(run: RunFolder, best: Optional[Dict[str, Any]]) -> None:
    """Let `checkpoints/best` be the best checkpoint, and `best.json` tell what chose it; with None there is neither."""
    if best is None:
        for path in (run.best, run.best_checkpoint):
            path.unlink(missing_ok=True)
        return
    write_json(run.best, best)
    hidden = run.best_checkpoint.with_name(".best.part")
    hidden.unlink(missing_ok=True)
    hidden.symlink_to(checkpoint_name(best["step"]))
    os.replace(hidden, run.best_checkpoint)


def _disjoint(images: ImageData, held_out: Optional[ImageData], count: int, seed: int) -> Tuple[ImageData, ImageData]:
    """Return up to `count` images to compare with, and as many others, for real against real."""
    order = random_stream(seed, "scores").permutation(len(images.images))
    if held_out is None:
        count = min(count, len(order) // 2)
        return images.only(order[count:2 * count]), images.only(order[:count])
    count = min(count, len(order), len(held_out.images))
    return held_out.only(np.arange(count)), images.only(order[:count])
