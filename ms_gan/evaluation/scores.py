"""The protocol: what is compared with what, how many, and what perfect samples would score.

Generated images are compared with the test split, which no network was trained on. Training images then serve for three
things alone: memorisation, which is about them; the Parzen window's width; and the column "real", in which as many of
them, or for memorisation the test images, stand where the generated ones do, with a conditional model each class as
often as there. A score's name says its protocol, such as fd_10k_test: 10,000 images, against as many of the test split.

Whoever chooses among models or settings compares with training images (`among_training_images`), or with such as were
held out, since a score that something was chosen by says too much of what was chosen; then names end otherwise, such as
fd_10k_train. "test" in the names of this module stands for whatever is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.evaluation import metrics
from ms_gan.evaluation.judges import Judge, accuracy, train_network
from ms_gan.evaluation.metrics import distance_ratio, frechet_distance, moments, of_count
from ms_gan.evaluation.sampling import Inputs, seeded_inputs
from ms_gan.runtime import random_stream

Draw = Callable[[Inputs], np.ndarray]  # inputs of a generator to images, float32 in [0, 1], N×C×H×W
# images, uint8, N×C×H×W, and their labels, if any, to logits, float32 (N,)
Discriminate = Callable[[np.ndarray, Optional[np.ndarray]], np.ndarray]
Say = Callable[[str], None]

STACKED = 26_000  # samples whose modes are counted
MOST, FEWEST = 10_000, 100  # images of each kind
OF_TRAINING = 6  # one in so many of the training split, its end, is for the Parzen window's width: 50,000 to 60,000
OF_THOSE_COMPARED_WITH = 4  # at most one in so many training images stands for the test split
VALIDATION = 1000  # at most so many of them
LABELLED = 5  # times as many samples for CAS and 1-NN: 50,000
DRAWS = 5  # of real images for the Fréchet distance of real to real, at most: one alone is as much luck as measure
DISCRIMINATED = 2000  # images of each kind that D judges: enough for two digits
DRAWN_AT_ONCE = 1000
NO_RATIO = (
    "real images have no distance to each other, as copies of one image have none, so there is nothing to divide by"
)


@dataclass
class Scores:
    """Scores by name, of the generated images and of real ones; why some are left out; and what a picture shows."""

    generated: dict[str, float] = field(default_factory=dict)
    real: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    shares: dict[str, Sequence[float]] | None = None  # of the classes that the judge reads
    nearest: dict[str, np.ndarray] | None = None  # distances to the nearest training image
    logits: dict[str, np.ndarray] | None = None  # of D
    threshold: float | None = None  # of these logits, above which D says real; None where they only compare

    def add(self, name: str, generated: float, real: float | None = None) -> None:
        """Keep one score, and that of real images where there is one."""
        self.generated[name] = generated
        if real is not None:
            self.real[name] = real


@dataclass(frozen=True)
class Real:
    """The real images of a comparison, uint8: those compared with, and others, which were trained on."""

    test: ImageData
    train: ImageData
    draws: tuple[np.ndarray, ...]  # disjoint, of as many training images each, which stand where the generated ones do
    validation: np.ndarray

    @classmethod
    def choose(cls, train: ImageData, test: ImageData, seed: int, as_labelled: bool = False) -> Real:
        """Choose, by the seed, as many of each as both splits hold, at most MOST. Raises UserError for too few.

        With `as_labelled` each draw of training images has the classes of the test images, where there are enough.
        """
        count, kept = enough(train, test)
        chosen = test.only(np.sort(random_stream(seed, "test images").permutation(len(test.images))[:count]))
        order = random_stream(seed, "real against real").permutation(kept)
        draws = np.split(order[: kept // count * count], kept // count)
        if as_labelled:
            draws = _with_labels(train.labels[order], chosen.labels, order) or draws
        return cls(chosen, train, tuple(train.images[draw] for draw in draws[:DRAWS]), train.images[kept:][:VALIDATION])

    @property
    def some(self) -> np.ndarray:
        """The first draw."""
        return self.draws[0]

    @property
    def count(self) -> int:
        """How many images are compared with, and as many are generated."""
        return len(self.test.images)


def enough(train: ImageData, test: ImageData) -> tuple[int, int]:
    """Return how many images of each kind are compared, and of how many training images. Raises UserError for too few.

    The other training images, the last ones, are for the width of the Parzen window.
    """
    kept = len(train.images) - len(train.images) // OF_TRAINING
    count = min(MOST, len(test.images), kept)
    if count < FEWEST:
        raise UserError(
            f"{test.name}, {test.source}: {len(test.images):,} test images and {len(train.images):,} "
            f"training images are too few for --metrics, which needs at least {FEWEST} and "
            f"{FEWEST * 6 // 5}"
        )
    return count, kept


def among_training_images(train: ImageData, test: ImageData, seed: int) -> tuple[ImageData, ImageData]:
    """Return other training images, and those, by the seed, to compare with in place of the test split's.

    They are as many as the test split has, at most one in OF_THOSE_COMPARED_WITH. Raises UserError for too few.
    """
    order = random_stream(seed, "training images to compare with").permutation(len(train.images))
    count = min(len(test.images), len(order) // OF_THOSE_COMPARED_WITH)
    if count < FEWEST:
        raise UserError(
            f"{train.name}, {train.source}: {len(train.images):,} training images and {len(test.images):,} "
            f"test images are too few to compare with some of the training images, which needs at least "
            f"{FEWEST * OF_THOSE_COMPARED_WITH} and {FEWEST}"
        )
    return train.only(np.sort(order[count:])), train.only(np.sort(order[:count]))


def measure(
    draw: Draw,
    latent: dict[str, Any],
    conditional: bool,
    train: ImageData,
    test: ImageData,
    seed: int,
    judge: Judge | None,
    no_judge: str | None,
    discriminate: Discriminate | None,
    no_discriminator: str | None,
    threshold: float | None,
    cas: bool,
    nearest_neighbour: bool,
    say: Say,
) -> Scores:
    """Score a generator. Raises UserError for too few real images, and for CAS or 1-NN of one without classes.

    `train` and `test` are the splits, or what `among_training_images` makes of them, which leaves out memorisation; or
    `test` is such as were held out.
    `latent` holds the latents' distribution and size; a `conditional` generator gets the labels of the test images.
    `judge` belongs to the data, or `no_judge` says why there is none; `discriminate` is the model's own D, or
    `no_discriminator` says why there is none; above the `threshold` its logits say real, None where they only compare.
    """
    refuse_labelled(conditional, train, cas, nearest_neighbour)
    real = Real.choose(train, test, seed, as_labelled=conditional and not test.places)
    count, of, scores = real.count, f"{of_count(real.count)}_{test.split}", Scores()
    labels, balanced = _wanted_labels(real.test, seed) if conditional else (None, None)
    scores.protocol = {
        "generated": count,
        "real": count,
        "split": test.split,
        "seed": seed,
        "neighbours": metrics.NEIGHBOURS,
        "images_to_compare_with": len(test.images),
        "other_training_images": len(train.images),
        "pixels": "generated images are rounded to 256 levels, as files and the real ones are",
        "labels": (
            "as often as in the images compared with; class accuracy: each class equally often" if conditional else None
        ),
    }

    say(f"drawing {count if labels is None else len(labels):,} images")
    everything = draw_bytes(draw, latent, count if labels is None else len(labels), seed, labels)
    images = everything[:count]
    if judge is None:
        scores.left_out["fd, precision, recall, density, coverage, class_accuracy"] = no_judge
    else:
        say("reading them with the judge")
        _by_features(scores, judge, real, images, of)
        _by_classes(scores, judge, real, images, everything, labels, balanced)
    if not conditional:
        scores.left_out["class_accuracy"] = "the generator takes no class"
    elif test.places:
        scores.left_out["class_accuracy"] = "the generator takes tags, and a judge reads one class"
    if test.split == "train":
        scores.left_out["memorisation"] = "real images that were trained on tell nothing about copies"
    else:
        say(f"comparing them with {len(train.images):,} training images")
        _by_training_images(scores, real, images, of_count(count))
    _by_density(scores, real, images, of)
    if discriminate is None:
        scores.left_out["discriminator"] = no_discriminator
    else:
        _by_discriminator(scores, discriminate, real.test, images, labels, threshold)
    if nearest_neighbour or cas:
        _by_labels(scores, draw, latent, real, seed, cas, nearest_neighbour, say)
    for wanted, name in ((cas, "cas"), (nearest_neighbour, "one_nearest_neighbour_error")):
        if not wanted and conditional and not test.places:
            scores.left_out[name] = f"on request: --{'cas' if name == 'cas' else 'nearest-neighbour'}"
    return scores


def refuse_labelled(conditional: bool, train: ImageData, cas: bool, nearest_neighbour: bool) -> None:
    """Raise UserError where CAS or 1-NN is wanted of a generator, or of data, without one class an image."""
    option = "--cas" if cas else "--nearest-neighbour"
    if (cas or nearest_neighbour) and not conditional:
        raise UserError(f"{option} needs a generator that draws the class it is asked for; leave it out")
    if (cas or nearest_neighbour) and train.places:
        raise UserError(f"{option} needs one class an image, and these have tags; leave it out")


def count_modes(
    scores: Scores,
    draw: Draw,
    latent: dict[str, Any],
    judge: Judge,
    test: ImageData,
    seed: int,
    labels: np.ndarray | None = None,
) -> None:
    """Count the modes of stacked images: each channel read by the judge of the data set that the channels are from.

    Adds modes_<count>, of as many samples as there are test images, at most STACKED, and kl_<count> to uniform, in
    nats, and what as many test images score. A conditional generator gets `labels`, those of the test images.
    """
    count = min(STACKED, len(test.images))
    images = draw_bytes(draw, latent, count, seed, None if labels is None else labels[:count])
    of_generated, of_test = (
        metrics.mode_coverage(_mode_of(judge, some), len(test.classes)) for some in (images, test.images[:count])
    )
    for name, score in of_generated.items():
        scores.add(f"{name}_{of_count(count)}", score, of_test[name])


def _mode_of(judge: Judge, images: np.ndarray) -> np.ndarray:
    """Return the number that the digits of an image's channels make, int64 (N,)."""
    digits = [judge.read(images[:, channel : channel + 1]) for channel in range(images.shape[1])]
    return sum(read * len(judge.about["classes"]) ** place for place, read in enumerate(reversed(digits)))


