"""`infer`: images from a bundle alone."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ms_gan.cli.options import add_device, add_format, add_label, add_seed, chosen_labels, free_folder, positive
from ms_gan.errors import Setting, UserError
from ms_gan.files import require_free

if TYPE_CHECKING:
    import numpy as np

    from ms_gan.delivery.bundle import Bundle
    from ms_gan.labels import LabelNames
    from ms_gan.sampling import Inputs

FILMS = (".gif", ".mp4")
SUFFIXES = (".png", ".npy", *FILMS)
STEPS = 20  # images of a film from one latent to the next
MOST_FRAMES = 10_000
MOST_ACROSS = 16_384  # pixels, of a film
MOST_IN_A_GIF = 500_000_000  # pixels of all frames, which are in memory together: 1.3 GB
BLOCK = 4096  # bytes that a file takes at least
MOST_PIXELS = 89_478_485  # of a sheet: Pillow warns that a larger picture may be an attack
SHEET_WIDTH, GAP, CAPTION = 900, 3, 30  # pixels: of a sheet's row, unless its images need more; between images; a label


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("bundle", metavar="BUNDLE", help="a folder that `export` wrote")
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--num", type=positive, metavar="N", help="how many images")
    what.add_argument(
        "--latents", metavar="FILE.npy", help="draw these latents, float32 (N, size), in place of --num and --seed"
    )
    add_seed(command, "which latents; the same seed draws the same images")
    command.set_defaults(seed=None)  # to know whether it was said: latents of a file have none
    command.add_argument("--save-latents", metavar="FILE.npy", help="write the latents, too, float32 (N, size)")
    command.add_argument(
        "--truncation",
        type=share,
        metavar="T",
        help="multiply latents by T, above 0 and at most 1: images become more typical, and more alike (default: 1)",
    )
    command.add_argument(
        "--steps", type=positive, metavar="K", help=f"of a film: images from one latent to the next (default: {STEPS})"
    )
    add_label(command)
    add_format(command)
    command.add_argument(
        "--output",
        required=True,
        metavar="FILE",
        help="a .png sheet; a .npy array, float32 in [0, 1], N×C×H×W; FOLDER/, a PNG for each image; or a .gif or "
        ".mp4, which walks from latent to latent and back to the first, with the labels side by side",
    )
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it is there; never a folder")
    add_device(command)


def share(text: str) -> float:
    """A number above 0, also in float32, up to and with 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1e-37 < number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0, up to 1, not {text!r}")
    return number


def _files(options: argparse.Namespace) -> tuple[Path, str, Path | None]:
    """Return what is to be written, of which kind, and where latents are kept, if they are.

    The kind is of SUFFIXES, or "/". Raises UserError for what does not go together, before anything heavy is imported.
    """
    output = Path(options.output)
    kind = "/" if options.output.endswith(("/", os.sep)) else next(filter(output.name.lower().endswith, SUFFIXES), "")
    if not kind:
        known = f"{', '.join(SUFFIXES)} or a folder's /"
        raise UserError(f"{output}: does not end in {known}", "name another file with ", Setting("output"))
    if options.steps and kind not in FILMS:
        raise UserError("only a film has steps", "leave out ", Setting("steps"))
    if options.overwrite and kind == "/":
        raise UserError("a folder is not replaced", "leave out ", Setting("overwrite"), ", and name a new one")
    if options.latents and options.seed is not None:
        raise UserError("latents of a file have no seed", "leave out ", Setting("seed"))
    kept = Path(options.save_latents) if options.save_latents else None
    if kept and not kept.name.lower().endswith(".npy"):
        raise UserError(f"{kept}: does not end in .npy", "name another file with ", Setting("save_latents"))
    if kind == "/":
        output = free_folder(output, (), overwrite=False, setting="output")
    for file in filter(None, (None if kind == "/" else output, kept)):
        require_free(file, options.overwrite)
    if kept and kept.resolve() == output.resolve():
        raise UserError(f"{kept}: is named for images and latents", "name another file with ", Setting("save_latents"))
    return output, kind, kept


