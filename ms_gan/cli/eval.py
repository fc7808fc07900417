"""`eval`: pictures that a trained model draws, and scores of it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ms_gan.cli import faults
from ms_gan.cli.options import add_checkpoint, add_device, add_label, chosen_labels, free_folder, grid, seed
from ms_gan.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ms_gan.data import ImageData
    from ms_gan.evaluation.sheets import Sheets
    from ms_gan.runs.model import Model
    from ms_gan.runs.score_report import ScoredData, ScoreRequest

SAMPLES, INTERPOLATION, BESIDE_REAL = "samples.png", "interpolation.png", "generated_beside_real.png"
RECONSTRUCTIONS, TRANSFER = "reconstructions.png", "transfer.png"
METRICS, METRICS_JSON = "metrics.png", "metrics.json"
FILES = (SAMPLES, INTERPOLATION, BESIDE_REAL, RECONSTRUCTIONS, TRANSFER, METRICS, METRICS_JSON)
OF_REAL = {BESIDE_REAL, RECONSTRUCTIONS, TRANSFER, METRICS}  # files that need real images
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
    command.add_argument(
        "--seed",
        type=seed,
        default=1,
        metavar="S",
        help="of the latents; the same seed gives the same pictures (default: 1)",
    )
    _add_pictures(command)
    _add_scores(command)
    command.add_argument(
        "--data-path", metavar="DIR", help="where the run's data set is now (default: as the run recorded)"
    )
    command.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="leave out images of a folder that cannot be read (default: as in the run)",
    )
    command.add_argument("--output-dir", metavar="DIR", help="where the files go (default: eval/ in the run)")
    command.add_argument("--overwrite", action="store_true", help="replace the files of an earlier eval there")
    add_device(command)


def _add_pictures(command: argparse.ArgumentParser) -> None:
    pictures = command.add_argument_group(
        "pictures",
        "samples.png is always drawn. If neither one of these nor --metrics is named, every picture that the model "
        "supports is drawn.",
    )
    for option, text in (
        ("--interpolate", "draw interpolation.png: walks from one latent to another"),
        ("--compare-real", "draw generated_beside_real.png: samples beside images of the test split"),
        ("--reconstruct", "draw reconstructions.png: test images, and what an autoencoder makes of them"),
        ("--transfer", "draw transfer.png: test images encoded with their own labels, decoded with others"),
    ):
        pictures.add_argument(option, action="store_true", help=text)


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


@dataclass(frozen=True)
class RealImages:
    """The images that pictures show, and, for scores, the data that are compared."""

    pictured: ImageData
    scored: ScoredData | None = None


def run(options: argparse.Namespace) -> int:
    """Draw the pictures, and score the model; return the exit status."""
    from ms_gan import runtime

    runtime.import_mindspore()
    from ms_gan.runs.model import load_model

    runtime.set_up(options.device_target or "auto", options.device_id or 0)
    model = load_model(options.checkpoint)
    options.metrics |= bool(options.cas or options.nearest_neighbour or options.against or options.judge)
    if model.maturity.note() and not options.metrics:  # the scores have the same note
        print(f"note: {model.maturity.note()}")
    labels = chosen_labels(options.labels, model.label_names)
    _refuse_impossible(options, model)
    folder = Path(options.output_dir) if options.output_dir else model.home / "eval"
    folder = free_folder(folder, FILES, options.overwrite)
    pictures = wanted_pictures(options, model.encoder is not None, model.conditional)
    real = _real_images(options, model, pictures) if pictures & OF_REAL else None
    if real is None:
        pictures -= OF_REAL
    folder.mkdir(parents=True, exist_ok=True)
    _draw(options, model, labels, folder, pictures, real)
    if real is not None and real.scored is not None:
        _score(options, model, real.scored, folder)
    return 0


def wanted_pictures(options: argparse.Namespace, has_encoder: bool, has_labels: bool) -> set[str]:
    """Return which files the options ask for besides samples.png; without such options, all that the model supports."""
    asked = {
        INTERPOLATION: options.interpolate,
        BESIDE_REAL: options.compare_real,
        RECONSTRUCTIONS: options.reconstruct,
        TRANSFER: options.transfer,
        METRICS: options.metrics,
    }
    if any(asked.values()):
        return {picture for picture, wanted in asked.items() if wanted}
    of_encoder = {RECONSTRUCTIONS, TRANSFER} if has_labels else {RECONSTRUCTIONS}
    return {INTERPOLATION, BESIDE_REAL} | (of_encoder if has_encoder else set())


def _refuse_impossible(options: argparse.Namespace, model: Model) -> None:
    if (options.reconstruct or options.transfer) and model.encoder is None:
        raise UserError(f"{model.name} has no encoder, so it can neither reconstruct nor transfer")
    if options.transfer and not model.conditional:
        raise UserError(f"{model.name} takes no labels, so there is nothing to transfer")


def _real_images(options: argparse.Namespace, model: Model, pictures: set[str]) -> RealImages | None:
    """Load what the pictures and scores need; None, with a note, if that fails and nobody asked for it by name."""
    try:
        if not options.metrics:
            return RealImages(_test_images(options, model))
        from ms_gan.runs.score_report import ScoredData

        train, test = model.own_data(options.data_path, options.skip_unreadable)
        return RealImages(test, ScoredData.choose(model, train, test, _request(options, model)))
    except UserError as error:
        if options.compare_real or options.reconstruct or options.transfer or options.metrics or options.data_path:
            raise
        print(f"note: no {', '.join(sorted(pictures & OF_REAL))}: {faults.told(error)}")
        return None


def _test_images(options: argparse.Namespace, model: Model) -> ImageData:
    """Return the test split at the model's size; all images of a folder that holds none out."""
    from ms_gan.data.description import NothingHeldOut

    def load(split: str) -> ImageData:
        return model.fitting(model.load(split, options.data_path, options.skip_unreadable, rotate_and_mirror=False))

    try:
        return load("test")
    except NothingHeldOut as error:
        print(f"note: the pictures may show images that were trained on: {error.problem}")
        return load("train")


