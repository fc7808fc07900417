"""What Ctrl-C and SIGTERM do to a server: while it opens its bundle, and when it serves."""

from __future__ import annotations

import os
import signal
from typing import Any, Callable

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


class Stopping:
    """A context in which this process decides its own exit status, however many signals come, and when.

    Until `serves` is called, a signal ends the process at once, with status 128 plus its number. From then on signals
    are handed on. After the context is left without an error they are ignored, as the process is about to end. (While
    it runs a graph, MindSpore turns SIGINT into SIGTERM: the two cannot be distinguished.)
    """

    def __init__(self) -> None:
        self._hand_on: Callable[[], object] | None = None

    def __enter__(self) -> Stopping:
        numbers = [number for number in ASKING if signal.getsignal(number) is not signal.SIG_IGN]  # nohup means it
        self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, kind: Any, *_error: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if kind is None else handler or signal.SIG_DFL)

    def serves(self, hand_on: Callable[[], object]) -> None:
        """Call `hand_on`, in the main thread, at each signal from now on."""
        self._hand_on = hand_on

    def _note(self, number: int, _frame: Any) -> None:
        if self._hand_on is not None:
            self._hand_on()
            return
        for each in ASKING:
            signal.signal(each, signal.SIG_IGN)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        try:
            os.write(2, f"stopped by {name}\n".encode())
        finally:
            os._exit(128 + number)  # nothing is to be tidied up, and what runs may take no exception
