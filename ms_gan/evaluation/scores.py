"""The protocol of the scores: what is compared with what, how many images, and what perfect samples would score.

Generated images are compared with *reference* images. To report a model, these are the test split, which no network was
trained on. To choose among models or settings, they are validation images, held out from training, or training images
(`among_training_images`): a score used for selection is biased. A score's name says its protocol: fd_10k_test compares
10,000 images with as many of the test split, fd_10k_train with training images.

Other training images are used for three things only: memorisation, the width of the Parzen window, and the column
"real". That column holds the scores of real images in place of the generated ones: as many training images, for a
conditional model as many of each class. For memorisation and class scores it uses the reference images instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.errors import Setting, UserError
from ms_gan.evaluation import metrics
from ms_gan.evaluation.judge import Judge
from ms_gan.evaluation.judge_training import accuracy, train_network
from ms_gan.evaluation.metrics import distance_ratio, frechet_distance, moments, of_count
from ms_gan.randomness import random_stream
from ms_gan.sampling import Draw, draw_bytes
from ms_gan.schema.recipe import Latent

# images, uint8, N×C×H×W, and their labels, if any, to logits, float32 (N,) or (N, 1)
Discriminate = Callable[[np.ndarray, Optional[np.ndarray]], np.ndarray]
Say = Callable[[str], None]

STACKED = 26_000  # samples in which modes are counted
MOST = 10_000  # images of each kind
FEWEST = 100
OF_TRAINING = 6  # the last sixth of the training split is for the Parzen window's width: 50,000 to 60,000 of MNIST
OF_THOSE_COMPARED_WITH = 4  # at most a quarter of the training images is taken as reference
FOR_WIDTH = 1000  # images that choose the Parzen window's width, at most
LABELLED = 5  # times as many samples for CAS and 1-NN: 50,000
DRAWS = 5  # of real images, at most, for the Fréchet distance of real to real: a single draw varies too much
DISCRIMINATED = 2000  # images of each kind for D: enough for two digits
NO_RATIO = "all real images are alike (the Fréchet distance between them is 0), so the ratio is undefined"


@dataclass(frozen=True)
class Subject:
    """What is scored.

    Attributes:
        draw: the generator.
        latent: what its latents are.
        conditional: whether it takes labels; if so, it gets the labels of the reference images.
        discriminate: its own D; None if it has none.
        why_no_discriminator: the reason, if there is none.
        threshold: the logit above which D says real; None if only differences of its logits have a meaning.
    """

    draw: Draw
    latent: Latent
    conditional: bool = False
    discriminate: Discriminate | None = None
    why_no_discriminator: str = "the model has no discriminator"
    threshold: float | None = None


@dataclass(frozen=True)
class Options:
    """How to score: the seed of the latents and of the choice of images, and the two scores that take minutes."""

    seed: int = 1
    cas: bool = False
    nearest_neighbour: bool = False


@dataclass
class Scores:
    """Scores by name, of generated and of real images; why some are missing; and what the picture shows."""

    generated: dict[str, float] = field(default_factory=dict)
    real: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    shares: dict[str, Sequence[float]] | None = None  # of the classes that the judge reads
    nearest: dict[str, np.ndarray] | None = None  # distances to the nearest training image
    logits: dict[str, np.ndarray] | None = None  # of D
    threshold: float | None = None  # the logit above which D says real; None if they only compare

    def add(self, name: str, generated: float, real: float | None = None) -> None:
        """Store one score, and that of real images if there is one."""
        self.generated[name] = generated
        if real is not None:
            self.real[name] = real


@dataclass(frozen=True)
class Real:
    """The real images of a comparison, uint8, N×C×H×W.

    Attributes:
        reference: those compared with.
        train: other images, which were trained on.
        draws: disjoint sets of training images, each as many as `reference`, that take the generated ones' place.
        for_width: those that choose the Parzen window's width.
    """

    reference: ImageData
    train: ImageData
    draws: tuple[np.ndarray, ...]
    for_width: np.ndarray

    @classmethod
    def choose(cls, train: ImageData, reference: ImageData, seed: int, as_labelled: bool = False) -> Real:
        """Choose by the seed as many of each as there are in both, at most MOST. Raises UserError for too few.

        With `as_labelled` each draw has the classes of the reference images, if there are enough.
        """
        count, kept = enough(train, reference)
        order = random_stream(seed, "test images").permutation(len(reference.images))
        chosen = reference.only(np.sort(order[:count]))
        order = random_stream(seed, "real against real").permutation(kept)
        draws = np.split(order[: kept // count * count], kept // count)
        if as_labelled:
            draws = _with_labels(_labels(train)[order], _labels(chosen), order) or draws
        return cls(chosen, train, tuple(train.images[draw] for draw in draws[:DRAWS]), train.images[kept:][:FOR_WIDTH])

    @property
    def count(self) -> int:
        """How many images are compared with; as many are generated."""
        return len(self.reference.images)


@dataclass(frozen=True)
class Sampled:
    """Generated images, uint8, N×C×H×W.

    Attributes:
        images: as many as there are reference images, with their labels.
        more: these, followed by some more, so that there are enough of each class.
        labels: of `more`: int32, (N,) or (N, max_tags); None without labels.
        balanced: indices into `more`, each class equally often; None without classes.
    """

    images: np.ndarray
    more: np.ndarray
    labels: np.ndarray | None
    balanced: np.ndarray | None

    @classmethod
    def draw(cls, subject: Subject, real: Real, seed: int, say: Say) -> Sampled:
        """Draw them from the latents of the seed."""
        labels, balanced = labels_to_ask_for(real.reference, seed) if subject.conditional else (None, None)
        count = real.count if labels is None else len(labels)
        say(f"drawing {count:,} images")
        images = draw_bytes(subject.draw, subject.latent, count, seed, labels)
        return cls(images[: real.count], images, labels, balanced)


def enough(train: ImageData, reference: ImageData) -> tuple[int, int]:
    """Return how many images of each kind are compared, and from how many training images they are chosen.

    The remaining training images, the last ones, are for the Parzen window's width. Raises UserError for too few.
    """
    kept = len(train.images) - len(train.images) // OF_TRAINING
    count = min(MOST, len(reference.images), kept)
    if count < FEWEST:
        raise UserError(
            f"{reference.called}: {len(reference.images):,} test images and {len(train.images):,} "
            f"training images are too few for scores, which need at least {FEWEST} and {FEWEST * 6 // 5}"
        )
    return count, kept


def among_training_images(train: ImageData, test: ImageData, seed: int) -> tuple[ImageData, ImageData]:
    """Split the training images by the seed: return those to train on, and those to use as reference.

    The reference has as many images as `test`, but at most one in OF_THOSE_COMPARED_WITH. Raises UserError for too few.
    """
    order = random_stream(seed, "training images to compare with").permutation(len(train.images))
    count = min(len(test.images), len(order) // OF_THOSE_COMPARED_WITH)
    if count < FEWEST:
        raise UserError(
            f"{train.called}: {len(train.images):,} training images and {len(test.images):,} test images "
            f"are too few to compare with training images, which needs at least {FEWEST * OF_THOSE_COMPARED_WITH} and "
            f"{FEWEST}"
        )
    return train.only(np.sort(order[count:])), train.only(np.sort(order[:count]))


def measure(
    subject: Subject,
    train: ImageData,
    reference: ImageData,
    judge: Judge | None,
    why_no_judge: str | None,
    options: Options,
    say: Say,
) -> Scores:
    """Score a generator.

    Args:
        subject: the generator, and its D.
        train: training images.
        reference: images to compare with, not in `train`: the test split, validation or training images. With those of
            the split "train" there is no memorisation.
        judge, why_no_judge: the judge of these data, or why there is none.
        options: the seed, and what else to compute.
        say: gets a line about each long computation.

    Raises:
        UserError: for too few images, and for CAS or 1-NN of a generator without classes.
    """
    refuse_labelled(subject.conditional, train, options)
    conditional, of_classes = subject.conditional, subject.conditional and not reference.max_tags
    real = Real.choose(train, reference, options.seed, as_labelled=of_classes)
    scores = Scores(protocol=_protocol(real, reference, conditional, options.seed))
    sampled = Sampled.draw(subject, real, options.seed, say)
    if judge is None:
        scores.left_out["fd, precision, recall, density, coverage, class_accuracy"] = str(why_no_judge)
    else:
        say("reading them with the judge")
        _add_feature_scores(scores, judge, real, sampled.images)
        _add_class_scores(scores, judge, real, sampled)
    if not of_classes:
        tags = "the generator takes tags, and a judge reads one class"
        scores.left_out["class_accuracy"] = tags if conditional else "the generator takes no class"
    if reference.split == "train":
        scores.left_out["memorisation"] = "the reference images were trained on, so they are copies themselves"
    else:
        say(f"comparing them with {len(train.images):,} training images")
        _add_memorisation(scores, real, sampled.images)
    _add_density(scores, real, sampled.images)
    if subject.discriminate is None:
        scores.left_out["discriminator"] = subject.why_no_discriminator
    else:
        _add_discriminator_scores(scores, subject.discriminate, subject.threshold, real.reference, sampled)
    if of_classes:
        _add_labelled_scores(scores, subject, real, options, say)
    return scores


def refuse_labelled(conditional: bool, train: ImageData, options: Options) -> None:
    """Raise UserError if CAS or 1-NN is wanted of a generator, or of data, without one class an image."""
    if not (options.cas or options.nearest_neighbour):
        return
    score = "CAS" if options.cas else "the nearest-neighbour error"
    setting = Setting("cas" if options.cas else "nearest_neighbour")
    if not conditional:
        raise UserError(f"{score} needs a generator that draws the class it is asked for", "leave out ", setting)
    if train.max_tags:
        raise UserError(f"{score} needs one class an image, and these have tags", "leave out ", setting)


def add_modes(
    scores: Scores, subject: Subject, judge: Judge, reference: ImageData, labels: np.ndarray | None, seed: int
) -> None:
    """Count the modes of stacked images. `judge`, of the data set of the channels, reads each channel.

    The count is that of the reference images, uint8, N×C×H×W, but at most STACKED. Adds modes_<count> and kl_<count>,
    the divergence from uniform in nats, for as many samples and as many reference images. A conditional generator gets
    `labels`.
    """
    count = min(STACKED, len(reference.images))
    images = draw_bytes(subject.draw, subject.latent, count, seed, None if labels is None else labels[:count])
    of_generated, of_real = (
        metrics.mode_coverage(_mode_of(judge, some), len(reference.classes))
        for some in (images, reference.images[:count])
    )
    for name, score in of_generated.items():
        scores.add(f"{name}_{of_count(count)}", score, of_real[name])


def _mode_of(judge: Judge, images: np.ndarray) -> np.ndarray:
    """Return the number that the digits of an image's channels make, int64 (N,)."""
    digits = [judge.read(images[:, channel : channel + 1]) for channel in range(images.shape[1])]
    return sum(read * judge.class_count**place for place, read in enumerate(reversed(digits)))


