"""The Python API: `import ms_gan`, and what docs/api.md shows.

model = ms_gan.train("rpgan", images, steps=2000)   # or ms_gan.load("runs/rpgan/1")
samples = model.sample(25, seed=7)                  # uint8, N×H×W or N×C×H×W
scores = ms_gan.score(samples, test_images, judge="mnist")
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from ms_gan import recipes, runtime
from ms_gan.errors import Setting, UserError, shown
from ms_gan.recipes import Recipe

if TYPE_CHECKING:
    from ms_gan.data.description import ImageData
    from ms_gan.delivery.bundle import Bundle
    from ms_gan.evaluation.judge import Judge
    from ms_gan.runs.model import Model
    from ms_gan.runs.summary import Comparison
    from ms_gan.training.request import TrainRequest

Images = Union[np.ndarray, str, Path]


def recipe(name: str) -> Recipe:
    """Return a published recipe by its name, or the one of a file FILE.py or FILE.json. See `ms_gan recipes`."""
    return recipes.load(name)


def load(path: str | Path) -> Model | Bundle:
    """Load a run (its newest checkpoint), a checkpoint or an exported bundle, to sample from.

    Both kinds have `sample(count, seed, labels)`. They draw on the device that this process already uses, or else on
    the first that there is (an ONNX always on the CPU).

    Raises UserError for any other folder, for a damaged one, and for one that this version cannot read.
    """
    path = Path(path)
    if (path / "contract.json").is_file():
        from ms_gan.delivery.bundle import Bundle
        from ms_gan.delivery.contract import read_contract

        if read_contract(path).held_format == "mindir":
            runtime.set_up()
        return Bundle(path)
    from ms_gan.runs.model import load_model

    runtime.set_up()
    return load_model(path)


def train(
    recipe: str | Path | Recipe,
    images: Images | None = None,
    labels: np.ndarray | None = None,
    *,
    test: Any = None,
    label_names: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    seed: int = 1,
    output_dir: str | Path = "runs",
    device_target: str = "auto",
) -> Model:
    """Train a new run, and return its model; `model.home` is the run's folder.

    Args:
        recipe: a name, a recipe's file, or a Recipe.
        images: uint8, N×H×W, N×C×H×W or N×H×W×C, square; or an `.npz` file of them. None: the recipe's own data set.
            The recipe is brought to their size and channels. They are kept in the cache, so that the run can be
            resumed, and evaluated, as any other.
        labels: whole numbers from 0, (N,) or (N, 1). With labels, a recipe that can be conditional becomes so.
        test: images, or a tuple (images, labels), for scores alone; None takes a tenth of `images` for that.
        label_names: the names of the classes; their numbers where there are none.
        settings: settings of the recipe to change, by dotted names, such as {"generator.widths": (64, 128)}.
        steps, epochs: how long, by one of them; without either, the recipe's epochs.
        seed: of all random numbers of the run, from 0 to 2³² − 1.
        output_dir: the run is made in output_dir/<recipe>/<number>.
        device_target: "Ascend", "GPU", "CPU", or "auto", the first that there is.

    Raises:
        UserError: for data or settings that do not go together, and where the training diverges.
        OSError: where the run cannot be written.
        Interrupted: where Ctrl-C or another signal stopped it, in the main thread; the run is saved, and `resume` goes
            on with it.
    """
    from ms_gan.training.request import DeviceChoice, require_one_length
    from ms_gan.training.session import Session

    if epochs is not None:
        require_one_length(steps, epochs)
        settings = {**(settings or {}), "schedule.epochs": epochs}
    request, data = _asked(recipe, settings, images, labels, test, label_names)
    device = DeviceChoice(device_target)
    request = replace(request, device=device, seed=seed, steps=steps, output_dir=Path(output_dir))
    session = Session.new(request, data)
    session.train()
    return load(session.run.path)  # type: ignore[return-value]


def resume(run: str | Path | Model, *, steps: int | None = None, epochs: int | None = None) -> Model:
    """Go on with a run, to the end of its schedule or to a longer one, as if it had never stopped.

    `run` is its folder, or a model of it.

    Raises UserError for a folder that is no run, a damaged one, data that are not the run's, and as `train` does.
    """
    from ms_gan.training.request import ResumeRequest
    from ms_gan.training.session import Session

    path = _folder(run)
    session = Session.open(ResumeRequest(path=path, steps=steps, epochs=epochs, command=("ms_gan.resume",)))
    session.train()
    return load(path)  # type: ignore[return-value]


def score(generated: np.ndarray, reference: np.ndarray, judge: str | Path | Judge | None = None) -> dict[str, float]:
    """Score images against images, by the features of a classifier.

    Args:
        generated, reference: uint8, N×H×W, N×C×H×W or N×H×W×C, of one size. Of the longer one the first images count.
        judge: a folder that `ms_gan judge` wrote, of data like these, or a loaded `Judge`. "mnist": the one that ms_gan
            comes with, for handwritten digits, grey, 28×28. Its features mean little of other images.

    Returns:
        fd_<N>, the Fréchet distance of N features each, such as fd_10k; fd_<N/2>_real, that of the two halves of the
        reference, which is what real images score with half as many; precision, recall, density and coverage, each
        about 1 for samples of the same distribution (see docs/metrics.md).

    Raises:
        UserError: for fewer than 100 images of a kind, other shapes, images that the judge cannot read, and no judge.
    """
    from ms_gan.data.arrays import as_images
    from ms_gan.evaluation import metrics
    from ms_gan.evaluation.protocol import FEWEST

    images = [as_images(array, name) for array, name in ((generated, "generated"), (reference, "reference"))]
    count = min(map(len, images))
    if count < FEWEST or images[0].shape[1:] != images[1].shape[1:]:
        raise UserError(
            f"at least {FEWEST} generated and {FEWEST} reference images of one size are needed, not "
            f"{images[0].shape} and {images[1].shape}"
        )
    runtime.set_up()
    features_of = _judge(judge, images[0].shape[1:])
    features = [features_of(array[:count]) for array in images]
    moments = [metrics.moments(each) for each in features]
    half = count // 2
    halves = [metrics.moments(features[1][:half]), metrics.moments(features[1][half : 2 * half])]
    return {
        f"fd_{metrics.of_count(count)}": metrics.frechet_distance(*moments),
        f"fd_{metrics.of_count(half)}_real": metrics.frechet_distance(*halves),
        **metrics.precision_recall_density_coverage(features[1], features[0]),
    }


def compare(first: str | Path | Model, second: str | Path | Model) -> Comparison:
    """Return what differs between two runs: their settings, their scores, and `.draw(file)` for both runs' curves.

    Both are runs' folders, or models of runs.
    Raises UserError for a folder that is no run.
    """
    from ms_gan.runs import summary

    return summary.compare(_folder(first), _folder(second))


def save_grid(images: np.ndarray, path: str | Path, *, columns: int | None = None, overwrite: bool = False) -> Path:
    """Write images side by side, row by row, as a PNG, and return its path.

    Args:
        images: uint8, N×H×W, N×C×H×W or N×H×W×C, such as a model's samples.
        path: the file.
        columns: how many stand in a row; so many that the grid is about square, if left out.
        overwrite: replace a file that is there.

    Raises:
        UserError: for other arrays, a file that is there, and a folder that is not there.
        OSError: where the file cannot be written.
    """
    from ms_gan.data.arrays import as_images
    from ms_gan.evaluation import plots
    from ms_gan.files import require_free
    from ms_gan.sampling import COUNTS

    path, pixels = Path(path), as_images(images)
    fault = None if columns is None else COUNTS.fault(columns)
    if fault:
        raise UserError(f"columns must be {fault}, not {shown(columns)}")
    require_free(path, overwrite)
    plots.plain(path, pixels, min(columns or math.ceil(len(pixels) ** 0.5), len(pixels)))
    return path


def _folder(run: str | Path | Model) -> Path:
    return Path(run) if isinstance(run, (str, Path)) else run.home


def _judge(judge: str | Path | Judge | None, shape: tuple[int, ...]) -> Any:
    """Return what makes features, float32 (N, 84), of images. Raises UserError for a judge of other images."""
    from ms_gan.evaluation.judge import Judge, load_judge
    from ms_gan.evaluation.judge_training import shipped

    if judge is None:
        mend = ("name one, which `ms_gan judge` trains, or 'mnist' for handwritten digits, with ", Setting("judge"))
        raise UserError("features mean something only by a judge of images like these, and none is named", *mend)
    if judge == "mnist":
        known = [folder for folder in shipped() if folder.name == judge]
        if not known:
            raise UserError("this installation has no judge of MNIST", "name another with ", Setting("judge"))
        judge = known[0]
    judge = judge if isinstance(judge, Judge) else load_judge(Path(judge))
    if judge.image_shape != shape:
        raise UserError(
            f"the judge reads images of {judge.image_shape}, not {shape}", "name another with ", Setting("judge")
        )
    return judge.features


def _asked(
    recipe: str | Path | Recipe,
    settings: Mapping[str, Any] | None,
    images: Images | None,
    labels: np.ndarray | None,
    test: Any,
    label_names: Sequence[str],
) -> tuple[TrainRequest, ImageData | None]:
    """Return the request for a run of a recipe on images, as `train` takes them, and the images, if there are some."""
    from ms_gan.data.arrays import load_arrays
    from ms_gan.training.request import DataChoice, TrainRequest

    label_names = () if label_names is None else label_names
    chosen, source = (recipe, None) if isinstance(recipe, Recipe) else recipes.load_with_source(recipe)
    recipes.check(chosen)
    place, data = DataChoice(), None
    if images is not None:
        path = _kept(images, labels, test, label_names)
        place, data = DataChoice("arrays", str(path)), load_arrays("train", path)
        chosen = _brought_to(chosen, data)
    elif labels is not None or test is not None or len(label_names):
        raise UserError("labels, their names and test images go with images", "give ", Setting("images"), ", too")
    said = tuple(settings or ())
    return TrainRequest(chosen.but(settings), source, said, place, command=("ms_gan.train",)), data


def _kept(images: Images, labels: np.ndarray | None, test: Any, label_names: Sequence[str]) -> Path:
    """Return the file of the images: theirs, or one in the cache."""
    from ms_gan.data.arrays import keep_arrays

    if isinstance(images, (str, Path)):
        if labels is not None or test is not None or len(label_names):
            raise UserError("an .npz file holds its own labels, test images and label_names", "put them into the file")
        return Path(images)
    pair = test if isinstance(test, tuple) or test is None else (test, None)
    return keep_arrays(images, labels, pair, label_names)


def _brought_to(recipe: Recipe, data: ImageData) -> Recipe:
    """Return the recipe for these images: their size and channels, and as many classes as they have."""
    _, channels, size, _ = data.images.shape
    requirement = recipes.FAMILIES[recipe.family].label_requirement
    classes = len(data.classes) if requirement != "none" and data.labels is not None else 0
    if not classes and requirement == "class":
        raise UserError(f"the recipe {recipe.name} needs labels", "give ", Setting("labels"))
    return recipe.but({"data.size": size, "data.channels": channels, "data.classes": classes, "data.max_tags": 0})
