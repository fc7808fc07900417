"""What a data set is, and what is wanted of one, whatever it is read or drawn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from ms_gan.data.faults import DataFault, one_line
from ms_gan.data.storage import let_go, parts_of, room_for, rows_of
from ms_gan.errors import Setting, UserError

MOST_NAMED = 10  # classes, in a message
ONE_FORMAT = {"mnist", "idx"}  # the names of data that are read alike; a run may have been begun under either


class NoTestSplit(DataFault):
    """The data have no image for "test"."""


@dataclass(frozen=True)
class DataRequest:
    """What is wanted of a data set: a recipe's `data` section, and for a run that exists what it recorded.

    size, channels: of the images; data sets that have no size of their own are brought to them.
    classes: how many classes or tags are to be learned; 0 for a recipe that takes no labels.
    max_tags: how many tags an image may have; 0 for one class an image.
    rotate_and_mirror: images are turned later, so twice the size is better.
    class_names: the classes or tags in the order of their numbers, as a run knows them; None for the data's own.
    test_split_up_to, test_split_but: those of a run's ImageData, so that a folder has the test split that it had then.
    verify_test: read the files of "test", too, when "train" is loaded, to find those that cannot be read.
    """

    size: int = 28
    channels: int = 1
    classes: int = 0
    max_tags: int = 0
    rotate_and_mirror: bool = False
    class_names: tuple[str, ...] | None = None
    test_split_up_to: str | None = None
    test_split_but: tuple[str, ...] = ()
    verify_test: bool = True

    @classmethod
    def of(cls, section: Any = None, **more: Any) -> DataRequest:
        """Return the request of a recipe's `data` section, or of a request, with `more` settings."""
        given = vars(section) if section else {}
        own = {field.name: given[field.name] for field in fields(cls) if field.name in given}
        return cls(**{**own, **more})


