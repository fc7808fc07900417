"""Recipes by name or from a file, and what is changed in them. Importing this needs no MindSpore."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from types import ModuleType

from ms_gan.errors import UserError, shown
from ms_gan.recipes import files, published, registry
from ms_gan.recipes.changes import clusters_for, fitted, override, share_of_batch
from ms_gan.recipes.checks import check, check_together
from ms_gan.recipes.files import RECIPE_FILE, keep, learn
from ms_gan.recipes.records import from_json, to_json
from ms_gan.recipes.registry import FAMILIES, NETWORKS, Family, Network, register
from ms_gan.schema.hints import nearest
from ms_gan.schema.recipe import Recipe

__all__ = [
    "FAMILIES",
    "Family",
    "NETWORKS",
    "Network",
    "RECIPE_FILE",
    "Recipe",
    "check",
    "check_together",
    "clusters_for",
    "fitted",
    "from_json",
    "keep",
    "learn",
    "load",
    "load_with_source",
    "names",
    "override",
    "register",
    "require_file",
    "share_of_batch",
    "to_json",
]


def names() -> list[str]:
    """Return the names of all published recipes."""
    return sorted(_published())


def _published() -> dict[str, Path]:
    return {file.stem: file for folder in published.__path__ for file in Path(folder).glob("[!_]*.py")}


def load(name: str | os.PathLike[str]) -> Recipe:
    """Return a recipe: a published one by its name, or the one of a file FILE.py or FILE.json.

    FILE.py holds `RECIPE = Recipe(…)`, and may `register` families and networks; it is run. FILE.json is what
    `recipes NAME` prints, or a run's own record; what the run's recipe.py registers is known then. Raises UserError
    for an unknown name and for what is no recipe.
    """
    return load_with_source(name)[0]


def load_with_source(name: str | os.PathLike[str]) -> tuple[Recipe, Path | None]:
    """Return a recipe as `load`, and the file that a run of it keeps a copy of, since it may register what is needed.

    That is FILE.py itself, or what a run's own record has beside it; None for all others.
    """
    path = Path(name)
    if path.suffix not in (".py", ".json") and len(path.parts) < 2:
        return _by_name(str(name)), None
    if path.suffix == ".py":
        return _recipe_of(learn(path), path.absolute()), path.absolute()
    files.require_file(path)
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no JSON ({error})", "name what `recipes NAME` prints, or a run's settings") from error
    is_record, beside = isinstance(found, dict) and "recipe" in found, path.absolute().parent / RECIPE_FILE
    source = beside if is_record and beside.is_file() else None
    if source is not None:
        learn(source)
    return from_json(found["recipe"] if is_record else found, f"{path}: "), source


def _by_name(name: str) -> Recipe:
    known = _published()
    if name not in known:
        beside = [file for file in (f"{name}.py", f"{name}.json") if Path(file).is_file()]
        meant = beside[0] if beside else nearest(name, known)
        there = f"there are: {', '.join(sorted(known))}; or name a file that ends in .py or .json"
        raise UserError(f"unknown recipe {shown(name)}", f"did you mean {meant}? " if meant else "", there)
    module = files.run(lambda: importlib.import_module(f"{published.__name__}.{name}"), known[name])
    return _recipe_of(module, known[name])


def _recipe_of(module: ModuleType, path: Path) -> Recipe:
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe):
        raise UserError(f"{path}: RECIPE must be a Recipe, not {shown(recipe)}", "write RECIPE = Recipe(…)")
    files.run(lambda: check(recipe), path)
    return recipe


def require_file(recipe: Recipe, source: Path | None) -> None:
    """Refuse a recipe whose family, or one of whose networks, no other process would know.

    `source` is the file that a run keeps. Raises UserError where there is none, and the recipe needs a registration.
    """
    networks = {(role, registry.network_of(role, part).name) for role, part in recipe.networks.items()}
    if source is None and not {recipe.family, *networks} <= registry.OWN:
        problem = "its family or a network is registered in this process only, so nobody could open the run later"
        mend = "put the recipe and its register() calls into a FILE.py, and train that file"
        raise UserError(f"recipe {recipe.name}: {problem}", mend)
