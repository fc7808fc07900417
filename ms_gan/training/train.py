"""From settings to a trained run: a new one, or one that goes on where it stood."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from ms_gan import runtime
from ms_gan.data.changes import fingerprint, what_changed
from ms_gan.data.description import ImageData, NothingHeldOut
from ms_gan.errors import UserError
from ms_gan.evaluation import plots
from ms_gan.evaluation.sampling import seeded_inputs
from ms_gan.evaluation.scores import enough
from ms_gan.nets.blocks import UnitRange
from ms_gan.recipes import Recipe, clusters_of
from ms_gan.recipes.build import build_sampler, build_step, knows_clusters, match_cluster_shares
from ms_gan.steps.average import begin_average
from ms_gan.steps.parallel import require_same
from ms_gan.training.checkpoints import load_cells, read_state
from ms_gan.training.history import History
from ms_gan.training.loop import Loop, Sheet, follow
from ms_gan.training.progress import Progress
from ms_gan.training.run_folder import RunFolder, load_recorded, refuse_changes, write_json
from ms_gan.training.scoring import TrainingScores, hold_out

REAL_SHOWN = 25


def start(
    recipe: Recipe,
    images: ImageData,
    device: runtime.Device,
    seed: int,
    root: Path,
    steps: int | None = None,
    data_path: str | None = None,
    instead_of: str | None = None,
    warm_start: Path | None = None,
    skip_unreadable: bool = False,
    command: Sequence[str] = (),
) -> None:
    """Train a new run, below `root`, for `steps` or for the recipe's epochs.

    `command` is what was typed, for the record; `warm_start` is a checkpoint whose networks, but not optimizers, the
    run begins with; `data_path` where the images were read, and `skip_unreadable` how, for a later resume;
    `instead_of` names the data
    set that they stand in for. Raises UserError, before a folder is made, for images or settings that
    do not go together.
    """
    images.require(*(recipe["data"][key] for key in ("size", "channels", "classes", "places")))
    require_same(device, images.sha256)
    for_training, held_out = hold_out(recipe, images, seed)
    _announce_clusters(recipe, for_training, device)
    step = build_step(recipe, for_training, seed, device.count)
    batches, steps_per_epoch = build_sampler(recipe, step.data.count, step.images_per_step * device.count, seed)
    settings = {
        "recipe": recipe,
        "seed": seed,
        "dataset": images.name,
        "data_sha256": images.sha256,
        "device_target": device.target,
        "device_num": device.count,
        "classes": list(images.classes) if recipe["data"]["classes"] else None,
        "steps": steps or recipe["schedule"]["epochs"] * steps_per_epoch,
        "warm_start": None,
    }
    environment = {
        "data": {
            "path": data_path and str(Path(data_path).absolute()),
            "source": images.source,
            "instead_of": instead_of,
            "skip_unreadable": skip_unreadable,
            "held_out_up_to": images.held_out_up_to,
            "held_out_but": list(images.held_out_but),
        },
        "starts": [],
    }
    new_clusters = False
    if warm_start is not None:
        state = read_state(warm_start)
        load_cells(warm_start, {name: getattr(step, name) for name in step.networks})
        new_clusters = clusters_of(recipe) and not knows_clusters(step.generator, step.data.all_labels, recipe)
        match_cluster_shares(step, recipe)
        for name, average in step.averages.items():
            begin_average(getattr(step, name), average)
        settings["warm_start"] = f"{state['settings']['recipe']['name']} at step {state['step']}"
    if device.rank > 0:
        follow(step, batches, device, seed, None, settings["steps"])
        return
    scores = TrainingScores(recipe, for_training, held_out, seed, steps_per_epoch)
    test = _test_split(settings, environment, scores, 0)
    scores.prepare(images, test)
    run = RunFolder.create(root, settings, environment, fingerprint(images))
    run.lock()
    chosen = runtime.random_stream(seed, "real images").permutation(len(images.images))[:REAL_SHOWN]
    plots.sheet(run.real, images.images[chosen], 5, f"training images of {images.name}", images.source)
    history = History(run.history, step.scalars, steps_per_epoch, *scores.keep_to(None))
    history.start(0, [])
    progress = Progress(run.log, step.scalars, steps_per_epoch)
    turned = ", turned and mirrored at random" if recipe["data"]["rotate_and_mirror"] else ""
    grouped = f", in {clusters_of(recipe)} clusters of such as look alike" if clusters_of(recipe) else ""
    progress.say(
        f"recipe {recipe['name']}, seed {seed}, {device}, {len(images.images):,} images from "
        f"{images.source}{turned}{grouped}, {settings['steps']:,} steps; all in {run.path}"
    )
    for note in images.notes:
        progress.say(note)
    if instead_of:
        progress.say(f"note: the data set is {images.name}, because {instead_of} could not be fetched")
    if new_clusters:
        progress.say("note: these images make other clusters than those that the networks of the warm start know")
    if scores.why_none:
        progress.say(f"note: no scores on the way: {scores.why_none}")
    asked, held = recipe["scores"]["held_out"], 0 if held_out is None else len(held_out.images)
    if held < asked:
        progress.say(f"note: {held:,} images are held out, not {asked:,}: the others are the last of their class")
    for note in _limits(images, test, recipe):
        progress.say(f"note: {note}")
    _train(
        run,
        settings,
        environment,
        step,
        for_training,
        batches,
        steps_per_epoch,
        device,
        history,
        progress,
        scores,
        {"best": None, "initial_share": 1.0},
        None,
        command,
    )


def resume(
    path: Path,
    device_target: str | None,
    device_id: int,
    device_num: int,
    wanted: dict[str, Any],
    data_path: str | None,
    epochs: int | None = None,
    steps: int | None = None,
    command: Sequence[str] = (),
) -> None:
    """Go on with a run, to the end of its schedule or to a longer one, as if it had never stopped.

    `wanted` holds settings that the caller insists on; any that differ from the run's are
    refused by name, and so are data that are not byte for byte the run's.
    """
    run = RunFolder.open(path)
    if runtime.rank() == 0:
        run.lock()
    settings = run.read_settings()
    checkpoint = run.newest_saved()
    if checkpoint is None:  # stopped before its first checkpoint
        if settings["warm_start"]:
            raise UserError(f"{path}: stopped before its first checkpoint; start it again with --warm-start")
        if run.history.exists() and len(run.history.read_text(errors="replace").splitlines()) > 1:
            raise UserError(f"{path}: its checkpoints are gone, so there is nothing to go on from; put them back")
        state = {"step": 0, "pending": [], "best": None, "settings": settings, "initial_share": 1.0}
    else:
        try:
            state = read_state(checkpoint)
        except UserError as error:
            raise UserError(f"{error}, or remove {checkpoint.name} to go on from the one before it") from error
    refuse_changes(state["settings"], settings, f"{run.recipe} says")
    refuse_changes(settings, {**settings, **wanted}, "the command says")

    refuse_changes(settings, {**settings, "device_num": device_num}, "the command says")
    device = runtime.set_up(device_target or settings["device_target"], device_id, together=device_num > 1)
    refuse_changes(settings, {**settings, "device_target": device.target}, "the device is")
    environment = run.read_environment()
    if data_path:  # the data have moved
        environment["data"]["path"] = str(Path(data_path).absolute())
    images = load_recorded(settings, environment, "train")
    if images.sha256 != settings["data_sha256"]:
        raise UserError(
            f"{images.name}, {images.source}: not the images that the run began with: "
            f"{what_changed(run.read_fingerprint(), images)}; put them back, name the run's own with "
            f"--data-path, or start a new run"
        )
    if data_path:
        environment["data"]["source"] = images.source

    require_same(device, images.sha256)
    for_training, held_out = hold_out(settings["recipe"], images, settings["seed"])
    _announce_clusters(settings["recipe"], for_training, device)
    step = build_step(settings["recipe"], for_training, settings["seed"], device.count)
    batches, steps_per_epoch = build_sampler(
        settings["recipe"], step.data.count, step.images_per_step * device.count, settings["seed"]
    )
    if epochs:
        settings["recipe"]["schedule"]["epochs"] = epochs
    if epochs or steps:
        settings["steps"] = steps or epochs * steps_per_epoch
    if settings["steps"] < state["step"]:
        raise UserError(
            f"{path}: already at step {state['step']:,}, which is beyond step {settings['steps']:,}; "
            f"give more --epochs or --steps"
        )
    done = None
    if checkpoint is not None:
        load_cells(checkpoint, step.saved())
        if clusters_of(settings["recipe"]) and not knows_clusters(
            step.generator, step.data.all_labels, settings["recipe"]
        ):
            raise UserError(
                f"{path}: its images fall into other clusters than when it began; go on with the versions "
                f"of numpy and ms_gan that its environment.json names"
            )
        done = None if "prepared" in state else state["step"]
    prepared = state.get("prepared", 0)
    if device.rank > 0:
        follow(step, batches, device, settings["seed"], done, settings["steps"], prepared)
        return
    scores = TrainingScores(settings["recipe"], for_training, held_out, settings["seed"], steps_per_epoch)
    scores.prepare(images, _test_split(settings, environment, scores, state["step"]))
    before = History(run.history, step.scalars, steps_per_epoch)
    kept = scores.keep_to(before.recorded_scores(), before.first_scored())
    history = History(run.history, step.scalars, steps_per_epoch, *kept)
    history.start(state["step"], state["pending"])
    run.write_settings(settings)
    progress = Progress(run.log, step.scalars, steps_per_epoch)
    progress.say(f"resumed {run.path} at step {state['step']:,} of {settings['steps']:,}, {device}")
    if scores.why_none:
        progress.say(f"note: no scores on the way: {scores.why_none}")
    before_and_now = environment["starts"][-1].get("versions", {}) if environment["starts"] else {}
    for name, before in before_and_now.items():
        now = runtime.environment().get(name)
        if now != before:
            progress.say(f"note: {name} was {before} and is now {now}; the bytes may differ from here on")
    _train(
        run,
        settings,
        environment,
        step,
        for_training,
        batches,
        steps_per_epoch,
        device,
        history,
        progress,
        scores,
        state,
        done,
        command,
        prepared,
    )


def _train(
    run: RunFolder,
    settings: dict[str, Any],
    environment: dict[str, Any],
    step,
    images: ImageData,
    batches,
    steps_per_epoch: int,
    device: runtime.Device,
    history: History,
    progress: Progress,
    scores: TrainingScores,
    state: dict[str, Any],
    done: int | None,
    command: Sequence[str],
    prepared: int = 0,
) -> None:
    environment["starts"].append(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "step": done or 0,
            "device": str(device),
            "process": os.getpid(),
            "command": list(command),
            "versions": runtime.environment(),
        }
    )
    write_json(run.environment, environment)
    recipe = settings["recipe"]
    warning = runtime.slow_convolutions(device, runtime.environment()["mindspore"])
    if warning and any(isinstance(cell, nn.Conv2d) for _, cell in step.cells_and_names()):
        progress.say(f"note: {warning}")
    sampler = UnitRange(step.drawing(), recipe["data"]["pixel_range"])
    step.set_train(True)
    loop = Loop(
        run,
        step,
        sampler,
        _sheet(recipe, images, settings["seed"]),
        batches,
        steps_per_epoch,
        device,
        settings,
        history,
        progress,
        scores,
        state["best"],
        _initial_share(recipe, state, done or 0),
    )
    try:
        loop.go(done, settings["steps"], prepared)
    finally:
        run.unlock()
    progress.say(f"done: {settings['steps']:,} steps; pictures and checkpoints in {run.path}")


def _initial_share(recipe: Recipe, state: dict[str, Any], done: int) -> float:
    """Return how much of the average of the weights is as it was before the first step."""
    decay = recipe["average"]["decay"]
    return state.get("initial_share", decay**done if decay else 0.0)  # of old, averages had no warm-up


def _limits(images: ImageData, test: ImageData | None, recipe: Recipe) -> Sequence[str]:
    """Say at the start what will not be possible later with these data."""
    if test is None:
        return ()
    if recipe["data"]["classes"] and test.labels is None:
        return (
            f"eval will only draw samples: it can neither compare with the test images nor score, as these have no "
            f"labels ({test.why_unlabelled}); give them labels as the training images have, or take them away",
        )
    try:
        enough(images, test)
    except UserError as error:
        return (f"eval --metrics will give no scores: {error}",)
    return ()


def _announce_clusters(recipe: Recipe, images: ImageData, device: runtime.Device) -> None:
    """Say what is about to take some seconds."""
    if clusters_of(recipe) and device.rank == 0:
        print(f"finding {clusters_of(recipe)} clusters of {len(images.images):,} images", flush=True)


def _test_split(
    settings: dict[str, Any], environment: dict[str, Any], scores: TrainingScores, done: int
) -> ImageData | None:
    """Load the test split of a run that is to be scored after step `done`: to know which judge belongs to the data."""
    looked_at = done == 0 and settings["dataset"] == "folder"
    if not looked_at and (not scores.columns or settings["steps"] // scores.every == done // scores.every):
        return None
    try:
        return load_recorded(settings, environment, "test", rotate_and_mirror=False)
    except NothingHeldOut as error:
        if not scores.columns:
            return None
        raise UserError(
            f"{error.args[0].partition(';')[0]}; a run that is scored on the way needs them: put them back"
        ) from error


def _sheet(recipe: Recipe, images: ImageData, seed: int) -> Sheet:
    """The run's fixed latents; where there are classes, with the labels of as many real images."""
    columns = recipe["sheet"]["columns"]
    count = recipe["sheet"]["rows"] * columns
    chosen = np.resize(runtime.random_stream(seed, "real images").permutation(len(images.images)), count)
    labels = images.labels[chosen] if recipe["data"]["classes"] else None
    real = None
    if recipe["sheet"]["above_real"]:
        real = replace(images, images=images.images[chosen]).at_size(recipe["data"]["size"]).images
    return Sheet(seeded_inputs(recipe["latent"], count, seed, labels), columns, real)
