"""Published systems as data: one file each, every setting said, unknown ones refused.

Importing this room needs no MindSpore; `ms_gan.recipes.build` turns a recipe into Cells.
"""

from __future__ import annotations

import ast
import copy
import difflib
import importlib
import pkgutil
from typing import Any, Dict, Iterable, List

from ms_gan.data import DATASETS
from ms_gan.errors import UserError
from ms_gan.latents import DISTRIBUTIONS

Recipe = Dict[str, Any]

SECTIONS = {  # the sections of every recipe; what a network or family needs beyond, its own arguments say
    "data": {"dataset", "fallback", "size", "channels", "pixel_range"},
    "latent": {"size", "distribution"},
    "schedule": {"batch_size", "epochs"},
}


LARGEST_FLOAT32 = 3.4028235e38


def names() -> List[str]:
    """Return the names of all recipes: the files of this folder, but for `build`."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "build")


def load(name: str) -> Recipe:
    """Return a copy of the recipe called `name`. Raises UserError that lists the names."""
    if name not in names():
        raise UserError(f"unknown recipe {name!r}; there are: {', '.join(names())}")
    return copy.deepcopy(importlib.import_module(f"{__name__}.{name}").RECIPE)


def flatten(settings: Dict[str, Any], prefix: str = "") -> Dict[str, Any]:
    """Return nested settings as one level, with dotted keys."""
    flat: Dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Return the recipe with `key=value` settings applied, keys dotted as `flatten` writes them.

    A value has the type of the one it replaces (a whole number will do for a real
    one). Raises UserError for a key that the recipe does not have, or a wrong type.
    """
    recipe = copy.deepcopy(recipe)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, not {assignment!r}")
        settable = sorted(set(flatten(recipe)) - {"name", "summary", "family"})
        if key not in settable:
            near = difflib.get_close_matches(key, settable, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"recipe {recipe['name']} has no setting {key!r}{hint} "
                            f"(`python -m ms_gan recipes {recipe['name']}` shows them all)")
        *path, last = key.split(".")
        section = recipe
        for part in path:
            section = section[part]
        section[last] = _parse(key, text, section[last])
    check(recipe)
    return recipe


def check(recipe: Recipe) -> None:
    """Raise UserError where a recipe lacks a common setting, has an unknown one, or one out of range."""
    name = recipe.get("name", "?")
    for section, expected in SECTIONS.items():
        found = set(recipe.get(section, {}))
        for key in sorted(found - expected):
            raise UserError(f"recipe {name}: unknown setting {section}.{key}")
        for key in sorted(expected - found):
            raise UserError(f"recipe {name}: setting {section}.{key} is missing")
    for key, value in flatten(recipe).items():
        last = key.rsplit(".", 1)[-1]
        if last in ("epochs", "size", "channels", "learning_rate", "epsilon") and not 0 < value < LARGEST_FLOAT32:
            raise UserError(f"recipe {name}: {key} must be greater than 0 and fit into float32, not {value}")
        if last == "batch_size" and not value >= 2:
            raise UserError(f"recipe {name}: {key} must be at least 2, since BatchNorm needs a variance")
        if last == "slope" and not 0 <= value <= 1:
            raise UserError(f"recipe {name}: {key} must be from 0 to 1, not {value}")
        if last in ("beta1", "beta2") and not 0 <= value < 1:
            raise UserError(f"recipe {name}: {key} must be at least 0 and below 1, not {value}")
        if last == "widths" and not (value and all(width > 0 for width in value)):
            raise UserError(f"recipe {name}: {key} must be a list of numbers greater than 0, not {value}")
    data, latent = recipe["data"], recipe["latent"]
    if len(data["pixel_range"]) != 2 or not data["pixel_range"][0] < data["pixel_range"][1]:
        raise UserError(f"recipe {name}: data.pixel_range must be [low, high] with low < high")
    for key, value, known in (("data.dataset", data["dataset"], DATASETS), ("data.fallback", data["fallback"], DATASETS),
                              ("latent.distribution", latent["distribution"], DISTRIBUTIONS)):
        if value not in known:
            raise UserError(f"recipe {name}: {key} must be one of {', '.join(known)}, not {value}")


def _parse(key: str, text: str, current: Any) -> Any:
    if isinstance(current, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    if isinstance(current, list) and isinstance(value, (list, tuple)):
        items = [_as_type_of(current[0], item) for item in value]
        if None not in items:
            return items
    elif not isinstance(current, list) and _as_type_of(current, value) is not None:
        return _as_type_of(current, value)
    kind = "a list" if isinstance(current, list) else {int: "a whole number", float: "a number"}[type(current)]
    raise UserError(f"--set {key}={text}: expected {kind} like {current}")


def _as_type_of(example: Any, value: Any) -> Any:
    """The value, if it is of the example's type or a whole number where a real one is wanted; else None."""
    if type(value) is type(example):
        return value
    if type(value) is int and type(example) is float and abs(value) < 1e300:
        return float(value)
    return None
