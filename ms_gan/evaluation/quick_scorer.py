"""A cheap look at a generator while it trains."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ms_gan.evaluation.judge import Judge
from ms_gan.evaluation.metrics import (
    average_precisions,
    class_accuracy,
    distance_ratio,
    frechet_distance,
    moments,
    tag_indicators,
)


class QuickScorer:
    """Scores some images of a generator.

    Args:
        judge: of the data.
        reference: images to compare with, uint8, N×C×H×W.
        others: sets of as many other real images; the distance of real to real is the mean of theirs.

    With few images the ratio says little of a good generator: the distance of real to real is mostly bias.
    """

    def __init__(self, judge: Judge, reference: np.ndarray, others: Iterable[np.ndarray]):
        self.judge = judge
        self.reference = moments(judge.features(reference))
        self.real = float(np.mean([frechet_distance(moments(judge.features(real)), self.reference) for real in others]))
        self.has_ratio = distance_ratio(0.0, self.real, self.reference) is not None

    def __call__(self, images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float | None]:
        """Return `fd_ratio`, and, with the labels that were asked for, `class_accuracy`; with tags `average_precision`.

        `labels`: int, (N,) or (N, max_tags). The average precision is the mean over the tags that were asked for.
        `images`: as many as the reference images, uint8. The ratio is None if it is undefined (`metrics.NO_RATIO`).
        """
        distance = frechet_distance(moments(self.judge.features(images)), self.reference)
        scores = {"fd_ratio": distance_ratio(distance, self.real, self.reference)}
        if labels is not None and labels.ndim == 2:
            has = tag_indicators(labels, len(self.judge.classes))
            scores["average_precision"] = float(np.nanmean(average_precisions(self.judge.logits(images), has)))
        elif labels is not None:
            scores["class_accuracy"] = class_accuracy(self.judge.read(images), labels, len(self.judge.classes))
        return scores
