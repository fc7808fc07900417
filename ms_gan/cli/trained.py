"""A trained generator, found by what the user typed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from ms_gan.errors import UserError
from ms_gan.evaluation.sampling import Inputs, draw_images
from ms_gan.nets.blocks import UnitRange
from ms_gan.recipes import Recipe
from ms_gan.recipes.build import build_unit_range_generator
from ms_gan.training.checkpoints import load_cells, read_state
from ms_gan.training.run_folder import SETTINGS, RunFolder, find_checkpoint


@dataclass(frozen=True)
class Trained:
    """A generator with its checkpoint's weights, and what is known about it."""

    generator: UnitRange
    home: Path  # the run, beside whose files eval/ and export/ belong
    step: int
    settings: Dict[str, Any]
    data_path: Optional[str]

    @property
    def recipe(self) -> Recipe:
        """The recipe as it ran."""
        return self.settings["recipe"]

    @property
    def classes(self) -> Optional[List[str]]:
        """The names behind the labels of a conditional generator; None for one without labels."""
        return self.settings["classes"]

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return the images of the generator's inputs, float32 in [0, 1], N×C×H×W."""
        return draw_images(self.generator, inputs)


def load_trained(place: Optional[str]) -> Trained:
    """Load RUN_OR_CHECKPOINT. Raises UserError, in one line, where that cannot be done."""
    checkpoint, home = find_checkpoint(place)
    state = read_state(checkpoint)
    settings = state["settings"]
    if not SETTINGS <= settings.keys():
        raise UserError(f"{checkpoint}: written by another version of ms_gan; use that one")
    generator = build_unit_range_generator(settings["recipe"])
    load_cells(checkpoint, {"generator": generator.generator})
    run = RunFolder(home)
    data_path = run.read_environment()["data"]["path"] if run.environment.is_file() else None
    return Trained(generator, home, state["step"], settings, data_path)
