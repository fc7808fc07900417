"""`infer`: images from a bundle alone."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ms_gan.cli.options import add_device, add_format, add_label, chosen_labels, positive, seed
from ms_gan.errors import UserError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("bundle", metavar="BUNDLE", help="a folder that `export` wrote")
    command.add_argument("--num", type=positive, required=True, metavar="N", help="how many images")
    command.add_argument("--seed", type=seed, default=1, metavar="S",
                         help="which latents; the same seed draws the same images (default: 1)")
    add_label(command)
    add_format(command)
    command.add_argument("--output", required=True, metavar="FILE",
                         help="a .png sheet, or a .npy array, float32 in [0, 1], N×C×H×W")
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Draw the images; return the exit status."""
    output = Path(options.output)
    if output.suffix not in (".png", ".npy"):
        raise UserError(f"{output}: --output must end in .png or .npy")
    if output.is_dir():
        raise UserError(f"{output}: is a folder; name a file")
    if output.exists() and not options.overwrite:
        raise UserError(f"{output}: is there already; add --overwrite, or name another file")
    if not output.parent.is_dir():
        raise UserError(f"{output.parent}: no such folder to write to")

    from ms_gan.delivery.bundle import Bundle
    from ms_gan.delivery.contract import held_format, read_contract
    from ms_gan.evaluation.sampling import seeded_inputs

    folder = Path(options.bundle)
    format = options.format or held_format(read_contract(folder))
    if format == "mindir":
        from ms_gan import runtime

        runtime.set_up(options.device_target or "auto", options.device_id or 0)
    bundle = Bundle(folder, format)
    chosen = chosen_labels(options.labels, bundle.labels)
    labels = None if chosen is None else chosen[np.arange(options.num) % len(chosen)]
    images = bundle.draw(seeded_inputs(bundle.latent, options.num, options.seed, labels))
    if output.suffix == ".npy":
        import io

        from ms_gan.files import write_file

        content = io.BytesIO()
        np.save(content, images)
        write_file(output, content.getvalue())
    else:
        from ms_gan.evaluation import plots

        contract = bundle.contract
        columns = min(options.num, max(1, round(options.num**0.5)))
        about = f"{contract['recipe']} · step {contract['origin']['step']:,} · seed {options.seed}"
        if labels is None:
            plots.sheet(output, images, columns, "generated samples", about)
        else:
            columns = min(options.num, len(chosen), 10) if len(chosen) > 1 else columns
            plots.captioned(output, images, columns, bundle.labels.texts(labels), "generated samples", about)
    print(output)
    return 0
