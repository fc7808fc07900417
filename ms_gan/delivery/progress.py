"""How much is done, and how much time is left: on stderr, for what takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Callable

SECONDS_BETWEEN_LINES = 30.0


@contextlib.contextmanager
def counting(total: int, things: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more things are done.

    On a terminal there is a bar after a second, elsewhere a line every 30 seconds.
    """
    from tqdm import tqdm

    done, started = 0, time.monotonic()
    spoken = started
    with tqdm(
        total=total,
        unit=f" {things}",
        delay=1,
        leave=False,
        dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
        bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {remaining} left {rate_noinv_fmt}",
    ) as bar:

        def count(more: int) -> None:
            nonlocal done, spoken
            done += more
            bar.update(more)
            now = time.monotonic()
            if bar.disable and now - spoken >= SECONDS_BETWEEN_LINES:
                spoken = now
                left = tqdm.format_interval((total - done) * (now - started) / done)
                with contextlib.suppress(OSError):  # nobody reads it
                    print(f"{done:,} of {total:,} {things}, {left} left", file=sys.stderr, flush=True)

        yield count
