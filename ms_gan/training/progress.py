"""What a person sees while a run goes: a bar on a terminal, plain lines elsewhere and in `train.log`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ms_gan.runtime import silence

SECONDS_BETWEEN_LINES = 30.0
SECONDS_TO_FIRST_LINE = 10.0  # after the step was compiled
SECONDS_BETWEEN_LOOKS = 0.5


class Progress:
    """Shows steps, scalars, speed and time left; every line also goes into the log file.

    On a terminal there is a tqdm bar, too. A line comes at each look of the run, and otherwise every 30 seconds. Call
    `begin` before anything but `say` and `end`.

    Attributes:
        seconds_a_step: how long a step took in the mean since the first look, before which the step is compiled, with
            what comes between steps; 0 until a step has come after it.
    """

    def __init__(self, log: Path, scalars: Sequence[str], steps_per_epoch: int):
        self._log = open(log, "a", encoding="utf-8", errors="backslashreplace")
        self._scalars = scalars
        self._steps_per_epoch = steps_per_epoch
        self.seconds_a_step = 0.0
        self._bar = tqdm(disable=True)  # until `begin`

    def say(self, line: str) -> None:
        """Print a line and put it into the log with the time."""
        try:
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
            self._log.flush()
        except OSError as error:  # a full disk: what matters more says so itself
            print(f"note: the log cannot be written ({error.strerror or error})", file=sys.stderr)
        try:
            tqdm.write(line, file=sys.stdout)  # above a bar, if there is one
            sys.stdout.flush()
        except OSError:  # nobody reads it any more, as after `| head` or a closed terminal: the log goes on
            silence(sys.stdout)

    def begin(self, done: int, total: int) -> None:
        """Start to count at step `done` of `total`."""
        self.end()
        self._first, self._total = done, total
        self._started = self._spoken = self._looked = time.monotonic()
        self._compiled, self.seconds_a_step = False, 0.0
        if done < total:
            self.say("compiling: the first step takes longer than all that follow")
        self._bar = tqdm(
            total=total,
            initial=done,
            unit=" steps",
            dynamic_ncols=True,
            smoothing=0.05,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {remaining} left {rate_noinv_fmt}{postfix}",
            disable=None,  # where there is no terminal
        )

    def due(self) -> bool:
        """Tell whether it is time to look at the values again: reading them waits for the device."""
        return time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS

    def show(self, step: int, values: Sequence[float] | None, speak: bool = False) -> None:
        """Show the scalars' means since the epoch began, or, with None, how far the pretraining is.

        `speak` asks for a line even before the time for one.
        """
        now = self._looked = time.monotonic()
        a_step = max(now - self._started, 1e-9) / max(step - self._first, 1)
        if self._compiled:
            self.seconds_a_step = a_step
        else:  # from here on steps are counted, without the compilation
            self._compiled, self._started, self._first = True, now, step
            self._spoken = now - SECONDS_BETWEEN_LINES + SECONDS_TO_FIRST_LINE
            self._bar.n = self._bar.last_print_n = self._bar.initial = step
            self._bar.unpause()  # it measures from here on, too
        if values is not None:
            self._bar.set_postfix_str(" ".join(map(_short, self._scalars, values)), refresh=False)
        self._bar.update(step - self._bar.n)
        if speak or now - self._spoken >= SECONDS_BETWEEN_LINES:
            self._spoken = now
            part = "pretraining" if values is None else f"epoch {step / self._steps_per_epoch:.2f}"
            means = [f"{name} {value:.3f}" for name, value in zip(self._scalars, () if values is None else values)]
            speed = f"{1 / a_step:.1f} steps/s"
            left = f"{tqdm.format_interval((self._total - step) * a_step)} left"
            self.say(f"{part}, step {step:,} of {self._total:,}: {', '.join([*means, speed, left])}")

    def leave_out(self, seconds: float) -> None:
        """Do not count the last seconds as time of steps: something was done that is done once."""
        self._started += seconds
        self._bar.unpause()

    def end(self) -> None:
        """Close the bar, if there is one."""
        self._bar.close()


def _short(name: str, value: float) -> str:
    """A scalar in few letters, so that a bar of 80 columns holds them all: `d 1.25`, `real 64%`."""
    kind, _, what = name.partition("_")
    if kind == "accuracy" or name == "fool_rate":
        return f"{what if kind == 'accuracy' else kind} {value:.0%}"
    return f"{what or kind} {value:.2f}" if kind == "loss" else f"{name} {value:.2g}"
