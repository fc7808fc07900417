"""`python -m ms_gan COMMAND …`."""

import os
import sys
import time

from ms_gan import signals
from ms_gan.cli import main
from ms_gan.runtime import LAUNCHER, rank


def run() -> None:
    """Run the command, and exit with its status, which no signal on the way out may change."""
    status = main()
    signals.ignore()
    if LAUNCHER in os.environ:
        _leave(status, int(os.environ[LAUNCHER]))
    sys.exit(status)


def _leave(status: int, launcher: int) -> None:
    """End one of several processes that train together, without MindSpore's taking down of its cluster.

    That brought a process down by SIGSEGV after all was done (seen once, with 2.8.0 on CPU). MindSpore ends the others
    a minute after one has left, so all but the first wait until the launcher ends them.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    while status == 0 and rank() != 0 and os.getppid() == launcher:
        time.sleep(0.2)
    os._exit(status)


if __name__ == "__main__":
    run()
