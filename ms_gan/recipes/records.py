"""Recipes as JSON: what a run records, `recipes NAME` prints, and `--recipe FILE.json` reads."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from ms_gan.errors import UserError
from ms_gan.recipes import registry
from ms_gan.schema.fields import rules
from ms_gan.schema.recipe import SECTIONS, Adam, Recipe, build_settings, require_names, require_title


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Return every setting of a recipe, as nested dicts, lists, text, numbers, True and False."""
    found: dict[str, Any] = {"name": recipe.name, "summary": recipe.summary, "family": recipe.family}
    for name, part in recipe.sections():
        kind = {"network": registry.network_of(name, part).name} if name in recipe.networks else {}
        found[name] = {**kind, **dataclasses.asdict(part)}  # type: ignore[call-overload]
    return json.loads(json.dumps(found))  # with lists in place of tuples


def from_json(found: Any, where: str = "") -> Recipe:
    """Return the recipe of such a record; settings that it does not name get their defaults.

    Records of ms_gan 0.1, with a section `average` and `data.places`, are read as well. `where` stands in front of
    an error. Raises UserError for what is no recipe, and for a family or a network that is not registered.
    """
    if not isinstance(found, dict):
        raise UserError(f"{where}no recipe: a dictionary of sections is needed")
    try:
        require_title(found.get("name"), found.get("summary", ""))
        return _recipe(found, f"recipe {found['name']}: ")
    except UserError as error:
        raise UserError(f"{where}{error.problem}", *error.mend) from error


def _recipe(found: dict[str, Any], where: str) -> Recipe:
    family = registry.family(found.get("family"))
    found = _renamed(found, family)
    optimizers = {f"optimizer_{role}": role for role in family.networks}
    needed = {*family.networks, *optimizers, "schedule"}
    sections = {key: each for key, each in found.items() if key not in ("name", "summary", "family")}
    what = f"section of the family {family.name}"
    require_names(sections, {"updates", *SECTIONS, *needed}, sorted(needed), where, what)
    for section in sections:
        if not isinstance(found[section], dict):
            raise UserError(f"{where}{section} must be a dictionary of settings")
    networks = {}
    for role in family.networks:
        settings = dict(found[role])
        kind = registry.network(role, settings.pop("network", None)).settings
        networks[role] = build_settings(kind, settings, f"{where}{role}.")
    return Recipe(
        found["name"],
        found.get("summary", ""),
        family.name,
        networks,
        {role: build_settings(Adam, found[key], f"{where}{key}.") for key, role in optimizers.items()},
        build_settings(family.updates, found.get("updates", {}), f"{where}updates."),
        **{each: build_settings(kind, found.get(each, {}), f"{where}{each}.") for each, kind in SECTIONS.items()},
    )


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
