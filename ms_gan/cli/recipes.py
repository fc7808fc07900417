"""`recipes`: what can be trained."""

from __future__ import annotations

import argparse
import json

from ms_gan.cli.faults import report
from ms_gan.errors import UserError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("name", nargs="?", metavar="NAME", help="show this recipe as it would run")


def run(options: argparse.Namespace) -> int:
    """Print the table of recipes, or one of them as JSON."""
    from ms_gan import recipes

    if options.name is not None:
        print(json.dumps(recipes.load(options.name), indent=2))
        return 0
    broken = []
    width = max(map(len, recipes.names()))
    for name in recipes.names():
        try:
            recipe = recipes.load(name)
        except UserError as error:  # a recipe that someone is writing must not hide the others
            broken.append(error)
            continue
        schedule = recipe["schedule"]
        of = f" of {schedule['steps_per_epoch']} steps" if schedule["steps_per_epoch"] else ""
        print(
            f"{name:{width}}  {recipe['summary']} ({recipe['data']['dataset']}, batch {schedule['batch_size']}, "
            f"{schedule['epochs']} epochs{of})"
        )
    for error in broken:
        report(error, str(error), options.debug)
    return 2 if broken else 0
