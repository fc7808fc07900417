"""What makes a run the one that it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.labels import LabelNames
from ms_gan.recipes import Recipe
from ms_gan.runs.records import FORMAT_VERSION, typed

MAY_CHANGE = ("steps", "schedule.epochs", "device_num")  # in a run that is resumed


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run. A change makes another run, unless it is one of its length or of its number of devices.

    Attributes:
        recipe: the recipe as it runs.
        seed: all random numbers of the run follow from it.
        dataset: the name of the data set.
        data_sha256: the checksum of the training images and their labels.
        device_target: "Ascend", "GPU" or "CPU".
        device_num: how many devices train together.
        classes: the names of the classes or tags, if the recipe is conditional.
        steps: how long the run is; 0 until it is known how many steps make an epoch.
        precision: of products, "float32" or "bfloat16".
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
    precision: str = "float32"

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

    def flat(self) -> dict[str, Any]:
        """Return every setting by a dotted name, the recipe's name and family first."""
        recipe, others = self.recipe, {name: value for name, value in vars(self).items() if name != "recipe"}
        kinds = recipes.to_json(recipe)
        networks = {f"{role}.network": kinds[role]["network"] for role in recipe.networks}
        return {"recipe": recipe.name, "family": recipe.family, **networks, **others, **recipe.settings()}

    def to_json(self) -> dict[str, Any]:
        """Return the settings as they are recorded."""
        return {"format_version": FORMAT_VERSION, **vars(self), "recipe": recipes.to_json(self.recipe)}

    @classmethod
    def from_json(cls, content: dict[str, Any], file: Path) -> RunSettings:
        """Return the settings of a record, also of one of ms_gan 0.1; `file` is named in errors.

        A copy of the recipe's file in the run's folder is run. Raises UserError for a damaged record, and for a recipe
        that this version does not know.
        """
        found = typed(cls, content, file)
        checkpoint = file.absolute().parent
        folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint
        if (folder / recipes.RECIPE_FILE).is_file():  # it registers what the recipe names
            recipes.learn(folder / recipes.RECIPE_FILE)
        return replace(found, recipe=recipes.from_json(found.recipe, f"{file}: "))


def refuse_changes(before: RunSettings, now: RunSettings, whose: str) -> None:
    """Raise UserError that names the first setting, but for MAY_CHANGE, that differs: the recipe's name first.

    `whose` introduces the new value, such as "the command says".
    """
    old, new = before.flat(), now.flat()
    for key in dict.fromkeys([*old, *new]):
        if key not in MAY_CHANGE and old.get(key) != new.get(key):
            raise UserError(
                f"a resumed run keeps its settings, but {key} was {old.get(key)} and {whose} {new.get(key)}",
                "start a new run for that",
            )