def run(options: argparse.Namespace) -> int:
    """Draw the images; return the exit status."""
    output, kind, kept = _files(options)
    seed = 1 if options.seed is None else options.seed

    import numpy as np

    from ms_gan.delivery.bundle import Bundle
    from ms_gan.delivery.choice import choose_format
    from ms_gan.delivery.contract import read_contract
    from ms_gan.delivery.formats import runtime_of
    from ms_gan.sampling import LARGE, require_one_each, seeded_chunks, seeded_inputs, truncated, with_labels

    folder = Path(options.bundle)
    contract = read_contract(folder)
    labels = chosen_labels(options.labels, contract.label_names)
    latent, image = contract.generator.inputs[0].latent, contract.generator.outputs[0].shape
    file = Path(options.latents) if options.latents else None
    given = _read_latents(file, latent.size) if file else None
    count, truncation = options.num if given is None else len(given), options.truncation or 1.0
    if truncation != 1 and latent.distribution == "sphere":
        raise UserError("latents of this generator lie on a sphere", "leave out ", Setting("truncation"))
    if kind in FILMS:
        from ms_gan.evaluation.films import closed_walk

        columns, steps = 1 if labels is None else len(labels), options.steps or STEPS
        _require_short(output, kind, image, columns, count, steps)
        stops = seeded_inputs(latent, count, seed)[0] if given is None else given
        given = closed_walk(latent.distribution, stops, steps).repeat(columns, axis=0)
        count = len(given)
    else:
        require_one_each(len(options.labels or ()), count)
        columns = max(1, round(count**0.5)) if labels is None or len(labels) == 1 else min(count, len(labels), 10)
        _require_room(output, (count, *image), kind, columns, captioned=labels is not None)
    file_format, why = choose_format(folder, contract, options.format, options.device_target, options.device_id)
    device = "CPU"
    if file_format == "mindir":
        from ms_gan import runtime

        device = str(runtime.set_up(options.device_target, options.device_id))

    clusters = contract.generator.inputs[0].clusters

    def inputs() -> Iterator[Inputs]:
        if given is None:
            chunks = seeded_chunks(latent, count, seed, labels)
        else:
            chunks = with_labels((given[start : start + LARGE] for start in range(0, count, LARGE)), labels)
        for latents, *more in chunks:
            yield (truncated(latents, truncation, clusters), *more)

    images = _drawn(Bundle(folder, file_format), inputs(), count, file)
    if kind == ".npy":
        _write_array(output, (count, *image), images)
    elif kind == "/":
        _write_folder(output, images, count)
    elif kind in FILMS:
        from ms_gan.evaluation.films import write_film
        from ms_gan.sampling import as_bytes

        write_film(output, np.concatenate(list(map(as_bytes, images))), columns)
    else:
        start = f"latents of {file.name}" if file else f"seed {seed}"
        start += f" · truncation {truncation:g}" if truncation != 1 else ""
        about = f"{contract.recipe} · step {contract.origin['step']:,} · {start}"
        _write_sheet(output, images, columns, about, contract.label_names, labels)
    print(output)
    if kept:
        if kind in FILMS:  # those between which it walks
            _write_array(kept, stops.shape, iter([truncated(stops, truncation, clusters)]))
        else:
            _write_array(kept, (count, latent.size), (latents for latents, *_ in inputs()))
        print(kept)
    print(f"drawn as {file_format} by {runtime_of(file_format, device)}: {why}")
    if "note" in contract.origin:
        print(f"note: {contract.origin['note']}")
    return 0


