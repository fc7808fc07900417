"""Recipes as JSON: what a run records, `recipes NAME` prints, and `--recipe FILE.json` reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ms_gan.errors import UserError, shown
from ms_gan.recipes import registry
from ms_gan.schema.fields import rules
from ms_gan.schema.recipe import SECTIONS, Adam, Recipe, build_settings, nearest, require_title


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Return every setting of a recipe, as nested dicts, lists, text, numbers, True and False."""
    found: dict[str, Any] = {"name": recipe.name, "summary": recipe.summary, "family": recipe.family}
    for name, part in recipe.sections():
        kind = {"network": registry.network_of(name, part).name} if name in recipe.networks else {}
        found[name] = {**kind, **_plain(dataclasses.asdict(part))}  # type: ignore[call-overload]
    return found


def from_json(found: Any, where: str = "") -> Recipe:
    """Return the recipe of such a record; settings that it does not name get their defaults.

    Records of ms_gan 0.1, with a section `average` and `data.places`, are read as well. `where` stands in front of
    an error. Raises UserError for what is no recipe, UnknownFamily for a family or a network that is not registered.
    """
    if not isinstance(found, dict):
        raise UserError(f"{where}no recipe: a dictionary of sections is needed")
    name: Any = found.get("name")
    summary = found.get("summary", "")
    try:
        require_title(name, summary)
    except UserError as error:
        raise UserError(f"{where}{error.problem}") from error
    where = f"{where}recipe {name}: "
    try:
        family = registry.family(found.get("family"))
    except registry.UnknownFamily as error:
        raise registry.UnknownFamily(f"{where}{error.problem}", *error.mend) from error
    found = _renamed(found, family)
    optimizers = {f"optimizer_{each}": each for each in family.networks}
    _require_sections(found, {*family.networks, *optimizers, "updates", *SECTIONS}, where)
    networks = {each: _network(each, found[each], where) for each in family.networks}
    return Recipe(
        name,
        summary,
        family.name,
        networks,
        {each: build_settings(Adam, found[key], f"{where}{key}.") for key, each in optimizers.items()},
        build_settings(family.updates, found.get("updates", {}), f"{where}updates."),
        **{each: build_settings(kind, found.get(each, {}), f"{where}{each}.") for each, kind in SECTIONS.items()},
    )


def check(recipe: Recipe) -> None:
    """Raise UserError where a recipe's parts are not those of its family; UnknownFamily where that is unknown."""
    family = registry.family(recipe.family)
    for kind, given in (("networks", recipe.networks), ("optimizers", recipe.optimizers)):
        if set(given) != set(family.networks):
            raise UserError(
                f"recipe {recipe.name}: {kind} must be those of the family {family.name}, "
                f"{', '.join(family.networks)}, not {', '.join(given) or 'none'}"
            )
    for role, settings in recipe.networks.items():
        registry.network_of(role, settings)
    if type(recipe.updates) is not family.updates:
        raise UserError(
            f"recipe {recipe.name}: updates must be {family.updates.__name__} for the family "
            f"{family.name}, not {type(recipe.updates).__name__}"
        )


def _network(role: str, found: Mapping[str, Any], where: str) -> Any:
    settings = dict(found)
    try:
        kind = registry.network(role, settings.pop("network", None))
    except registry.UnknownFamily as error:
        raise registry.UnknownFamily(f"{where}{error.problem}", *error.mend) from error
    return build_settings(kind.settings, settings, f"{where}{role}.")


def _require_sections(found: dict[str, Any], known: set[str], where: str) -> None:
    for section in sorted(found.keys() - {"name", "summary", "family", *known}):
        name = section if section.isidentifier() else shown(section)
        raise UserError(f"{where}{name} is no section of the family {found['family']}{nearest(section, known)}")
    for section in sorted(known - SECTIONS.keys() - {"updates"} | {"schedule"}):
        if section not in found:
            raise UserError(f"{where}section {section} is missing")
    for section in sorted(known & found.keys()):
        if not isinstance(found[section], dict):
            raise UserError(f"{where}{section} must be a dictionary of settings")


def _renamed(found: dict[str, Any], family: registry.Family) -> dict[str, Any]:
    """Return a record with today's names where it has those of ms_gan 0.1."""
    found = _with("average", "ema", found)
    if isinstance(found.get("data"), dict):
        found["data"] = _with("places", "max_tags", found["data"])
    if isinstance(found.get("updates"), dict) and "generator_loss" not in rules(family.updates):
        found["updates"] = _with("generator_loss", "loss", found["updates"])
    return found


def _with(old: str, new: str, found: dict[str, Any]) -> dict[str, Any]:
    return {new if key == old and new not in found else key: each for key, each in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
