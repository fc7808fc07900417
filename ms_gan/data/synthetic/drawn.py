"""Data sets that are drawn once and then kept in the cache folder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Callable

import numpy as np

from ms_gan.errors import UserError
from ms_gan.files import cache_folder, new_folder, verify_checksums, write_checksums

Arrays = tuple[np.ndarray, np.ndarray]


def draw_once(things: str, name: str, draw: Callable[[], Arrays]) -> Arrays:
    """Return the images and labels that the cache keeps as `name`; where there are none, keep the result of `draw()`.

    A damaged cache is drawn again. A cache that cannot be written costs a warning; `things` says in it what is drawn.
    `name` must differ for everything that `draw` depends on.
    """
    folder = cache_folder() / name
    arrays = _read(folder)
    if arrays is None:
        arrays = draw()
        _keep(folder, things, *arrays)
    return arrays


def _read(folder: Path) -> Arrays | None:
    """Return the images and labels kept in a folder, or None if they are not there whole."""
    try:
        verify_checksums(folder)
        return np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    except (UserError, OSError):
        return None


def _keep(folder: Path, things: str, images: np.ndarray, labels: np.ndarray) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
        with new_folder(folder) as hidden:
            np.save(hidden / "images.npy", images)
            np.save(hidden / "labels.npy", labels)
            write_checksums(hidden)
    except OSError as error:
        if _read(folder) is None:  # otherwise another process has just kept the same
            reason = error.strerror or error
            print(
                f"warning: {folder} cannot be written ({reason}), so the {things} are drawn again in each run; "
                "set MS_GAN_CACHE to a folder that can",
                file=sys.stderr,
            )
