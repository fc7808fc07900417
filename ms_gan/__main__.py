"""`python -m ms_gan COMMAND …`."""

import os
import sys
import threading
import time

from ms_gan import signals
from ms_gan.cli import main
from ms_gan.runtime import LAUNCHER, rank

SECONDS_TO_SAVE = 10


def run() -> None:
    """Run the command, and exit with its status, which no signal on the way out may change."""
    if LAUNCHER in os.environ and rank() != 0:
        threading.Thread(target=_end_after, args=(int(os.environ[LAUNCHER]),), daemon=True).start()
    status = main()
    signals.ignore()
    if LAUNCHER in os.environ:
        _leave(status, int(os.environ[LAUNCHER]))
    sys.exit(status)


def _end_after(launcher: int) -> None:
    """End this process SECONDS_TO_SAVE after its launcher has ended. Until then the process of rank 0 can save."""
    while os.getppid() == launcher:
        time.sleep(1)
    time.sleep(SECONDS_TO_SAVE)
    os._exit(1)


def _leave(status: int, launcher: int) -> None:
    """End one of several processes that train together, and skip the code by which MindSpore shuts its cluster down.

    That code crashed a process with SIGSEGV after all work was done (seen once, with 2.8.0 on CPU). MindSpore ends the
    other processes a minute after one has left, so all but rank 0 wait here until the launcher ends them.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    while status == 0 and rank() != 0 and os.getppid() == launcher:
        time.sleep(0.2)
    os._exit(status)


if __name__ == "__main__":
    run()