def _draw(
    options: argparse.Namespace,
    model: Model,
    labels: np.ndarray | None,
    folder: Path,
    pictures: set[str],
    real: RealImages | None,
) -> None:
    """Draw samples.png, and the other pictures; print where each is."""
    from ms_gan.evaluation.sheets import Sheets

    about = f"{model.name} · step {model.step:,} · seed {options.seed}"
    sheets = Sheets(model.draw, model.latent, options.seed, about, model.label_names, model.encode)
    _draw_samples(options, sheets, folder / SAMPLES, labels)
    if INTERPOLATION in pictures:
        walks = labels if labels is None or options.labels else labels[:MOST_WALKS]
        sheets.interpolation(folder / INTERPOLATION, walks)
        print(folder / INTERPOLATION)
    if real is None:
        return
    named = labels if options.labels else None
    for picture, draw in (
        (BESIDE_REAL, sheets.generated_beside_real),
        (RECONSTRUCTIONS, sheets.reconstructions),
        (TRANSFER, lambda path, images: sheets.transfer(path, images, named)),
    ):
        if picture in pictures:
            draw(folder / picture, real.pictured)
            print(folder / picture)


def _draw_samples(options: argparse.Namespace, sheets: Sheets, path: Path, labels: np.ndarray | None) -> None:
    if labels is not None and labels.ndim == 2 and not options.labels:  # tags
        rows, columns = options.grid or (None, 7)
        sheets.one_of_each(path, rows * columns if rows else len(labels), columns, labels)
    else:
        rows, columns = options.grid or ((5, 5) if labels is None else (len(labels), 10))
        sheets.samples(path, rows, columns, labels)
    print(path)


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
    import time

    from ms_gan.runs.score_report import score

    def say(line: str) -> None:
        print(line, flush=True)  # scoring takes a minute

    started = time.perf_counter()
    report = score(model, scored, _request(options, model), say)
    print("", *report.lines(), sep="\n")
    for path in report.write(folder / METRICS_JSON, folder / METRICS):
        print(path)
    say(f"scored in {time.perf_counter() - started:.0f} s")
