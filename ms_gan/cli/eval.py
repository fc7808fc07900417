"""`eval`: pictures that a trained model draws, and scores of it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ms_gan.cli import faults
from ms_gan.cli.options import add_checkpoint, add_device, add_label, add_seed, chosen_labels, free_folder, grid
from ms_gan.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ms_gan.data.description import ImageData
    from ms_gan.runs.model import Model
    from ms_gan.runs.score_report import ScoredData, ScoreRequest

SAMPLES, INTERPOLATION, BESIDE_REAL = "samples.png", "interpolation.png", "generated_beside_real.png"
RECONSTRUCTIONS, TRANSFER = "reconstructions.png", "transfer.png"
PICTURES = {  # besides samples.png: the option that asks for each, and what it shows
    INTERPOLATION: ("interpolate", "walks from one latent to another"),
    BESIDE_REAL: ("compare_real", "samples beside images of the test split"),
    RECONSTRUCTIONS: ("reconstruct", "test images, and what an autoencoder makes of them"),
    TRANSFER: ("transfer", "test images encoded with their own labels, decoded with others"),
}
OF_LATENTS = {SAMPLES, INTERPOLATION}  # that need no real images
METRICS, METRICS_JSON = "metrics.png", "metrics.json"
FILES = (SAMPLES, *PICTURES, METRICS, METRICS_JSON)
MOST_WALKS = 10  # of interpolation.png, if no label was named


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_checkpoint(command)
    command.add_argument(
        "--grid",
        type=grid,
        metavar="RxC",
        help="rows and columns of samples.png (default: 5x5; with classes one row of ten for each class; with tags one "
        "picture for each tag)",
    )
    add_label(command)
    add_seed(command, "of the latents; the same seed gives the same pictures")
    pictures = command.add_argument_group(
        "pictures",
        "samples.png is always drawn. If neither one of these nor --metrics is named, every picture that the model "
        "supports is drawn.",
    )
    for file, (option, shows) in PICTURES.items():
        pictures.add_argument(f"--{option.replace('_', '-')}", action="store_true", help=f"draw {file}: {shows}")
    _add_scores(command)
    command.add_argument(
        "--data-path", metavar="PATH", help="where the run's data set is now (default: as the run recorded)"
    )
    command.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="leave out images of a folder that cannot be read (default: as in the run)",
    )
    command.add_argument("--output-dir", metavar="DIR", help="where the files go (default: eval/ in the run)")
    command.add_argument("--overwrite", action="store_true", help="replace the files of an earlier eval there")
    add_device(command)


def _add_scores(command: argparse.ArgumentParser) -> None:
    scores = command.add_argument_group("scores")
    scores.add_argument(
        "--metrics",
        action="store_true",
        help="print scores of 10,000 samples, or of as many as there are test images, and write metrics.json and "
        "metrics.png",
    )
    scores.add_argument(
        "--cas",
        action="store_true",
        help="adds CAS: the accuracy on test images of a classifier that is trained on 50,000 samples (implies "
        "--metrics; for generators with classes; takes minutes)",
    )
    scores.add_argument(
        "--nearest-neighbour",
        action="store_true",
        help="adds the 1-NN error: the share of test images whose nearest sample, of 50,000, has another class "
        "(implies --metrics; for generators with classes; takes minutes)",
    )
    scores.add_argument(
        "--against",
        choices=("test", "train"),
        help="the images to compare with: test, to report a model; train, to choose among models or settings: the "
        "run's validation images, or training images if it has none (implies --metrics; default: test)",
    )
    scores.add_argument(
        "--judge",
        metavar="DIR",
        help="the folder of the judge (implies --metrics; default: the shipped one, or one that is trained once and "
        "kept)",
    )


def run(options: argparse.Namespace) -> int:
    """Draw the pictures, and score the model; return the exit status."""
    from ms_gan import runtime

    runtime.import_mindspore()
    from ms_gan.runs.model import load_model

    runtime.set_up(options.device_target, options.device_id)
    model = load_model(options.checkpoint)
    options.metrics |= bool(options.cas or options.nearest_neighbour or options.against or options.judge)
    if model.maturity.note() and not options.metrics:  # the scores have the same note
        print(f"note: {model.maturity.note()}")
    labels = chosen_labels(options.labels, model.label_names)
    asked = {file for file, (option, _) in PICTURES.items() if getattr(options, option)}
    possible = _possible(asked, model)
    pictures = {SAMPLES, *(asked if asked or options.metrics else possible)}
    folder = Path(options.output_dir) if options.output_dir else model.home / "eval"
    folder = free_folder(folder, FILES, options.overwrite)
    real = scored = None
    if options.metrics or pictures - OF_LATENTS:
        try:
            real, scored = _real_images(options, model)
        except UserError as error:
            if asked or options.metrics or options.data_path:
                raise
            print(f"note: no {', '.join(sorted(pictures - OF_LATENTS))}: {faults.told(error)}")
            pictures &= OF_LATENTS
    folder.mkdir(parents=True, exist_ok=True)
    for file, draw in _drawing(options, model, labels, real).items():
        if file in pictures:
            draw(folder / file)
            print(folder / file)
    if scored is not None:
        _score(options, model, scored, folder)
    return 0


def _possible(asked: set[str], model: Model) -> set[str]:
    """Return the pictures that the model supports. Raises UserError for others that were asked for."""
    lacks = {}
    if not model.conditional:
        lacks[TRANSFER] = "takes no labels, so there is nothing to transfer"
    if model.encoder is None:
        lacks[RECONSTRUCTIONS] = lacks[TRANSFER] = "has no encoder, so it can neither reconstruct nor transfer"
    for picture in asked & lacks.keys():
        raise UserError(f"{model.name} {lacks[picture]}")
    return PICTURES.keys() - lacks.keys()


def _real_images(options: argparse.Namespace, model: Model) -> tuple[ImageData, ScoredData | None]:
    """Load the images that pictures show, and, for scores, the data that are compared."""
    if not options.metrics:
        return _test_images(options, model), None
    from ms_gan.runs.score_report import ScoredData

    train, test = model.own_data(options.data_path, options.skip_unreadable)
    return test, ScoredData.choose(model, train, test, _request(options, model))


def _test_images(options: argparse.Namespace, model: Model) -> ImageData:
    """Return the test split at the model's size; all images of a folder that has none."""
    from ms_gan.data.description import NoTestSplit

    def load(split: str) -> ImageData:
        return model.fitting(model.load(split, options.data_path, options.skip_unreadable, rotate_and_mirror=False))

    try:
        return load("test")
    except NoTestSplit as error:
        print(f"note: the pictures may show images that were trained on: {error.problem}")
        return load("train")


