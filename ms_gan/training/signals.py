"""Signals that ask a run to stop: the step under way ends, all is saved, and the sender is answered at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEP = "the step under way"
PATIENCE = 5.0  # seconds after the first signal in which more of them are taken for impatience


class Interrupted(Exception):
    """A signal, of this `number`, asked the run to stop, and all is saved."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def ignore_signals() -> None:
    """Let signals pass: the end of the first device's process ends the others."""
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


class StopSignals:
    """A context in which SIGINT, SIGTERM and SIGHUP are noted; the run looks at `number` after each step.

    (While it runs a graph, MindSpore turns SIGINT into SIGTERM: it is unknown which of the two was sent.) The first
    signal is answered at once on stderr, by a thread of its own, since Python's handlers wait for the step to end.
    Further signals change nothing within PATIENCE. The next one is answered with a warning, and one more ends the
    process at once, with 128 and its number, unless something is being saved.

    Args:
        end: ends the process with a status, also deep in a graph, where no exception arrives.

    Attributes:
        number: of the first signal, or None.
        doing: what is under way.
        seconds: how long a step and a save take together; None if that is unknown.
        kept: what is left of a run that is ended at once, and how to resume it.
    """

    def __init__(self, end: Callable[[int], Any] = os._exit) -> None:
        self.number: int | None = None
        self.doing, self.kept = STEP, "what was saved before is kept"
        self.seconds: float | None = None
        self._end = end
        self._saving = threading.Lock()  # held while something is saved
        self._first: float | None = None  # when the first signal came
        self._warned = False

    def __enter__(self) -> StopSignals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._previous = {
            number: signal.signal(number, self._note)
            for number in ASKING
            if signal.getsignal(number) is not signal.SIG_IGN  # as nohup wants it
        }
        self._previous_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_error: Any) -> None:
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.close(self._write)  # ends the thread
        self._listener.join()
        os.close(self._read)

    def asked(self) -> bool:
        """Return whether a signal came."""
        return self.number is not None

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Let no signal break what is done in this context."""
        with self._saving:
            yield

    @contextlib.contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Say in answers that this is under way, in place of a step."""
        self.doing, before = doing, self.doing
        yield
        self.doing = before

    def _note(self, number: int, _frame: Any) -> None:
        self.number = self.number or number

    def _listen(self) -> None:
        """Answer each signal in a line. The log does not get it: it says what was saved in the end."""
        while True:
            numbers = os.read(self._read, 1)
            if not numbers:
                return
            if numbers[0] not in ASKING:
                continue
            if self._first is None:
                self._first = time.monotonic()
                timed = self.seconds is not None and self.doing == STEP
                about = f", in about {max(1, round(self.seconds or 0))} s" if timed else ""
                self._say(f"stopping: {self.doing} ends, then all is saved{about}; please wait")
            elif not self._saving.acquire(blocking=False):
                self._say("still stopping: all is being saved")
            else:
                try:
                    self._answer_again(numbers[0], time.monotonic() - self._first)
                finally:
                    self._saving.release()

    def _answer_again(self, number: int, seconds: float) -> None:
        """Answer a signal that is not the first one, `seconds` after that."""
        if seconds <= PATIENCE:
            self._say(f"still stopping: {self.doing} has to end")
        elif not self._warned:
            self._warned = True
            self._say(
                f"still stopping: {self.doing} has to end; another signal ends the run at once, and only {self.kept}"
            )
        else:
            self._say(f"ended at once; {self.kept}")
            self._end(128 + number)

    @staticmethod
    def _say(line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"\n{line}\n".encode("utf-8", "backslashreplace"))
