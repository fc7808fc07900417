"""The test tenth of a folder without splits: images that are not trained on, chosen by their relative paths."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from ms_gan.data.folder.tables import Labels

ONE_IN = 10  # images


class Tenth(NamedTuple):
    """The images whose digests are at most `up_to`, 64 hexadecimal digits or "", except those with the names `but`.

    A name's digest depends on no other file, nor on the order of listing, nor on the machine. So a record of the two
    finds the same images in a folder that has changed since.
    """

    up_to: str
    but: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Tell whether the image of that relative path is in the tenth."""
        return _digest(name) <= self.up_to and name not in self.but


def choose_tenth(names: Sequence[str], labels: Labels | None) -> Tenth:
    """Choose a tenth of the names, but never the last image of a class or tag: none would be left to train on.

    Of the last images of a class, the one with the largest digest stays for training.
    """
    by_digest = sorted(names, key=_digest)
    chosen, others = by_digest[: len(names) // ONE_IN], by_digest[len(names) // ONE_IN :]
    but = []
    if labels is not None:
        trained = {label for name in others for label in labels.rows[name].labels}
        for name in reversed(chosen):
            if not trained.issuperset(labels.rows[name].labels):
                but.append(name)
                trained.update(labels.rows[name].labels)
    return Tenth(_digest(chosen[-1]) if chosen else "", tuple(sorted(but)))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
