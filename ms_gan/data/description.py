"""What a data set is, whatever it was read or drawn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Optional, Tuple

import numpy as np

from ms_gan.errors import UserError


@dataclass(frozen=True, eq=False)
class ImageData:
    """One split of an image data set, in memory.

    name: what `--dataset` calls it. split: "train" or "test".
    source: a sentence fragment for logs and records, such as "the folder X".
    images: uint8, N x C x H x W, 0 to 255. labels: int32 (N,), indices into
    `classes`, or None. classes: the name of each class.
    """

    name: str
    split: str
    source: str
    images: np.ndarray
    labels: Optional[np.ndarray]
    classes: Tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        """64 hexadecimal digits that identify the shapes and bytes of images and labels."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            if array is None:
                digest.update(b"none;")
            else:
                digest.update(f"{array.dtype.str}{array.shape};".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def require(self, size: int, channels: int, classes: int) -> None:
        """Raise UserError unless every image is `channels` x `size` x `size` and there is at least one.

        Where `classes` is not 0, every image must also have a label, and there must be that many classes.
        """
        count, *found = self.images.shape
        if count == 0:
            raise UserError(f"{self.name}, {self.source}: holds no images; choose other --data-path")
        if found != [channels, size, size]:
            raise UserError(
                f"{self.name}, {self.source}: images are {found[0]} channel(s) of {found[1]}x{found[2]}, but "
                f"{channels} of {size}x{size} are needed; choose another --recipe or other data"
            )
        if classes and self.labels is None:
            raise UserError(f"{self.name}, {self.source}: has no labels, but a conditional recipe needs them; "
                            f"choose another --recipe or other data")
        if classes and len(self.classes) != classes:
            raise UserError(f"{self.name}, {self.source}: has {len(self.classes)} classes, but {classes} are needed; "
                            f"add --set data.classes={len(self.classes)}, or choose another --recipe")
