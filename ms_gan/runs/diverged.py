"""The one fault that a training itself can have."""

from __future__ import annotations

from ms_gan.errors import Setting, UserError


def diverged(what: str) -> UserError:
    """Return the error for a training whose numbers are no longer finite; `what` says which ones."""
    return UserError(
        f"training diverged: {what}",
        "start again with another ",
        Setting("seed"),
        " or a lower learning rate; the checkpoints before it are sound",
    )
