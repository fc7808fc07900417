"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

MOST_SHOWN = 100  # characters


@dataclass(frozen=True)
class Setting:
    """A setting that a UserError names, in Python's words; the command line says its option instead.

    Args:
        name: an argument such as `data_path`, or a recipe's setting such as `data.size`.
        value: what to give it; "" where the sentence only names the setting.
    """

    name: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.value}" if self.value else self.name


class UserError(Exception):
    """Something the user can fix. The command line prints it as one line, without a stack, and exits with status 2.

    Args:
        problem: what is wrong.
        mend: how to fix it: pieces of one sentence, in which settings stand as `Setting`. May be left out.
    """

    def __init__(self, problem: str, *mend: str | Setting):
        super().__init__(problem, *mend)
        self.problem = problem
        self.mend = mend

    def told(self, called: Callable[[Setting], str] = str) -> str:
        """Return both parts as one sentence; `called` says what a setting is called where it is read."""
        mend = "".join(called(part) if isinstance(part, Setting) else part for part in self.mend)
        return f"{self.problem}; {mend}" if mend else self.problem

    def __str__(self) -> str:
        return self.told()


def shown(value: object) -> str:
    """Return what somebody sent as a message repeats it: on one line, text in quotation marks, and cut where long."""
    try:
        text = repr(value)
    except Exception as error:  # a number of thousands of digits has no text, and an object of others may have none
        text = f"a {type(value).__name__} ({type(error).__name__})"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def quoted(path: object) -> str:
    """Return a path as it is typed in a command that is offered for copying: in one line, for bash."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text  # else it would be taken for an option
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(_escaped(one) for one in text)}'"


def _escaped(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
