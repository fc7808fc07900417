"""`runs`: what was trained, and how it went."""

from __future__ import annotations

import argparse
import time

from ms_gan.cli.faults import report
from ms_gan.errors import Command, UserError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("folder", nargs="?", metavar="DIR", help="where runs are (default: runs)")
    command.add_argument("--output-dir", metavar="DIR", help="where runs are, as `train` calls it")


def run(options: argparse.Namespace) -> int:
    """Print a line for each run; return 2 where one of them cannot be read."""
    from ms_gan.runs.summary import Summary, aligned, all_runs

    rows = [("run", "steps", "data", "seed", "scores", "last trained")]
    broken: list[UserError] = []
    if options.folder and options.output_dir:
        raise UserError(f"{options.folder} and {options.output_dir} are two folders", "name one of them")
    root = options.folder or options.output_dir or "runs"
    for found in all_runs(root):
        if not isinstance(found, Summary):
            broken.append(found)
            continue
        settings = found.settings
        scores = ", ".join(f"{name} {value:.4g}" for name, value in list(found.scores.items())[:3])
        rows.append(
            (
                str(found.path),
                f"{found.step:,} of {settings.steps:,}",
                settings.dataset,
                str(settings.seed),
                scores or "–",
                time.strftime("%Y-%m-%d %H:%M", time.localtime(found.trained_at)),
            )
        )
    if len(rows) == 1 and not broken:
        raise UserError(f"no run below {root}/", "train one first: ", Command("train"))
    print(*aligned(rows), sep="\n")
    for error in broken:
        report(error, options.debug)
    return 2 if broken else 0
