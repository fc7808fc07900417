"""Everything that a run needs to go on, in one folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, nn

from ms_gan.errors import UserError
from ms_gan.files import new_folder, verify_checksums, write_checksums

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


def save_checkpoint(folder: Path, step: int, cells: dict[str, nn.Cell], state: dict[str, Any]) -> Path:
    """Save one `.ckpt` for each Cell, `state.json` and their checksums; return the new checkpoint's folder.

    `generator.ckpt` loads with plain `mindspore.load_checkpoint`. A checkpoint of the same step
    that is there already is kept: a replayed run would write the same. Raises UserError for
    values that are not finite, so that what is saved can be used, and for a disk without room.
    """
    path = folder / checkpoint_name(step)
    return path if path.exists() else _save(path, f"step {step:,}", cells, state)


def save_preparation(folder: Path, done: int, cells: dict[str, nn.Cell], state: dict[str, Any]) -> None:
    """Save the same after `done` updates of a run's preparation, in place of what was saved in it before.

    It serves to go on with the run alone, and is no checkpoint of a step.
    """
    path = folder / f"{PREPARATION}{done:08d}"
    if not path.exists():
        _save(path, f"step {done:,} of the preparation", cells, {**state, "prepared": done})
    _remove_preparations(folder, but=path)


def newest_preparation(folder: Path) -> Path | None:
    """Return what was saved last in a run's preparation, or None."""
    return max(folder.glob(f"{PREPARATION}*"), default=None)


def _remove_preparations(folder: Path, but: Path | None = None) -> None:
    """Remove what was saved in a run's preparation, and what a killed process left of it."""
    for leftover in folder.glob(f".{PREPARATION}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for path in set(folder.glob(f"{PREPARATION}*")) - {but}:
        _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder, which vanishes whole, too."""
    doomed = path.parent / f".{path.name}.removed"
    os.replace(path, doomed)
    shutil.rmtree(doomed)


def _save(path: Path, when: str, cells: dict[str, nn.Cell], state: dict[str, Any]) -> Path:
    folder = path.parent
    files = _own_parameters(cells)
    for parameters in files.values():
        for parameter in parameters:
            if not np.isfinite(parameter.asnumpy()).all():
                raise UserError(
                    f"training diverged: {parameter.name} is not finite after {when}; start again "
                    f"with another --seed or a smaller learning rate (--set); the checkpoints before it "
                    f"are sound"
                )
    _require_room(folder, sum(parameter.nbytes for parameters in files.values() for parameter in parameters))
    with new_folder(path) as hidden:
        for name, parameters in files.items():
            contents = [{"name": parameter.name, "data": parameter} for parameter in parameters]
            try:
                ms.save_checkpoint(contents, str(hidden / f"{name}.ckpt"))
            except RuntimeError as error:  # MindSpore wraps what the file system said
                cause = error.__cause__ or error.__context__
                raise (cause if isinstance(cause, OSError) else error)
        (hidden / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
        write_checksums(hidden)
    return path


def _require_room(folder: Path, size: int) -> None:
    """Raise UserError where a checkpoint of `size` bytes would fill the disk: MindSpore would say so in five lines."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < 1.01 * size + 1e5:
        raise UserError(
            f"{folder}: a checkpoint takes {size / 1e6:.1f} MB, and only {free / 1e6:.1f} MB are free; "
            f"make room, then resume the run: what was saved before is whole"
        )


def read_state(path: Path) -> dict[str, Any]:
    """Return the state of a checkpoint folder after checking every byte of it.

    Raises UserError, in one line, when it is no checkpoint or is damaged.
    """
    if not (path / STATE).is_file():
        raise UserError(f"{path}: not a checkpoint (no {STATE} in it)")
    listed = verify_checksums(path)
    if STATE not in listed:
        raise UserError(f"{path}: {STATE} has no checksum; use another checkpoint")
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    if not {"step", "pending", "best", "settings"} <= state.keys():
        raise UserError(f"{path / STATE}: written by another version of ms_gan; use that one")
    return state


def load_cells(path: Path, cells: dict[str, nn.Cell]) -> None:
    """Load each Cell's own parameters from a checkpoint folder that `read_state` has checked.

    Raises UserError when the names or shapes in a file are not exactly the Cell's.
    """
    for name, parameters in _own_parameters(cells).items():
        file = path / f"{name}.ckpt"
        if not file.is_file():
            raise UserError(f"{file}: missing; this checkpoint belongs to another family of recipes")
        try:
            stored = ms.load_checkpoint(str(file))
        except Exception as error:  # MindSpore raises several kinds, with a stack in the text
            raise UserError(f"{file}: MindSpore cannot read it; use another checkpoint") from error
        expected = {parameter.name: parameter for parameter in parameters}
        strangers = sorted(set(stored) ^ set(expected))
        if strangers:
            raise UserError(f"{file}: does not fit the recipe ({strangers[0]} is only in one of them)")
        for key, parameter in expected.items():
            if tuple(stored[key].shape) != tuple(parameter.shape):
                raise UserError(
                    f"{file}: {key} has shape {tuple(stored[key].shape)}, the recipe {tuple(parameter.shape)}"
                )
            parameter.set_data(stored[key])


def thin_out(folder: Path, steps_per_epoch: int, best: int | None) -> None:
    """Remove the checkpoints that are not the `best`, nor kept by `kept_steps`, and what a killed process left.

    What was saved in the preparation goes as well: there is a checkpoint now.
    """
    _remove_preparations(folder)
    for leftover in folder.glob(".step_*"):
        shutil.rmtree(leftover, ignore_errors=True)
    steps = checkpoint_steps(folder)
    for step in sorted(set(steps) - kept_steps(steps, steps_per_epoch) - {best}):
        _remove(folder / checkpoint_name(step))


def kept_steps(steps: list[int], steps_per_epoch: int) -> set[int]:
    """Return which of the ascending `steps` stay: the newest three, and at most ten spread over the run.

    The spread ones are the ends of every epoch, then of every second, fourth, … as
    the run grows: a rule under which nothing that will be wanted has been removed before.
    """
    if not steps:
        return set()
    stride = steps_per_epoch
    while steps[-1] // stride + 1 > SPREAD_KEPT:
        stride *= 2
    return set(steps[-NEWEST_KEPT:]) | {step for step in steps if step % stride == 0}


def _own_parameters(cells: dict[str, nn.Cell]) -> dict[str, list[Parameter]]:
    """Each Cell's parameters without those of the Cells before it: an optimizer also lists the network's weights."""
    seen: set[int] = set()
    own: dict[str, list[Parameter]] = {}
    for name, cell in cells.items():
        own[name] = [parameter for parameter in cell.get_parameters() if id(parameter) not in seen]
        seen.update(id(parameter) for parameter in own[name])
    return own
