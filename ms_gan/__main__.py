"""`python -m ms_gan COMMAND …`."""

import sys

from ms_gan.cli import main

if __name__ == "__main__":
    sys.exit(main())
