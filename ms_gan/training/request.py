"""What somebody asks of a training. Only here does it become the settings of a run."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan import data, recipes
from ms_gan.data.description import ONE_FORMAT, DataRequest, ImageData
from ms_gan.errors import Setting, UserError, shown
from ms_gan.recipes import Recipe
from ms_gan.runs.records import read_json
from ms_gan.runs.run_folder import RunFolder, find_checkpoint
from ms_gan.runs.settings import RunSettings
from ms_gan.sampling import COUNTS, SEEDS
from ms_gan.schema.fields import Rule


@dataclass(frozen=True)
class DataChoice:
    """Which data, and where they are.

    Attributes:
        dataset: the name of the data set; None is that of the run, or the recipe's, or the recipe's fallback if that
            cannot be fetched.
        path: where it is; None is where it was, or the cache.
        skip_unreadable: leave out images of a folder that cannot be read.
    """

    dataset: str | None = None
    path: str | None = None
    skip_unreadable: bool = False

    @property
    def place(self) -> str | None:
        """The path from the root, as it is recorded."""
        return None if self.path is None else str(Path(self.path).absolute())


@dataclass(frozen=True)
class DeviceChoice:
    """What to train on.

    Attributes:
        target: "Ascend", "GPU" or "CPU"; "auto" is that of the run, or the first that there is.
        id: which of several.
        count: how many train a run that exists; None is as many as before.
        precision: of products, "float32" or "bfloat16"; None is that of the run, or float32.
    """

    target: str = "auto"
    id: int = 0
    count: int | None = None
    precision: str | None = None


@dataclass(frozen=True)
class TrainRequest:
    """A new run.

    Attributes:
        recipe: with all that is asked for; only what depends on the images is open.
        recipe_file: the Python file that the recipe came from, if any; the run keeps a copy of it.
        said: the names of the recipe's settings that are asked for, and stay as they are.
        data, device: what to train on.
        seed: what every random number of the run follows from.
        steps: how long the run is; None is the recipe's epochs.
        output_dir: the run is made in output_dir/<recipe>/<number>.
        warm_start: a run or a checkpoint whose networks, but not optimizers, the run begins with.
        command: what was typed, for the record.
        tensorboard: whether to write files for TensorBoard.
    """

    recipe: Recipe
    recipe_file: Path | None = None
    said: tuple[str, ...] = ()
    data: DataChoice = DataChoice()
    device: DeviceChoice = DeviceChoice()
    seed: int = 1
    steps: int | None = None
    output_dir: Path = Path("runs")
    warm_start: str | None = None
    command: tuple[str, ...] = ()
    tensorboard: bool = False

    def __post_init__(self) -> None:
        _require("steps", self.steps, COUNTS)
        _require("seed", self.seed, SEEDS)

    def read_ahead(self) -> None:
        """Begin to read the training images; see `data.read_ahead`."""
        data.read_ahead(self.data.dataset or self.recipe.data.dataset, self.data.path)

    def load_images(self) -> tuple[ImageData, str | None]:
        """Load the training images, and say which data set they replace because it could not be fetched."""
        chosen, section = self.data, self.recipe.data
        wanted = chosen.dataset or section.dataset
        request = DataRequest.of(section, **(self._kept_test_split() if wanted == "folder" else {}))
        if chosen.skip_unreadable and wanted != "folder":
            raise UserError("only images of a folder can be skipped", "leave out ", Setting("skip_unreadable"))
        if chosen.dataset is None and chosen.path is None:
            images = data.load_default(wanted, section.fallback, print, request)
            return images, wanted if images.name != wanted else None
        return data.load(wanted, "train", chosen.path, request, chosen.skip_unreadable), None

    def _kept_test_split(self) -> dict[str, Any]:
        """Return which images of the folder the run that this one begins with did not train on, if that was of it, too.

        Else images that its networks know could become test images, where some have been added since.
        """
        if self.warm_start is None or self.data.path is None:
            return {}
        try:
            known = RunFolder(find_checkpoint(self.warm_start)[1]).read_provenance().data
        except (OSError, UserError):  # a checkpoint alone; what is wrong with it is said when it is loaded
            return {}
        if known.test_split_up_to is None or known.path is None:
            return {}
        places = known.path, self.data.path
        if not all(map(os.path.exists, places)) or not os.path.samefile(*places):
            return {}
        return {"test_split_up_to": known.test_split_up_to, "test_split_but": known.test_split_but}

    def settings(self, images: ImageData) -> RunSettings:
        """Return the settings of the run without its device; its length is 0 unless `steps` are asked for."""
        recipes.require_file(self.recipe, self.recipe_file)
        recipe = recipes.fitted(self.recipe, images, self.said)
        classes = tuple(images.classes) if recipe.data.classes else None
        precision = self.device.precision or "float32"
        return RunSettings(
            recipe, self.seed, images.name, images.sha256, "", 0, classes, self.steps or 0, precision=precision
        )


@dataclass(frozen=True)
class ResumeRequest:
    """A request to go on with a run. What is None or empty stays as the run has it.

    Only its length may change, and how many devices train it.

    Attributes:
        path: the run's folder.
        recipe: the name of its recipe.
        changes: settings of its recipe, as `key=value`.
        data, device: of the run; its data may have moved.
        seed: of the run.
        steps, epochs: the new length; only one of the two.
        command: what was typed, for the record.
        tensorboard: whether to write files for TensorBoard.
    """

    path: Path
    recipe: str | None = None
    changes: tuple[str, ...] = ()
    data: DataChoice = DataChoice()
    device: DeviceChoice = DeviceChoice()
    seed: int | None = None
    steps: int | None = None
    epochs: int | None = None
    command: tuple[str, ...] = ()
    tensorboard: bool = False

    def __post_init__(self) -> None:
        _require("steps", self.steps, COUNTS)
        _require("epochs", self.epochs, COUNTS)
        require_one_length(self.steps, self.epochs)

    def read_ahead(self) -> None:
        """Begin to read the run's training images; see `data.read_ahead`. A damaged run is told of later."""
        with contextlib.suppress(UserError, OSError, KeyError, TypeError, AttributeError):
            dataset = read_json(self.path / "settings.json")["dataset"]
            recorded = read_json(self.path / "provenance.json")["data"]["path"]
            data.read_ahead(dataset, self.data.path or recorded)

    def applied_to(self, settings: RunSettings) -> RunSettings:
        """Return a run's settings with all that is asked for."""
        recipe = settings.recipe if self.recipe in (None, settings.recipe.name) else recipes.load(self.recipe)
        asked = self.data.dataset
        if {asked, settings.dataset} == ONE_FORMAT:
            asked = None  # the images' checksum tells whether they are the run's
        return replace(
            settings,
            recipe=recipes.override(recipe, self.changes),
            seed=settings.seed if self.seed is None else self.seed,
            dataset=asked or settings.dataset,
            precision=self.device.precision or settings.precision,
        )


def require_one_length(steps: int | None, epochs: int | None) -> None:
    """Raise UserError where both are given: they may contradict each other."""
    if steps is not None and epochs is not None:
        raise UserError("steps and epochs both say how long the training is", "give one of them")


def _require(name: str, value: object, rule: Rule) -> None:
    fault = None if value is None else rule.fault(value)
    if fault:
        raise UserError(f"{name} must be {fault}, not {shown(value)}")
