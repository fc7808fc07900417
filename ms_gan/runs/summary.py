"""What a run is and how it went, read from its folder alone; and how two runs differ."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ms_gan.errors import UserError
from ms_gan.evaluation.comparison import Compared, picture
from ms_gan.runs.checkpoints import checkpoint_steps
from ms_gan.runs.run_folder import RunFolder
from ms_gan.runs.settings import RunSettings

ON_THE_WAY = ("fd_ratio", "class_accuracy")  # the scores that a run records while it trains
METRICS = Path("eval") / "metrics.json"  # what `eval --metrics` writes


@dataclass(frozen=True)
class Summary:
    """A run as its folder tells of it.

    Attributes:
        path: the run's folder.
        settings: what makes it the run that it is.
        step: that of its newest checkpoint; 0 where there is none.
        curves: each column of `history.csv` by its name: steps, int (N,), and values, float (N,).
        scores: the last of each score on the way, and all scores of `eval --metrics`, by their names.
    """

    path: Path
    settings: RunSettings
    step: int
    curves: dict[str, tuple[list[int], list[float]]]
    scores: dict[str, float]

    @classmethod
    def read(cls, path: str | Path) -> Summary:
        """Return the summary of a run. Raises UserError for a folder that is none, or is damaged."""
        run = RunFolder.open(path)
        steps = checkpoint_steps(run.checkpoints)
        curves = _curves(run.history_file)
        scores = {name: values[-1] for name, (_, values) in curves.items() if name in ON_THE_WAY}
        return cls(run.path, run.read_settings(), steps[-1] if steps else 0, curves, {**scores, **_metrics(run.path)})

    @property
    def name(self) -> str:
        """The run as a person calls it: its recipe and its number."""
        return f"{self.path.resolve().parent.name}/{self.path.resolve().name}"

    @property
    def trained_at(self) -> float:
        """When it was trained last, in seconds since 1970."""
        run = RunFolder(self.path)
        return max(file.stat().st_mtime for file in (run.path, run.checkpoints, run.history_file) if file.exists())

    def flat(self) -> dict[str, Any]:
        """Return every setting of the run by a dotted name; those of the recipe are called as `--set` calls them."""
        found = {key: value for key, value in vars(self.settings).items() if key != "recipe"}
        recipe = self.settings.recipe
        return {"recipe": recipe.name, "family": recipe.family, **found, **recipe.settings()}


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        runs: both.
        settings: the settings that differ: name, value in the first, value in the second; None where one has none.
        scores: each score that one of them has, in the same form.
    """

    runs: tuple[Summary, Summary]
    settings: list[tuple[str, Any, Any]]
    scores: list[tuple[str, float | None, float | None]]

    @property
    def names(self) -> tuple[str, str]:
        """What the runs are called: recipe and number, or their paths where these are the same."""
        first, second = self.runs
        return (first.name, second.name) if first.name != second.name else (str(first.path), str(second.path))

    def draw(self, path: str | Path) -> bool:
        """Write a PNG with the scores and the curves of both runs; return whether there was anything to draw."""
        runs = [Compared(name, run.curves, run.scores) for name, run in zip(self.names, self.runs)]
        return picture(Path(path), runs, " and ".join(self.names))

    def __str__(self) -> str:
        """Return both tables as text."""
        rows: list[tuple[str, str, str]] = [("", *self.names)]
        rows += [(name, _said(one), _said(two)) for name, one, two in self.settings]
        rows += [("steps trained", *(f"{run.step:,}" for run in self.runs))]  # type: ignore[list-item]
        rows += [(name, _said(one), _said(two)) for name, one, two in self.scores]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Return what differs between two runs, and their scores. Raises UserError for a folder that is no run."""
    runs = Summary.read(first), Summary.read(second)
    flats = [run.flat() for run in runs]
    keys = list(dict.fromkeys([*flats[0], *flats[1]]))
    differing = [(key, flats[0].get(key), flats[1].get(key)) for key in keys if flats[0].get(key) != flats[1].get(key)]
    names = list(dict.fromkeys([*runs[0].scores, *runs[1].scores]))
    return Comparison(runs, differing, [(name, *(run.scores.get(name) for run in runs)) for name in names])  # type: ignore[misc]


def all_runs(root: str | Path = "runs") -> Iterator[Summary | tuple[Path, UserError]]:
    """Give each run below a folder, oldest first; a damaged one as its path and what is wrong with it."""
    found = {file.parent for name in ("settings.json", "recipe.json") for file in Path(root).glob(f"*/*/{name}")}
    found = {path for path in found if not (path / "contract.json").is_file()}  # a bundle has a settings.json, too
    for path in sorted(found, key=lambda each: (each.stat().st_mtime, str(each))):
        try:
            yield Summary.read(path)
        except UserError as error:
            yield path, error


def _curves(file: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Read `history.csv`; a line that a crash cut short is left out, and so is a value that is none."""
    if not file.exists():
        return {}
    text = file.read_text(encoding="utf-8", errors="replace")
    header, *rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))) or [[]]
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for number, name in enumerate(header):
        known = [(int(row[0]), float(row[number])) for row in rows if len(row) == len(header) and row[number]]
        if name not in ("step", "epoch") and known:
            curves[name] = ([step for step, _ in known], [value for _, value in known])
    return curves


def _metrics(path: Path) -> dict[str, float]:
    try:
        found = json.loads((path / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    scores = found.get("generated") if isinstance(found, dict) else None
    return {name: value for name, value in (scores or {}).items() if isinstance(value, (int, float))}


def _said(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
