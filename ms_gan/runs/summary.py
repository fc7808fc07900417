"""What a run is and how it went, read from its folder alone; and how two runs differ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.evaluation.comparison import Compared, picture
from ms_gan.files import require_free
from ms_gan.runs.checkpoints import checkpoint_steps
from ms_gan.runs.history import read_columns
from ms_gan.runs.run_folder import RunFolder, runs_at
from ms_gan.runs.settings import RunSettings

ON_THE_WAY = re.compile(
    r"fd_\w*ratio|class_accuracy|average_precision"
)  # the scores that a run records while it trains
CHECKSUM = re.compile("[0-9a-f]{64}")
METRICS = Path("eval") / "metrics.json"  # what `eval --metrics` writes
NOT_ALIKE = {
    "judge": "by different judges, so their distances do not compare",
    "test split": "against different test images",
    "seed": "with latents of different seeds",
}


@dataclass(frozen=True)
class Summary:
    """A run as its folder tells of it.

    Attributes:
        path: the run's folder.
        settings: what makes it the run that it is.
        step: that of its newest checkpoint; 0 where there is none.
        curves: each column of `history.csv` by its name: steps, int (N,), and values, float (N,).
        scores: the last of each score on the way, and all scores of `eval --metrics`, by their names.
        scored: what those of `eval --metrics` depend on, by the name of it; empty where there are none.
    """

    path: Path
    settings: RunSettings
    step: int
    curves: dict[str, tuple[list[int], list[float]]]
    scores: dict[str, float]
    scored: dict[str, str]

    @classmethod
    def read(cls, path: str | Path) -> Summary:
        """Return the summary of a run. Raises UserError for a folder that is none, or is damaged."""
        run = RunFolder.open(path)
        steps = checkpoint_steps(run.checkpoints)
        curves = _curves(run.history_file)
        scores = {name: values[-1] for name, (_, values) in curves.items() if ON_THE_WAY.fullmatch(name)}
        measured, scored = _metrics(run.path)
        step = steps[-1] if steps else 0
        return cls(run.path, run.read_settings(), step, curves, {**scores, **measured}, scored)

    @property
    def name(self) -> str:
        """The run as a person calls it: its recipe and its number."""
        return f"{self.path.resolve().parent.name}/{self.path.resolve().name}"

    @property
    def trained_at(self) -> float:
        """When it was trained last, in seconds since 1970."""
        return _trained_at(self.path)

    def flat(self) -> dict[str, Any]:
        """Return every setting of the run by a dotted name, and a checksum of the code that came with its recipe."""
        files = sorted([*self.path.glob(recipes.RECIPE_FILE), *self.path.glob("recipe_modules/**/*.py")])
        code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
        return {**self.settings.flat(), **({recipes.RECIPE_FILE: code} if files else {})}


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
    def notes(self) -> list[str]:
        """Why scores that stand side by side may not compare, one line each."""
        first, second = self.runs
        both = [of for of in NOT_ALIKE if of in first.scored and of in second.scored]
        notes = [f"they were scored {NOT_ALIKE[of]}" for of in both if first.scored[of] != second.scored[of]]
        for name, run in zip(self.names, self.runs):
            if run.scored.get("step", str(run.step)) != str(run.step):
                notes.append(f"{name} was scored at step {int(run.scored['step']):,}; score it again with --overwrite")
        return [f"note: {note}" for note in notes]

    @property
    def names(self) -> tuple[str, str]:
        """What the runs are called: recipe and number, or their paths where these are the same."""
        first, second = self.runs
        return (first.name, second.name) if first.name != second.name else (str(first.path), str(second.path))

    def draw(self, path: str | Path, overwrite: bool = False) -> bool:
        """Write a PNG with the scores and the curves of both runs; return whether there was anything to draw.

        Raises UserError for a file that is there already, unless it may be overwritten, and for a folder that is not.
        """
        require_free(Path(path), overwrite)
        runs = [Compared(name, run.curves, run.scores) for name, run in zip(self.names, self.runs)]
        return picture(Path(path), runs, " and ".join(self.names))

    def __str__(self) -> str:
        """Return both tables as text."""
        rows: list[tuple[str, str, str]] = [("", *self.names)]
        rows += [(name, _said(one), _said(two)) for name, one, two in self.settings]
        rows += [("steps trained", *(f"{run.step:,}" for run in self.runs))]  # type: ignore[list-item]
        rows += [(name, _said(one), _said(two)) for name, one, two in self.scores]
        return "\n".join([*aligned(rows), *self.notes])


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Return what differs between two runs, and their scores. Raises UserError for a folder that is no run."""
    runs = Summary.read(first), Summary.read(second)
    flats = [run.flat() for run in runs]
    keys = list(dict.fromkeys([*flats[0], *flats[1]]))
    differing = [(key, flats[0].get(key), flats[1].get(key)) for key in keys if flats[0].get(key) != flats[1].get(key)]
    names = list(dict.fromkeys([*runs[0].scores, *runs[1].scores]))
    return Comparison(runs, differing, [(name, *(run.scores.get(name) for run in runs)) for name in names])  # type: ignore[misc]


def all_runs(root: str | Path) -> Iterator[Summary | UserError]:
    """Give each run below a folder, oldest first; in place of a damaged one what is wrong with it."""
    for path in sorted(runs_at(Path(root), "*/*"), key=lambda each: (_trained_at(each), str(each))):
        try:
            yield Summary.read(path)
        except UserError as error:
            yield error


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a table as lines of text with straight columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _trained_at(path: Path) -> float:
    """Return when a run was trained last: not when its folder changed, since `eval` and others write there, too."""
    run = RunFolder(path)
    written = [file for file in (run.checkpoints, run.history_file) if file.exists()]
    return max(file.stat().st_mtime for file in written or [path])


def _curves(file: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Return each column of `history.csv` that has values, without its empty cells."""
    columns = read_columns(file)
    steps = columns.get("step", [])
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for name, column in list(columns.items())[2:]:
        known = [(step, value) for step, value in zip(steps, column) if step and value is not None]
        if known:
            curves[name] = ([round(step) for step, _ in known], [value for _, value in known])
    return curves


def _metrics(path: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Return the scores of `eval --metrics`, and what they depend on; nothing of what is absent or damaged."""
    try:
        found = json.loads((path / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}, {}
    parts = {name: part for name, part in found.items() if isinstance(part, dict)} if isinstance(found, dict) else {}
    scores = {name: value for name, value in parts.get("generated", {}).items() if isinstance(value, (int, float))}
    model = parts.get("model", {})
    of = {
        "judge": parts.get("judge", {}).get("sha256"),
        "test split": model.get("test_sha256"),
        "seed": parts.get("protocol", {}).get("seed"),
        "step": model.get("step"),
    }
    return scores, {name: str(value) for name, value in of.items() if isinstance(value, (int, str))}


def _said(value: Any) -> str:
    if value is None:
        return "–"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text[:12] if CHECKSUM.fullmatch(text) else text
