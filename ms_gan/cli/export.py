"""`export`: the bundle for those who serve the generator."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ms_gan.cli.options import add_checkpoint, add_device, free_folder


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_checkpoint(command)
    command.add_argument("--output-dir", metavar="DIR", help="the bundle's folder (default: export/ in the run)")
    command.add_argument("--overwrite", action="store_true", help="replace an earlier bundle there")
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Write the bundle; return the exit status."""
    from ms_gan import runtime
    from ms_gan.cli.trained import load_trained
    from ms_gan.delivery.export import WRITES, ParityError, export_bundle

    device = runtime.set_up(options.device_target or "auto", options.device_id or 0)
    trained = load_trained(options.checkpoint)
    folder = free_folder(Path(options.output_dir) if options.output_dir else trained.home / "export",
                         WRITES, options.overwrite)
    origin = {"step": trained.step, "seed": trained.settings["seed"], "dataset": trained.settings["dataset"],
              "data_sha256": trained.settings["data_sha256"]}
    try:
        export_bundle(folder, trained.generator, trained.encoder, trained.recipe, trained.labels, device, origin,
                      options.overwrite)
    except ParityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: equal to the checkpoint at step {trained.step:,}, to the last bit, on {device}")
    print(f"next: python -m ms_gan infer {folder} --num 25 --output images.png")
    return 0
