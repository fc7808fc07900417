"""How far a run has come: what a checkpoint holds beside the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ms_gan.errors import UserError
from ms_gan.runs.records import FORMAT_VERSION, require_known_version, typed
from ms_gan.runs.settings import RunSettings


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far: its folder within the run, and the score that chose it."""

    checkpoint: str
    step: int
    chosen_by: str
    score: float


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes:
        step: how many steps are done.
        pending: the scalars of the steps that are not in the history yet, one row each.
        best: the best checkpoint, if any was scored.
        settings: those of the run.
        initial_share: how much of the EMA of the weights is as it was before the first step, from 0 to 1; None in
            checkpoints of the time when an EMA had no warm-up.
        prepared: how many updates of the preparation are done; None once it is over.
    """

    step: int
    pending: tuple[tuple[float, ...], ...]
    best: Best | None
    settings: RunSettings
    initial_share: float | None = None
    prepared: int | None = None

    @classmethod
    def beginning(cls, settings: RunSettings) -> State:
        """Return the state of a run of which nothing is done."""
        return cls(0, (), None, settings, initial_share=1.0, prepared=0)

    def to_json(self) -> dict[str, Any]:
        """Return the state as a checkpoint records it."""
        content = {
            "format_version": FORMAT_VERSION,
            "step": self.step,
            "pending": [list(row) for row in self.pending],
            "best": self.best and asdict(self.best),
            "settings": self.settings.to_json(),
            "initial_share": self.initial_share,
        }
        return content if self.prepared is None else {**content, "prepared": self.prepared}

    @classmethod
    def from_json(cls, content: dict[str, Any], file: Path) -> State:
        """Return the state of a record, also of one of ms_gan 0.1. Raises UserError for one that lacks something."""
        require_known_version(content, file)
        if not {"step", "pending", "best", "settings"} <= content.keys():
            raise UserError(f"{file}: written by another version of ms_gan", "use that version")
        best = content["best"]
        return cls(
            content["step"],
            tuple(map(tuple, content["pending"])),
            None if best is None else typed(Best, best),
            RunSettings.from_json(content["settings"], file),
            content.get("initial_share"),
            content.get("prepared"),
        )
