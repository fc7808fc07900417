"""Generative adversarial networks on MindSpore, from training to a MindIR that servers can trust.

`ms_gan.train`, `load`, `resume`, `save_grid`, `score`, `compare`, `recipe` and `Recipe` are the Python API;
docs/api.md shows it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ms_gan.api import compare as compare
    from ms_gan.api import load as load
    from ms_gan.api import recipe as recipe
    from ms_gan.api import resume as resume
    from ms_gan.api import save_grid as save_grid
    from ms_gan.api import score as score
    from ms_gan.api import train as train
    from ms_gan.errors import Interrupted as Interrupted
    from ms_gan.errors import UserError as UserError
    from ms_gan.schema.recipe import Recipe as Recipe

__version__ = "0.2.0"
__all__ = ["Interrupted", "Recipe", "UserError", "compare", "load", "recipe", "resume", "save_grid", "score", "train"]

# MindSpore reads its log level once, when it is imported: errors only, unless the user asked for more.
os.environ.setdefault("GLOG_v", "3")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    """Import the API when it is first asked for: the command line answers at once without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ms_gan import api, errors

    return getattr(errors if hasattr(errors, name) else api, name)
