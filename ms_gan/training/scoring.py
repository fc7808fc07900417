"""A look at the generator every few epochs of a run, by a judge, and the checkpoint that it likes best."""

from __future__ import annotations

import os
from typing import Any, Callable

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.evaluation.judges import judge_for, why_no_judge
from ms_gan.evaluation.metrics import of_count
from ms_gan.evaluation.sampling import Inputs, seeded_inputs
from ms_gan.evaluation.scores import FEWEST, NO_RATIO, QuickScores
from ms_gan.recipes import Recipe
from ms_gan.runtime import random_stream
from ms_gan.training.checkpoints import checkpoint_name
from ms_gan.training.run_folder import RunFolder, write_json

STEPS_BETWEEN_LOOKS = 100  # at least, between scores, and between sheets, lines and checkpoints at epochs' ends


def hold_out(recipe: Recipe, images: ImageData, seed: int) -> tuple[ImageData, ImageData | None]:
    """Return the images to train on and, where `scores.held_out` says how many, those that no step sees.

    Which ones these are is the seed's choice. Raises UserError where none would be left to train on.
    """
    count = recipe["scores"]["held_out"]
    if count == 0:
        return images, None
    if count >= len(images.images):
        raise UserError(
            f"{images.name}, {images.source}: cannot hold out {count:,} of {len(images.images):,} images; "
            f"give a smaller --set scores.held_out"
        )
    order = random_stream(seed, "held out").permutation(len(images.images))
    held_out = np.zeros(len(order), bool)
    held_out[order[:count]] = True
    if recipe["data"]["classes"]:
        _give_back(images, held_out, order[:count])
    return images.only(np.flatnonzero(~held_out)), images.only(np.flatnonzero(held_out))


def _give_back(images: ImageData, held_out: np.ndarray, order: np.ndarray) -> None:
    """Let no class, or tag, be without an image to train on: of those held out, in their order, the first that has it.

    Changes `held_out`, bool (N,).
    """
    first = 1 if images.places else 0  # 0 stands for no tag
    trained_on = set(images.labels[~held_out].ravel().tolist())
    for number in order:
        own = {label for label in images.labels[number].ravel().tolist() if label >= first}
        if own - trained_on:
            held_out[number] = False
            trained_on |= own


