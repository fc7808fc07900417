"""What Ctrl-C and SIGTERM do to a server: while it opens its bundle, and when it serves."""

from __future__ import annotations

import os
import signal
from typing import Any, Callable

from ms_gan import signals

ASKING = (*signals.ASKING, signal.SIGQUIT)


class Stopping:
    """Decides with which exit status this process ends, however many signals come, and when.

    A signal ends the process at once, with status 128 plus its number, until `serves` is called. From then on it is
    handed on. (While it runs a graph, MindSpore turns SIGINT into SIGTERM: which it was is unknown.)
    """

    _hand_on: Callable[[], object] | None = None

    def serves(self, hand_on: Callable[[], object]) -> None:
        """Call `hand_on`, in the main thread, at each signal from now on."""
        self._hand_on = hand_on

    def note(self, number: int, _frame: Any) -> None:
        """Handle a signal."""
        if self._hand_on is not None:
            self._hand_on()
            return
        signals.ignore(ASKING)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        try:
            os.write(2, f"stopped by {name}\n".encode())
        finally:
            os._exit(128 + number)  # nothing is to be tidied up, and what runs may take no exception
