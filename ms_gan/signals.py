"""Signals that ask this process to end. What is ignored stays ignored: nohup means it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import Any, Callable

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def handled(handler: Callable[[int, Any], object], numbers: Sequence[int] = ASKING) -> Iterator[None]:
    """Let `handler(number, frame)` take these signals in this context, but for those that are ignored.

    Raises ValueError outside the main thread.
    """
    before = {
        number: signal.signal(number, handler) for number in numbers if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def ignore(numbers: Sequence[int] = ASKING) -> None:
    """Let these signals change nothing from now on."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
