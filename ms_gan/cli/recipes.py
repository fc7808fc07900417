"""`recipes`: what can be trained."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ms_gan.cli.faults import report
from ms_gan.errors import UserError

if TYPE_CHECKING:
    from ms_gan.recipes import Recipe


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument(
        "name",
        nargs="?",
        metavar="RECIPE",
        help="show all settings of this recipe, as JSON: a name of the list, a recipe's FILE.py, or a FILE.json, such "
        "as a run's settings",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help="with this setting changed, and checked, as `train --set` does; can be repeated",
    )
    command.add_argument("--explain", action="store_true", help="say of each setting what it may be, and what it means")


def run(options: argparse.Namespace) -> int:
    """Print the list of recipes, or one of them as JSON."""
    from ms_gan import recipes

    if options.name is not None:
        recipe = recipes.override(recipes.load(options.name), options.assignments)
        recipes.check_together(recipe)
        print("\n".join(_explained(recipe)) if options.explain else json.dumps(recipes.to_json(recipe), indent=2))
        return 0
    if options.assignments or options.explain:
        raise UserError("--set and --explain are about one recipe", "name it first, as the list does")
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
        report(each, options.debug)
    return 2 if broken else 0


def _explained(recipe: Recipe) -> Iterator[str]:
    """Give two lines for each setting: its value, and below it what it may be, and what it means."""
    from ms_gan.recipes import registry

    for role, settings in recipe.networks.items():
        yield f"{role}.network = {registry.network_of(role, settings).name}"
        yield f"    one of {', '.join(registry.networks_of(role))}: which network it is"
    for key, value in recipe.settings().items():
        rule = recipe.rule(key)
        yield f"{key} = {value}"
        yield f"    {rule.wanted()}: {rule.help}"
