"""`eval`: pictures of what a trained model draws, and scores of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ms_gan.cli.options import add_checkpoint, add_device, add_label, chosen_labels, free_folder, grid, seed
from ms_gan.errors import UserError

if TYPE_CHECKING:
    from ms_gan.cli.trained import Trained
    from ms_gan.data import ImageData

SAMPLES, INTERPOLATION, BESIDE_REAL = "samples.png", "interpolation.png", "generated_beside_real.png"
RECONSTRUCTIONS, TRANSFER = "reconstructions.png", "transfer.png"
METRICS, METRICS_JSON = "metrics.png", "metrics.json"
MOST_WALKS = 10  # of interpolation.png, when it was not said which labels


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_checkpoint(command)
    command.add_argument(
        "--grid",
        type=grid,
        metavar="RxC",
        help="rows and columns of samples.png (default: 5x5; with labels, ten columns and a row for "
        "each label; with tags, one picture for each tag)",
    )
    add_label(command)
    command.add_argument(
        "--seed",
        type=seed,
        default=1,
        metavar="S",
        help="which latents; the same seed draws the same pictures (default: 1)",
    )
    command.add_argument(
        "--interpolate",
        action="store_true",
        help="beside samples.png draw interpolation.png: walks from one latent to another",
    )
    command.add_argument(
        "--compare-real",
        action="store_true",
        help="beside samples.png draw generated_beside_real.png, with images of the test split",
    )
    command.add_argument(
        "--reconstruct",
        action="store_true",
        help="beside samples.png draw reconstructions.png: images of the test split and what an "
        "autoencoder makes of them",
    )
    command.add_argument(
        "--transfer",
        action="store_true",
        help="beside samples.png draw transfer.png: images of the test split, encoded with their own "
        "labels and decoded with others",
    )
    command.add_argument(
        "--metrics",
        action="store_true",
        help="beside samples.png print and write scores of 10,000 samples, or as many as there are "
        "test images, to metrics.json and metrics.png; without it and the four above, all "
        "pictures that the model can are drawn",
    )
    command.add_argument(
        "--cas",
        action="store_true",
        help="--metrics, and how well a classifier trained on 50,000 samples reads the test split; "
        "of a generator with classes; takes minutes",
    )
    command.add_argument(
        "--nearest-neighbour",
        action="store_true",
        help="--metrics, and how often the nearest of 50,000 samples has a test image's class; of a "
        "generator with classes",
    )
    command.add_argument(
        "--against",
        choices=("test", "train"),
        help="--metrics, compared with images of this split (default: test); train, with such as the "
        "run held out, if any, is for choosing models or settings, which the test split must "
        "not decide",
    )
    command.add_argument(
        "--judge",
        metavar="DIR",
        help="--metrics, by the judge in this folder (default: the shipped one, or one that is trained once and kept)",
    )
    command.add_argument(
        "--data-path", metavar="DIR", help="where the run's data set lies now (default: as in the run)"
    )
    command.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="go on without images of a folder that cannot be read (default: as in the run)",
    )
    command.add_argument("--output-dir", metavar="DIR", help="where the pictures go (default: eval/ in the run)")
    command.add_argument("--overwrite", action="store_true", help="replace pictures of an earlier eval there")
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Draw the pictures; return the exit status."""
    from ms_gan import runtime

    runtime.import_mindspore()
    from ms_gan.cli.trained import load_trained

    runtime.set_up(options.device_target or "auto", options.device_id or 0)
    trained = load_trained(options.checkpoint)
    names, encoder = trained.labels, trained.encoder
    options.metrics |= bool(options.cas or options.nearest_neighbour or options.against or options.judge)
    if trained.maturity.note() and not options.metrics:  # which says so with the scores
        print(f"note: {trained.maturity.note()}")
    labels = chosen_labels(options.labels, names)
    if (options.reconstruct or options.transfer) and encoder is None:
        raise UserError(f"{trained.recipe['name']} has no encoder, so it can neither reconstruct nor transfer")
    if options.transfer and names is None:
        raise UserError(f"{trained.recipe['name']} takes no labels, so there is nothing to transfer")
    pictures = wanted_pictures(options, encoder is not None, names is not None)
    folder = free_folder(
        Path(options.output_dir) if options.output_dir else trained.home / "eval",
        (SAMPLES, INTERPOLATION, BESIDE_REAL, RECONSTRUCTIONS, TRANSFER, METRICS, METRICS_JSON),
        options.overwrite,
    )
    real = train = None
    of_real = pictures & {BESIDE_REAL, RECONSTRUCTIONS, TRANSFER, METRICS}
    if of_real:
        try:
            if options.metrics:
                from ms_gan.cli import scoring

                train, real = trained.own_data(options.data_path, options.skip_unreadable)
                wanted = scoring.Wanted(
                    options.seed,
                    options.against or "test",
                    options.judge,
                    options.cas,
                    options.nearest_neighbour,
                    options.data_path or trained.data_path,
                )
                scoring.refuse(trained, train, real, wanted)
            else:
                real = real_images(trained, options.data_path, options.skip_unreadable)
        except UserError as error:
            if options.compare_real or options.reconstruct or options.transfer or options.metrics or options.data_path:
                raise
            print(f"note: no {', '.join(sorted(of_real))}: {error}")
            pictures -= of_real
    folder.mkdir(parents=True, exist_ok=True)

    from ms_gan.evaluation import sheets

    latent = trained.recipe["latent"]
    about = f"{trained.recipe['name']} · step {trained.step:,} · seed {options.seed}"
    if names is not None and names.places and not options.labels:
        rows, columns = options.grid or (None, 7)
        count = rows * columns if rows else len(labels)
        sheets.one_of_each(folder / SAMPLES, trained.draw, latent, count, columns, options.seed, about, labels, names)
    else:
        rows, columns = options.grid or ((5, 5) if labels is None else (len(labels), 10))
        sheets.samples(folder / SAMPLES, trained.draw, latent, rows, columns, options.seed, about, labels, names)
    print(folder / SAMPLES)
    if INTERPOLATION in pictures:
        walks = labels if labels is None or options.labels else labels[:MOST_WALKS]
        sheets.interpolation(folder / INTERPOLATION, trained.draw, latent, options.seed, about, walks, names)
        print(folder / INTERPOLATION)
    if BESIDE_REAL in pictures:
        sheets.generated_beside_real(
            folder / BESIDE_REAL, trained.draw, latent, real, options.seed, about, conditional=names is not None
        )
        print(folder / BESIDE_REAL)
    if RECONSTRUCTIONS in pictures:
        sheets.reconstructions(
            folder / RECONSTRUCTIONS,
            trained.encode,
            trained.draw,
            real,
            options.seed,
            about,
            conditional=names is not None,
        )
        print(folder / RECONSTRUCTIONS)
    if TRANSFER in pictures:
        sheets.transfer(
            folder / TRANSFER,
            trained.encode,
            trained.draw,
            real,
            options.seed,
            about,
            names,
            labels if options.labels else None,
        )
        print(folder / TRANSFER)
    if METRICS in pictures:
        scoring.score(trained, train, real, wanted, folder / METRICS_JSON, folder / METRICS)
    return 0


def real_images(trained: Trained, data_path: str | None, skip_unreadable: bool) -> ImageData:
    """Return the test split as the model takes it; of a folder that holds nothing out, all images."""
    from ms_gan.data.description import NothingHeldOut

    def load(split: str) -> ImageData:
        return trained.fitting(trained.load(split, data_path, skip_unreadable, rotate_and_mirror=False))

    try:
        return load("test")
    except NothingHeldOut as error:
        print(f"note: the pictures may show images that were trained on: {error}")
        return load("train")


def wanted_pictures(options: argparse.Namespace, has_encoder: bool, has_labels: bool) -> set:
    """Return which pictures, beside samples.png, the options ask for: all that the model can when they name none."""
    asked = {
        INTERPOLATION: options.interpolate,
        BESIDE_REAL: options.compare_real,
        RECONSTRUCTIONS: options.reconstruct,
        TRANSFER: options.transfer,
        METRICS: options.metrics,
    }
    if any(asked.values()):
        return {picture for picture, wanted in asked.items() if wanted}
    return (
        {INTERPOLATION, BESIDE_REAL}
        | ({RECONSTRUCTIONS} if has_encoder else set())
        | ({TRANSFER} if has_encoder and has_labels else set())
    )
