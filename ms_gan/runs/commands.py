"""Commands that messages offer for copying. A run is named as the shell of a clone's top folder needs it."""

from __future__ import annotations

from pathlib import Path

from ms_gan import runtime
from ms_gan.errors import quoted

TRAIN = "bash scripts/run_train.sh"


def resume(run: Path) -> str:
    """Return the command that goes on with a run."""
    return f"{TRAIN} --resume {quoted(run)}"


def infer(bundle: Path) -> str:
    """Return the command that draws images of a bundle."""
    return f"{runtime.python()} -m ms_gan infer {quoted(bundle)} --num 25 --output images.png"
