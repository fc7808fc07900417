"""`python -m ms_gan COMMAND …`."""

import signal
import sys

from ms_gan.cli import main


def run() -> None:
    """Run the command, and exit with its status, which no signal on the way out may change."""
    status = main()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


if __name__ == "__main__":
    run()
