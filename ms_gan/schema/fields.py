"""Settings as frozen dataclasses that check themselves: type, range, choice and meaning stand at the field."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ms_gan.errors import Setting, UserError, shown

LARGEST_FLOAT32, SMALLEST_FLOAT32 = 3.4028235e38, 1e-37
REQUIRED = dataclasses.MISSING
WANTED = {  # by a Rule's kind
    "whole": "a whole number",
    "number": "a number",
    "flag": "True or False",
    "wholes": "a list of whole numbers",
    "range": "two numbers, the smaller first",
    "section": "a section of settings",
    "any": "anything",
}
ITEMS = {"wholes": "whole", "range": "number"}  # what a tuple of this kind is made of


@dataclass(frozen=True)
class Rule:
    """What a setting may be.

    Args:
        kind: "whole" (int), "number" (float), "flag" (bool), "choice" (str), "wholes" (tuple of int), "range" (two
            numbers, the first at most the second), "section" (a dataclass of settings), or "any".
        help: one sentence that says what it means.
        least, most: both ends of the range, included.
        above, below: ends that are not included.
        choices: all that a "choice" may be.
        of: the dataclass of a "section".
    """

    kind: str
    help: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: Sequence[Any] = ()
    of: type | None = None

    def fault(self, value: Any) -> str | None:
        """Return what the value has to be, such as "a whole number of at least 1"; None where it is that."""
        if self.above == 0 and isinstance(value, float) and 0 < value < SMALLEST_FLOAT32:
            return f"at least {SMALLEST_FLOAT32}"  # float32 would make it 0
        return None if self._holds(value) else self.wanted()

    def wanted(self) -> str:
        """Return what a value has to be, such as "a whole number of at least 1"."""
        if self.kind == "choice":
            return f"one of {', '.join(map(str, self.choices))}"
        ends = [("of at least", self.least), ("above", self.above), ("of at most", self.most), ("below", self.below)]
        limits = " and ".join(f"{words} {end}" for words, end in ends if end is not None)
        each = "each" if limits and self.kind in ITEMS else ""
        return " ".join(filter(None, (WANTED[self.kind], limits, each)))

    def _holds(self, value: Any) -> bool:
        if self.kind in ITEMS:
            item = dataclasses.replace(self, kind=ITEMS[self.kind])
            right = isinstance(value, tuple) and all(map(item._holds, value))
            return right and (self.kind == "wholes" or (len(value) == 2 and value[0] <= value[1]))
        if self.kind == "choice":
            return any(type(value) is type(each) and value == each for each in self.choices)
        if self.kind in ("whole", "number"):
            return type(value) is (int if self.kind == "whole" else float) and self._within(value)
        return self.kind == "any" or type(value) is (bool if self.kind == "flag" else self.of)

    def _within(self, value: float) -> bool:
        """Tell whether a number is in the range, and is one that float32 holds, which NaN is not."""
        return (
            abs(value) <= LARGEST_FLOAT32
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def read(self, text: str) -> Any:
        """Return the value that a text on a command line stands for; the text itself where it stands for none."""
        try:
            return self.parsed(ast.literal_eval(text))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return text

    def parsed(self, value: Any) -> Any:
        """Return a value from JSON or a command line in this rule's type, where it can be read as one; else as it is.

        Lists become tuples, which do not change, whole numbers become floats where the rule is of numbers, and numbers
        of NumPy become Python's.
        """
        if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
            value = value.item()
        if self.kind == "any" and isinstance(value, (list, tuple)):
            return tuple(self.parsed(one) for one in value)
        if self.kind in ITEMS and isinstance(value, (list, tuple)):
            return tuple(Rule(ITEMS[self.kind]).parsed(one) for one in value)
        if self.kind == "number" and type(value) is int and abs(value) < 1e300:
            return float(value)
        return value


def setting(default: Any, help: str = "", *, kind: str, **limits: Any) -> Any:  # noqa: A002 - as argparse calls it
    """Return a dataclass field with a Rule; `default` REQUIRED for one that each recipe has to say."""
    metadata = {"rule": Rule(kind, help, **limits)}
    return dataclasses.field(metadata=metadata, **({} if default is REQUIRED else {"default": default}))


whole = partial(setting, kind="whole")  # a whole number
number = partial(setting, kind="number")  # a finite number that float32 holds
flag = partial(setting, kind="flag")  # True or False
wholes = partial(setting, kind="wholes")  # a tuple of whole numbers; limits hold for each
interval = partial(setting, kind="range")  # two numbers, the smaller first; limits hold for each


def choice(default: Any, choices: Iterable[Any], help: str = "") -> Any:  # noqa: A002
    """One of some words."""
    return setting(default, help, kind="choice", choices=tuple(choices))


def section(of: type[Settings], help: str = "", default: Any = None) -> Any:  # noqa: A002
    """Settings below a setting, of the dataclass `of`; its own defaults where no other are given."""
    return setting(of() if default is None else default, help, kind="section", of=of)


class Settings:
    """Base of every frozen dataclass of settings.

    Building one checks every field that has a Rule, and then `check`. A wrong value raises UserError, and names the
    field as it is called within its section; whoever knows the section puts that in front (see `schema.recipe`).
    """

    # What a training asks of its family's updates. They are no fields, as Settings is no dataclass. A family sets what
    # it needs, as an attribute, a field or a property.
    threshold: float | None = None  # the logit above which D takes an image for real; None: there is none
    needs_twin: bool = False  # the step needs a twin of G in inference mode, which shares G's weights
    shared_counters: bool = False  # both optimizers count each other's updates
    normal_latents: bool = False  # the latents' prior is normal, as in a variational autoencoder

    def __post_init__(self) -> None:
        for name, rule in rules(type(self)).items():
            value = rule.parsed(getattr(self, name))
            object.__setattr__(self, name, value)
            fault = rule.fault(value)
            if fault:
                raise WrongSetting(name, f"must be {fault}, not {shown(value)}")
        self.check()

    def check(self) -> None:
        """Raise WrongSetting where fields do not go together."""


class WrongSetting(UserError):
    """A setting that cannot be: its name within its section, and what is wrong, as the end of a sentence."""

    def __init__(self, name: str, fault: str, *mend: str | Setting):
        super().__init__(f"{name} {fault}", *mend)
        self.name, self.fault = name, fault


def rules(kind: type) -> dict[str, Rule]:
    """Return the Rule of each setting of a dataclass, in their order; a field without one may be anything."""
    return {field.name: field.metadata.get("rule", Rule("any")) for field in dataclasses.fields(kind)}