def _read_latents(file: Path, size: int) -> np.ndarray:
    """Return the latents in a .npy file, float32 (N, size). Raises UserError for a file with anything else."""
    import numpy as np

    try:
        held = np.load(file, allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of NumPy, or of what it takes the file for: an archive, or Python
        raise UserError(f"{file}: not a .npy file of numbers") from error
    if not isinstance(held, np.ndarray) or held.dtype.kind != "f" or held.shape[1:] != (size,) or not len(held):
        found = f"{held.dtype} {held.shape}" if isinstance(held, np.ndarray) else "several arrays"
        raise UserError(f"{file}: holds {found}, where this generator takes float32 (N, {size})")
    with np.errstate(over="ignore"):
        latents = held.astype(np.float32)
    if not np.isfinite(latents).all():
        raise UserError(f"{file}: holds numbers that are not finite in float32")
    return latents


def _drawn(bundle: Bundle, chunks: Iterable[Inputs], count: int, file: Path | None = None) -> Iterator[np.ndarray]:
    """Yield the images some at a time, float32 in [0, 1], N×C×H×W, and say on stderr how many there are.

    `file` is the one that the latents are from, if they are from one.
    """
    import numpy as np
    from tqdm import tqdm

    from ms_gan.sampling import require_finite

    with tqdm(
        total=count,
        unit=" images",
        delay=1,
        mininterval=0.1 if sys.stderr.isatty() else 30,  # seconds
        maxinterval=60,
        leave=False,
        dynamic_ncols=True,
        bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {remaining} left {rate_noinv_fmt}",
    ) as bar:
        for inputs in chunks:
            images = bundle.draw(inputs)
            if file is not None and not np.isfinite(images).all():
                told = "gives images with numbers that are not finite: they, or weights of the model, are too large"
                raise UserError(f"{file}: {told}", "use smaller latents")
            require_finite(images, f"{bundle.folder}: the generator")
            yield images
            bar.update(len(images))


def _require_short(output: Path, kind: str, image: tuple[int, ...], columns: int, stops: int, steps: int) -> None:
    """Raise UserError if a film of images C×H×W, `columns` in a frame, is no walk, or too wide or too long."""
    from ms_gan.evaluation.films import frame_size

    if stops < 2:
        raise UserError(f"a walk needs two latents or more, not {stops}", "ask for more with ", Setting("num"))
    down, across = frame_size(image, columns)
    if across > MOST_ACROSS:
        wrong = f"{output}: {columns} labels side by side are {across:,} pixels wide, and {MOST_ACROSS:,} may be"
        raise UserError(wrong, "choose fewer with ", Setting("labels"))
    most = min(MOST_FRAMES, MOST_IN_A_GIF // (down * across)) if kind == ".gif" else MOST_FRAMES
    if stops * steps > most:
        wrong = f"{output}: {stops:,} latents and {steps:,} steps make {stops * steps:,} frames, and {most:,} may be"
        raise UserError(wrong, "ask for fewer with ", Setting("num"), " or ", Setting("steps"))


def _require_room(output: Path, shape: tuple[int, ...], kind: str, columns: int, captioned: bool) -> None:
    """Raise UserError if so many images do not fit into a picture, or an array or files of them onto the disk."""
    count, channels, height, width = shape
    if kind != ".png":
        there = next(parent for parent in (output, *output.resolve().parents) if parent.is_dir())
        each = 4 * channels * height * width if kind == ".npy" else BLOCK
        needed, free = count * each, shutil.disk_usage(there).free
        if needed > free:
            raise UserError(
                f"{output}: {count:,} images take {needed / 1e9:,.1f} GB, and only {free / 1e9:,.1f} GB are free there",
                "ask for fewer, or name a file on another disk",
            )
        return
    across = max(SHEET_WIDTH // columns, width + GAP) if captioned else width + GAP
    down = across * height // width + (CAPTION if captioned else 0)
    most = max(1, MOST_PIXELS // (across * down))
    if count > most:
        raise UserError(
            f"{output}: {count:,} images are too many for one picture, which holds {most:,} of these",
            "ask for fewer, or name a .npy file",
        )


def _write_sheet(
    output: Path,
    images: Iterator[np.ndarray],
    columns: int,
    about: str,
    label_names: LabelNames | None,
    labels: np.ndarray | None,
) -> None:
    """Write the images as a PNG; if there are labels, each image has one of them, in turn, below it."""
    import numpy as np

    from ms_gan.evaluation import plots, sheets
    from ms_gan.sampling import as_bytes, in_turn

    pixels = np.concatenate(list(map(as_bytes, images)))
    names, about = sheets.legible(label_names, about)
    if labels is None:
        plots.sheet(output, pixels, columns, "generated samples", about)
    else:
        texts = names.texts(in_turn(labels, len(pixels)))
        plots.captioned(output, pixels, columns, texts, "generated samples", about)


def _write_folder(output: Path, images: Iterator[np.ndarray], count: int) -> None:
    """Write each image as a PNG, named by its number from 0 on, in a folder that appears when all are there."""
    from PIL import Image

    from ms_gan.files import new_folder
    from ms_gan.sampling import as_bytes

    number, digits = 0, max(6, len(str(count - 1)))
    with new_folder(output) as hidden:
        for some in images:
            for pixels in as_bytes(some).transpose(0, 2, 3, 1):
                Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(
                    hidden / f"{number:0{digits}}.png"
                )
                number += 1


def _write_array(output: Path, shape: tuple[int, ...], images: Iterator[np.ndarray]) -> None:
    """Write images, or latents, as `numpy.save` does, but as they are drawn: all may not fit into memory."""
    import numpy as np

    from ms_gan.files import new_file

    with new_file(output) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for some in images:
            file.write(np.ascontiguousarray(some, "<f4").data)
