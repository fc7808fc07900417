"""The protocol of the scores: which images are compared with which, and how many.

Generated images are compared with *reference* images. To report a model, these are the test split, which no network was
trained on. To choose among models or settings, they are validation images, held out from training, or training images
(`among_training_images`): a score used for selection is biased. A score's name says its protocol: fd_10k_test compares
10,000 images with as many of the test split, fd_10k_train with training images.

Other training images are used for memorisation, the width of the Parzen window, the labels of CAS and of the
nearest-neighbour error, and the column "real". That column holds the scores of real images in place of the generated
ones: as many training images, for a conditional model as many of each class, where there are enough. For memorisation
and class scores it uses the reference images instead.

Images may be sorted by class, as those of a folder are. So each choice of some is one of chance: see `in_mixed_order`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.data.storage import rows_of
from ms_gan.errors import UserError
from ms_gan.evaluation.metrics import of_count
from ms_gan.randomness import random_stream
from ms_gan.sampling import Draw, draw_bytes
from ms_gan.schema.recipe import Data, Latent

# images, uint8, N×C×H×W, and their labels, if any, to logits, float32 (N,) or (N, 1)
Discriminate = Callable[[np.ndarray, Optional[np.ndarray]], np.ndarray]

MOST = 10_000  # images of each kind
FEWEST = 100  # fewer say nothing of a distribution
OF_TRAINING = 6  # the last sixth, in mixed order, is for the Parzen window's width: 50,000 to 60,000 of MNIST
IN_MIXED_ORDER = ("mnist", "digits", "pizza")  # as published, or drawn; others may be sorted by class
OF_THOSE_COMPARED_WITH = 4  # at most a quarter of the training images is taken as reference
FOR_WIDTH = 1000  # images that choose the Parzen window's width, at most
OF_EACH_TAG = 50  # images that are drawn with each tag alone
DRAWS = 5  # of real images, at most, for the Fréchet distance of real to real: a single draw varies too much


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
        trained_on: the images that it may have copied, uint8, N×C×H×W, in each way that they were shown; () for all
            training images as they are.
    """

    draw: Draw
    latent: Latent
    conditional: bool = False
    discriminate: Discriminate | None = None
    why_no_discriminator: str = "the model has no discriminator"
    threshold: float | None = None
    trained_on: tuple[np.ndarray, ...] = ()

    def images(self, count: int, seed: int, labels: np.ndarray | None) -> np.ndarray:
        """Return so many of its images, uint8, N×C×H×W, of the latents of the seed."""
        return draw_bytes(self.draw, self.latent, count, seed, labels)


@dataclass(frozen=True)
class Real:
    """The real images of a comparison, uint8, N×C×H×W.

    Attributes:
        reference: those compared with; as many are generated.
        train: other training images, those held out among them.
        draws: disjoint sets of training images, each as many as `reference`, that take the generated ones' place.
        for_width: those that choose the Parzen window's width.
        as_labelled: whether each draw has the classes of the reference images.
    """

    reference: ImageData
    train: ImageData
    draws: tuple[np.ndarray, ...]
    for_width: np.ndarray
    as_labelled: bool = False

    @classmethod
    def choose(cls, train: ImageData, reference: ImageData, seed: int, as_labelled: bool = False) -> Real:
        """Choose by the seed as many of each as there are in both, at most MOST. Raises UserError for too few.

        With `as_labelled` each draw has the classes of the reference images, if there are enough.
        """
        count, kept = enough(train, reference)
        order = random_stream(seed, "test images").permutation(len(reference.images))
        chosen = reference.only(np.sort(order[:count]))
        mixed = in_mixed_order(train, seed)
        order = mixed[random_stream(seed, "real against real").permutation(kept)]
        alike = (labels_of(train)[order], labels_of(chosen)) if as_labelled else None
        draws, found_alike = disjoint_draws(order, count, alike)
        of_width = train.images[np.sort(mixed[kept:][:FOR_WIDTH])]
        return cls(chosen, train, tuple(rows_of(train.images, draw) for draw in draws), of_width, found_alike)

    @property
    def count(self) -> int:
        """How many images are compared with."""
        return len(self.reference.images)

    @property
    def protocol(self) -> str:
        """What the name of a score says: 10k_test."""
        return f"{of_count(self.count)}_{self.reference.split}"


