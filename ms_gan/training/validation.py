"""Scores of the generator every few epochs of a run: which checkpoint is the best."""

from __future__ import annotations

from typing import Callable

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.evaluation.judge import why_no_judge
from ms_gan.evaluation.judge_training import judge_for
from ms_gan.evaluation.metrics import NO_RATIO, of_count
from ms_gan.evaluation.protocol import FEWEST, disjoint_draws, in_mixed_order, labels_of
from ms_gan.evaluation.quick_scorer import QuickScorer
from ms_gan.randomness import random_stream
from ms_gan.recipes import Recipe
from ms_gan.runs.checkpoints import checkpoint_name
from ms_gan.runs.state import Best
from ms_gan.sampling import Inputs, as_bytes, seeded_inputs

STEPS_BETWEEN_LOOKS = 100  # at least, between scores, and between sheets, lines and checkpoints at epochs' ends


def spaced(steps: int, least: int) -> int:
    """Return the smallest multiple of `steps` that is at least `least`."""
    return -(-least // steps) * steps


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
        every = recipe.scores.every_epochs * steps_per_epoch
        self.every = every and spaced(every, STEPS_BETWEEN_LOOKS)
        self.why_none: str | None = None
        self.columns: tuple[str, ...] = ()
        self._scorer: QuickScorer | None = None
        if not self.every:
            return
        conditional = recipe.data.classes > 0
        self._images = images
        self.reference, self._draws = _disjoint(images, held_out, recipe.scores.images, seed, conditional)
        self.labels = self.reference.labels if conditional else None
        self.why_none = why_no_judge(images.labelled())
        count = len(self.reference.images)
        if self.why_none is None and count < FEWEST:
            self.why_none = (
                f"{images.name}, {images.source}, has too few images to compare {FEWEST} with as many others"
            )
            if held_out is not None and len(held_out.images) < FEWEST:
                few = f"{len(held_out.images)} validation images are too few to compare with; at least {FEWEST} are not"
                self.why_none = f"{few} (scores.held_out; with 0 training images are held out for each score)"
        if self.why_none is None:
            ratio = f"fd_{of_count(count)}_{'train' if held_out is None else 'held_out'}_ratio"
            of_labels = "average_precision" if self.reference.max_tags else "class_accuracy"
            self.columns = (ratio,) if self.labels is None else (ratio, of_labels)

    def prepare(self, images: ImageData, test: ImageData) -> None:
        """Take the splits whose judge is looked for, or trained, when the first score is due.

        `images` are all training images, those held out among them.
        """
        self._splits = train, test = images.labelled(), test.labelled()
        reason = why_no_judge(test)
        if reason is None and test.classes != train.classes:
            reason = f"{test.name}, {test.source}: its test images have other classes than its training images"
        if reason:
            self.give_none(reason)

    def give_none(self, reason: str) -> None:
        """Give no scores from now on; the reason is told if there would have been some."""
        if self.columns:
            self.columns, self.why_none = (), reason

    @property
    def ready(self) -> bool:
        """Whether the judge was found, or trained, for a first score."""
        return self._scorer is not None

    def due(self, step: int) -> bool:
        """Return whether there is a score after this step."""
        return bool(self.columns) and step > 0 and step % self.every == 0

    def __call__(self, draw: Callable[[Inputs], np.ndarray], say: Callable[[str], None]) -> list[float | None]:
        """Return the scores, as `columns` names them, of the images that `draw` makes; None for one that cannot be."""
        if self._scorer is None:
            train, test = (split.at_size(self.size) for split in self._splits)
            reference = self.reference.at_size(self.size).images
            others = (self._images.only(draw).at_size(self.size).images for draw in self._draws)  # one after the other
            self._scorer = QuickScorer(judge_for(train, test, say), reference, others)
            if not self._scorer.has_ratio:
                say(f"note: no {self.columns[0]}, and so no best checkpoint: {NO_RATIO}")
            elif len(self._draws) == 1:
                say(
                    f"note: {self.columns[0]} is divided by the distance of one draw of real images, as there are too "
                    "few for more: compare it within this run alone"
                )
        inputs = seeded_inputs(self.latent, len(self.reference.images), self.seed, self.labels)
        return list(self._scorer(as_bytes(draw(inputs)), self.labels).values())

    def best_of(self, step: int, score: float | None, best: Best | None) -> Best | None:
        """Return the better of this step's checkpoint, which has this score, and the best one before it."""
        if score is None or best is not None and best.score <= score:
            return best
        return Best(f"checkpoints/{checkpoint_name(step)}", step, self.columns[0], score)


def _disjoint(
    images: ImageData, held_out: ImageData | None, count: int, seed: int, conditional: bool
) -> tuple[ImageData, list[np.ndarray]]:
    """Return up to `count` images to compare with, and the indices of up to DRAWS sets of as many others of `images`.

    For a conditional generator, which gets the classes of the former, each set has these, too, where there are enough.
    There are none where the images are too few to be scored.
    """
    order = random_stream(seed, "scores").permutation(len(images.images))
    if held_out is None:
        count = min(count, len(order) // 2)
        reference, others = images.only(order[count : 2 * count]), np.delete(order, np.s_[count : 2 * count])
    else:
        count = min(count, len(order), len(held_out.images))
        reference, others = held_out.only(in_mixed_order(held_out, seed)[:count]), order
    if count < FEWEST:
        return reference, []
    by_class = conditional and not images.max_tags
    return reference, disjoint_draws(
        others, count, (labels_of(images)[others], labels_of(reference)) if by_class else None
    )[0]