class QuickScores:
    """A cheap look at a generator while it trains.

    Built once, from the images to compare with and as many others, uint8, N×C×H×W, for real against real; called with
    as many generated ones, float32 in [0, 1], and for a conditional generator the classes asked for, int (N,). It
    returns `fd_ratio`, the Fréchet distance as a ratio to that of real against real, None where that is nothing, and,
    with classes, `class_accuracy`. With few images such a ratio says little of a good generator, as
    the distance of real to real is mostly bias.
    """

    def __init__(self, judge: Judge, reference: np.ndarray, others: np.ndarray):
        self.judge, self.classes = judge, len(judge.about["classes"])
        self.reference, real = (moments(judge.features(images)) for images in (reference, others))
        self.real = frechet_distance(real, self.reference)
        self.has_ratio = distance_ratio(0.0, self.real, self.reference) is not None

    def __call__(self, images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float | None]:
        distance = frechet_distance(moments(self.judge.features(images)), self.reference)
        scores = {"fd_ratio": distance_ratio(distance, self.real, self.reference)}
        if labels is not None:
            scores["class_accuracy"] = metrics.class_accuracy(self.judge.read(images), labels, self.classes)
        return scores


def draw_bytes(
    draw: Draw, latent: dict[str, Any], count: int, seed: int, labels: np.ndarray | None = None
) -> np.ndarray:
    """Return `count` images of the seed's latents as bytes, uint8, N×C×H×W, drawn in parts to save memory."""
    inputs = seeded_inputs(latent, count, seed, labels)
    parts = []
    for start in range(0, count, DRAWN_AT_ONCE):
        images = draw(tuple(array[start : start + DRAWN_AT_ONCE] for array in inputs))
        parts.append(np.rint(images * 255).astype(np.uint8))
    return np.concatenate(parts)


