"""What looks at a run while it trains: history, sample sheets, scores, checkpoints, curves and notes."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from mindspore import Tensor

from ms_gan.data.description import ImageData
from ms_gan.evaluation import curves, plots
from ms_gan.randomness import random_stream
from ms_gan.recipes import Recipe
from ms_gan.runs.checkpoints import save_checkpoint, thin_out
from ms_gan.runs.history import History, diverged, read_columns
from ms_gan.runs.maturity import left_of, maturity
from ms_gan.runs.run_folder import RunFolder
from ms_gan.runs.state import State
from ms_gan.sampling import Inputs, seeded_inputs
from ms_gan.training.loop import Observer
from ms_gan.training.progress import Progress
from ms_gan.training.stop_signals import StopSignals
from ms_gan.training.validation import ValidationScorer

if TYPE_CHECKING:
    from ms_gan.training.session import Session

SECONDS_BETWEEN_CHECKPOINTS = 300.0  # at the latest; else at an epoch's end
SECONDS_BETWEEN_CURVES = 30.0  # at least, between two drawings of losses.png
EARLY = (100, 200, 500)  # steps after which there is a sample sheet, too, where the first epoch is long
LONG = 1000  # steps


@dataclass(frozen=True)
class Record:
    """What the first device of a run writes: where to, and for whom."""

    folder: RunFolder
    history: History
    progress: Progress
    scorer: ValidationScorer
    signals: StopSignals

    def picture(self, path: Path, draw: Callable[..., Any], *what: Any, **how: Any) -> None:
        """Call `draw(path, …)`. If that fails, as on a full disk, there is a note, and training goes on."""
        try:
            draw(path, *what, **how)
        except OSError as error:
            self.progress.say(f"note: {path} could not be drawn ({error.strerror or error}); training goes on")

    def save(self, session: Session, state: State) -> None:
        """Save a checkpoint, or how far the pretraining is, with the pending rows. Signals wait for that."""
        with self.signals.saving:
            self.history.sync()
            state = replace(state, pending=tuple(map(tuple, self.history.pending)))
            save_checkpoint(self.folder.checkpoints, session.step.saved(), state)


class Recording(Observer):
    """An observer that writes something."""

    def __init__(self, session: Session):
        self.session, self.record, self.recipe = session, session.record, session.settings.recipe


def observers_of(session: Session) -> list[Observer]:
    """Return the observers of a run's steps, in the order in which they look on.

    Scores and checkpoints need the history up to their step; a checkpoint holds what the scores chose.
    """
    scalars = Scalars(session)
    validation = Validation(session, scalars)
    notes = MaturityNotes(session)
    checkpoints = Checkpoints(session, scalars, validation, notes)
    observers: list[Observer] = [
        scalars,
        Sheets(session),
        validation,
        checkpoints,
        Pictures(session, checkpoints),
        notes,
    ]
    if session.tensorboard:
        from ms_gan.training.tensorboard import TensorBoard

        observers.append(TensorBoard(session, checkpoints))
    return observers


def step_of(file: Path, steps_per_epoch: int) -> int:
    """Return the step of a sample sheet; -1 for somebody else's file."""
    found = re.fullmatch(r"(epoch|step)_(\d+)\.png", file.name)
    if found is None:
        return -1
    return int(found[2]) * (steps_per_epoch if found[1] == "epoch" else 1)


class Scalars(Recording):
    """Takes the scalars into the history, and shows their means since the last look."""

    def __init__(self, session: Session):
        super().__init__(session)
        self._waiting: list[Tensor] = []  # still on the device
        self._shown: list[np.ndarray] = []
        self._remark: str | None = None

    def begin(self, start: int, stop: int) -> None:
        self.record.progress.begin(start, stop)

    def after_step(self, done: int, scalars: Tensor) -> None:
        self._waiting.append(scalars)
        look = self.session.looks_at(done)
        if look or self.record.progress.due():
            self.catch_up(done, speak=look)
        if look:
            remark = self.session.step.remark(dict(zip(self.session.step.scalars, np.mean(self._shown, axis=0))))
            if remark and remark != self._remark:
                self.record.progress.say(f"note: {remark}")
            self._remark, self._shown = remark, []

    def catch_up(self, done: int, speak: bool = False) -> None:
        """Read the scalars up to step number `done`; `speak` asks for a line about them."""
        if not self._waiting:
            return
        values = [scalars.asnumpy() for scalars in self._waiting]
        self._waiting.clear()
        for step, row in enumerate(values, start=done - len(values) + 1):
            self.record.history.add(step, row)
        self._shown += values
        self.record.progress.show(done, np.mean(self._shown, axis=0), speak)