def enough(train: ImageData, reference: ImageData) -> tuple[int, int]:
    """Return how many images of each kind are compared, and from how many training images they are chosen.

    The remaining training images, the last ones, are for the Parzen window's width. Raises UserError for too few.
    """
    kept = len(train.images) - len(train.images) // OF_TRAINING
    count = min(MOST, len(reference.images), kept)
    if count < FEWEST:
        least = (FEWEST * OF_TRAINING - 1) // (OF_TRAINING - 1)  # training images: some are for the window's width
        kind = "validation" if reference.split == "held_out" else "test"
        counts = ((kind, len(reference.images), FEWEST), ("training", len(train.images), least))
        short = [f"{have:,} of {wanted} {kind} images" for kind, have, wanted in counts if have < wanted]
        raise UserError(f"{reference.called}: has only {' and '.join(short)} that scores need", "have more of them")
    return count, kept


def in_mixed_order(data: ImageData, seed: int) -> np.ndarray:
    """Return the indices of the images, int (N,), in an order that tells nothing of their classes.

    Data that come in such an order (IN_MIXED_ORDER, and what is stacked of them) keep it; others get one by the seed.
    """
    if (data.channels_from or data.name) in IN_MIXED_ORDER:
        return np.arange(len(data.images))
    return random_stream(seed, "mixed order").permutation(len(data.images))


def as_shown(images: np.ndarray, shown: Data) -> tuple[np.ndarray, ...]:
    """Return images, uint8, N×C×S×S, in each way that a run shows them to its D, as views: 1, 2 or 8 arrays.

    Of those that are turned by any degrees it is the 8 quarter turns, mirrored and not.
    """
    if not (shown.mirror or shown.quarter_turns or shown.rotate_and_mirror):
        return (images,)
    ways = (images, images[..., ::-1])
    if shown.mirror:
        return ways
    return tuple(np.rot90(way, quarter, (2, 3)) for way in ways for quarter in range(4))


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


def labels_to_ask_for(reference: ImageData, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the labels of the reference images, shuffled, and some more, so that there are enough of each class.

    With 10,000 images and ten classes enough means 1,000 a class. Classes that no reference image has are not asked
    for. The second array holds the indices of as many labels of each class. With tags there are no more, and no second
    array.
    """
    labels = labels_of(reference)
    labels = labels[random_stream(seed, "labels").permutation(len(labels))]
    if reference.max_tags:
        return labels, None
    numbers = np.unique(labels)
    of_each = max(1, len(labels) // len(numbers))
    missing = [np.full(max(0, of_each - int((labels == number).sum())), number, np.int32) for number in numbers]
    labels = np.concatenate((labels, *missing))
    return labels, np.concatenate([np.flatnonzero(labels == number)[:of_each] for number in numbers])


def single_tags(tags: int, max_tags: int) -> np.ndarray:
    """Return labels that ask for each tag alone, int32 (tags · OF_EACH_TAG, max_tags): OF_EACH_TAG of each."""
    labels = np.zeros((tags * OF_EACH_TAG, max_tags), np.int32)
    labels[:, 0] = 1 + np.repeat(np.arange(tags), OF_EACH_TAG)
    return labels


def labels_of(data: ImageData) -> np.ndarray:
    """Return the labels of data for a conditional generator, which have some."""
    assert data.labels is not None, "data for a conditional generator have labels"
    return data.labels


def disjoint_draws(
    order: np.ndarray, count: int, alike: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[list[np.ndarray], bool]:
    """Return up to DRAWS draws of `count` of the numbers `order`, int (N,), N >= count, that share none.

    `alike` holds the labels of the numbers, (N,), and those that each draw is to have, (count,). The second result says
    whether they have them: there may be too few.
    """
    draws = _with_labels(*alike, order) if alike else []
    plain = np.split(order[: len(order) // count * count], len(order) // count)
    return (draws or plain)[:DRAWS], bool(draws)


def _with_labels(labels: np.ndarray, wanted: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    """Return disjoint draws of `numbers`, (N,), each with the labels of `wanted`; none if there are too few.

    `labels`, (N,), belong to `numbers`.
    """
    of_each = [(numbers[labels == label], count) for label, count in zip(*np.unique(wanted, return_counts=True))]
    draws = min(len(some) // count for some, count in of_each)
    return [
        np.concatenate([some[draw * count : (draw + 1) * count] for some, count in of_each]) for draw in range(draws)
    ]
