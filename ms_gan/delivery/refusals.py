"""Why MLServer's own command could not load a model: in its log in a sentence, and again as its last words.

A module of its own, since MLServer imports the runtime anew for each model.
"""

from __future__ import annotations

import atexit
import logging
import sys

from ms_gan.errors import UserError

reasons: dict[str, str] = {}  # by the model's name, while it is not loaded


def without_stack(record: logging.LogRecord) -> bool:
    """Log an error that the user can fix as one sentence."""
    if record.exc_info and isinstance(record.exc_info[1], UserError):
        record.msg, record.args, record.exc_info = f"{record.getMessage()} {record.exc_info[1]}", (), None
    return True


@atexit.register
def say_last() -> None:
    """Say the reasons once more behind MLServer's own last words, which bury them."""
    for reason in dict.fromkeys(reasons.values()):
        print(f"error: {reason}", file=sys.stderr, flush=True)


logging.getLogger("mlserver").addFilter(without_stack)
