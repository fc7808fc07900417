"""`train`: a new run, or more of an old one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ms_gan import data
from ms_gan.cli.options import add_device, positive, seed
from ms_gan.errors import UserError

RECIPE, SEED, OUTPUT = "mlp", 1, "runs"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments. None stands for "not said", which --resume has to know."""
    command.add_argument("--recipe", metavar="NAME", help=f"what to train; `recipes` lists them (default: {RECIPE})")
    command.add_argument(
        "--dataset",
        choices=tuple(data.DATASETS),
        help="what to train on (default: the recipe's; when nothing is said about data and that "
        "cannot be fetched, the drawn digits)",
    )
    command.add_argument(
        "--data-path",
        metavar="DIR",
        help="folder that holds the data set, such as MNIST's four IDX files, gzipped or not "
        "(default: the cache, else a download)",
    )
    command.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="with --dataset folder: go on without images that cannot be read (default: refuse)",
    )
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=positive, metavar="N", help="how long, in the recipe's epochs (default: the recipe's)"
    )
    length.add_argument("--steps", type=positive, metavar="N", help="how long, in steps, instead of --epochs")
    command.add_argument("--batch-size", type=positive, metavar="N", help="images a step (default: the recipe's)")
    command.add_argument(
        "--seed", type=seed, metavar="S", help=f"what every random number of the run follows from (default: {SEED})"
    )
    command.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        dest="assignments",
        help="change one setting of the recipe, such as optimizer_generator.learning_rate=1e-4; can be repeated",
    )
    command.add_argument(
        "--output-dir", metavar="DIR", help=f"the run is made in DIR/RECIPE/NUMBER (default: {OUTPUT})"
    )
    command.add_argument(
        "--warm-start",
        metavar="RUN_OR_CHECKPOINT",
        help="begin with the networks, but not the optimizers, of this checkpoint",
    )
    command.add_argument(
        "--resume",
        metavar="RUN_DIR",
        help="go on with this run, to the end of its schedule or to a longer one that --epochs or "
        "--steps gives; no other setting may change",
    )
    add_device(command)
    command.add_argument(
        "--device-num",
        type=positive,
        metavar="N",
        help="train on N devices at once, each with its share of the batch (default: 1; with --resume, as the run)",
    )


def run(options: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from ms_gan.cli.launch import launch, launched
    from ms_gan.recipes import load, share_of_batch

    if not launched():
        devices = options.device_num or (recorded_devices(options.resume) if options.resume else 1)
        if devices > 1:
            if options.device_id is not None:
                raise UserError("--device-id is for one device; with several the first ones are taken")
            if options.resume is None:  # what can be refused before there are processes is
                share_of_batch(_apply(load(options.recipe or RECIPE), options), devices)
            return launch(devices, options.arguments)
    from ms_gan import runtime

    runtime.import_mindspore()  # from here on it takes seconds
    from ms_gan.training.loop import Interrupted

    try:
        (_start if options.resume is None else _resume)(options)
    except Interrupted as interruption:
        return 128 + interruption.number
    return 0


def _start(options: argparse.Namespace) -> None:
    from ms_gan import recipes, runtime
    from ms_gan.cli.launch import launched
    from ms_gan.training import train
    from ms_gan.training.run_folder import find_checkpoint

    recipe = _apply(recipes.load(options.recipe or RECIPE), options)
    device = runtime.set_up(options.device_target or "auto", options.device_id or 0, together=launched())
    wanted = recipe["data"]["dataset"]
    if options.skip_unreadable and (options.dataset or wanted) != "folder":
        raise UserError("--skip-unreadable is for --dataset folder; leave it out")
    if options.dataset is None and options.data_path is None:
        images = data.load_default(wanted, recipe["data"]["fallback"], "train", print, recipe["data"])
    else:
        images = data.load(
            options.dataset or wanted, "train", options.data_path, recipe["data"], options.skip_unreadable
        )
        wanted = images.name
    said = [assignment.partition("=")[0] for assignment in options.assignments or []]
    if images.name == "folder" and recipe["data"]["classes"] and images.classes and "data.classes" not in said:
        recipe["data"]["classes"] = len(images.classes)  # the vocabulary is what the folder holds
        recipes.check(recipe)
    _fit_clusters(recipe, len(images.images), "data.clusters" in said)
    train.start(
        recipe,
        images,
        device,
        SEED if options.seed is None else options.seed,
        Path(options.output_dir or OUTPUT),
        options.steps,
        options.data_path,
        instead_of=wanted if images.name != wanted else None,
        warm_start=find_checkpoint(options.warm_start)[0] if options.warm_start else None,
        skip_unreadable=options.skip_unreadable,
        command=options.arguments,
    )


def _fit_clusters(recipe: dict[str, Any], count: int, said: bool) -> None:
    """Write into the recipe how many clusters `count` images make, where the user has not said it."""
    from ms_gan import recipes

    if recipe["data"]["classes"] and recipe["data"]["clusters"] and said:
        raise UserError(
            "images with classes are not put into clusters, too; leave out --set data.classes or --set data.clusters"
        )
    if not said:
        recipe["data"]["clusters"] = recipes.clusters_for(recipe, count)


def _resume(options: argparse.Namespace) -> None:
    from ms_gan import recipes
    from ms_gan.training import train
    from ms_gan.training.run_folder import RunFolder

    run_folder = RunFolder.open(Path(options.resume))
    recorded = run_folder.read_settings()["recipe"]
    try:
        recipes.check(recorded)
    except recipes.UnknownFamily as error:
        raise UserError(f"{run_folder.recipe}: {error}") from error
    except UserError as error:
        raise UserError(
            f"{run_folder.recipe}: damaged, or written by another version of ms_gan ({error}); use that "
            f"one, or put the run's own file back"
        ) from error
    for option in ("output_dir", "warm_start"):
        if getattr(options, option) is not None:
            raise UserError(
                f"a resumed run stays in its folder and with its weights; leave out --{option.replace('_', '-')}"
            )
    recipe = recorded if options.recipe in (None, recorded["name"]) else recipes.load(options.recipe)
    wanted = {"recipe": _apply(recipe, options)}
    if options.seed is not None:
        wanted["seed"] = options.seed
    if options.dataset is not None:
        wanted["dataset"] = options.dataset
    if options.skip_unreadable:
        raise UserError("a resumed run takes its data as it began; leave out --skip-unreadable")
    target = None if options.device_target == "auto" else options.device_target
    devices = options.device_num or run_folder.read_settings()["device_num"]
    train.resume(
        run_folder.path,
        target,
        options.device_id or 0,
        devices,
        wanted,
        options.data_path,
        options.epochs,
        options.steps,
        options.arguments,
    )


def recorded_devices(run: str) -> int:
    """Return on how many devices the run to be resumed was started."""
    from ms_gan.training.run_folder import RunFolder

    return RunFolder.open(Path(run)).read_settings()["device_num"]


def _apply(recipe: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return the recipe with what the command line says of it."""
    from ms_gan import recipes

    for assignment in options.assignments or []:
        for key, option in (("schedule.epochs", "--epochs"), ("schedule.batch_size", "--batch-size")):
            if assignment.partition("=")[0] == key:
                raise UserError(f"--set {key}: use {option} for that")
    recipe = recipes.override(recipe, options.assignments or [])
    if options.batch_size is not None:
        recipe["schedule"]["batch_size"] = options.batch_size
    if options.epochs is not None:
        recipe["schedule"]["epochs"] = options.epochs
    recipes.check(recipe)
    return recipe
