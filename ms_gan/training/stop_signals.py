"""Signals that ask a run to stop: the step under way ends, all is saved, and the sender is answered at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from ms_gan.signals import ASKING, handled

STEP = "the step under way"
PATIENCE = 5.0  # seconds after the first signal in which more of them are taken for impatience


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP while a run listens: they are noted, and it looks at `number` after each step.

    (While it runs a graph, MindSpore turns SIGINT into SIGTERM: it is unknown which of the two was sent.) The first
    signal is answered at once on stderr, by a thread of its own, since Python's handlers wait for the step to end.
    Further signals change nothing within PATIENCE. The next one is answered with a warning, and one more ends the
    process at once, with 128 and its number, unless something is being saved.

    Attributes:
        number: of the first signal, or None.
        saving: is held while something is saved, which no signal may break.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.saving = threading.Lock()
        self._doing, self._kept = STEP, "what was saved before"
        self._seconds: float | None = None
        self._first: float | None = None  # when the first signal came
        self._warned = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note and answer the signals that come in this context, but for those that are ignored.

        Python hands signals to the main thread alone: elsewhere none is noted.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        read, write = os.pipe()
        os.set_blocking(write, False)
        listener = threading.Thread(target=self._listen, args=(read,), daemon=True)
        listener.start()
        previous = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        try:
            with handled(self._note):
                yield
        finally:
            signal.set_wakeup_fd(previous)
            os.close(write)  # ends the thread
            listener.join()
            os.close(read)

    def asked(self) -> bool:
        """Return whether a signal came."""
        return self.number is not None

    def know(self, kept: str, seconds: float | None) -> None:
        """Set what answers to signals say: what is kept of a run that ends at once, and how long step and save take.

        `seconds` is None if that is unknown.
        """
        self._kept, self._seconds = kept, seconds

    @contextlib.contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Say in answers that this is under way, in place of a step."""
        self._doing, before = doing, self._doing
        try:
            yield
        finally:
            self._doing = before

    def _note(self, number: int, _frame: Any) -> None:
        self.number = self.number or number

    def _listen(self, signals: int) -> None:
        """Answer each signal in a line. The log does not get it: it says what was saved in the end."""
        while number := int.from_bytes(os.read(signals, 1), "big"):
            if number not in ASKING:
                continue
            if self._first is None:
                self._first = time.monotonic()
                timed = self._seconds is not None and self._doing == STEP
                about = f", in about {max(1, round(self._seconds or 0))} s" if timed else ""
                _answer(f"stopping: {self._doing} ends, then all is saved{about}; please wait")
            elif not self.saving.acquire(blocking=False):
                _answer("still stopping: all is being saved")
            else:
                try:
                    self._answer_again(number, time.monotonic() - self._first)
                finally:
                    self.saving.release()

    def _answer_again(self, number: int, seconds: float) -> None:
        """Answer a signal that is not the first one, `seconds` after that."""
        still = f"still stopping: {self._doing} has to end"
        if seconds <= PATIENCE:
            _answer(still)
        elif not self._warned:
            self._warned = True
            _answer(f"{still}; another signal ends the run at once, and only {self._kept} is kept")
        else:
            _answer(f"ended at once; {self._kept} is kept")
            os._exit(128 + number)  # deep in a graph no exception arrives


def _answer(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"\n{line}\n".encode("utf-8", "backslashreplace"))