def _drawing(
    options: argparse.Namespace, model: Model, labels: np.ndarray | None, real: ImageData | None
) -> dict[str, Callable[[Path], None]]:
    """Return what draws each picture into a file; `real` may be None where none of them needs real images."""
    from ms_gan.evaluation.sheets import Sheets

    about = f"{model.name} · step {model.step:,} · seed {options.seed}"
    sheets = Sheets(model.draw, model.latent, options.seed, about, model.label_names, model.encode)

    def samples(path: Path) -> None:
        if labels is not None and labels.ndim == 2 and not options.labels:  # tags
            rows, columns = options.grid or (None, 7)
            sheets.one_of_each(path, rows * columns if rows else len(labels), columns, labels)
        else:
            rows, columns = options.grid or ((5, 5) if labels is None else (len(labels), 10))
            sheets.samples(path, rows, columns, labels)

    walks = labels if labels is None or options.labels else labels[:MOST_WALKS]
    named = labels if options.labels else None
    images = cast("ImageData", real)
    return {
        SAMPLES: samples,
        INTERPOLATION: lambda path: sheets.interpolation(path, walks),
        BESIDE_REAL: lambda path: sheets.generated_beside_real(path, images),
        RECONSTRUCTIONS: lambda path: sheets.reconstructions(path, images),
        TRANSFER: lambda path: sheets.transfer(path, images, named),
    }


def _request(options: argparse.Namespace, model: Model) -> ScoreRequest:
    from ms_gan.evaluation.scores import Options
    from ms_gan.runs.score_report import ScoreRequest

    return ScoreRequest(
        Options(options.seed, options.cas, options.nearest_neighbour),
        options.against or "test",
        Path(options.judge) if options.judge else None,
        options.data_path or model.data_path,
    )


def _score(options: argparse.Namespace, model: Model, scored: ScoredData, folder: Path) -> None:
    """Score the model; print the report, and write it as JSON and as a picture."""
    from ms_gan.runs.score_report import score

    def say(line: str) -> None:
        print(line, flush=True)  # scoring takes a minute

    started = time.perf_counter()
    report = score(model, scored, _request(options, model), say)
    print("", *report.lines(), sep="\n")
    for path in report.write(folder / METRICS_JSON, folder / METRICS):
        print(path)
    say(f"scored in {time.perf_counter() - started:.0f} s")
