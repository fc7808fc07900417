"""The training loop. It knows steps, batches and scalars, and no family of networks."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np
from mindspore import Tensor, mutable

from ms_gan.errors import UserError, quoted
from ms_gan.evaluation import plots
from ms_gan.evaluation.sampling import Inputs, draw_images
from ms_gan.nets.blocks import UnitRange
from ms_gan.runtime import Device, random_stream
from ms_gan.steps.average import with_averages
from ms_gan.steps.parallel import DataParallel
from ms_gan.training.checkpoints import save_checkpoint, save_preparation, thin_out
from ms_gan.training.history import History
from ms_gan.training.maturity import left_of, maturity
from ms_gan.training.progress import Progress
from ms_gan.training.run_folder import RunFolder
from ms_gan.training.scoring import STEPS_BETWEEN_LOOKS, TrainingScores, mark_best
from ms_gan.training.signals import ASKING, STEP, StopSignals

SECONDS_BETWEEN_CHECKPOINTS = 300.0  # at the latest; else at an epoch's end
SECONDS_BETWEEN_CURVES = 30.0  # at least, between two drawings of losses.png


class Interrupted(Exception):
    """A signal, of this `number`, asked the run to stop, and all is saved."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Sheet:
    """What the sample sheets of a run show."""

    inputs: Inputs  # of the generator, the same each time
    columns: int
    real: np.ndarray | None = None  # uint8, N×C×H×W: real images to stand below the generated ones


