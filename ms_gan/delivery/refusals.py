"""Prints, when MLServer's own command ends, why it could not load a model.

It is a module of its own, since MLServer imports the runtime anew for each model, and `reasons` must be one dictionary.
"""

from __future__ import annotations

import atexit
import sys

reasons: dict[str, str] = {}  # by the model's name, while it is not loaded


@atexit.register  # behind MLServer's own last words
def _say_why() -> None:
    for reason in dict.fromkeys(reasons.values()):
        print(f"error: {reason}", file=sys.stderr, flush=True)
