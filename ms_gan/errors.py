"""The exceptions that are meant for the person at the keyboard."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Command:
    """What a UserError offers to do next, in Python's words; the command line says a command for copying instead.

    Args:
        name: a function of the Python API, or a command that has none, one of TYPED.
        path: what to call it with, if anything.
    """

    TYPED = ("eval", "export", "judge", "runs")

    name: str
    path: Path | None = None

    def __str__(self) -> str:
        if self.name in self.TYPED:
            return f"python -m ms_gan {self.name}{'' if self.path is None else f' {quoted(self.path)}'}"
        return f"ms_gan.{self.name}({'' if self.path is None else repr(str(self.path))})"


class Interrupted(Exception):
    """A signal asked a training to stop, and all is saved.

    Attributes:
        number: of the signal.
        run: the run's folder; `ms_gan.resume` goes on with it.
    """

    def __init__(self, number: int, run: Path):
        super().__init__(f"{signal.Signals(number).name}; all is saved; to go on: {Command('resume', run)}")
        self.number, self.run = number, run

    def __reduce__(self) -> tuple:
        return type(self), (self.number, self.run)


class UserError(Exception):
    """Something the user can fix. The command line prints it as one line, without a stack, and exits with status 2.

    Args:
        problem: what is wrong.
        mend: how to fix it: pieces of one sentence, with each `Setting` and `Command` as such. May be left out.
    """

    def __init__(self, problem: str, *mend: str | Setting | Command):
        super().__init__(problem, *mend)
        self.problem = problem
        self.mend = mend

    def told(self, called: Callable[[Setting | Command], str] = str) -> str:
        """Return both parts as one sentence; `called` says what settings and commands are called where it is read."""
        mend = "".join(part if isinstance(part, str) else called(part) for part in self.mend)
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
