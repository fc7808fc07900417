"""What a conditional generator can be asked for, by name: one class, or several tags, an image."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ms_gan.errors import Setting, UserError, shown

NUMBER = re.compile(r"[+\-\u2212]?(\d+\.?\d*|\.\d+)")  # U+2212 is the minus sign of typesetting


def natural_order(names: Iterable[str]) -> list[str]:
    """Return the names as people count: 2 before 10, and img2 before img10.

    Where each is a plain number, by value; otherwise by text, in which runs of digits count by their value. What is
    equal then goes by its text, so that the order is the same on every machine and for every order of the names.
    """
    names = list(names)
    if all(map(NUMBER.fullmatch, names)):
        return sorted(names, key=lambda name: (Decimal(name.replace("\u2212", "-")), name))
    return sorted(names, key=lambda name: (_in_characters_and_numbers(name), name))


def _in_characters_and_numbers(name: str) -> list[tuple[str, Decimal]]:
    """Return the characters of a name, each run of digits as one: a "0" with the number that it writes."""
    return [("0", Decimal(part)) if part.isdecimal() else (part, Decimal(0)) for part in re.findall(r"\d+|\D", name)]


@dataclass(frozen=True)
class LabelNames:
    """The names behind labels.

    A label is the index of one of `names`. Where an image may have up to `max_tags` tags, it is int32 (max_tags,): 1 +
    the indices of its tags in rising order, then zeros.
    """

    names: tuple[str, ...]
    max_tags: int = 0

    def label(self, text: str) -> np.ndarray:
        """Return the label, int32, () or (max_tags,), of a class, or of tags joined by commas.

        Raises UserError for an unknown name, and for too many tags.
        """
        if not self.max_tags:
            return np.array(self._index(text), np.int32)
        tags = sorted({self._index(name.strip()) for name in text.split(",") if name.strip()})
        if len(tags) > self.max_tags:
            raise UserError(
                f"{shown(text)}: {len(tags)} tags, but an image has at most {self.max_tags}", "leave some out"
            )
        return np.array([1 + index for index in tags] + [0] * (self.max_tags - len(tags)), np.int32)

    def text(self, label: np.ndarray) -> str:
        """Return a label as it is written: the class, or the tags joined by commas; "none" where there are none."""
        if not self.max_tags:
            return self.names[int(label)]
        return ", ".join(self.names[tag - 1] for tag in label if tag) or "none"

    def each(self) -> np.ndarray:
        """Return one label for each name: int32, (n,) or (n, max_tags)."""
        return np.stack([self.label(name) for name in self.names])

    def chosen(self, texts: Sequence[str]) -> np.ndarray:
        """Return the labels that the texts name, or one for each name when there are no texts."""
        return np.stack([self.label(text) for text in texts]) if texts else self.each()

    def texts(self, labels: np.ndarray) -> list[str]:
        """Return several labels as they are written."""
        return [self.text(label) for label in labels]

    def _index(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        near = difflib.get_close_matches(name, self.names, n=1, cutoff=0.6)
        hint = f" (did you mean {near[0]}?)" if near else ""
        names = ", ".join(self.names)
        kind, choice = ("tag", f"some of {names}, joined by commas,") if self.max_tags else ("class", f"one of {names}")
        raise UserError(f"there is no {kind} {shown(name)}{hint}", f"name {choice} with ", Setting("labels"))