class TrainingScores:
    """Scores the generator at the end of every few epochs, by training images or by such as were held out.

    The test split decides nothing: it is only looked at to know which judge belongs to the data.

    Attributes: `columns`, the names of the scores, the first of which, a Fréchet distance as a ratio to that of real
    against real, chooses the best checkpoint; `every`, after how many steps there are new ones; `why_none`, the reason
    where these data cannot score a generator, and then there are no scores.

    `images` are those to train on. Where a folder has labels that the recipe does not take, its judge is trained by
    these.
    """

    def __init__(self, recipe: Recipe, images: ImageData, held_out: ImageData | None, seed: int, steps_per_epoch: int):
        self.size, self.latent, self.seed = recipe["data"]["size"], recipe["latent"], seed
        self._asked_for = recipe["scores"]["every_epochs"] * steps_per_epoch
        self.every = self._asked_for and -(-STEPS_BETWEEN_LOOKS // self._asked_for) * self._asked_for
        self.why_none: str | None = None
        self.columns: tuple[str, ...] = ()
        self._scores: QuickScores | None = None
        if self.every:
            self.reference, self.others = _disjoint(images, held_out, recipe["scores"]["images"], seed)
            self.why_none = why_no_judge(images.labelled())
            if self.why_none is None and len(self.reference.images) < FEWEST:
                self.why_none = (
                    f"{images.name}, {images.source}, has too few images to compare {FEWEST} with as many others"
                )
        if self.every and self.why_none is None:
            self.labels = self.reference.labels if recipe["data"]["classes"] else None
            kind = "train" if held_out is None else "held_out"
            self.columns = (f"fd_{of_count(len(self.reference.images))}_{kind}_ratio",)
            self.columns += ("class_accuracy",) if self.labels is not None else ()

    def prepare(self, images: ImageData, test: ImageData | None) -> None:
        """Take the splits whose judge is looked for, or trained, when the first score is due.

        `images` are all for training, those held out among them. Without a test split none may be due.
        """
        if test is None:
            return
        train, test = images.labelled(), test.labelled()
        reason = why_no_judge(test)
        if reason is None and test.classes != train.classes:
            reason = f"{test.name}, {test.source}: its test images have other classes than its training images"
        if reason and self.columns:
            self.none_because(reason)
        self._judge = lambda say: judge_for(train.at_size(self.size), test.at_size(self.size), say)

    def none_because(self, reason: str) -> None:
        """Give no scores, for this reason."""
        self.columns, self.why_none = (), reason

    def keep_to(self, recorded: tuple[str, ...] | None, first: int | None = None) -> tuple[tuple[str, ...], int]:
        """Return the scores that a run's history has columns for, and after how many steps they come; 0 for never.

        `recorded` are those of a history that has begun, None for a new one, and `first` is the step of its first row
        of them, if it has one. A run that began without some, or with others, goes on without any; one of the time when
        nothing kept scores apart goes on as it began.
        """
        if first is not None and first == self._asked_for:
            self.every = first
        if recorded is not None and recorded != self.columns:
            if self.columns:
                self.none_because("the run began without them")
            return recorded, 0
        return self.columns, self.every if self.columns else 0

    def due(self, step: int) -> bool:
        """Tell whether there is to be a score after this step."""
        return bool(self.columns) and step > 0 and step % self.every == 0

    def __call__(self, draw: Callable[[Inputs], np.ndarray], say: Callable[[str], None]) -> list[float | None]:
        """Return the scores, as `columns` names them, of a generator's images; None for one that there cannot be."""
        if self._scores is None:
            of_both = (some.at_size(self.size).images for some in (self.reference, self.others))
            self._scores = QuickScores(self._judge(say), *of_both)
            if not self._scores.has_ratio:
                say(f"note: no {self.columns[0]}, and so no best checkpoint: {NO_RATIO}")
        inputs = seeded_inputs(self.latent, len(self.reference.images), self.seed, self.labels)
        return list(self._scores(draw(inputs), self.labels).values())

    def best_of(self, step: int, score: float | None, best: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what is known about the best checkpoint, this step's having this score: itself, or the one before."""
        if score is None or best is not None and best["score"] <= score:
            return best
        return {
            "checkpoint": f"checkpoints/{checkpoint_name(step)}",
            "step": step,
            "chosen_by": self.columns[0],
            "score": score,
        }


def mark_best(run: RunFolder, best: dict[str, Any] | None, say: Callable[[str], None]) -> None:
    """Let `checkpoints/best` be the best checkpoint, and `best.json` tell what chose it; with None there is neither.

    Where the file system knows no links, `say` gets a note, and `best.json` alone tells.
    """
    if best is None:
        for path in (run.best, run.best_checkpoint):
            path.unlink(missing_ok=True)
        return
    write_json(run.best, best)
    hidden = run.best_checkpoint.with_name(".best.part")
    try:
        hidden.unlink(missing_ok=True)
        hidden.symlink_to(checkpoint_name(best["step"]))
        os.replace(hidden, run.best_checkpoint)
    except OSError as error:
        say(
            f"note: no link {run.best_checkpoint} ({error.strerror or error}); {run.best.name} names the "
            f"best checkpoint"
        )


def _disjoint(images: ImageData, held_out: ImageData | None, count: int, seed: int) -> tuple[ImageData, ImageData]:
    """Return up to `count` images to compare with, and as many others, for real against real."""
    order = random_stream(seed, "scores").permutation(len(images.images))
    if held_out is None:
        count = min(count, len(order) // 2)
        return images.only(order[count : 2 * count]), images.only(order[:count])
    count = min(count, len(order), len(held_out.images))
    return held_out.only(np.arange(count)), images.only(order[:count])
