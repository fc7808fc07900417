"""`runs`: what was trained, and how it went."""

from __future__ import annotations

import argparse
import time

from ms_gan.cli.faults import report


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("--output-dir", default="runs", metavar="DIR", help="where runs are (default: runs)")


def run(options: argparse.Namespace) -> int:
    """Print a line for each run; return 2 where one of them cannot be read."""
    from ms_gan.errors import UserError
    from ms_gan.runs.summary import Summary, all_runs

    rows = [("run", "steps", "data", "seed", "scores", "last trained")]
    broken: list[UserError] = []
    for found in all_runs(options.output_dir):
        if not isinstance(found, Summary):
            broken.append(found[1])
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
        raise UserError(f"no run below {options.output_dir}/", "train one first: bash scripts/run_train.sh")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for error in broken:
        report(error, error.told(), options.debug)
    return 2 if broken else 0
