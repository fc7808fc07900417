"""`compare`: what differs between two runs, and how each of them went."""

from __future__ import annotations

import argparse
from pathlib import Path

from ms_gan.files import require_free


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("runs", nargs=2, metavar="RUN", help="a run's folder, such as runs/mlp/1")
    command.add_argument(
        "--output",
        default="comparison.png",
        metavar="FILE",
        help="the picture of both runs' curves (default: comparison.png)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace that file")


def run(options: argparse.Namespace) -> int:
    """Print the tables, and draw the picture."""
    from ms_gan.runs.summary import compare

    require_free(Path(options.output), options.overwrite)
    comparison = compare(*options.runs)
    print(comparison)
    if not comparison.settings:
        print("no setting differs")
    if comparison.draw(options.output, options.overwrite):
        print(f"curves: {options.output}")
    else:
        print("neither run has curves or scores yet, so there is no picture")
    return 0
