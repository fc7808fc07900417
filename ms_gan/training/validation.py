"""Scores of the generator every few epochs of a run: which checkpoint is the best."""

from __future__ import annotations

from typing import Callable

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.evaluation.judge import Judge, why_no_judge
from ms_gan.evaluation.judge_training import judge_for
from ms_gan.evaluation.metrics import of_count
from ms_gan.evaluation.scores import FEWEST, NO_RATIO, QuickScorer
from ms_gan.randomness import random_stream
from ms_gan.recipes import Recipe
from ms_gan.runs.checkpoints import checkpoint_name
from ms_gan.runs.state import Best
from ms_gan.sampling import Inputs, seeded_inputs

STEPS_BETWEEN_LOOKS = 100  # at least, between scores, and between sheets, lines and checkpoints at epochs' ends


class ValidationScorer:
    """Scores the generator at the end of every few epochs, against validation images or training images.

    The test split decides nothing: it only tells which judge belongs to the data. If a folder has labels that the
    recipe does not take, its judge is trained with them.

    Args:
        recipe: says how often there are scores, and of how many images.
        images: to train on.
        held_out: the validation images; None if none are held out.
        seed: chooses the images to compare with.
        steps_per_epoch: how many steps make an epoch.

    Attributes:
        columns: the names of the scores. The first one chooses the best checkpoint: a Fréchet distance, divided by that
            of real images to real images.
        every: how many steps are between two scores.
        why_none: why these data cannot score a generator; then there are no columns.
    """

    def __init__(self, recipe: Recipe, images: ImageData, held_out: ImageData | None, seed: int, steps_per_epoch: int):
        self.size, self.latent, self.seed = recipe.data.size, recipe.latent, seed
        self._asked_for = recipe.scores.every_epochs * steps_per_epoch
        self.every = self._asked_for and -(-STEPS_BETWEEN_LOOKS // self._asked_for) * self._asked_for
        self.why_none: str | None = None
        self.columns: tuple[str, ...] = ()
        self.labels: np.ndarray | None = None
        self._scorer: QuickScorer | None = None
        if not self.every:
            return
        self.reference, self._others = _disjoint(images, held_out, recipe.scores.images, seed)
        self.why_none = why_no_judge(images.labelled())
        count = len(self.reference.images)
        if self.why_none is None and count < FEWEST:
            name = f"{images.name}, {images.source}"
            self.why_none = f"{name}, has too few images to compare {FEWEST} with as many others"
        if self.why_none is None:
            self.labels = self.reference.labels if recipe.data.classes else None
            self.columns = (f"fd_{of_count(count)}_{'train' if held_out is None else 'held_out'}_ratio",)
            self.columns += ("class_accuracy",) if self.labels is not None else ()

    def prepare(self, images: ImageData, test: ImageData | None) -> None:
        """Take the splits whose judge is looked for, or trained, when the first score is due.

        `images` are all training images, those held out among them. Without a test split no score may be due.
        """
        if test is None:
            return
        train, test = images.labelled(), test.labelled()
        reason = why_no_judge(test)
        if reason is None and test.classes != train.classes:
            reason = f"{test.name}, {test.source}: its test images have other classes than its training images"
        if reason and self.columns:
            self._give_none(reason)
        self._splits = train, test

    def keep_to(self, recorded: tuple[str, ...] | None, first: int | None = None) -> tuple[tuple[str, ...], int]:
        """Return the scores that a run's history has columns for, and after how many steps they come; 0 for never.

        A run that began without scores, or with others, goes on without; a run of the time when scores kept no distance
        of steps goes on as it began.

        Args:
            recorded: the scores in a history that exists; None for a new one.
            first: the step of its first row of scores, if there is one.
        """
        if first is not None and first == self._asked_for:
            self.every = first
        if recorded is not None and recorded != self.columns:
            if self.columns:
                self._give_none("the run began without them")
            return recorded, 0
        return self.columns, self.every if self.columns else 0

    def due(self, step: int) -> bool:
        """Return whether there is a score after this step."""
        return bool(self.columns) and step > 0 and step % self.every == 0

    def __call__(self, draw: Callable[[Inputs], np.ndarray], say: Callable[[str], None]) -> list[float | None]:
        """Return the scores, as `columns` names them, of the images that `draw` makes; None for one that cannot be."""
        if self._scorer is None:
            self._scorer = QuickScorer(self._judge(say), self._at_size(self.reference), self._at_size(self._others))
            if not self._scorer.has_ratio:
                say(f"note: no {self.columns[0]}, and so no best checkpoint: {NO_RATIO}")
        inputs = seeded_inputs(self.latent, len(self.reference.images), self.seed, self.labels)
        return list(self._scorer(draw(inputs), self.labels).values())

    def best_of(self, step: int, score: float | None, best: Best | None) -> Best | None:
        """Return the better of this step's checkpoint, which has this score, and the best one before it."""
        if score is None or best is not None and best.score <= score:
            return best
        return Best(f"checkpoints/{checkpoint_name(step)}", step, self.columns[0], score)

    def _give_none(self, reason: str) -> None:
        self.columns, self.why_none = (), reason

    def _judge(self, say: Callable[[str], None]) -> Judge:
        train, test = (split.at_size(self.size) for split in self._splits)
        return judge_for(train, test, say)

    def _at_size(self, images: ImageData) -> np.ndarray:
        return images.at_size(self.size).images


def _disjoint(images: ImageData, held_out: ImageData | None, count: int, seed: int) -> tuple[ImageData, ImageData]:
    """Return up to `count` images to compare with, and as many others, for the distance of real to real."""
    order = random_stream(seed, "scores").permutation(len(images.images))
    if held_out is None:
        count = min(count, len(order) // 2)
        return images.only(order[count : 2 * count]), images.only(order[:count])
    count = min(count, len(order), len(held_out.images))
    return held_out.only(np.arange(count)), images.only(order[:count])
