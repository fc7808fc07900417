"""Recipes by name or from a file, and what is changed in them. Importing this needs no MindSpore."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import json
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from ms_gan.errors import Setting, UserError, shown
from ms_gan.recipes import neighbours, published, registry
from ms_gan.recipes.hints import refuse
from ms_gan.recipes.records import check, from_json, to_json
from ms_gan.recipes.registry import FAMILIES, NETWORKS, Family, Network, UnknownFamily, register
from ms_gan.runtime import import_mindspore
from ms_gan.schema.fields import rules
from ms_gan.schema.recipe import SMALLEST_BATCH, Recipe, build_settings, nearest

if TYPE_CHECKING:
    from ms_gan.data.description import ImageData

__all__ = [
    "FAMILIES",
    "NETWORKS",
    "Family",
    "Network",
    "Recipe",
    "UnknownFamily",
    "check",
    "from_json",
    "register",
    "to_json",
]

IMAGES_IN_A_CLUSTER = 50  # at least, in the mean: of a few images D would know each by the cluster's number


def names() -> list[str]:
    """Return the names of all published recipes."""
    return sorted(module.name for module in pkgutil.iter_modules(published.__path__))


def load(name: str | os.PathLike[str]) -> Recipe:
    """Return a recipe: a published one by its name, or the one of a file FILE.py or FILE.json.

    FILE.py holds `RECIPE = Recipe(…)`, and may `register` families and networks; it is run. FILE.json is what
    `recipes NAME` prints, or a run's own record; what the run's recipe.py registers is known then. Raises UserError
    for an unknown name and for what is no recipe.
    """
    path = source_of(name)
    if path is None:
        if name not in names():
            meant = nearest(str(name), names()).removeprefix("; ")
            raise UserError(
                f"unknown recipe {shown(name)}",
                f"{meant} " if meant else "",
                f"there are: {', '.join(names())}; or name a file that ends in .py or .json",
            )
        module = f"{published.__name__}.{name}"
        where = Path(getattr(importlib.util.find_spec(module), "origin", None) or name)
        recipe = _recipe_of(_run(lambda: importlib.import_module(module), where), where)
        if recipe.name != name:
            raise UserError(f"{where}: its name must be that of its file, {name!r}, not {recipe.name!r}")
        return recipe
    if path.suffix == ".py":
        return _recipe_of(learn(path), path)
    found = _json(path)
    if _is_record(found):
        found, beside = found["recipe"], path.parent / RECIPE_FILE
        if beside.is_file():
            learn(beside)
    return from_json(found, f"{path}: ")


def _is_record(found: Any) -> bool:
    return isinstance(found, dict) and "recipe" in found


def _json(path: Path) -> Any:
    _require_file(path)
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no JSON ({error})", "name what `recipes NAME` prints, or a run's settings") from error


RECIPE_FILE = "recipe.py"  # in a run's folder: a copy of the file that its recipe came from


def source_of(name: str | os.PathLike[str]) -> Path | None:
    """Return the file that a recipe is to be read from, where `name` is one's path; None for a published recipe."""
    if Path(name).suffix in (".py", ".json") or len(Path(name).parts) > 1:
        return Path(name)
    return None


def source_to_keep(name: str | os.PathLike[str]) -> Path | None:
    """Return the file that a run of this recipe keeps a copy of, since it may register what the recipe needs.

    It is FILE.py itself, or what a run's own record has beside it; None for all others.
    """
    path = source_of(name)
    if path is None or path.suffix == ".py":
        return path
    beside = path.parent / RECIPE_FILE
    return beside if _is_record(_json(path)) and beside.is_file() else None


class _Learned(NamedTuple):
    module: ModuleType
    source: bytes
    neighbours: dict[str, bytes]  # what it imports from its own folder, by path
    entries: list[Family | Network]


_learned: dict[str, _Learned] = {}  # by the name of the module


def _module_name(source: bytes) -> str:
    return f"ms_gan_recipe_{hashlib.sha256(source).hexdigest()[:16]}"


def learn(path: Path) -> ModuleType:
    """Run a recipe's file, so that what it registers is known; return its module.

    It can import the modules of its own folder. A file of the same text with the same neighbours, such as a run's
    copy, is run once in a process, so that its classes stay the same ones. Raises UserError, with the line, for a file
    that cannot be run.
    """
    _require_file(path)
    source, folder = path.read_bytes(), neighbours.folder_of(path)
    name = _module_name(source)
    if name in _learned and neighbours.same(folder, _learned[name].neighbours):
        for entry in _learned[name].entries:
            register(entry)  # another file may have registered its own by that name
        return _learned[name].module
    if b"mindspore" in source:
        import_mindspore()
    before, path = len(registry.ADDED), path.absolute()
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with neighbours.importable(folder):
            _run(lambda: exec(compile(source, str(path), "exec", dont_inherit=True), vars(module)), path)
    except BaseException:
        del sys.modules[name]
        raise
    _learned[name] = _Learned(module, source, neighbours.imported(folder), registry.ADDED[before:])
    return module


def keep(path: Path, run: Path) -> None:
    """Copy a recipe's file, and the modules that it imports from its own folder, into the folder of a run.

    The copies have the texts that were run, also if a file has changed since.
    """
    name = _module_name(path.read_bytes())
    learned = _learned[name if name in _learned else learn(path).__name__]
    (run / RECIPE_FILE).write_bytes(learned.source)
    for place, text in {**neighbours.imported(neighbours.folder_of(path)), **learned.neighbours}.items():
        copy = run / neighbours.KEPT / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(text)


