"""How far a run has come: what a checkpoint holds beside the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan.runs.records import FORMAT_VERSION, typed
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
        initial_share: how much of the EMA of the weights is as it was before the first step, from 0 to 1.
        prepared: how many updates of the pretraining are done; None once it is over.
    """

    step: int
    pending: tuple[tuple[float, ...], ...]
    best: Best | None
    settings: RunSettings
    initial_share: float
    prepared: int | None = None

    @classmethod
    def beginning(cls, settings: RunSettings) -> State:
        """Return the state of a run of which nothing is done."""
        return cls(0, (), None, settings, initial_share=1.0, prepared=0)

    def to_json(self) -> dict[str, Any]:
        """Return the state as a checkpoint records it."""
        own = {name: value for name, value in vars(self).items() if (name, value) != ("prepared", None)}
        best, settings = self.best and asdict(self.best), self.settings.to_json()
        return {"format_version": FORMAT_VERSION, **own, "best": best, "settings": settings}

    @classmethod
    def from_json(cls, content: dict[str, Any], file: Path) -> State:
        """Return the state of a record, also of one of ms_gan 0.1. Raises UserError for one that lacks something."""
        found = typed(cls, {"initial_share": None, **content}, file)
        settings, share = RunSettings.from_json(content["settings"], file), found.initial_share
        return replace(
            found,
            pending=tuple(map(tuple, found.pending)),
            best=found.best and typed(Best, found.best, file),
            settings=settings,
            initial_share=settings.recipe.ema.decay**found.step if share is None else share,  # without a warm-up
        )