class Loop:
    """Runs a step Cell to a given length, with checkpoints, pictures and history on the way.

    Args:
        run: the run's folder.
        step: a Cell of `ms_gan.steps`.
        sampler: the step's generator, brought to [0, 1].
        sheet: what the sample sheets show.
        batches: which images each step sees.
        steps_per_epoch: how many steps make an epoch.
        device: what it runs on.
        settings: the run's settings; a checkpoint carries them.
        history: takes the step's scalars, and scores.
        progress: takes what a person is told.
        scores: what scores the generator on the way, if anything.
        best: what is known about the best checkpoint so far, if there is any.
        initial_share: how much of the average of the weights is as it was before the first step, from 0 to 1; 0 where
            there is no average.
    """

    def __init__(
        self,
        run: RunFolder,
        step,
        sampler: UnitRange,
        sheet: Sheet,
        batches,
        steps_per_epoch: int,
        device: Device,
        settings: dict[str, Any],
        history: History,
        progress: Progress,
        scores: TrainingScores,
        best: dict[str, Any] | None,
        initial_share: float,
    ):
        self.run = run
        self.step = step
        self.sampler = sampler
        self.sheet = sheet
        self.batches = batches
        self.steps_per_epoch = steps_per_epoch
        self.device = device
        self.settings = settings
        self.history = history
        self.progress = progress
        self.scores = scores
        self.best = best
        self.name = settings["recipe"]["name"]
        self.look_every = -(-STEPS_BETWEEN_LOOKS // steps_per_epoch) * steps_per_epoch
        self._initial_share, self._share_of_step = initial_share, 0
        self._warned_of_beginning = False
        self._seconds_a_save = 0.0
        self._curves_drawn: float | None = None

    def go(self, done: int | None, total: int, prepared: int = 0) -> None:
        """Train from step `done`, that of a checkpoint, to step `total`.

        None begins with the step's preparation, of which `prepared` updates are done.

        SIGINT, SIGTERM and SIGHUP let the step end, save, draw what is drawn at the end, and
        raise Interrupted; see StopSignals.
        """
        self.cell = with_averages(across_devices(self.step, self.device), self.step, done or 0)
        self._share_of_step = done or 0
        with StopSignals() as self.signals:
            self._keeps("what was saved before")
            try:
                done = self._steps(done, total, prepared)
            finally:
                self.progress.end()
            if done is not None:
                self.signals.doing = "the last picture"
                self.finish(done)
        if self.signals.number is not None and (done is None or done < total):
            where = "in the preparation" if done is None else f"after step {done:,}"
            self.progress.say(f"stopped {where}; all is saved; to go on: {self._resume()}")
            raise Interrupted(self.signals.number)

    def finish(self, done: int) -> None:
        """Draw the loss curves and the animation of the sample sheets, and say where what draws is young."""
        self._draw_curves()
        sheets = {self._step_of_sheet(file): file for file in self.run.samples.iterdir()}
        frames = [sheets[step] for step in sorted(sheets) if step >= 0]
        if frames:
            self._picture(self.run.progress, lambda: plots.gif(self.run.progress, frames))
        found = maturity(self.settings["recipe"], done, self._share_at(done))
        if found.note() and not (found.mostly_initial and self._warned_of_beginning):
            self.progress.say(f"note: {found.note()}")

    def _steps(self, done: int | None, total: int, prepared: int) -> int | None:
        waiting: list[Tensor] = []  # scalars still on the device: reading them waits for it
        shown: list[np.ndarray] = []  # those since the epoch began
        if done is None:
            if not self._prepare(prepared):
                return None
            done = 0
            self._sheet(0)
            self._save(0)
        saved, saved_at, remark = done, time.monotonic(), None
        self._keeps(f"step {saved:,}")
        self.progress.begin(done, total)

        while done < total and self.signals.number is None:
            waiting.append(self._run(self.cell, "step", done))
            done += 1

            look = done % self.look_every == 0 or done == total
            scored = self.scores.due(done)
            save = look or scored or time.monotonic() - saved_at >= SECONDS_BETWEEN_CHECKPOINTS
            if save or self.progress.due():
                shown += self._read(waiting, done)
                means = np.mean(shown, axis=0)
                self.progress.show(done, means, speak=look)
            if look:
                remark, before = self.step.remark(dict(zip(self.step.scalars, means))), remark
                if remark and remark != before:
                    self.progress.say(f"note: {remark}")
                self._sheet(done)
                shown = []
            if scored:
                self._score(done)
            if save:
                self._save(done)
                saved, saved_at = done, time.monotonic()
                self._keeps(f"step {saved:,}")
                self._draw_curves(now_and_then=True)
        if saved != done:  # a signal came between two checkpoints
            self._read(waiting, done)
            self._save(done)
            self._keeps(f"step {done:,}")
        return done

    def _resume(self) -> str:
        return f"bash scripts/run_train.sh --resume {quoted(self.run.path)}"

    def _keeps(self, what: str) -> None:
        """Let a signal be told what is on the disk, and how long a step and a save take, once a step was timed."""
        self.signals.kept = f"{what} is kept; to go on: {self._resume()}"
        a_step = self.progress.seconds_a_step()
        self.signals.seconds = self._seconds_a_save + a_step if a_step else None

    def _run(self, cell, purpose: str, number: int) -> Tensor:
        return run_cell(cell, self.step, self.batches, self.device, self.settings["seed"], purpose, number)

    def _prepare(self, done: int) -> bool:
        """Run the rest of what the step wants to have run before its first one; tell whether no signal broke it off.

        What is saved within it is no checkpoint, and serves to go on alone.
        """
        cell, count = self.step.preparation()
        if cell is None or count == 0:
            return True
        cell = across_devices(cell, self.device)
        self.progress.say(f"{count:,} steps of preparation" + (f", from step {done:,} on" if done else ""))
        self.progress.begin(done, count)
        saved_at = time.monotonic()
        while done < count:
            values = self._run(cell, "preparation", done).asnumpy()
            done += 1
            if not np.isfinite(values).all():
                raise UserError(
                    f"training diverged in step {done:,} of the preparation; start again with "
                    "another --seed or a lower learning rate"
                )
            if self.signals.number is not None or time.monotonic() - saved_at >= SECONDS_BETWEEN_CHECKPOINTS:
                with self.signals.saving():
                    save_preparation(self.run.checkpoints, done, self.step.saved(), self._state(0))
                saved_at = time.monotonic()
            if self.signals.number is not None:
                return False
            if self.progress.due():
                self.progress.count(done)
        self.progress.end()
        return True

    def _read(self, waiting: list[Tensor], done: int) -> list[np.ndarray]:
        """Take the waiting scalars, the last of them of step `done`, into the history, and return them."""
        values = [scalars.asnumpy() for scalars in waiting]
        waiting.clear()
        for step, scalars in enumerate(values, start=done - len(values) + 1):
            self.history.add(step, scalars)
        return values

    def _sheet(self, done: int) -> None:
        """Draw the fixed inputs in inference mode; training goes on as if nothing had been drawn."""
        self.sampler.set_train(False)
        images = self._drawn(self.sheet.inputs, done)
        self.step.set_train(True)
        epoch, beyond = divmod(done, self.steps_per_epoch)
        file = f"step_{done:08d}.png" if beyond else f"epoch_{epoch:04d}.png"
        when = f"{done / self.steps_per_epoch:.2f}" if beyond else epoch
        title, caption = f"{self.name} · epoch {when}", f"step {done:,} · the same {len(images)} latents each time"
        if len(self.sheet.inputs) > 1 and self.sheet.real is not None:
            caption += ", each with the label of one of these real images"
        path = self.run.samples / file
        if self.sheet.real is None:
            self._picture(path, lambda: plots.sheet(path, images, self.sheet.columns, title, caption))
        else:
            real = np.float32(self.sheet.real) / 255
            self._picture(
                path,
                lambda: plots.compare(
                    path, images, real, self.sheet.columns, "generated", "real", title, caption, above=True
                ),
            )
        self._warn_of_beginning(done)

    def _drawn(self, inputs: Inputs, done: int) -> np.ndarray:
        """Draw images. Raises UserError where they hold numbers that are not finite: G has diverged."""
        images = draw_images(self.sampler, inputs)
        if not np.isfinite(images).all():
            raise UserError(
                f"training diverged: the images that G draws after step {done:,} are not finite; start "
                f"again with another --seed or a smaller learning rate (--set); the checkpoints before it are "
                f"sound"
            )
        return images

    def _picture(self, path: Path, draw: Callable[[], Any]) -> None:
        """Draw a picture; one that cannot be drawn or written is said to be so, and training goes on."""
        try:
            draw()
        except OSError as error:
            self.progress.say(f"note: {path} could not be drawn ({error.strerror or error}); training goes on")

    def _draw_curves(self, now_and_then: bool = False) -> None:
        """Draw losses.png; `now_and_then` not where it was drawn a moment ago."""
        now = time.monotonic()
        if now_and_then and self._curves_drawn is not None and now - self._curves_drawn < SECONDS_BETWEEN_CURVES:
            return
        self._curves_drawn = now
        self._picture(
            self.run.losses,
            lambda: plots.losses(
                self.run.losses, self.history.read(), f"{self.name}: how the training went", self.step.equilibrium
            ),
        )

    def _share_at(self, done: int) -> float:
        """Return how much of the average, if there is one, is still as it was before the first step."""
        decay = self.settings["recipe"]["average"]["decay"]
        self._initial_share = left_of(self._initial_share, decay, self._share_of_step, done)
        self._share_of_step = done
        return self._initial_share

    def _warn_of_beginning(self, done: int) -> None:
        """Say once where what draws is more its beginning than its training."""
        found = maturity(self.settings["recipe"], done, self._share_at(done))
        if done and found.mostly_initial and not self._warned_of_beginning:
            self.progress.say(f"note: {found.note()}")
            self._warned_of_beginning = True

    def _score(self, done: int) -> None:
        """Score the generator in inference mode; training goes on as if nothing had been drawn."""
        self.sampler.set_train(False)
        self.signals.doing = "the scoring"
        values = self.scores(lambda inputs: self._drawn(inputs, done), self.progress.say)
        self.signals.doing = STEP
        self.step.set_train(True)
        self.history.add_scores(done, values)
        before, self.best = self.best, self.scores.best_of(done, values[0], self.best)
        named = ", ".join(
            f"{name} {'–' if value is None else f'{value:.3f}'}" for name, value in zip(self.scores.columns, values)
        )
        self.progress.say(f"after step {done:,}: {named}{'' if self.best is before else ', the best so far'}")
        self._warn_of_beginning(done)

    def _step_of_sheet(self, file: Path) -> int:
        found = re.fullmatch(r"(epoch|step)_(\d+)\.png", file.name)
        if found is None:
            return -1  # somebody else's file
        return int(found[2]) * (self.steps_per_epoch if found[1] == "epoch" else 1)

    def _state(self, done: int) -> dict[str, Any]:
        return {
            "step": done,
            "pending": self.history.pending,
            "best": self.best,
            "settings": self.settings,
            "initial_share": self._share_at(done),
        }

    def _save(self, done: int) -> None:
        started = time.monotonic()
        with self.signals.saving():
            self.history.sync()
            save_checkpoint(self.run.checkpoints, done, self.step.saved(), self._state(done))
            mark_best(self.run, self.best, self.progress.say)
            thin_out(self.run.checkpoints, self.look_every, self.best and self.best["step"])
        self._seconds_a_save = time.monotonic() - started


def run_cell(cell, step, batches, device: Device, seed: int, purpose: str, number: int) -> Tensor:
    """Run a Cell with the step's signature on this device's share of the batch, and its noise, of this number."""
    noise = step.draw_noise(random_stream(seed, purpose, number * device.count + device.rank))
    indices = batches.indices(number)
    share = len(indices) // device.count
    indices = indices[device.rank * share : (device.rank + 1) * share]
    return cell(on_device(step.data.inputs(indices)), on_device(noise))


def across_devices(cell, device: Device):
    """Return the Cell as it runs on one of several devices."""
    return cell if device.count == 1 else DataParallel(cell, device.count)


def follow(step, batches, device: Device, seed: int, done: int | None, total: int, prepared: int = 0) -> None:
    """Train as one of several devices, all but the first of which keep no record: they have the same numbers.

    `done`, `total` and `prepared` are those of `Loop.go`.
    """
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)  # the end of the first one's process ends this one
    if done is None:
        cell, count = step.preparation()
        cell = across_devices(cell, device) if count else None
        for number in range(prepared, count):
            run_cell(cell, step, batches, device, seed, "preparation", number).asnumpy()
    cell = with_averages(across_devices(step, device), step, done or 0)
    for number in range(done or 0, total):
        run_cell(cell, step, batches, device, seed, "step", number).asnumpy()


def on_device(arrays):
    """As a tuple that the graph takes as inputs and not as constants, which it would compile in."""
    return mutable(tuple(Tensor(array) for array in arrays))
