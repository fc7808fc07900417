"""The scores of a generator, and of real images in its place. `protocol` says which images are compared with which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.errors import Setting, UserError
from ms_gan.evaluation import metrics
from ms_gan.evaluation.flecks import Faulty, faulty, has_dark_ground
from ms_gan.evaluation.judge import Judge
from ms_gan.evaluation.judge_training import Say, accuracy, train_network
from ms_gan.evaluation.metrics import distance_ratio, frechet_distance, moments, of_count, tag_indicators
from ms_gan.evaluation.protocol import (
    OF_EACH_TAG,
    Real,
    Subject,
    in_mixed_order,
    labels_of,
    labels_to_ask_for,
    single_tags,
)
from ms_gan.evaluation.table import table
from ms_gan.randomness import random_stream

LABELLED = 5  # times as many samples for CAS and 1-NN: 50,000
RECOGNISED = 0.8  # of the images with a tag alone: so often it has to be read
DISCRIMINATED = 2000  # images of each kind for D: enough for two digits


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
    shares: dict[str, Sequence[float]] | None = None  # of the classes that the judge reads, or of images with each tag
    nearest: dict[str, np.ndarray] | None = None  # distances to the nearest training image
    logits: dict[str, np.ndarray] | None = None  # of D
    threshold: float | None = None  # the logit above which D says real; None if they only compare

    def add(self, name: str, generated: float, real: float | None = None) -> None:
        """Store one score, and that of real images if there is one."""
        self.generated[name] = generated
        if real is not None:
            self.real[name] = real

    def table(self) -> list[str]:
        """Return the scores as lines of text: name, generated, real."""
        return table([("generated", self.generated), ("real", self.real)])

    def add_each(self, called: str, generated: Mapping[str, float], real: Mapping[str, float]) -> None:
        """Store several scores by their names, each put into `called`, such as "{}_10k_test"."""
        for name, score in generated.items():
            self.add(called.format(name), score, real[name])


@dataclass(frozen=True)
class Generated:
    """The generated images of a comparison, uint8, N×C×H×W.

    Attributes:
        images: as many as there are reference images.
        more: these, followed by some more, so that there are enough of each class.
        labels: of `more`: int32, (N,) or (N, max_tags); None without labels.
        balanced: indices into `more`, each class equally often; None without classes.
    """

    images: np.ndarray
    more: np.ndarray
    labels: np.ndarray | None
    balanced: np.ndarray | None


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
        train: training images; those held out may be among them. The column "real" is measured at them.
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
    scores = Scores(protocol=_protocol(real, reference, conditional, of_classes, options.seed))
    drawn = _draw(subject, real, options.seed, say)
    of_labels = "average_precision, single_tags" if reference.max_tags else "class_accuracy"
    if judge is None:
        scores.left_out[f"fd, precision, recall, density, coverage, {of_labels}"] = str(why_no_judge)
    else:
        say("reading them with the judge")
        _add_judged_scores(scores, subject, judge, real, drawn)
    if not conditional:
        scores.left_out[of_labels] = f"the generator takes no {'tags' if reference.max_tags else 'class'}"
    _add_sharpness(scores, real, drawn)
    _add_faults(scores, real, drawn)
    if reference.split == "train":
        scores.left_out["memorisation"] = "the reference images were trained on, so they are copies themselves"
    else:
        trained_on = subject.trained_on or (train.images,)
        ways = f", each shown in {len(trained_on)} ways" if len(trained_on) > 1 else ""
        say(f"comparing them with {len(trained_on[0]):,} training images{ways}")
        _add_memorisation(scores, real, drawn, trained_on)
    _add_density(scores, real, drawn)
    _add_discriminator_scores(scores, subject, real, drawn, options.seed)
    if of_classes:
        _add_labelled_scores(scores, subject, real, options, say)
    return scores


def _draw(subject: Subject, real: Real, seed: int, say: Say) -> Generated:
    """Draw what is compared with the real images: as many of them, and where there are classes enough of each."""
    labels, balanced = labels_to_ask_for(real.reference, seed) if subject.conditional else (None, None)
    count = real.count if labels is None else len(labels)
    say(f"drawing {count:,} images")
    images = subject.images(count, seed, labels)
    return Generated(images[: real.count], images, labels, balanced)


def refuse_labelled(conditional: bool, train: ImageData, options: Options) -> None:
    """Raise UserError if CAS or 1-NN is wanted of a generator, or of data, without one class an image."""
    for wanted, score, setting in (
        (options.cas, "CAS", "cas"),
        (options.nearest_neighbour, "the nearest-neighbour error", "nearest_neighbour"),
    ):
        if wanted and (train.max_tags or not conditional):
            problem = f"{score} needs a generator that draws one class that it is asked for, and not tags"
            raise UserError(problem, "leave out ", Setting(setting))


def _protocol(real: Real, reference: ImageData, conditional: bool, of_classes: bool, seed: int) -> dict[str, Any]:
    labels = "as often as in the images compared with; class accuracy: each class equally often"
    if reference.max_tags:
        labels = f"those of the images compared with; single tags: {OF_EACH_TAG} images of each tag alone"
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
        "real_as_labelled": real.as_labelled if of_classes else None,
    }


def _add_judged_scores(scores: Scores, subject: Subject, judge: Judge, real: Real, drawn: Generated) -> None:
    """Add what the judge says: of features, and of classes or tags."""
    _add_feature_scores(scores, judge, real, drawn)
    if real.reference.max_tags:
        _add_tag_scores(scores, subject, judge, real, drawn)
    else:
        _add_class_scores(scores, judge, real, drawn)


def _add_feature_scores(scores: Scores, judge: Judge, real: Real, drawn: Generated) -> None:
    of = real.protocol
    of_reference, of_images, *of_draws = map(judge.features, (real.reference.images, drawn.images, *real.draws))
    reference = moments(of_reference)
    distance, *of_real = (frechet_distance(moments(some), reference) for some in (of_images, *of_draws))
    scores.protocol["fd_of_real_draws"] = of_real
    scores.add(f"fd_{of}", distance, float(np.mean(of_real)))
    ratio = distance_ratio(distance, float(np.mean(of_real)), reference)
    if ratio is None:
        scores.left_out[f"fd_{of}_ratio"] = metrics.NO_RATIO
    else:
        scores.add(f"fd_{of}_ratio", ratio, 1.0)
    both = (metrics.precision_recall_density_coverage(of_reference, some) for some in (of_images, of_draws[0]))
    scores.add_each(f"{{}}_{of}", *both)


def _add_class_scores(scores: Scores, judge: Judge, real: Real, drawn: Generated) -> None:
    classes = len(real.reference.classes)
    read, read_in_real = judge.read(drawn.more), judge.read(real.reference.images)
    scores.shares = {
        "generated": metrics.class_shares(read[: real.count], classes),
        "real": metrics.class_shares(read_in_real, classes),
    }
    balanced, labels = drawn.balanced, drawn.labels
    if balanced is not None and labels is not None:
        scores.add(
            f"class_accuracy_{of_count(len(balanced) // len(np.unique(labels)))}_per_class",
            metrics.class_accuracy(read[balanced], labels[balanced], classes),
            metrics.class_accuracy(read_in_real, labels_of(real.reference), classes),
        )


def _add_tag_scores(scores: Scores, subject: Subject, judge: Judge, real: Real, drawn: Generated) -> None:
    """Add which tags the judge reads and, of a generator that takes tags, whether these are those it was asked for."""
    tags, seed = real.reference.classes, scores.protocol["seed"]
    logits = {"generated": judge.logits(drawn.images), "real": judge.logits(real.reference.images)}
    scores.shares = {kind: tuple((some > 0).mean(0).tolist()) for kind, some in logits.items()}
    if drawn.labels is None:
        return
    has = {"generated": tag_indicators(drawn.labels[: real.count], len(tags))}
    has["real"] = tag_indicators(labels_of(real.reference), len(tags))
    precisions = {kind: metrics.average_precisions(some, has[kind]) for kind, some in logits.items()}
    scores.add(f"average_precision_{real.protocol}", *(float(np.nanmean(some)) for some in precisions.values()))
    asked = single_tags(len(tags), real.reference.max_tags)
    read = judge.logits(subject.images(len(asked), seed, asked)) > 0
    alone = {
        "generated": metrics.single_tag_shares(read, tag_indicators(asked, len(tags))),
        "real": metrics.single_tag_shares(logits["real"] > 0, has["real"]),
    }
    scores.add(f"single_tags_recognised_{OF_EACH_TAG}", float((alone["generated"] >= RECOGNISED).sum()))
    of_real = None if np.isnan(alone["real"]).all() else float(np.nanmean(alone["real"]))
    scores.add(f"single_tags_share_{OF_EACH_TAG}", float(alone["generated"].mean()), of_real)
    scores.protocol["real_images_with_one_tag"] = int((has["real"].sum(1) == 1).sum())
    scores.protocol["of_each_tag"] = {
        name: {kind: _by_tag(tags, some) for kind, some in both.items()}
        for name, both in (("average_precision", precisions), ("single_tags_share", alone))
    }


def _by_tag(tags: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {tag: None if np.isnan(value) else float(value) for tag, value in zip(tags, values)}  # JSON has no NaN


def _add_sharpness(scores: Scores, real: Real, drawn: Generated) -> None:
    name, of_reference = f"sharpness_{real.protocol}_ratio", metrics.sharpness(real.reference.images)
    if of_reference == 0:
        scores.left_out[name] = "no real image has an edge (its sharpness is 0), so the ratio is undefined"
        return
    of_draws = float(np.mean([metrics.sharpness(draw) for draw in real.draws]))
    scores.add(name, metrics.sharpness(drawn.images) / of_reference, of_draws / of_reference)


def _add_faults(scores: Scores, real: Real, drawn: Generated) -> None:
    """Add the shares of flecked and of broken images, and their ratios to those of the reference images."""
    of, reference = real.protocol, real.reference.images
    if reference.shape[1] != 1 or not has_dark_ground(reference):
        scores.left_out["flecked, broken"] = "only for grey images on a dark ground"
        return
    of_reference, of_images, *of_each_draw = map(faulty, (reference, drawn.images, *real.draws))
    of_draws = np.mean(of_each_draw, axis=0).tolist()
    for name, among, generated, in_draws in zip(Faulty._fields, of_reference, of_images, of_draws):
        scores.add(f"{name}_{of}", generated, in_draws)
        if among == 0:
            scores.left_out[f"{name}_{of}_ratio"] = "no image compared with has this fault, so the ratio is undefined"
        else:
            scores.add(f"{name}_{of}_ratio", generated / among, in_draws / among)


def _add_memorisation(scores: Scores, real: Real, drawn: Generated, trained_on: Sequence[np.ndarray]) -> None:
    both = {"generated": drawn.images, "real": real.reference.images}
    scores.nearest = {
        kind: np.min([metrics.nearest(images, way)[0] for way in trained_on], axis=0) for kind, images in both.items()
    }
    scores.add_each(f"memorisation_{of_count(real.count)}_{{}}", *map(metrics.memorisation, scores.nearest.values()))


def _add_density(scores: Scores, real: Real, drawn: Generated) -> None:
    of_generated, of_real = (
        metrics.parzen_log_likelihood(samples, real.for_width, real.reference.images)
        for samples in (drawn.images, real.draws[0])
    )
    for name, key in (("", "log_likelihood"), ("_error", "error"), ("_sigma", "sigma")):
        scores.add(f"parzen_{real.protocol}{name}", of_generated[key], of_real[key])


def _add_discriminator_scores(scores: Scores, subject: Subject, real: Real, drawn: Generated, seed: int) -> None:
    if subject.discriminate is None:
        scores.left_out["discriminator"] = subject.why_no_discriminator
        return
    chosen = random_stream(seed, "images for D").permutation(real.count)[:DISCRIMINATED]
    some = real.reference.only(np.sort(chosen))  # the first test images are easier than the rest, or of few classes
    of_images = None if drawn.labels is None else drawn.labels[: real.count][:DISCRIMINATED]
    scores.logits = {
        "real": subject.discriminate(some.images, None if drawn.labels is None else labels_of(some)),
        "generated": subject.discriminate(drawn.images[:DISCRIMINATED], of_images),
    }
    scores.threshold = subject.threshold
    found = metrics.equilibrium(scores.logits["real"], scores.logits["generated"], subject.threshold or 0.0)
    for name, score in found.items():
        if subject.threshold is None and name in ("accuracy_real", "accuracy_generated"):
            scores.left_out[f"discriminator_{name}"] = "of a relativistic D only differences of logits mean anything"
            continue
        of = f"_{real.reference.split}" if name.endswith("real") else ""
        scores.add(f"discriminator_{name}{of}", score)


def _add_labelled_scores(scores: Scores, subject: Subject, real: Real, options: Options, say: Say) -> None:
    """Add CAS and the nearest-neighbour error, as the options ask for."""
    for wanted, name, option in (
        (options.cas, "cas", "--cas"),
        (options.nearest_neighbour, "one_nearest_neighbour_error", "--nearest-neighbour"),
    ):
        if not wanted:
            scores.left_out[name] = f"computed on request only ({option})"
    if not (options.cas or options.nearest_neighbour):
        return
    count = min(LABELLED * real.count, len(real.train.images))
    chosen = real.train.only(np.sort(in_mixed_order(real.train, options.seed)[:count]))
    labels, of = labels_of(chosen), f"{of_count(count)}_{real.reference.split}"
    say(f"drawing {count:,} images with the labels of as many training images")
    images = subject.images(count, options.seed, labels)
    both = [replace(chosen, images=images), chosen]
    if options.nearest_neighbour:
        say("looking for the nearest of them to each test image")
        test = real.reference.images, labels_of(real.reference)
        errors = [metrics.one_nearest_neighbour_error(some.images, labels, *test) for some in both]
        scores.add(f"one_nearest_neighbour_error_{of}", *errors)
    if options.cas:
        accuracies = []
        for some, kind in zip(both, ("generated", "real")):
            say(f"training a classifier on {count:,} {kind} images")
            accuracies.append(accuracy(train_network("classes", some, options.seed, say), real.reference))
        scores.add(f"cas_{of}", *accuracies)