class Sheets(Recording):
    """Draws the same latents at each look; with classes, with the labels of as many real images."""

    def __init__(self, session: Session):
        super().__init__(session)
        self._inputs, self._real = sheet_of(self.recipe, session.images, session.settings.seed)

    def at_start(self) -> None:
        self._draw(0)

    def after_step(self, done: int, scalars: Tensor) -> None:
        if self.session.looks_at(done) or (done in EARLY and self.session.look_every >= LONG):
            self._draw(done)

    def _draw(self, done: int) -> None:
        images = self.session.draw(self._inputs, done)
        epoch, beyond = divmod(done, self.session.steps_per_epoch)
        when = f"{done / self.session.steps_per_epoch:.2f}" if beyond else epoch
        path = self.record.folder.samples / (f"step_{done:08d}.png" if beyond else f"epoch_{epoch:04d}.png")
        columns = self.recipe.sheet.columns
        title = f"{self.recipe.name} · epoch {when}"
        caption = f"step {done:,} · the same {len(images)} latents each time"
        if self._real is None:
            self.record.picture(path, plots.sheet, images, columns, title, caption)
            return
        if len(self._inputs) > 1:
            caption += ", each with the label of one of these real images"
        both = ("generated", images), ("real", self._real.astype(np.float32) / 255)
        self.record.picture(path, plots.compare, *both, columns, title, caption, above=True)


def sheet_of(recipe: Recipe, images: ImageData, seed: int) -> tuple[Inputs, np.ndarray | None]:
    """Return the generator's inputs for a run's sample sheets, and the real images to show below, if any.

    Labels are those of as many real images, chosen by the seed; the real images are uint8, N×C×H×W.
    """
    count = recipe.sheet.rows * recipe.sheet.columns
    chosen = np.resize(random_stream(seed, "real images").permutation(len(images.images)), count)
    labels = images.labels[chosen] if recipe.data.classes and images.labels is not None else None
    real = None
    if recipe.sheet.above_real:
        real = replace(images, images=images.images[chosen]).at_size(recipe.data.size).images
    return seeded_inputs(recipe.latent, count, seed, labels), real


class Validation(Recording):
    """Scores the generator every few epochs, and knows the best checkpoint."""

    def __init__(self, session: Session, scalars: Scalars):
        super().__init__(session)
        self._scalars = scalars
        self.best = session.state.best

    def at_end(self, done: int) -> None:
        if self.best is not None and self.best.step < done:
            best = f"{self.best.chosen_by} {self.best.score:.3f} after step {self.best.step:,}"
            self.record.progress.say(f"checkpoints/best is the best of those that were scored, with {best}")

    def after_step(self, done: int, scalars: Tensor) -> None:
        scorer, say = self.record.scorer, self.record.progress.say
        if not scorer.due(done):
            return
        self._scalars.catch_up(done)
        ready, started = scorer.ready, time.monotonic()
        with self.record.signals.busy("the scoring"):
            values = scorer(lambda inputs: self.session.draw(inputs, done), say)
        if not ready:
            self.record.progress.leave_out(time.monotonic() - started)
        self.record.history.add_scores(done, values)
        before, self.best = self.best, scorer.best_of(done, values[0], self.best)
        shown = ["–" if value is None else f"{value:.3f}" for value in values]
        named = ", ".join(f"{name} {value}" for name, value in zip(scorer.columns, shown))
        say(f"after step {done:,}: {named}{'' if self.best is before else ', the best so far'}")


class MaturityNotes(Recording):
    """Says where most of the generator is as it was before the first step."""

    def __init__(self, session: Session):
        super().__init__(session)
        self._warned = False
        self._at, self._share = session.state.step, session.state.initial_share

    def after_step(self, done: int, scalars: Tensor) -> None:
        if self.session.looks_at(done):
            self._say(done, at_end=False)

    def at_end(self, done: int) -> None:
        self._say(done, at_end=True)

    def share_at(self, done: int) -> float:
        """Return how much of the EMA is as it was before the first step, from 0 to 1; 0 without an EMA."""
        self._share = left_of(self._share, self.recipe.ema.decay, self._at, done)
        self._at = done
        return self._share

    def _say(self, done: int, at_end: bool) -> None:
        """Say once where most is initial, and at the end also what else there is to note."""
        found = maturity(self.recipe, done, self.share_at(done), bool(self.session.settings.warm_start))
        if found.note() and (not self._warned if found.mostly_initial else at_end):
            self.record.progress.say(f"note: {found.note()}")
            self._warned = True


