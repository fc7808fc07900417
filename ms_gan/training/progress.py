"""What a person sees while a run goes: a bar on a terminal, plain lines elsewhere and in `train.log`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_LOOKS = 0.5


class Progress:
    """Shows steps, scalars, speed and time left; every line also goes into the log file.

    On a terminal there is a tqdm bar, too. A line comes at each epoch's end and every 30 seconds.
    """

    def __init__(self, log: Path, scalars: Sequence[str], steps_per_epoch: int):
        self._log = open(log, "a", encoding="utf-8", errors="backslashreplace")
        self._scalars = scalars
        self._steps_per_epoch = steps_per_epoch
        self._bar = None
        self._total = 0
        self._seconds_a_step = 0.0

    def say(self, line: str) -> None:
        """Print a line and put it into the log with the time."""
        try:
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
            self._log.flush()
        except OSError as error:  # a full disk: what matters more says so itself
            print(f"note: the log cannot be written ({error.strerror or error})", file=sys.stderr)
        try:
            if self._bar is not None:
                self._bar.write(line, file=sys.stdout)
            else:
                print(line, flush=True)
        except OSError:  # nobody reads it any more, as after `| head` or a closed terminal: the log goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def begin(self, done: int, total: int) -> None:
        """Start to count at step `done` of `total`."""
        self.end()
        self._total = total
        self._started = self._spoken = self._looked = time.monotonic()
        self._first = done
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=total,
                initial=done,
                unit=" steps",
                dynamic_ncols=True,
                smoothing=0.05,
                bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {remaining} left {rate_noinv_fmt}{postfix}",
            )

    def seconds_a_step(self) -> float:
        """Return how long a step took in the mean since `begin`; 0 before the first was shown."""
        return self._seconds_a_step

    def due(self) -> bool:
        """Tell whether it is time to look at the values again: reading them waits for the device."""
        return time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS

    def count(self, step: int) -> None:
        """Show how far a preparation is, without values; a line every 30 seconds."""
        now = self._looked = time.monotonic()
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
        if now - self._spoken >= SECONDS_BETWEEN_LINES:
            self._spoken = now
            left = (self._total - step) * (now - self._started) / max(step - self._first, 1)
            self.say(f"preparation: step {step:,} of {self._total:,}, {_duration(left)} left")

    def show(self, step: int, values: Sequence[float], speak: bool) -> None:
        """Show the scalars' means since the epoch began; `speak` asks for a line even before the time for one."""
        now = self._looked = time.monotonic()
        self._seconds_a_step = (now - self._started) / max(step - self._first, 1)
        named = [f"{name} {value:.3f}" for name, value in zip(self._scalars, values)]
        if self._bar is not None:
            self._bar.set_postfix_str(" ".join(map(_short, self._scalars, values)), refresh=False)
            self._bar.update(step - self._bar.n)
        if speak or now - self._spoken >= SECONDS_BETWEEN_LINES:
            self._spoken = now
            speed = (step - self._first) / max(now - self._started, 1e-9)
            left = (self._total - step) / max(speed, 1e-9)
            line = (
                f"epoch {step / self._steps_per_epoch:.2f}, step {step:,} of {self._total:,}: {', '.join(named)}, "
                f"{speed:.1f} steps/s, {_duration(left)} left"
            )
            self.say(line)

    def end(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _short(name: str, value: float) -> str:
    """A scalar in few letters, so that a bar of 80 columns holds them all: `d 1.25`, `real 64%`."""
    kind, _, what = name.partition("_")
    if kind == "accuracy" or name == "fool_rate":
        return f"{what if kind == 'accuracy' else kind} {value:.0%}"
    return f"{what or kind} {value:.2f}" if kind == "loss" else f"{name} {value:.2g}"


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(round(seconds)), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
