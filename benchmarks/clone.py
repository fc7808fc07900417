"""What lets a benchmark run from a clone without installing the package, and ends it with one line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ms_gan  # before MindSpore, whose log level it sets


def run(main):
    """Run a program; what the user can fix ends it with status 1 and one line."""
    try:
        main()
    except ms_gan.UserError as error:
        sys.exit(f"error: {error}")
