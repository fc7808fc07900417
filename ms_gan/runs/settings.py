"""What makes a run the one that it is."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.labels import LabelNames
from ms_gan.recipes import Recipe, UnknownFamily
from ms_gan.runs.records import FORMAT_VERSION, PUT_BACK, require_known_version, typed

LENGTHS = {"steps", "recipe.schedule.epochs"}  # all that a resumed run may change
FIRST = ("recipe.name", "recipe.family")  # where these differ, the other differences follow from them


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run. A change makes another run, unless it is one of its length.

    Attributes:
        recipe: the recipe as it runs.
        seed: all random numbers of the run follow from it.
        dataset: the name of the data set.
        data_sha256: the checksum of the training images and their labels.
        device_target: "Ascend", "GPU" or "CPU".
        device_num: how many devices train together.
        classes: the names of the classes or tags, if the recipe is conditional.
        steps: how long the run is; 0 until it is known how many steps make an epoch.
        warm_start: from which recipe and step the networks came, if the run began with trained ones.
    """

    recipe: Recipe
    seed: int
    dataset: str
    data_sha256: str
    device_target: str
    device_num: int
    classes: tuple[str, ...] | None
    steps: int
    warm_start: str | None = None

    @property
    def label_names(self) -> LabelNames | None:
        """The names of a conditional generator's labels; None for a generator without labels."""
        return None if self.classes is None else LabelNames(self.classes, self.recipe.data.max_tags)

    def lasting(self, steps_per_epoch: int, epochs: int | None = None, steps: int | None = None) -> RunSettings:
        """Return the settings with another length: `epochs` or `steps`, or the recipe's epochs if there is none yet."""
        if steps:
            return replace(self, steps=steps)
        if not epochs and self.steps:
            return self
        epochs = epochs or self.recipe.schedule.epochs
        return replace(self, recipe=self.recipe.but({"schedule.epochs": epochs}), steps=epochs * steps_per_epoch)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as they are recorded."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        classes = None if self.classes is None else list(self.classes)
        return {"format_version": FORMAT_VERSION, **values, "recipe": recipes.to_json(self.recipe), "classes": classes}

    @classmethod
    def from_json(cls, content: dict[str, Any], file: Path) -> RunSettings:
        """Return the settings of a record, also of one of ms_gan 0.1; `file` is named in errors.

        Raises UserError for a damaged record, and for a recipe that this version does not know.
        """
        require_known_version(content, file)
        _learn_recipe(file)
        missing = [field.name for field in fields(cls) if field.name not in content]
        if missing:
            raise _damaged(file, f"{missing[0]} is missing")
        try:
            recipe = recipes.from_json(content["recipe"])
        except UnknownFamily as error:
            raise UserError(f"{file}: {error.problem}", *error.mend) from error
        except UserError as error:
            raise _damaged(file, str(error)) from error
        return typed(cls, {**content, "recipe": recipe})


def refuse_changes(before: RunSettings, now: RunSettings, whose: str) -> None:
    """Raise UserError that names the first setting, other than the length, that differs: the recipe's name first.

    `whose` introduces the new value, such as "the command says".
    """
    old, new = _flat(before), _flat(now)
    rest = (old.keys() | new.keys()) - {*LENGTHS, *FIRST}
    for key in (*FIRST, *sorted(rest)):
        if old.get(key) != new.get(key):
            raise UserError(
                f"a resumed run keeps its settings, but {key} was {old.get(key)} and {whose} {new.get(key)}",
                "start a new run for that",
            )


def _flat(settings: RunSettings) -> dict[str, Any]:
    flat = {field.name: getattr(settings, field.name) for field in fields(settings)}
    recipe = flat.pop("recipe")
    networks = {
        f"{role}.network": kind["network"] for role, kind in recipes.to_json(recipe).items() if role in recipe.networks
    }
    own = {"name": recipe.name, "family": recipe.family, **networks, **recipe.settings()}
    return {**flat, **{f"recipe.{key}": value for key, value in own.items()}}


def _learn_recipe(file: Path) -> None:
    """Run the copy of the recipe's file in the run's folder, if there is one: it registers what the recipe names."""
    folder = file.parent.parent.parent if file.parent.parent.name == "checkpoints" else file.parent
    if (folder / recipes.RECIPE_FILE).is_file():
        recipes.learn(folder / recipes.RECIPE_FILE)


def _damaged(file: Path, fault: str) -> UserError:
    return UserError(
        f"{file}: damaged, or written by another version of ms_gan ({fault})", f"use that version, or {PUT_BACK}"
    )
