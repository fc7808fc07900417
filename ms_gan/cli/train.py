"""`train`: a new run, or more of an old one."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ms_gan import data
from ms_gan.cli.faults import option
from ms_gan.cli.options import add_device, positive, seed, whole
from ms_gan.errors import Command, Interrupted, Setting, UserError, quoted
from ms_gan.runtime import PRECISIONS

if TYPE_CHECKING:
    from ms_gan.training.request import ResumeRequest, TrainRequest

RECIPE, SEED, OUTPUT = "mlp", 1, "runs"
RECOMMENDED = {"folder": "photographs", "pizza": "rpgan_residual", "idx": "rpgan_residual_mnist"}  # by data set
PORT = 8118  # of MindSpore's scheduler, as `msrun` has it
TENSORBOARD = "tensorboardX"  # the package that writes the files


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments. An option that is not given is None: --resume has to know that."""
    command.add_argument(
        "--recipe",
        metavar="NAME_OR_FILE",
        help=f"what to train: a name that `recipes` lists, or a recipe's file (default: {RECIPE})",
    )
    _add_data(command)
    length = command.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive, metavar="N", help="length in epochs (default: the recipe's)")
    length.add_argument("--steps", type=positive, metavar="N", help="length in steps, instead of --epochs")
    command.add_argument("--batch-size", type=positive, metavar="N", help="images in a batch (default: the recipe's)")
    command.add_argument("--seed", type=seed, metavar="S", help=f"seed of all random numbers (default: {SEED})")
    command.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        dest="assignments",
        help="change one setting of the recipe, such as optimizer_generator.learning_rate=1e-4; can be repeated",
    )
    command.add_argument("--output-dir", metavar="DIR", help=f"make the run in DIR/RECIPE/NUMBER (default: {OUTPUT})")
    command.add_argument(
        "--warm-start",
        metavar="RUN_OR_CHECKPOINT",
        help="begin with the networks of this checkpoint, but with new optimizers",
    )
    command.add_argument(
        "--resume",
        metavar="RUN_DIR",
        help="continue this run to the end of its schedule; --epochs or --steps make it longer, and no other setting "
        "can be changed",
    )
    add_device(command)
    command.add_argument(
        "--device-num",
        type=positive,
        metavar="N",
        help="train on N devices, each with its share of the batch (default: 1, or one of each of the --hosts; with "
        "--resume: as the run)",
    )
    command.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of products, of matrices and in convolutions; all else is float32. On CPU bfloat16 is float32, rounded "
        "as bfloat16 would: to try it, no quicker (default: float32; with --resume: as the run)",
    )
    command.add_argument(
        "--hosts",
        metavar="A,B,…",
        help="train on these machines together, each with as many of the devices: run the same command on each; they "
        "share the folder of the run, and the data",
    )
    command.add_argument(
        "--host-number",
        type=whole(0),
        metavar="I",
        help="which of the --hosts this machine is, from 0 (default: the one whose address it has)",
    )
    command.add_argument(
        "--host-port",
        type=whole(1, 65534),
        metavar="P",
        help="where MindSpore's scheduler listens, on the first of the --hosts; launchers meet at P + 1 "
        f"(default: {PORT})",
    )
    command.add_argument(
        "--tensorboard",
        action="store_true",
        help=f"write files for TensorBoard, too, into tensorboard/ in the run; needs {TENSORBOARD}",
    )


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dataset",
        choices=tuple(data.DATASETS),
        help="what to train on (default: the recipe's; the recipe's fallback if that cannot be downloaded and no data "
        "option is given)",
    )
    command.add_argument(
        "--data-path",
        metavar="PATH",
        help="folder of the data set, such as MNIST's four IDX files, gzipped or not; with --dataset arrays an .npz "
        "file (default: the cache, else a download)",
    )
    command.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="with --dataset folder: leave out images that cannot be read (default: refuse them)",
    )


