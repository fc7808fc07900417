"""Argument types and options that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ms_gan.errors import Setting, UserError
from ms_gan.runtime import DEVICE_TARGETS

if TYPE_CHECKING:
    import numpy as np

    from ms_gan.labels import LabelNames


LARGEST_SEED = 2**32 - 1  # that MindSpore takes


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return an argument's type: a whole number from `least` on, up to and with `most`."""

    def number(text: str) -> int:
        if not text.isdecimal() or len(text) > 1000 or int(text) < least or (most is not None and int(text) > most):
            limits = f"from {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"must be a whole number {limits}, not {text!r}")
        return int(text)

    return number


positive = whole(1)
seed = whole(0, LARGEST_SEED)
port = whole(1, 65535)


def grid(text: str) -> tuple[int, int]:
    """ROWSxCOLUMNS, each from 1 to 100."""
    try:
        rows, columns = map(whole(1, 100), text.lower().split("x"))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"must be ROWSxCOLUMNS, each from 1 to 100, not {text!r}") from None
    return rows, columns


def add_device(command: argparse.ArgumentParser) -> None:
    """Add --device-target and --device-id; both are None when not said."""
    command.add_argument(
        "--device-target",
        choices=DEVICE_TARGETS,
        help="where to run; auto takes Ascend, else GPU, else CPU (default: auto)",
    )
    command.add_argument("--device-id", type=whole(0), metavar="I", help="which of several devices (default: 0)")


def add_seed(command: argparse.ArgumentParser, text: str, most: int = LARGEST_SEED) -> None:
    """Add --seed, up to and with `most`, 1 when not said; `text` says what it is for."""
    command.add_argument("--seed", type=whole(0, most), default=1, metavar="S", help=f"{text} (default: 1)")


def add_format(command: argparse.ArgumentParser) -> None:
    """Add --format, which of a bundle's files to run; None when not said."""
    command.add_argument(
        "--format",
        choices=("mindir", "onnx"),
        help="which of the bundle's files to run; an ONNX runs on the CPU, whatever the device "
        "(default: the onnx, where the bundle holds no other, and on a CPU where it is equal; else the mindir)",
    )


def add_checkpoint(command: argparse.ArgumentParser) -> None:
    """Add a run or a checkpoint; None when not said."""
    command.add_argument(
        "checkpoint",
        nargs="?",
        metavar="RUN_OR_CHECKPOINT",
        help="a run folder (its newest checkpoint) or one checkpoint folder; left out, the newest run below runs/",
    )


def add_label(command: argparse.ArgumentParser) -> None:
    """Add --label, which can be repeated; None when not said."""
    command.add_argument(
        "--label",
        action="append",
        dest="labels",
        metavar="L",
        help="what to draw: a class, such as 7, or the tags of one picture joined by commas, such as "
        "tomato,mozzarella; can be repeated (default: each class or tag, one after the other)",
    )


def chosen_labels(wanted: Sequence[str] | None, names: LabelNames | None) -> np.ndarray | None:
    """Return the labels that --label names, one for each name when it was not said; None for a model without labels.

    int32, (n,) or (n, max_tags). Raises UserError for a name that there is not, and for labels where there are none.
    """
    if names is None:
        if wanted:
            raise UserError("this generator takes no labels", "leave out ", Setting("labels"))
        return None
    return names.chosen(wanted or ())


def free_folder(path: Path, own: Collection[str], overwrite: bool, setting: str = "output_dir") -> Path:
    """Return `path` when it can take new files: absent or empty, or, with `overwrite`, holding only `own` ones.

    `setting` is what the user named it by; `own` are the files that the command itself writes, in sub-folders with
    their path. Raises UserError otherwise.
    """
    if path.is_symlink() or not path.name:  # a link leads to the folder that is meant; "." has no name of its own
        path = path.resolve()
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file", "name a folder with ", Setting(setting))
    another = ("name another folder with ", Setting(setting))
    held = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    if held and not overwrite:
        replace = ("add ", Setting("overwrite"), ", which replaces what is written anew, or ") if own else ()
        raise UserError(f"{path}: already holds {held[0]}", *replace, *another)
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
    places = (there, there.parent) if path.is_dir() else (there,)  # one that is there may be replaced
    if not any(os.access(place, os.W_OK | os.X_OK) for place in places):
        raise UserError(f"{there}: cannot be written to", *another)
    strangers = [name for name in _leaves(path) if name not in own]
    if strangers:
        raise UserError(f"{path}: holds {strangers[0]}, which this command did not write", *another)
    return path


def _leaves(folder: Path) -> list[str]:
    """Return the paths of all that lies below a folder, but for folders that hold something."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
    )
