"""The programs in benchmarks/, as modules."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from helpers.commands import ROOT


def load(name: str) -> ModuleType:
    """Return the module benchmarks/<name>.py."""
    folder = str(ROOT / "benchmarks")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
