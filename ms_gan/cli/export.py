"""`export`: write a bundle, with which a generator is served."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ms_gan.cli.options import add_checkpoint, add_device, free_folder
from ms_gan.errors import Setting, UserError, quoted


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_checkpoint(command)
    command.add_argument("--output-dir", metavar="DIR", help="the bundle's folder (default: export/ in the run)")
    command.add_argument(
        "--format",
        type=formats,
        default=("mindir", "onnx"),
        metavar="F[,F]",
        dest="formats",
        help="mindir, onnx or both, and perhaps safetensors, the weights alone; joined by commas "
        "(default: mindir,onnx)",
    )
    command.add_argument(
        "--weights",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="how files hold matrices and kernels: float16 halves the files, int8 quarters them. Either rounds the "
        "weights, once; all is computed in float32 (default: float32)",
    )
    command.add_argument(
        "--page",
        action="store_true",
        help="let the bundle's page draw in the browser, without a server: adds onnxruntime-web, 15 MB, which npm "
        "fetches once, or which lies in the folder that MS_GAN_ORT_WEB names. A bundle that is there already can "
        "be named, too: its models stay",
    )
    command.add_argument("--overwrite", action="store_true", help="replace an earlier bundle there")
    add_device(command)


def formats(text: str) -> tuple[str, ...]:
    """Some of the formats, joined by commas."""
    known = ("mindir", "onnx", "safetensors")
    names = text.split(",")
    if not set(names) <= set(known) or len(set(names)) != len(names) or names == ["safetensors"]:
        told = f"must be mindir, onnx or both, and perhaps safetensors, joined by commas, not {text!r}"
        raise argparse.ArgumentTypeError(told)
    return tuple(name for name in known if name in names)


def run(options: argparse.Namespace) -> int:
    """Write the bundle; return the exit status."""
    from ms_gan import runtime
    from ms_gan.delivery.contract import CONTRACT

    bundle = Path(options.checkpoint) if options.page and options.checkpoint else None
    if bundle and (bundle / CONTRACT).is_file():
        for name, left_out in (("output_dir", None), ("weights", "float32"), ("overwrite", False)):
            if getattr(options, name) != left_out:
                raise UserError(f"{bundle}: is a bundle, and stays as it is", "leave out ", Setting(name))
        return _add_page(bundle)
    runtime.import_mindspore()
    from ms_gan.delivery import web_page
    from ms_gan.delivery.export import WRITES, Exported, ParityError, export_bundle, recorded_scores
    from ms_gan.delivery.formats import require_packages
    from ms_gan.runs.model import load_model

    require_packages(options.formats)
    if options.page and "onnx" not in options.formats:
        raise UserError("the page runs the ONNX", "leave out ", Setting("page"), ", or add onnx to ", Setting("format"))
    web_runtime = web_page.web_runtime() if options.page else None
    device = runtime.set_up(options.device_target, options.device_id)
    model = load_model(options.checkpoint)
    folder = Path(options.output_dir) if options.output_dir else model.home / "export"
    own = WRITES if (folder / CONTRACT).is_file() else ()  # only a bundle is replaced
    folder = free_folder(folder, own, options.overwrite)
    note, steps = model.maturity.note(), model.settings.steps
    unfinished = f"this is step {model.step:,} of {steps:,}" if 0 < model.step < steps else None
    origin = {
        "step": model.step,
        **{name: getattr(model.settings, name) for name in ("seed", "dataset", "data_sha256")},
        **({"note": note} if note else {}),
    }
    scores = recorded_scores(model.home, model.step)
    exported = Exported(model.generator, model.encoder, model.recipe, model.label_names, device, origin, scores)
    try:
        contract = export_bundle(folder, exported, options.formats, options.overwrite, options.weights, web_runtime)
    except ParityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rounded = "" if options.weights == "float32" else f" with weights rounded to {options.weights}"
    for file, proof in contract.parity.items():
        equal = f"equal to {proof.greatest_difference:.1g} (at most {proof.tolerance:g}), on {proof.runtime},"
        equal = "equal, to the last bit," if proof.greatest_difference == 0 else equal
        print(f"{folder / file}: {equal} to the checkpoint at step {model.step:,}{rounded}, on {device}")
    if rounded:
        most = max(proof.rounding for proof in contract.parity.values())
        print(f"rounding moved what the networks give by up to {most:.1g}")
    for line in filter(None, (note, unfinished)):
        print(f"note: {line}")
    print(f"next: {runtime.command_line('infer')} {quoted(folder)} --num 25 --output images.png")
    print(f"      {runtime.command_line('serve')} {quoted(folder)}")
    if options.page:
        print(f"      {_hosting(folder)}")
    return 0


def _hosting(folder: Path) -> str:
    from ms_gan import runtime

    return f"{runtime.python()} -m http.server --directory {quoted(folder)}, or any other host of files"


def _add_page(folder: Path) -> int:
    from ms_gan.delivery.web_page import add_page

    add_page(folder)
    print(f"{folder}: its page draws without a server now")
    print(f"next: {_hosting(folder)}")
    return 0