def require_file(recipe: Recipe, source: Path | None) -> None:
    """Refuse a recipe whose family, or one of whose networks, no other process would know.

    `source` is the file that a run keeps. Raises UserError where there is none, and the recipe needs a registration.
    """
    networks = {(role, registry.network_of(role, part).name) for role, part in recipe.networks.items()}
    if source is None and not {recipe.family, *networks} <= registry.OWN:
        raise UserError(
            f"recipe {recipe.name}: its family or a network is registered in this process only, so nobody could open "
            "the run later",
            "put the recipe and its register() calls into a FILE.py, and train that file",
        )


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file", "name a recipe, or a file that ends in .py or .json")


def _run(code: Callable[[], Any], path: Path) -> Any:
    """Run the code of a recipe's file. Raises UserError with the file and the line for whatever goes wrong in it."""
    try:
        return code()
    except (Exception, SystemExit) as error:
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(path)]
        text = error.problem if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        if isinstance(error, SyntaxError):
            lines, text = [error.lineno], f"{type(error).__name__}: {error.msg}"
        where = f"{path}, line {lines[-1]}" if lines and lines[-1] else path
        mend = error.mend if isinstance(error, UserError) else ()
        kind = UnknownFamily if isinstance(error, UnknownFamily) else UserError
        raise kind(f"{where}: {' '.join(text.split())}", *mend) from error


def _recipe_of(module: ModuleType, path: Path) -> Recipe:
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe):
        raise UserError(f"{path}: RECIPE must be a Recipe, not {shown(recipe)}", "write RECIPE = Recipe(…)")
    _run(lambda: check(recipe), path)
    return recipe


def settable(recipe: Recipe) -> list[str]:
    """Return the names of all settings that can be changed, as `override` takes them."""
    return [*recipe.settings(), *(f"{role}.network" for role in recipe.networks)]


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Return the recipe with `key=value` settings applied, such as `generator.widths=[16, 32]`; the last one wins.

    `ROLE.network=NAME` puts another network in its place, which keeps the settings that it knows. Raises UserError for
    a name that is no setting, with what was probably meant, and for a value that cannot be.
    """
    changes: dict[str, str] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"a setting is changed by key=value, not {shown(assignment)}")
        changes[key] = text
    for role in recipe.networks:
        if f"{role}.network" in changes:
            recipe, changes = _with_network(recipe, role, changes)
    known = recipe.settings()
    for key in changes:
        if key not in known:
            raise refuse(recipe, key, settable(recipe))
    return recipe.but({key: recipe.rule(key).read(text) for key, text in changes.items()})


def _with_network(recipe: Recipe, role: str, changes: dict[str, str]) -> tuple[Recipe, dict[str, str]]:
    """Put another network in its place; return the changes that are left to be made."""
    kind = registry.network(role, changes[f"{role}.network"]).settings
    old = recipe.networks[role]
    ours = rules(type(old))
    known = {f"{role}.{name}": rule for name, rule in rules(kind).items()}
    kept = {
        name: getattr(old, name)
        for name, rule in rules(kind).items()
        if name in ours and (rule.kind, rule.of) == (ours[name].kind, ours[name].of)
    }
    said = {key: rule.read(changes[key]) for key, rule in known.items() if key in changes}
    given = {**kept, **{key.partition(".")[2]: value for key, value in said.items()}}
    settings = build_settings(kind, given, f"recipe {recipe.name}: {role}.")
    left = {key: text for key, text in changes.items() if key not in {*said, f"{role}.network"}}
    return dataclasses.replace(recipe, networks={**recipe.networks, role: settings}), left


def fitted(recipe: Recipe, images: ImageData, said: Iterable[str]) -> Recipe:
    """Return the recipe as it is trained on these images: as many classes, and clusters, as they have.

    What the user `said`, by the settings' names, stays. Raises UserError for classes and clusters at once.
    """
    said, changes = set(said), {}
    if images.name == "folder" and recipe.data.classes and images.classes and "data.classes" not in said:
        changes["data.classes"] = len(images.classes)  # the vocabulary is what the folder holds
    if "data.clusters" not in said:
        changes["data.clusters"] = clusters_for(recipe, len(images.images))
    elif recipe.data.classes and recipe.data.clusters:
        raise UserError(
            "images with classes are not put into clusters, too",
            "leave out ",
            Setting("data.classes"),
            " or ",
            Setting("data.clusters"),
        )
    return recipe.but(changes)


def clusters_for(recipe: Recipe, count: int) -> int:
    """Return how many clusters `count` images are put into: as many as the recipe says, or fewer, each of some size."""
    clusters = min(recipe.clusters, count // IMAGES_IN_A_CLUSTER)
    return clusters if clusters > 1 else 0


def share_of_batch(recipe: Recipe, devices: int) -> int:
    """Return how many images of a batch each of several devices takes.

    Raises UserError for a batch that cannot be shared.
    """
    size, left = divmod(recipe.schedule.batch_size, devices)
    if left or size < SMALLEST_BATCH:
        raise UserError(
            f"recipe {recipe.name}: a batch of {recipe.schedule.batch_size} cannot be shared by {devices} devices",
            "give a ",
            Setting("batch_size"),
            f" that is {devices} times at least {SMALLEST_BATCH}",
        )
    return size
