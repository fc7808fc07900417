"""`recipes`: what can be trained."""

from __future__ import annotations

import argparse
import json

from ms_gan.cli.faults import report, told
from ms_gan.errors import UserError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument(
        "name",
        nargs="?",
        metavar="RECIPE",
        help="show all settings of this recipe, as JSON: a name of the list, a recipe's FILE.py, or a FILE.json, such "
        "as a run's settings",
    )


def run(options: argparse.Namespace) -> int:
    """Print the list of recipes, or one of them as JSON."""
    from ms_gan import recipes

    if options.name is not None:
        print(json.dumps(recipes.to_json(recipes.load(options.name)), indent=2))
        return 0
    broken = []
    names = recipes.names()
    width = max(map(len, names))
    for name in names:
        try:
            recipe = recipes.load(name)
        except UserError as error:  # a recipe that someone is writing must not hide the others
            broken.append(error)
            continue
        schedule = recipe.schedule
        of = f" of {schedule.steps_per_epoch} steps" if schedule.steps_per_epoch else ""
        about = f"{recipe.data.dataset}, batch {schedule.batch_size}, {schedule.epochs} epochs{of}"
        print(f"{name:{width}}  {recipe.summary} ({about})")
    for each in broken:
        report(each, told(each) or str(each), options.debug)
    return 2 if broken else 0