class QuickScorer:
    """A cheap look at a generator while it trains.

    Args:
        judge: of the data.
        reference: images to compare with, uint8, N×C×H×W.
        others: as many other real images, for the distance of real to real.

    With few images the ratio says little of a good generator: the distance of real to real is mostly bias.
    """

    def __init__(self, judge: Judge, reference: np.ndarray, others: np.ndarray):
        self.judge = judge
        self.reference, real = (moments(judge.features(images)) for images in (reference, others))
        self.real = frechet_distance(real, self.reference)
        self.has_ratio = distance_ratio(0.0, self.real, self.reference) is not None

    def __call__(self, images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float | None]:
        """Return `fd_ratio`, and, with the labels that were asked for, int (N,), `class_accuracy`.

        `images`: as many as the reference images, float32 in [0, 1]. The ratio is None if it is undefined (NO_RATIO).
        """
        distance = frechet_distance(moments(self.judge.features(images)), self.reference)
        scores = {"fd_ratio": distance_ratio(distance, self.real, self.reference)}
        if labels is not None:
            scores["class_accuracy"] = metrics.class_accuracy(self.judge.read(images), labels, self.judge.class_count)
        return scores


def labels_to_ask_for(reference: ImageData, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the labels of the reference images, shuffled, and some more, so that there are enough of each class.

    With 10,000 images and ten classes enough means 1,000 a class. The second array holds the indices of as many labels
    of each class. With tags there are no more, and no second array.
    """
    labels = _labels(reference)
    labels = labels[random_stream(seed, "labels").permutation(len(labels))]
    if reference.max_tags:
        return labels, None
    numbers = range(len(reference.classes))
    of_each = max(1, len(labels) // len(reference.classes))
    missing = [np.full(max(0, of_each - int((labels == number).sum())), number, np.int32) for number in numbers]
    labels = np.concatenate((labels, *missing))
    return labels, np.concatenate([np.flatnonzero(labels == number)[:of_each] for number in numbers])


def _protocol(real: Real, reference: ImageData, conditional: bool, seed: int) -> dict[str, Any]:
    labels = "as often as in the images compared with; class accuracy: each class equally often"
    return {
        "generated": real.count,
        "real": real.count,
        "split": reference.split,
        "seed": seed,
        "neighbours": metrics.NEIGHBOURS,
        "images_to_compare_with": len(reference.images),
        "other_training_images": len(real.train.images),
        "pixels": "generated images are rounded to 256 levels, as files and the real ones are",
        "labels": labels if conditional else None,
    }


def _labels(data: ImageData) -> np.ndarray:
    assert data.labels is not None, "data for a conditional generator have labels"
    return data.labels


def _protocol_name(real: Real) -> str:
    return f"{of_count(real.count)}_{real.reference.split}"


def _with_labels(labels: np.ndarray, wanted: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    """Return disjoint draws of `numbers`, (N,), each with the labels of `wanted`; none if there are too few.

    `labels`, (N,), belong to `numbers`.
    """
    of_each = [(numbers[labels == label], count) for label, count in zip(*np.unique(wanted, return_counts=True))]
    draws = min(len(some) // count for some, count in of_each)
    return [
        np.concatenate([some[draw * count : (draw + 1) * count] for some, count in of_each]) for draw in range(draws)
    ]


def _add_feature_scores(scores: Scores, judge: Judge, real: Real, images: np.ndarray) -> None:
    of = _protocol_name(real)
    of_reference, of_images, *of_draws = map(judge.features, (real.reference.images, images, *real.draws))
    reference = moments(of_reference)
    distance, *of_real = (frechet_distance(moments(some), reference) for some in (of_images, *of_draws))
    scores.protocol["fd_of_real_draws"] = of_real
    scores.add(f"fd_{of}", distance, float(np.mean(of_real)))
    ratio = distance_ratio(distance, float(np.mean(of_real)), reference)
    if ratio is None:
        scores.left_out[f"fd_{of}_ratio"] = NO_RATIO
    else:
        scores.add(f"fd_{of}_ratio", ratio, 1.0)
    of_generated = metrics.precision_recall_density_coverage(of_reference, of_images)
    of_training = metrics.precision_recall_density_coverage(of_reference, of_draws[0])
    for name, score in of_generated.items():
        scores.add(f"{name}_{of}", score, of_training[name])


def _add_class_scores(scores: Scores, judge: Judge, real: Real, sampled: Sampled) -> None:
    classes = len(real.reference.classes)
    read, read_in_real = judge.read(sampled.more), judge.read(real.reference.images)
    scores.shares = {
        "generated": metrics.class_shares(read[: real.count], classes),
        "real": metrics.class_shares(read_in_real, classes),
    }
    balanced, labels = sampled.balanced, sampled.labels
    if balanced is not None and labels is not None:
        scores.add(
            f"class_accuracy_{of_count(len(balanced) // classes)}_per_class",
            metrics.class_accuracy(read[balanced], labels[balanced], classes),
            metrics.class_accuracy(read_in_real, _labels(real.reference), classes),
        )


def _add_memorisation(scores: Scores, real: Real, images: np.ndarray) -> None:
    scores.nearest = {
        "generated": metrics.nearest(images, real.train.images)[0],
        "real": metrics.nearest(real.reference.images, real.train.images)[0],
    }
    of_generated, of_real = (metrics.memorisation(scores.nearest[kind]) for kind in ("generated", "real"))
    for name, score in of_generated.items():
        scores.add(f"memorisation_{of_count(real.count)}_{name}", score, of_real[name])


def _add_density(scores: Scores, real: Real, images: np.ndarray) -> None:
    of_generated, of_real = (
        metrics.parzen_log_likelihood(samples, real.for_width, real.reference.images)
        for samples in (images, real.draws[0])
    )
    for name, key in (("", "log_likelihood"), ("_error", "error"), ("_sigma", "sigma")):
        scores.add(f"parzen_{_protocol_name(real)}{name}", of_generated[key], of_real[key])


def _add_discriminator_scores(
    scores: Scores, discriminate: Discriminate, threshold: float | None, reference: ImageData, sampled: Sampled
) -> None:
    images, real = sampled.images[:DISCRIMINATED], reference.images[:DISCRIMINATED]
    of_images, of_real = None, None
    if sampled.labels is not None:
        of_images, of_real = sampled.labels[: len(images)], _labels(reference)[: len(real)]
    scores.logits = {"real": discriminate(real, of_real), "generated": discriminate(images, of_images)}
    scores.threshold = threshold
    for name, score in metrics.equilibrium(scores.logits["real"], scores.logits["generated"], threshold or 0.0).items():
        if threshold is None and name in ("accuracy_real", "accuracy_generated"):
            scores.left_out[f"discriminator_{name}"] = "of a relativistic D only differences of logits mean anything"
            continue
        of = f"_{reference.split}" if name.endswith("real") else ""
        scores.add(f"discriminator_{name}{of}", score)


def _add_labelled_scores(scores: Scores, subject: Subject, real: Real, options: Options, say: Say) -> None:
    """Add CAS and the nearest-neighbour error, as the options ask for."""
    for wanted, name in ((options.cas, "cas"), (options.nearest_neighbour, "one_nearest_neighbour_error")):
        if not wanted:
            scores.left_out[name] = "computed on request only"
    if not (options.cas or options.nearest_neighbour):
        return
    count = min(LABELLED * real.count, len(real.train.images))
    labels, of = _labels(real.train)[:count], f"{of_count(count)}_{real.reference.split}"
    say(f"drawing {count:,} images with the labels of as many training images")
    images = draw_bytes(subject.draw, subject.latent, count, options.seed, labels)
    drawn = replace(real.train, images=images, labels=labels)
    same = replace(real.train, images=real.train.images[:count], labels=labels)
    if options.nearest_neighbour:
        say("looking for the nearest of them to each test image")
        errors = [
            metrics.one_nearest_neighbour_error(some.images, labels, real.reference.images, _labels(real.reference))
            for some in (drawn, same)
        ]
        scores.add(f"one_nearest_neighbour_error_{of}", *errors)
    if options.cas:
        accuracies = []
        for some, kind in ((drawn, "generated"), (same, "real")):
            say(f"training a classifier on {count:,} {kind} images")
            accuracies.append(accuracy(train_network("classes", some, options.seed, say), real.reference))
        scores.add(f"cas_{of}", *accuracies)