def _wanted_labels(test: ImageData, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the labels to ask for: those of the test images, and behind them some more, so that there are enough.

    Enough means 1,000 a class where there are 10,000 images and ten classes; the second array says which images those
    are, each class equally often. With tags there are no more, and no second array.
    """
    labels = test.labels[random_stream(seed, "labels").permutation(len(test.labels))]
    if test.places:
        return labels, None
    of_each = max(1, len(labels) // len(test.classes))
    missing = [
        np.full(max(0, of_each - int((labels == number).sum())), number, np.int32)
        for number in range(len(test.classes))
    ]
    labels = np.concatenate((labels, *missing))
    return labels, np.concatenate([np.flatnonzero(labels == number)[:of_each] for number in range(len(test.classes))])


def _with_labels(labels: np.ndarray, wanted: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    """Return disjoint draws of `numbers`, (N,), each with as many of every label as `wanted`; none, where they lack.

    `labels`, (N,), are those of the numbers.
    """
    of_each = [(numbers[labels == label], count) for label, count in zip(*np.unique(wanted, return_counts=True))]
    draws = min(len(some) // count for some, count in of_each)
    return [
        np.concatenate([some[draw * count : (draw + 1) * count] for some, count in of_each]) for draw in range(draws)
    ]


def _by_features(scores: Scores, judge: Judge, real: Real, images: np.ndarray, of: str) -> None:
    of_test, of_images, *of_draws = (judge.features(some) for some in (real.test.images, images, *real.draws))
    reference = moments(of_test)
    distance, *of_real = (frechet_distance(moments(some), reference) for some in (of_images, *of_draws))
    scores.protocol["fd_of_real_draws"] = of_real
    scores.add(f"fd_{of}", distance, float(np.mean(of_real)))
    ratio = distance_ratio(distance, float(np.mean(of_real)), reference)
    if ratio is None:
        scores.left_out[f"fd_{of}_ratio"] = NO_RATIO
    else:
        scores.add(f"fd_{of}_ratio", ratio, 1.0)
    of_generated = metrics.precision_recall_density_coverage(of_test, of_images)
    of_training = metrics.precision_recall_density_coverage(of_test, of_draws[0])
    for name, score in of_generated.items():
        scores.add(f"{name}_{of}", score, of_training[name])


def _by_classes(
    scores: Scores,
    judge: Judge,
    real: Real,
    images: np.ndarray,
    everything: np.ndarray,
    labels: np.ndarray | None,
    balanced: np.ndarray | None,
) -> None:
    classes = len(real.test.classes)
    read, read_in_real = judge.read(everything), judge.read(real.test.images)
    scores.shares = {
        "generated": metrics.class_shares(read[: len(images)], classes),
        "real": metrics.class_shares(read_in_real, classes),
    }
    if balanced is not None:
        name = f"class_accuracy_{of_count(len(balanced) // classes)}_per_class"
        scores.add(
            name,
            metrics.class_accuracy(read[balanced], labels[balanced], classes),
            metrics.class_accuracy(read_in_real, real.test.labels, classes),
        )


def _by_training_images(scores: Scores, real: Real, images: np.ndarray, of: str) -> None:
    scores.nearest = {
        "generated": metrics.nearest(images, real.train.images)[0],
        "real": metrics.nearest(real.test.images, real.train.images)[0],
    }
    of_generated, of_test = (metrics.memorisation(scores.nearest[kind]) for kind in ("generated", "real"))
    for name, score in of_generated.items():
        scores.add(f"memorisation_{of}_{name}", score, of_test[name])


def _by_density(scores: Scores, real: Real, images: np.ndarray, of: str) -> None:
    of_generated, of_real = (
        metrics.parzen_log_likelihood(samples, real.validation, real.test.images) for samples in (images, real.some)
    )
    for name, key in (("", "log_likelihood"), ("_error", "error"), ("_sigma", "sigma")):
        scores.add(f"parzen_{of}{name}", of_generated[key], of_real[key])


def _by_discriminator(
    scores: Scores,
    discriminate: Discriminate,
    test: ImageData,
    images: np.ndarray,
    labels: np.ndarray | None,
    threshold: float | None,
) -> None:
    some = slice(0, DISCRIMINATED)
    of_images, of_test = (None, None) if labels is None else (labels[: len(images)][some], test.labels[some])
    scores.logits = {
        "real": discriminate(test.images[some], of_test),
        "generated": discriminate(images[some], of_images),
    }
    scores.threshold = threshold
    for name, score in metrics.equilibrium(scores.logits["real"], scores.logits["generated"], threshold or 0.0).items():
        if threshold is None and name in ("accuracy_real", "accuracy_generated"):
            scores.left_out[f"discriminator_{name}"] = "of a relativistic D only differences of logits mean anything"
            continue
        scores.add(f"discriminator_{name}_{test.split}" if name.endswith("real") else f"discriminator_{name}", score)


def _by_labels(
    scores: Scores,
    draw: Draw,
    latent: dict[str, Any],
    real: Real,
    seed: int,
    cas: bool,
    nearest_neighbour: bool,
    say: Say,
) -> None:
    count = min(LABELLED * real.count, len(real.train.images))
    labels, of = real.train.labels[:count], f"{of_count(count)}_{real.test.split}"
    say(f"drawing {count:,} images with the labels of as many training images")
    drawn = replace(real.train, images=draw_bytes(draw, latent, count, seed, labels), labels=labels)
    same = replace(real.train, images=real.train.images[:count], labels=labels)
    if nearest_neighbour:
        say("looking for the nearest of them to each test image")
        scores.add(
            f"one_nearest_neighbour_error_{of}",
            *(
                metrics.one_nearest_neighbour_error(some.images, labels, real.test.images, real.test.labels)
                for some in (drawn, same)
            ),
        )
    if cas:
        accuracies: list[float] = []
        for some, kind in ((drawn, "generated"), (same, "real")):
            say(f"training a classifier on {count:,} {kind} images")
            accuracies.append(accuracy(train_network("classes", some, seed, say), real.test))
        scores.add(f"cas_{of}", *accuracies)