@dataclass(frozen=True, eq=False)
class ImageData:
    """One split of an image data set, in memory, or, of a large folder, in a file: see `storage`.

    name: of the data set. split: "train" or "test"; of training images that scores compare with also "held_out".
    source: a sentence fragment for logs and records, such as "the folder X".
    images: uint8, N x C x H x W, 0 to 255.
    classes: the name of each class, or, where an image may have several, of each tag.
    labels: None, or with `max_tags` = 0 one class an image: int32 (N,), indices into `classes`. With `max_tags` > 0,
    up to that many tags an image: int32 (N, max_tags), 1 + the indices of its tags in rising order, then zeros.
    notes: what a user should know about how the images were made to fit, one line each.
    channels_from: where each channel is a grey image of another data set, the name of that one.
    test_split_up_to: the digest that separates a folder's "test" images from its "train" ones, see `load_folder`.
    test_split_but: relative paths of images that stay in "train" in spite of their digests, see `load_folder`.
    names: of a folder, the relative path of each image; () for other data sets.
    spare: labels, int32 (N,), and their classes' names, that a folder has but its recipe does not take: for judges.
    why_unlabelled: of a folder without labels and spare ones, a sentence fragment that says why.
    """

    name: str
    split: str
    source: str
    images: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    max_tags: int = 0
    notes: tuple[str, ...] = ()
    channels_from: str | None = None
    test_split_up_to: str | None = None
    test_split_but: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    spare: tuple[np.ndarray, tuple[str, ...]] | None = None
    why_unlabelled: str | None = None

    @property
    def called(self) -> str:
        """How a message begins that is about these data."""
        return self.source if self.source.startswith(f"the {self.name} ") else f"{self.name}, {self.source}"

    @cached_property
    def sha256(self) -> str:
        """64 hexadecimal digits that identify the shapes and bytes of images and labels; spare labels do not count."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            if array is None:
                digest.update(b"none;")
            else:
                digest.update(f"{array.dtype.str}{array.shape};".encode())
                for part in parts_of(array):
                    digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def only(self, chosen: np.ndarray) -> ImageData:
        """Return the images at the indices, int (M,), in that order, with their labels and names."""
        return replace(
            self,
            images=rows_of(self.images, chosen),
            labels=None if self.labels is None else self.labels[chosen],
            names=tuple(np.array(self.names, object)[chosen]) if self.names else (),
            spare=None if self.spare is None else (self.spare[0][chosen], self.spare[1]),
        )

    def labelled(self) -> ImageData:
        """Return the data with the spare labels as their own, if there are any and no others; else as they are."""
        if self.labels is not None or self.spare is None:
            return self
        labels, classes = self.spare
        return replace(self, labels=labels, classes=classes, max_tags=0, spare=None)

    def at_size(self, size: int) -> ImageData:
        """Return the data with images of size×size: means of squares of pixels.

        Raises ValueError unless theirs is a multiple of it.
        """
        count, channels, height, width = self.images.shape
        ratio = height // size
        if (height, width) != (ratio * size, ratio * size):
            raise ValueError(
                f"images of {height}x{width} cannot be brought to {size}x{size} by whole squares of pixels"
            )
        if ratio == 1:
            return self
        images = room_for((count, channels, size, size))
        number = 0
        for part in parts_of(self.images):
            for image in part:  # one at a time: the sums take more room than the bytes
                images[number] = np.rint(image.reshape(channels, size, ratio, size, ratio).mean((2, 4)))
                number += 1
            let_go(images)
        return replace(self, images=images)

    def with_tags(self, max_tags: int) -> ImageData:
        """Return the data with each image's class as its only tag of up to `max_tags`; as they are where that is 0."""
        if self.labels is None or self.max_tags or not max_tags:
            return self
        labels = np.zeros((len(self.labels), max_tags), np.int32)
        labels[:, 0] = self.labels + 1
        return replace(self, labels=labels, max_tags=max_tags)

    def require(self, size: int, channels: int, classes: int, max_tags: int = 0) -> None:
        """Raise UserError unless there are images, all of them `channels` x `size` x `size` or of twice that size.

        Where `classes` is not 0, every image must also have a label, and there must be that many classes, or with
        `max_tags` that many tags and up to `max_tags` of them an image.
        """
        count, *found = self.images.shape
        if count == 0:
            raise UserError(f"{self.called}: holds no images", "name other data with ", Setting("data_path"))
        if found not in ([channels, size, size], [channels, 2 * size, 2 * size]):
            raise UserError(
                f"{self.called}: images are {found[0]} channel(s) of {found[1]}x{found[2]}, but {channels} of "
                f"{size}x{size} are needed",
                *_set(channels=found[0], size=found[1]),
                " or other data",
            )
        own = (0, 0) if self.labels is None else (len(self.classes), self.max_tags)
        if classes and own[0] and own != (classes, max_tags) and own[1] == max_tags:
            kind = "tags" if max_tags else "classes"
            shown = ", ".join(map(one_line, self.classes[:MOST_NAMED])) + ", …" * (own[0] > MOST_NAMED)
            problem = f"{self.called}: has {own[0]} {kind} ({shown}), but the recipe asks for {classes} {kind}"
            raise UserError(problem, "give ", Setting("data.classes", str(own[0])))
        if classes and own != (classes, max_tags):
            why = f" ({self.why_unlabelled})" if self.why_unlabelled else ""
            raise UserError(
                f"{self.called}: has {_told(*own)}{why}, but this recipe takes {_told(classes, max_tags)}",
                *(() if own[0] else ("add labels (a folder: labels.csv, or a sub-folder for each class), or ",)),
                "where the recipe's family can take such data, ",
                *_set(classes=own[0], max_tags=own[1]),
            )


def _told(classes: int, max_tags: int) -> str:
    """Return what labels data have, or are to have, as a message says it."""
    if not classes:
        return "no labels"
    return f"{classes} tags, up to {max_tags} an image" if max_tags else f"{classes} classes, one an image"


def _set(**settings: int) -> tuple[str | Setting, ...]:
    """Return how to make a recipe fit: two settings of its section `data`, or another recipe."""
    one, other = (Setting(f"data.{name}", str(value)) for name, value in settings.items())
    return "give ", one, " ", other, ", or choose another ", Setting("recipe")
