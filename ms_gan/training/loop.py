"""The training loop. It knows steps, batches and scalars, and no family of networks."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
from mindspore import Tensor, mutable

from ms_gan.data.batches import EpochShuffle
from ms_gan.evaluation import plots
from ms_gan.evaluation.sampling import draw_images
from ms_gan.nets.blocks import UnitRange
from ms_gan.runtime import random_stream
from ms_gan.training.checkpoints import save_checkpoint, thin_out
from ms_gan.training.history import History
from ms_gan.training.progress import Progress
from ms_gan.training.run_folder import RunFolder

SECONDS_BETWEEN_CHECKPOINTS = 300.0  # at the latest; else at each epoch's end
SHEET_COLUMNS = SHEET_ROWS = 5


class Interrupted(Exception):
    """A signal, of this `number`, asked the run to stop, and all is saved."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Loop:
    """Runs a step Cell to a given length, with checkpoints, pictures and history on the way.

    Args:
        run: the run's folder.
        step: a Cell of `ms_gan.steps`.
        sampler: the step's generator, brought to [0, 1].
        latents: the fixed latents of the sample sheets, float32, (25, latent_size).
        shuffle: which images each step sees.
        settings: the run's settings; a checkpoint carries them.
    """

    def __init__(self, run: RunFolder, step, sampler: UnitRange, latents: np.ndarray, shuffle: EpochShuffle,
                 settings: Dict[str, Any], history: History, progress: Progress):
        self.run = run
        self.step = step
        self.sampler = sampler
        self.latents = latents
        self.shuffle = shuffle
        self.settings = settings
        self.history = history
        self.progress = progress
        self.name = settings["recipe"]["name"]

    def go(self, done: int, total: int) -> None:
        """Train from step `done` to step `total`.

        SIGINT, SIGTERM and SIGHUP let the step end, save, draw what is drawn at the end, and
        raise Interrupted; a second SIGINT stops at once. (While it runs a graph, MindSpore turns
        SIGINT into SIGTERM: which of the two was sent cannot be told.)
        """
        self._signal = None
        previous = {number: signal.signal(number, self._note_signal)
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
                    if signal.getsignal(number) is not signal.SIG_IGN}  # nohup means it
        try:
            done = self._steps(done, total)
        finally:
            self.progress.end()
            for number, handler in previous.items():
                signal.signal(number, handler)
        self.finish()
        if self._signal is not None:
            self.progress.say(f"stopped after step {done:,}; all is saved; to go on: "
                              f"bash scripts/run_train.sh --resume {self.run.path}")
            raise Interrupted(self._signal)

    def finish(self) -> None:
        """Draw the loss curves and the animation of the sample sheets."""
        plots.losses(self.run.losses, self.history.read(), f"{self.name}: losses and accuracy of the discriminator")
        sheets = {self._step_of_sheet(file): file for file in self.run.samples.iterdir()}
        plots.gif(self.run.progress, [sheets[step] for step in sorted(sheets) if step >= 0])

    def _steps(self, done: int, total: int) -> int:
        per_epoch = self.shuffle.steps_per_epoch
        batch_size, seed = self.settings["recipe"]["schedule"]["batch_size"], self.settings["seed"]
        waiting: List[Tensor] = []  # scalars still on the device: reading them waits for it
        shown: List[np.ndarray] = []  # those since the epoch began
        saved, saved_at = done, time.monotonic()
        if done == 0:
            self._sheet(0)
            self._save(0)
        self.progress.begin(done, total)

        while done < total and self._signal is None:
            batch = (self.shuffle.indices(done),)
            noise = self.step.draw_noise(random_stream(seed, "step", done), batch_size)
            waiting.append(self.step(on_device(batch), on_device(noise)))
            done += 1

            epoch_ended = done % per_epoch == 0
            save = epoch_ended or done == total or time.monotonic() - saved_at >= SECONDS_BETWEEN_CHECKPOINTS
            if save or self.progress.due():
                shown += self._read(waiting, done)
                self.progress.show(done, np.mean(shown, axis=0), speak=epoch_ended or done == total)
            if epoch_ended or done == total:
                self._sheet(done)
                shown = []
            if save:
                self._save(done)
                saved, saved_at = done, time.monotonic()
        if saved != done:  # a signal came between two checkpoints
            self._read(waiting, done)
            self._save(done)
        return done

    def _read(self, waiting: List[Tensor], done: int) -> List[np.ndarray]:
        """Take the waiting scalars, the last of them of step `done`, into the history, and return them."""
        values = [scalars.asnumpy() for scalars in waiting]
        waiting.clear()
        for step, scalars in enumerate(values, start=done - len(values) + 1):
            self.history.add(step, scalars)
        return values

    def _sheet(self, done: int) -> None:
        """Draw the fixed latents in inference mode; training goes on as if nothing had been drawn."""
        self.sampler.set_train(False)
        images = draw_images(self.sampler, self.latents)
        self.step.set_train(True)
        epoch, beyond = divmod(done, self.shuffle.steps_per_epoch)
        file = f"step_{done:08d}.png" if beyond else f"epoch_{epoch:04d}.png"
        plots.sheet(self.run.samples / file, images, SHEET_COLUMNS, f"{self.name} · epoch {epoch}",
                    f"step {done:,} · the same {len(images)} latents each time")

    def _step_of_sheet(self, file: Path) -> int:
        found = re.fullmatch(r"(epoch|step)_(\d+)\.png", file.name)
        if found is None:
            return -1  # somebody else's file
        return int(found[2]) * (self.shuffle.steps_per_epoch if found[1] == "epoch" else 1)

    def _save(self, done: int) -> None:
        state = {"step": done, "pending": self.history.pending, "settings": self.settings}
        self.history.sync()
        save_checkpoint(self.run.checkpoints, done, self.step.saved(), state)
        thin_out(self.run.checkpoints, self.shuffle.steps_per_epoch)

    def _note_signal(self, number: int, _frame: Any) -> None:
        self._signal = number  # the loop sees it when its step is done
        signal.signal(signal.SIGINT, signal.default_int_handler)


def on_device(arrays):
    """As a tuple that the graph takes as inputs and not as constants, which it would compile in."""
    return mutable(tuple(Tensor(array) for array in arrays))
