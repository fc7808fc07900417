"""Checkpoints: everything that a run needs to go on, in one folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, nn

from ms_gan.errors import UserError
from ms_gan.files import new_folder, verify_checksums, write_checksums
from ms_gan.runs.diverged import diverged
from ms_gan.runs.state import State

STATE = "state.json"
NEWEST_KEPT = 3
SPREAD_KEPT = 10
PREPARATION = "preparation_"


def checkpoint_name(step: int) -> str:
    """Return the name of the checkpoint folder of a step."""
    return f"step_{step:08d}"


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in `folder`, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name[5:]) for entry in folder.glob("step_*") if re.fullmatch(r"step_\d{8,}", entry.name))


def newest_saved(folder: Path) -> Path | None:
    """Return the newest checkpoint in `folder`, else what was saved last in the preparation, else None."""
    steps = checkpoint_steps(folder)
    return folder / checkpoint_name(steps[-1]) if steps else max(folder.glob(f"{PREPARATION}*"), default=None)


def save_checkpoint(folder: Path, cells: Mapping[str, nn.Cell], state: State) -> Path:
    """Save one `.ckpt` for each Cell, `state.json` and their checksums; return the new checkpoint's folder.

    `generator.ckpt` loads with plain `mindspore.load_checkpoint`. A checkpoint of the same step that exists is kept: a
    replayed run would write the same. A state within the preparation replaces the one that was saved before, and is no
    checkpoint: it only serves to resume the run.

    Raises:
        UserError: for weights that are not finite, so that what is saved can be used, and for a disk without room.
    """
    if state.prepared is None:
        path = folder / checkpoint_name(state.step)
        return path if path.exists() else _save(path, f"step {state.step:,}", cells, state)
    path = folder / f"{PREPARATION}{state.prepared:08d}"
    if not path.exists():
        _save(path, f"step {state.prepared:,} of the preparation", cells, state)
    _remove_preparations(folder, but=path)
    return path


def _save(path: Path, when: str, cells: Mapping[str, nn.Cell], state: State) -> Path:
    files = _own_parameters(cells)
    for parameter in sum(files.values(), []):
        if not np.isfinite(parameter.asnumpy()).all():
            raise diverged(f"{parameter.name} is not finite after {when}")
    _require_room(path.parent, sum(parameter.nbytes for parameters in files.values() for parameter in parameters))
    with new_folder(path) as hidden:
        for name, parameters in files.items():
            _write(hidden / f"{name}.ckpt", parameters)
        (hidden / STATE).write_text(json.dumps(state.to_json(), indent=1), encoding="utf-8")
        write_checksums(hidden)
    return path


def _write(file: Path, parameters: Sequence[Parameter]) -> None:
    try:
        ms.save_checkpoint([{"name": parameter.name, "data": parameter} for parameter in parameters], str(file))
    except RuntimeError as error:  # MindSpore wraps what the file system said
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError):
            raise cause from error
        raise


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
    return State.from_json(json.loads((path / STATE).read_text(encoding="utf-8")), path / STATE)


def load_cells(path: Path, cells: Mapping[str, nn.Cell]) -> None:
    """Load each Cell's own parameters from a checkpoint's folder that `read_state` has checked.

    Raises UserError if the names or shapes in a file are not exactly those of the Cell.
    """
    for name, parameters in _own_parameters(cells).items():
        file = path / f"{name}.ckpt"
        if not file.is_file():
            raise UserError(f"{file}: missing", "this checkpoint belongs to another family of recipes")
        try:
            stored = ms.load_checkpoint(str(file))
        except Exception as error:  # MindSpore raises several kinds, with a stack in the text
            raise UserError(f"{file}: MindSpore cannot read it", "use another checkpoint") from error
        expected = {parameter.name: parameter for parameter in parameters}
        strangers = sorted(set(stored) ^ set(expected))
        if strangers:
            raise UserError(f"{file}: does not fit the recipe ({strangers[0]} is only in one of them)")
        for key, parameter in expected.items():
            found, wanted = tuple(stored[key].shape), tuple(parameter.shape)
            if found != wanted:
                raise UserError(f"{file}: {key} has shape {found}, the recipe {wanted}")
            parameter.set_data(stored[key])


def thin_out(folder: Path, steps_per_epoch: int, best: int | None) -> None:
    """Remove all checkpoints except that of step `best` and those of `kept_steps`, and what a killed process left.

    What was saved in the preparation is removed as well, since there is a checkpoint now.
    """
    _remove_preparations(folder)
    for leftover in folder.glob(".step_*"):
        shutil.rmtree(leftover, ignore_errors=True)
    steps = checkpoint_steps(folder)
    for step in sorted(set(steps) - kept_steps(steps, steps_per_epoch) - {best}):
        _remove(folder / checkpoint_name(step))


def kept_steps(steps: Sequence[int], steps_per_epoch: int) -> set[int]:
    """Return which of the ascending `steps` are kept: the newest three, and at most ten spread over the run.

    The ten are the ends of every epoch, then of every second, fourth, … epoch as the run grows. A step that is removed
    would not be kept later either.
    """
    if not steps:
        return set()
    stride = steps_per_epoch
    while steps[-1] // stride + 1 > SPREAD_KEPT:
        stride *= 2
    return set(steps[-NEWEST_KEPT:]) | {step for step in steps if step % stride == 0}


def _remove_preparations(folder: Path, but: Path | None = None) -> None:
    for leftover in folder.glob(f".{PREPARATION}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for path in set(folder.glob(f"{PREPARATION}*")) - {but}:
        _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder, which vanishes whole, too."""
    doomed = path.parent / f".{path.name}.removed"
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
