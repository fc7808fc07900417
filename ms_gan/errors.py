"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import shlex

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


def quoted(path: object) -> str:
    """Return a path as it is typed in a command that is offered for copying: in one line, for bash."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text  # else it would be taken for an option
    if text.isprintable():
        return shlex.quote(text)
    escaped = [
        f"\\{one}"
        if one in "'\\"
        else one
        if one.isprintable()
        else "".join(f"\\x{byte:02x}" for byte in one.encode("utf-8", "surrogateescape"))
        for one in text
    ]
    return f"$'{''.join(escaped)}'"