class Checkpoints(Recording):
    """Saves the run at each look, after each score, every few minutes and at the end, and removes old checkpoints."""

    def __init__(self, session: Session, scalars: Scalars, validation: Validation, notes: MaturityNotes):
        super().__init__(session)
        self._scalars, self._validation, self._notes = scalars, validation, notes
        self._seconds, self._time = 0.0, time.monotonic()  # how long a save takes, and when the last one was
        self.saved = session.state.step if session.state.prepared is None else None
        self._tell()

    def at_start(self) -> None:
        self._save(0)

    def begin(self, start: int, stop: int) -> None:
        self._tidy()  # where the run was killed between a checkpoint and this

    def after_step(self, done: int, scalars: Tensor) -> None:
        late = time.monotonic() - self._time >= SECONDS_BETWEEN_CHECKPOINTS
        if late or self.session.looks_at(done) or self.record.scorer.due(done):
            self._save(done)

    def at_end(self, done: int) -> None:
        if self.saved != done:  # a signal came between two checkpoints
            self._save(done)

    def _save(self, done: int) -> None:
        self._scalars.catch_up(done)
        started, best = time.monotonic(), self._validation.best
        self.record.save(self.session, State(done, (), best, self.session.settings, self._notes.share_at(done)))
        self._tidy()
        self.saved, self._time = done, time.monotonic()
        self._seconds = self._time - started
        self._tell()

    def _tidy(self) -> None:
        """Mark the best checkpoint, and remove those that are no longer kept."""
        folder, best = self.record.folder, self._validation.best
        folder.mark_best(best, self.record.progress.say)
        thin_out(folder.checkpoints, self.session.look_every, best.step if best is not None else None)

    def _tell(self) -> None:
        """Let the answer to a signal say what is on the disk, and how long a step and a save take, if that is known."""
        what = "what was saved before" if self.saved is None else f"step {self.saved:,}"
        a_step = self.record.progress.seconds_a_step
        self.record.signals.know(f"{what} of {self.record.folder.path}", self._seconds + a_step if a_step else None)


class Pictures(Recording):
    """Draws losses.png after checkpoints, though not too often, and at the end; then also progress.gif."""

    def __init__(self, session: Session, checkpoints: Checkpoints):
        super().__init__(session)
        self._checkpoints, self._drawn = checkpoints, float("-inf")

    def after_step(self, done: int, scalars: Tensor) -> None:
        if self._checkpoints.saved == done and time.monotonic() - self._drawn >= SECONDS_BETWEEN_CURVES:
            self._draw_curves()

    def at_end(self, done: int) -> None:
        self._draw_curves()
        samples = self.record.folder.samples.iterdir()
        sheets = {step_of(file, self.session.steps_per_epoch): file for file in samples}
        frames = [sheets[step] for step in sorted(sheets) if step >= 0]
        if frames:
            self.record.picture(self.record.folder.progress_gif, plots.gif, frames)

    def _draw_curves(self) -> None:
        self._drawn = time.monotonic()
        history, title = read_columns(self.record.history.path), f"{self.recipe.name}: how the training went"
        self.record.picture(self.record.folder.losses_png, curves.losses, history, title, self.session.step.equilibrium)


class PretrainingProgress(Recording):
    """Looks at the updates before the first step: they have no history, and what is saved is no checkpoint."""

    def __init__(self, session: Session):
        super().__init__(session)
        self._time, self._saved = time.monotonic(), session.state.prepared

    def begin(self, start: int, stop: int) -> None:
        from_step = f", from step {start:,} on" if start else ""
        self.record.progress.say(f"{stop:,} steps of pretraining{from_step}")
        self.record.progress.begin(start, stop)

    def after_step(self, done: int, scalars: Tensor) -> None:
        if not np.isfinite(scalars.asnumpy()).all():
            raise diverged(f"step {done:,} of the pretraining gives numbers that are not finite")
        if time.monotonic() - self._time >= SECONDS_BETWEEN_CHECKPOINTS:
            self._save(done)
        if self.record.progress.due():
            self.record.progress.show(done, None)

    def at_end(self, done: int) -> None:
        if self._saved != done:
            self._save(done)

    def _save(self, done: int) -> None:
        self.record.save(self.session, replace(self.session.state, settings=self.session.settings, prepared=done))
        self._time, self._saved = time.monotonic(), done
