"""From settings to a trained run: a new one, or one that goes on where it stood."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from ms_gan import data, runtime
from ms_gan.data.batches import EpochShuffle
from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.evaluation.sampling import seeded_latents
from ms_gan.nets.blocks import UnitRange
from ms_gan.recipes import Recipe
from ms_gan.recipes.build import build_step
from ms_gan.training.checkpoints import load_cells, read_state
from ms_gan.training.history import History
from ms_gan.training.loop import SHEET_COLUMNS, SHEET_ROWS, Loop
from ms_gan.training.progress import Progress
from ms_gan.training.run_folder import RunFolder, read_json, refuse_changes, write_json


def start(recipe: Recipe, images: ImageData, data_path: Optional[str], device: runtime.Device, seed: int,
          root: Path, steps: Optional[int] = None) -> RunFolder:
    """Train a new run, below `root`, for `steps` or for the recipe's epochs; return its folder.

    Raises UserError for data that do not suit the recipe, before a folder is made.
    """
    images.require(recipe["data"]["size"], recipe["data"]["channels"])
    shuffle = _shuffle(recipe, images, seed)
    settings = {
        "recipe": recipe,
        "seed": seed,
        "dataset": images.name,
        "data_sha256": images.sha256,
        "device_target": device.target,
        "steps": steps or recipe["schedule"]["epochs"] * shuffle.steps_per_epoch,
    }
    run = RunFolder.create(root, recipe["name"])
    run.lock()
    run.samples.mkdir()
    run.write_settings(settings)
    asked_for = recipe["data"]["dataset"]
    write_json(run.environment, {
        "data": {"path": data_path and str(Path(data_path).absolute()), "source": images.source,
                 "instead_of": asked_for if images.name != asked_for else None},
        "starts": [],
    })
    _go(run, settings, images, shuffle, device, state=None)
    return run


def resume(path: Path, device_target: Optional[str], device_id: int, wanted: Dict[str, Any],
           data_path: Optional[str], say: Callable[[str], None], epochs: Optional[int] = None,
           steps: Optional[int] = None) -> RunFolder:
    """Go on with a run, to the end of its schedule or to a longer one, as if it had never stopped.

    `wanted` holds settings that the caller insists on; any that differ from the run's are
    refused by name, and so are data that are not byte for byte the run's.
    """
    run = RunFolder.open(path)
    run.lock()
    settings = run.read_settings()
    checkpoint = run.newest_checkpoint()
    try:
        state = read_state(checkpoint)
    except UserError as error:
        raise UserError(f"{error}, or remove {checkpoint.name} to go on from the checkpoint before it") from error
    refuse_changes(state["settings"], settings, f"{run.recipe} says")
    refuse_changes(settings, {**settings, **wanted}, "the command says")

    device = runtime.set_up(device_target or settings["device_target"], device_id)
    refuse_changes(settings, {**settings, "device_target": device.target}, "the device is")
    environment = read_json(run.environment)
    images = data.load(settings["dataset"], "train", data_path or environment["data"]["path"])
    refuse_changes(settings, {**settings, "data_sha256": images.sha256}, f"{images.source} has")

    shuffle = _shuffle(settings["recipe"], images, settings["seed"])
    if epochs:
        settings["recipe"]["schedule"]["epochs"] = epochs
    if epochs or steps:
        settings["steps"] = steps or epochs * shuffle.steps_per_epoch
    if settings["steps"] < state["step"]:
        raise UserError(f"{path}: already at step {state['step']:,}, which is beyond step {settings['steps']:,}; "
                        f"give more --epochs or --steps")
    run.write_settings(settings)
    versions = runtime.environment()
    for name, before in environment["starts"][-1]["versions"].items() if environment["starts"] else ():
        if versions.get(name) != before:
            say(f"note: {name} was {before} and is now {versions.get(name)}; the bytes may differ from here on")
    _go(run, settings, images, shuffle, device, state, checkpoint)
    return run


def _shuffle(recipe: Recipe, images: ImageData, seed: int) -> EpochShuffle:
    return EpochShuffle(len(images.images), recipe["schedule"]["batch_size"], seed)


def _go(run: RunFolder, settings: Dict[str, Any], images: ImageData, shuffle: EpochShuffle, device: runtime.Device,
        state: Optional[Dict[str, Any]], checkpoint: Optional[Path] = None) -> None:
    recipe, seed = settings["recipe"], settings["seed"]
    step = build_step(recipe, images.images, seed)
    history = History(run.history, step.scalars, shuffle.steps_per_epoch)
    progress = Progress(run.log, step.scalars, shuffle.steps_per_epoch)
    done = 0
    if state is None:
        history.start(0, [])
        progress.say(f"recipe {recipe['name']}, seed {seed}, {device}, {len(images.images):,} images from "
                     f"{images.source}, {settings['steps']:,} steps; all in {run.path}")
    else:
        done = state["step"]
        load_cells(checkpoint, step.saved())
        history.start(done, state["pending"])
        progress.say(f"resumed {run.path} at step {done:,} of {settings['steps']:,}, {device}")
    environment = read_json(run.environment)
    environment["starts"].append({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "step": done, "device": str(device),
                                  "command": sys.argv[1:], "versions": runtime.environment()})
    write_json(run.environment, environment)

    latents = seeded_latents(recipe["latent"]["distribution"], SHEET_ROWS * SHEET_COLUMNS,
                             recipe["latent"]["size"], seed)
    sampler = UnitRange(step.generator, recipe["data"]["pixel_range"])
    step.set_train(True)
    Loop(run, step, sampler, latents, shuffle, settings, history, progress).go(done, settings["steps"])
    progress.say(f"done: {settings['steps']:,} steps; pictures and checkpoints in {run.path}")
