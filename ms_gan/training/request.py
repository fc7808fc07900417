"""What somebody asks of a training. Only here does it become the settings of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ms_gan import data, recipes
from ms_gan.data.description import DataRequest, ImageData
from ms_gan.errors import Setting, UserError, shown
from ms_gan.recipes import Recipe
from ms_gan.runs.settings import RunSettings
from ms_gan.sampling import COUNTS, SEEDS
from ms_gan.schema.fields import Rule


@dataclass(frozen=True)
class TrainRequest:
    """A new run.

    Attributes:
        recipe: with all that is asked for; only what depends on the images is open.
        recipe_file: the Python file that the recipe came from, if any; the run keeps a copy of it.
        said: the names of the recipe's settings that are asked for, and stay as they are.
        seed: what every random number of the run follows from.
        steps: how long the run is; None is the recipe's epochs.
        dataset: the name of the data set; None is the recipe's, or its fallback if that cannot be fetched.
        data_path: where the data set is.
        skip_unreadable: leave out images of a folder that cannot be read.
        output_dir: the run is made in output_dir/<recipe>/<number>.
        warm_start: a run or a checkpoint whose networks, but not optimizers, the run begins with.
        device_target, device_id: what it trains on.
        command: what was typed, for the record.
    """

    recipe: Recipe
    recipe_file: Path | None = None
    said: tuple[str, ...] = ()
    seed: int = 1
    steps: int | None = None
    dataset: str | None = None
    data_path: str | None = None
    skip_unreadable: bool = False
    output_dir: Path = Path("runs")
    warm_start: str | None = None
    device_target: str = "auto"
    device_id: int = 0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_length(self.steps, None)
        _require("seed", self.seed, SEEDS)

    def load_images(self) -> tuple[ImageData, str | None]:
        """Load the training images, and say which data set they replace because it could not be fetched."""
        wanted, section = self.dataset or self.recipe.data.dataset, self.recipe.data
        if self.skip_unreadable and wanted != "folder":
            raise UserError("only images of a folder can be skipped", "leave out ", Setting("skip_unreadable"))
        request = DataRequest.of(section)
        if self.dataset is None and self.data_path is None:
            images = data.load_default(wanted, section.fallback, "train", print, request)
            return images, wanted if images.name != wanted else None
        return data.load(wanted, "train", self.data_path, request, self.skip_unreadable), None

    def settings(self, images: ImageData) -> RunSettings:
        """Return the settings of the run without its device; its length is 0 unless `steps` are asked for."""
        recipes.require_file(self.recipe, self.recipe_file)
        recipe = recipes.fitted(self.recipe, images, self.said)
        classes = tuple(images.classes) if recipe.data.classes else None
        return RunSettings(recipe, self.seed, images.name, images.sha256, "", 0, classes, self.steps or 0)


@dataclass(frozen=True)
class ResumeRequest:
    """More of a run that exists. None, or nothing, is as the run has it; only its length may be another.

    Attributes:
        path: the run's folder.
        recipe: the name of its recipe.
        changes: settings of its recipe, as `key=value`.
        seed, dataset, device_num, device_target: of the run.
        epochs, steps: the new length; only one of the two.
        data_path: where the data are now, if they have moved.
        device_id: which device it goes on with.
        command: what was typed, for the record.
    """

    path: Path
    recipe: str | None = None
    changes: tuple[str, ...] = ()
    seed: int | None = None
    dataset: str | None = None
    device_num: int | None = None
    device_target: str | None = None
    epochs: int | None = None
    steps: int | None = None
    data_path: str | None = None
    device_id: int = 0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_length(self.steps, self.epochs)

    def applied_to(self, settings: RunSettings) -> RunSettings:
        """Return a run's settings with all that is asked for."""
        recipe = settings.recipe if self.recipe in (None, settings.recipe.name) else recipes.load(self.recipe)
        return replace(
            settings,
            recipe=recipes.override(recipe, self.changes),
            seed=settings.seed if self.seed is None else self.seed,
            dataset=self.dataset or settings.dataset,
            device_num=self.device_num or settings.device_num,
        )


def _require_length(steps: int | None, epochs: int | None) -> None:
    for name, value in (("steps", steps), ("epochs", epochs)):
        if value is not None:
            _require(name, value, COUNTS)


def _require(name: str, value: object, rule: Rule) -> None:
    fault = rule.fault(value)
    if fault:
        raise UserError(f"{name} must be {fault}, not {shown(value)}")
