"""`eval`: pictures of what a trained generator draws."""

from __future__ import annotations

import argparse
from pathlib import Path

from ms_gan import data
from ms_gan.cli.options import add_checkpoint, add_device, add_label, chosen_labels, free_folder, grid, seed
from ms_gan.errors import UserError

SAMPLES, INTERPOLATION, BESIDE_REAL = "samples.png", "interpolation.png", "generated_beside_real.png"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_checkpoint(command)
    command.add_argument("--grid", type=grid, metavar="RxC",
                         help="rows and columns of samples.png (default: 5x5; with labels, ten columns and a row for "
                              "each label)")
    add_label(command)
    command.add_argument("--seed", type=seed, default=1, metavar="S",
                         help="which latents; the same seed draws the same pictures (default: 1)")
    command.add_argument("--interpolate", action="store_true",
                         help="beside samples.png draw interpolation.png: walks from one latent to another")
    command.add_argument("--compare-real", action="store_true",
                         help="beside samples.png draw generated_beside_real.png, with images of the test split; "
                              "with neither of these two options, all is drawn")
    command.add_argument("--data-path", metavar="DIR", help="where the run's data set lies now (default: as in the run)")
    command.add_argument("--output-dir", metavar="DIR", help="where the pictures go (default: eval/ in the run)")
    command.add_argument("--overwrite", action="store_true", help="replace pictures of an earlier eval there")
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Draw the pictures; return the exit status."""
    from ms_gan import runtime
    from ms_gan.cli.trained import load_trained

    runtime.set_up(options.device_target or "auto", options.device_id or 0)
    trained = load_trained(options.checkpoint)
    labels = chosen_labels(options.labels, trained.classes)
    folder = free_folder(Path(options.output_dir) if options.output_dir else trained.home / "eval",
                         (SAMPLES, INTERPOLATION, BESIDE_REAL), options.overwrite)
    everything = not (options.interpolate or options.compare_real)
    real = None
    if everything or options.compare_real:
        try:
            real = data.load(trained.settings["dataset"], "test", options.data_path or trained.data_path)
        except UserError as error:
            if options.compare_real or options.data_path:
                raise
            print(f"note: no {BESIDE_REAL}: {error}")
    folder.mkdir(parents=True, exist_ok=True)

    from ms_gan.evaluation import sheets

    rows, columns = options.grid or ((5, 5) if labels is None else (len(labels), 10))
    row_labels = None if labels is None else [labels[row % len(labels)] for row in range(rows)]
    classes = trained.classes or ()
    latent = trained.recipe["latent"]
    about = f"{trained.recipe['name']} · step {trained.step:,} · seed {options.seed}"
    sheets.samples(folder / SAMPLES, trained.draw, latent, rows, columns, options.seed, about, row_labels,
                   classes)
    print(folder / SAMPLES)
    if everything or options.interpolate:
        sheets.interpolation(folder / INTERPOLATION, trained.draw, latent, options.seed, about, labels, classes)
        print(folder / INTERPOLATION)
    if real is not None:
        sheets.generated_beside_real(folder / BESIDE_REAL, trained.draw, latent, real, options.seed, about,
                                     conditional=labels is not None)
        print(folder / BESIDE_REAL)
    return 0
