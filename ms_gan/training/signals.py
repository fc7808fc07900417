"""Signals that ask a run to stop: what is under way ends, all is saved, and whoever sent them is told so at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEP = "the step under way"
PATIENCE = 5.0  # seconds after the first signal in which more of them are taken for impatience


class StopSignals:
    """A context in which SIGINT, SIGTERM and SIGHUP are noted; the run looks at `number` when a step is done.

    (While it runs a graph, MindSpore turns SIGINT into SIGTERM: which of the two was sent cannot be told.) The first
    signal is answered at once on stderr, by a thread of its own, since Python's handlers wait for the step to end. More
    of them change nothing within PATIENCE; later the next one is answered with what one more does: it ends the process
    at once, with 128 and its number, unless something is being saved.

    Attributes: `number` of the first signal, or None; `doing`, what is under way; `seconds` that a step and a save take
    together, None where that is not known; `kept`, what is left of a run that is ended at once, and how to go on.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.doing, self.kept = STEP, "what was saved before is kept"
        self.seconds: float | None = None
        self._saving = threading.Lock()  # held while something is saved

    def __enter__(self) -> StopSignals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._previous = {
            number: signal.signal(number, self._note)
            for number in ASKING
            if signal.getsignal(number) is not signal.SIG_IGN
        }  # nohup means it
        self._previous_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_error: Any) -> None:
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.close(self._write)  # ends the thread
        self._listener.join()
        os.close(self._read)

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Let no signal break what is done in this context."""
        with self._saving:
            yield

    def _note(self, number: int, _frame: Any) -> None:
        self.number = self.number or number

    def _listen(self) -> None:
        """Answer each signal, in a line; it is not in the log, which says what was saved in the end."""
        first, warned = None, False
        while True:
            numbers = os.read(self._read, 1)
            if not numbers:
                return
            if numbers[0] not in ASKING:
                continue
            if first is None:
                first = time.monotonic()
                timed = self.seconds is not None and self.doing == STEP
                about = f", in about {max(1, round(self.seconds))} s" if timed else ""
                self._say(f"stopping: {self.doing} ends, then all is saved{about}; please wait")
            elif not self._saving.acquire(blocking=False):
                self._say("still stopping: all is being saved")
            else:
                try:
                    if time.monotonic() - first <= PATIENCE:
                        self._say(f"still stopping: {self.doing} has to end")
                    elif not warned:
                        warned = True
                        self._say(
                            f"still stopping: {self.doing} has to end; another signal ends the run at once, and "
                            f"only {self.kept}"
                        )
                    else:
                        self._say(f"ended at once; {self.kept}")
                        _end(128 + numbers[0])
                finally:
                    self._saving.release()

    @staticmethod
    def _say(line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"\n{line}\n".encode("utf-8", "backslashreplace"))


def _end(status: int) -> None:
    """End the process now: whatever runs may be deep in a graph, and no exception reaches it there."""
    os._exit(status)
