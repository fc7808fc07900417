"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

MOST_SHOWN = 100  # characters


class UserError(Exception):
    """Something the user can mend.

    The message is one line that says what is wrong and how to mend it. The
    command line prints it without a stack and exits with status 2.
    """


def shown(value: object) -> str:
    """Return what somebody sent as a message repeats it: on one line, text in quotation marks, and cut where long."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
