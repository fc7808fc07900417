"""What a data set is, whatever it was read or drawn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ms_gan.errors import UserError


class NothingHeldOut(UserError):
    """A folder has no image for "test"."""


def nothing_to_learn(kind: str, names: Sequence[str]) -> str:
    """Return a note about classes or tags, as `kind` says, without an image to train on."""
    return (
        f"no image to train on is left of {len(names)} of the {kind}, such as {names[0]}: what is drawn of these "
        "means nothing"
    )


@dataclass(frozen=True, eq=False)
class ImageData:
    """One split of an image data set, in memory.

    name: what `--dataset` calls it. split: "train" or "test"; where training images are compared with, "held_out", too.
    source: a sentence fragment for logs and records, such as "the folder X".
    images: uint8, N x C x H x W, 0 to 255.
    classes: the name of each class, or, where an image may have several, of each tag.
    labels: None, or with `places` = 0 one class an image: int32 (N,), indices into `classes`. With `places` > 0,
    up to that many tags an image: int32 (N, places), 1 + the indices of its tags in rising order, then zeros.
    notes: what a user should be told about how the images were made to fit, one line each.
    channels_from: where each channel is a grey image of another data set, what `--dataset` calls that one.
    held_out_up_to: what tells the images of "test" in a folder from those of "train", see `load_folder`.
    held_out_but: the relative paths of images that this does not hold out, see `load_folder`.
    names: of a folder, the relative path of each image; () for other data sets.
    spare: labels, int32 (N,), and their classes' names, that a folder has but its recipe does not take: for judges.
    why_unlabelled: where there are no labels, and no spare ones, a sentence fragment that says why; of folders only.
    """

    name: str
    split: str
    source: str
    images: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    places: int = 0
    notes: tuple[str, ...] = ()
    channels_from: str | None = None
    held_out_up_to: str | None = None
    held_out_but: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    spare: tuple[np.ndarray, tuple[str, ...]] | None = None
    why_unlabelled: str | None = None

    @cached_property
    def sha256(self) -> str:
        """64 hexadecimal digits that identify the shapes and bytes of images and labels; spare labels do not count."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            if array is None:
                digest.update(b"none;")
            else:
                digest.update(f"{array.dtype.str}{array.shape};".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def only(self, chosen: np.ndarray) -> ImageData:
        """Return the data with the images at the indices, int (M,), alone, in that order, and what belongs to them."""
        return replace(
            self,
            images=self.images[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            names=tuple(np.array(self.names, object)[chosen]) if self.names else (),
            spare=None if self.spare is None else (self.spare[0][chosen], self.spare[1]),
        )

    def labelled(self) -> ImageData:
        """Return the data with the spare labels as their own, if there are any and no others; else as they are."""
        if self.labels is not None or self.spare is None:
            return self
        labels, classes = self.spare
        return replace(self, labels=labels, classes=classes, places=0, spare=None)

    def at_size(self, size: int) -> ImageData:
        """Return the data with images of size×size, the means of squares of pixels; theirs must be a multiple of it."""
        count, channels, height, _ = self.images.shape
        ratio = height // size
        if ratio == 1:
            return self
        images = np.empty((count, channels, size, size), np.uint8)
        for number, image in enumerate(self.images):  # one at a time: the sums take more room than the bytes
            images[number] = np.rint(image.reshape(channels, size, ratio, size, ratio).mean((2, 4)))
        return replace(self, images=images)

    def with_tags(self, places: int) -> ImageData:
        """Return the data with each image's class as its only tag, for recipes of several tags an image."""
        if self.labels is None or self.places:
            return self
        labels = np.zeros((len(self.labels), places), np.int32)
        labels[:, 0] = self.labels + 1
        return replace(self, labels=labels, places=places)

    def require(self, size: int, channels: int, classes: int, places: int = 0) -> None:
        """Raise UserError unless every image is `channels` x `size` x `size`, or finer, and there is at least one.

        Finer is of twice the size. Where `classes` is not 0, every image must also have a label, there must be that
        many classes or tags, and `places` for them.
        """
        count, *found = self.images.shape
        if count == 0:
            raise UserError(f"{self.name}, {self.source}: holds no images; choose other --data-path")
        if found not in ([channels, size, size], [channels, 2 * size, 2 * size]):
            raise UserError(
                f"{self.name}, {self.source}: images are {found[0]} channel(s) of {found[1]}x{found[2]}, but "
                f"{channels} of {size}x{size} are needed; add --set data.channels={found[0]} "
                f"--set data.size={found[1]}, or choose another --recipe or other data"
            )
        if classes and self.labels is None:
            why = f" ({self.why_unlabelled})" if self.why_unlabelled else ""
            raise UserError(
                f"{self.name}, {self.source}: has no labels, but a conditional recipe needs them{why}; "
                f"add labels (a folder: labels.csv, or each image in a sub-folder of its class), or do "
                f"without, by --set data.classes=0 --set data.places=0 where the recipe's family can, or "
                f"another --recipe"
            )
        if classes and self.places != places:
            form = f"up to {self.places} tags an image" if self.places else "one class an image"
            wanted = f"up to {places} tags" if places else "one class"
            raise UserError(
                f"{self.name}, {self.source}: has {form}, but this recipe takes {wanted}; "
                f"add --set data.places={self.places} --set data.classes={len(self.classes)}, if its "
                f"family takes such labels, or choose another --recipe"
            )
        if classes and len(self.classes) != classes:
            raise UserError(
                f"{self.name}, {self.source}: has {len(self.classes)} classes, but {classes} are needed; "
                f"add --set data.classes={len(self.classes)}, or choose another --recipe"
            )