def run(options: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from ms_gan import runtime
    from ms_gan.training.request import TrainRequest

    for name in ("host_number", "host_port"):
        if getattr(options, name) is not None and not options.hosts:
            raise UserError(f"{option(Setting(name))} is for several machines", "name them with ", Setting("hosts"))
    if not runtime.launched():
        if options.resume is None and options.recipe is None and options.dataset in RECOMMENDED:
            better = RECOMMENDED[options.dataset]
            print(f"note: {RECIPE} is the shortest recipe to read; better images: --recipe {better}", flush=True)
        devices = options.device_num
        if devices is None and options.resume:
            devices = _recorded_devices(Path(options.resume))
        if options.hosts or (devices or 1) > 1:
            return _launch(options, devices)
    else:
        runtime.require_count(options.device_num)
    if options.tensorboard and importlib.util.find_spec(TENSORBOARD) is None:
        raise UserError(f"{TENSORBOARD} is not installed", f"{runtime.python()} -m pip install {TENSORBOARD}")
    request = _request(options) if options.resume is None else _resume_request(options)
    request.read_ahead()
    runtime.import_mindspore()  # from here on it takes seconds
    from ms_gan.training.session import Session

    session = Session.new(request) if isinstance(request, TrainRequest) else Session.open(request)
    try:
        session.train()
    except Interrupted as interruption:
        together = f" --hosts {quoted(options.hosts)}, on all machines" if options.hosts else ""
        session.say(f"to go on: {option(Command('resume', session.run.path))}{together}")
        return 128 + interruption.number
    if session.device.rank == 0:
        path = session.run.path
        session.say(
            f"next: {option(Command('eval', path))} draws samples; {option(Command('export', path))} writes a bundle"
        )
    return 0


def _launch(options: argparse.Namespace, devices: int | None) -> int:
    from ms_gan.cli.launch import launch
    from ms_gan.cli.machines import Machines
    from ms_gan.recipes import share_of_batch

    if options.device_id is not None:
        raise UserError("--device-id is for one device", "leave it out: with several the first ones are taken")
    if options.hosts:
        machines = Machines.of(options.hosts, devices, options.host_number, options.host_port or PORT)
    else:
        machines = Machines.alone(devices or 1)
    if options.resume is None:  # what can be refused before there are processes is
        share_of_batch(_request(options).recipe, machines.devices)
    return launch(machines, options.arguments)


def _recorded_devices(run: Path) -> int | None:
    """Return how many devices trained a run; None if its record cannot be read, which is told of later."""
    from ms_gan.runs.records import read_json

    with contextlib.suppress(UserError, OSError, KeyError, TypeError):
        devices = read_json(run / "settings.json")["device_num"]
        return devices if isinstance(devices, int) and devices > 1 else None
    return None


def _request(options: argparse.Namespace) -> TrainRequest:
    """Return what is asked of a new run."""
    from ms_gan import recipes, runtime
    from ms_gan.training.request import TrainRequest

    name = options.recipe or RECIPE
    if Path(name).suffix in (".py", ".json"):  # what a recipe's file imports may import it, unprotected from signals
        runtime.import_mindspore()
    changes = _changes(options)
    if options.epochs is not None:
        changes.append(f"schedule.epochs={options.epochs}")
    recipe, source = recipes.load_with_source(name)
    return TrainRequest(
        recipe=recipes.override(recipe, changes),
        recipe_file=source,
        said=tuple(change.partition("=")[0] for change in changes),
        **_choices(options),
        seed=SEED if options.seed is None else options.seed,
        steps=options.steps,
        output_dir=Path(options.output_dir or OUTPUT),
        warm_start=options.warm_start,
        command=tuple(options.arguments),
    )


def _resume_request(options: argparse.Namespace) -> ResumeRequest:
    """Return what is asked of a run that exists. Raises UserError for options that are for new ones."""
    from ms_gan.training.request import ResumeRequest

    for name, its in (("output_dir", "folder"), ("warm_start", "weights"), ("skip_unreadable", "data")):
        if getattr(options, name):
            raise UserError(f"a resumed run keeps its {its}", "leave out ", Setting(name))
    return ResumeRequest(
        path=Path(options.resume),
        recipe=options.recipe,
        changes=tuple(_changes(options)),
        **_choices(options),
        seed=options.seed,
        steps=options.steps,
        epochs=options.epochs,
        command=tuple(options.arguments),
    )


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a new run and one that is resumed are asked alike."""
    from ms_gan.training.request import DataChoice, DeviceChoice

    return {
        "data": DataChoice(options.dataset, options.data_path, options.skip_unreadable),
        "tensorboard": options.tensorboard,
        "device": DeviceChoice(
            options.device_target or "auto", options.device_id or 0, options.device_num, options.precision
        ),
    }


def _changes(options: argparse.Namespace) -> list[str]:
    """Return the settings of the recipe that the command line changes, but for the epochs."""
    for assignment in options.assignments or []:
        key = assignment.partition("=")[0]
        if key in ("schedule.epochs", "schedule.batch_size"):
            option = "--epochs" if key == "schedule.epochs" else "--batch-size"
            raise UserError(f"--set does not take {key}", f"use {option} for that")
    batch_size = [] if options.batch_size is None else [f"schedule.batch_size={options.batch_size}"]
    return [*(options.assignments or []), *batch_size]
