"""Checkpoints: everything that a run needs to go on, in one folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from mindspore import Parameter, nn

from ms_gan.errors import UserError
from ms_gan.files import new_folder, verify_checksums, write_checksums
from ms_gan.runs.history import diverged
from ms_gan.runs.records import read_json
from ms_gan.runs.state import State
from ms_gan.weights import read_weights, write_weights

STATE = "state.json"
NEWEST_KEPT = 3
SPREAD_KEPT = 10
PRETRAINING = "preparation_"  # what runs have called it from the first


def checkpoint_name(step: int) -> str:
    """Return the name of the checkpoint folder of a step."""
    return f"step_{step:08d}"


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in `folder`, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name[5:]) for entry in folder.glob("step_*") if re.fullmatch(r"step_\d{8,}", entry.name))


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint in `folder`; None if a run was stopped before there was any."""
    steps = checkpoint_steps(folder)
    return folder / checkpoint_name(steps[-1]) if steps else None


def newest_saved(folder: Path) -> Path | None:
    """Return the newest checkpoint in `folder`, else what was saved last in the pretraining, else None."""
    return newest_checkpoint(folder) or max(folder.glob(f"{PRETRAINING}*"), default=None)


def save_checkpoint(folder: Path, cells: Mapping[str, nn.Cell], state: State) -> Path:
    """Save one `.ckpt` for each Cell, `state.json` and their checksums; return the new checkpoint's folder.

    `generator.ckpt` loads with plain `mindspore.load_checkpoint`. A checkpoint of the same step that exists is kept: a
    replayed run would write the same. A state within the pretraining replaces the one that was saved before, and is no
    checkpoint: it only serves to resume the run.

    Raises:
        UserError: for weights that are not finite, so that what is saved can be used, and for a disk without room.
    """
    pretraining = state.prepared is not None
    path = folder / (f"{PRETRAINING}{state.prepared:08d}" if pretraining else checkpoint_name(state.step))
    if not path.exists():
        _save(path, cells, state)
    if pretraining:
        _remove(folder, set(folder.glob(f"{PRETRAINING}*")) - {path})
    return path


def _save(path: Path, cells: Mapping[str, nn.Cell], state: State) -> None:
    files = _own_parameters(cells)
    everything = [parameter for parameters in files.values() for parameter in parameters]
    for parameter in everything:
        if not np.isfinite(parameter.asnumpy()).all():
            raise diverged(f"{parameter.name} is not finite in {path.name}")
    _require_room(path.parent, sum(parameter.nbytes for parameter in everything))
    with new_folder(path) as hidden:
        for name, parameters in files.items():
            write_weights(hidden / f"{name}.ckpt", parameters)
        (hidden / STATE).write_text(json.dumps(state.to_json(), indent=1), encoding="utf-8")
        write_checksums(hidden)


def _require_room(folder: Path, size: int) -> None:
    """Raise UserError where a checkpoint of `size` bytes would fill the disk: MindSpore would say so in five lines."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < 1.01 * size + 1e5:
        raise UserError(
            f"{folder}: a checkpoint takes {size / 1e6:.1f} MB, and only {free / 1e6:.1f} MB are free",
            "make room, then resume the run: what was saved before is whole",
        )


def read_state(path: Path) -> State:
    """Return the state in a checkpoint's folder, after a check of every byte of the folder.

    Raises UserError if it is no checkpoint, if it is damaged, or if this version cannot read it.
    """
    if not (path / STATE).is_file():
        raise UserError(f"{path}: not a checkpoint (no {STATE} in it)")
    if STATE not in verify_checksums(path):
        raise UserError(f"{path}: {STATE} has no checksum", "use another checkpoint")
    return State.from_json(read_json(path / STATE), path / STATE)


def load_cells(path: Path, cells: Mapping[str, nn.Cell]) -> None:
    """Load each Cell's own parameters from a checkpoint's folder that `read_state` has checked.

    Raises UserError if the names or shapes in a file are not exactly those of the Cell.
    """
    for name, parameters in _own_parameters(cells).items():
        file = path / f"{name}.ckpt"
        if not file.is_file():
            raise UserError(f"{file}: missing", "this checkpoint belongs to another family of recipes")
        stored = read_weights(file, "use another checkpoint")
        found, wanted = ({one.name: tuple(one.shape) for one in some} for some in (stored.values(), parameters))
        differing = [key for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key)]
        if differing:
            key = differing[0]
            problem = f"{key} has shape {found.get(key)} in it, and {wanted.get(key)} in the recipe"
            raise UserError(f"{file}: does not fit the recipe ({problem})")
        for parameter in parameters:
            parameter.set_data(stored[parameter.name])


def thin_out(folder: Path, spacing: int, best: int | None) -> None:
    """Remove all checkpoints except that of step `best` and those of `kept_steps`, and what a killed process left.

    `spacing` is the number of steps between two looks of the run. What was saved in the pretraining is removed as well,
    since there is a checkpoint now.
    """
    steps = checkpoint_steps(folder)
    doomed = sorted(set(steps) - kept_steps(steps, spacing) - {best})
    _remove(folder, [*folder.glob(f"{PRETRAINING}*"), *(folder / checkpoint_name(step) for step in doomed)])


def kept_steps(steps: Sequence[int], spacing: int) -> set[int]:
    """Return which of the ascending `steps` are kept: the newest three, and at most ten spread over the run.

    The ten are the multiples of `spacing`; as the run grows, of twice, four times, … as many steps. A step that
    is removed would not be kept later either.
    """
    if not steps:
        return set()
    while steps[-1] // spacing + 1 > SPREAD_KEPT:
        spacing *= 2
    return set(steps[-NEWEST_KEPT:]) | {step for step in steps if step % spacing == 0}


def _remove(folder: Path, paths: Iterable[Path]) -> None:
    """Remove what a killed process left, and these folders, each of which vanishes whole."""
    for leftover in [*folder.glob(".step_*"), *folder.glob(f".{PRETRAINING}*")]:
        shutil.rmtree(leftover, ignore_errors=True)
    for path in paths:
        doomed = folder / f".{path.name}.removed"
        os.replace(path, doomed)
        shutil.rmtree(doomed)


def _own_parameters(cells: Mapping[str, nn.Cell]) -> dict[str, list[Parameter]]:
    """Each Cell's parameters without those of the Cells before it: an optimizer also lists the network's weights."""
    seen: set[int] = set()
    own: dict[str, list[Parameter]] = {}
    for name, cell in cells.items():
        own[name] = [parameter for parameter in cell.get_parameters() if id(parameter) not in seen]
        seen.update(id(parameter) for parameter in own[name])
    return own
