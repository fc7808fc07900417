"""Data sets that are drawn once and then kept in the cache folder."""

from __future__ import annotations

import contextlib
import shutil
import sys
from typing import Callable

import numpy as np

from ms_gan.errors import UserError
from ms_gan.files import cache_folder, new_folder, verify_checksums, write_checksums

Arrays = tuple[np.ndarray, np.ndarray]
STREAMS = {"train": 1, "test": 2}  # of random numbers


def draw_once(things: str, name: str, draw: Callable[[], Arrays]) -> Arrays:
    """Return the images and labels that the cache keeps as `name`; where there are none, keep the result of `draw()`.

    A damaged cache is drawn again. A cache that cannot be written costs a warning; `things` says in it what is drawn.
    Raises UserError where this user has no home folder, and no variable names a cache.
    `name` must differ for everything that `draw` depends on.
    """
    folder = cache_folder() / name
    with contextlib.suppress(UserError, OSError):
        verify_checksums(folder)
        return np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    images, labels = draw()
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with new_folder(folder) as hidden:
            np.save(hidden / "images.npy", images)
            np.save(hidden / "labels.npy", labels)
            write_checksums(hidden)
    except OSError as error:
        if not folder.is_dir():  # else another process has just kept the same
            reason = error.strerror or error
            print(
                f"warning: {folder} cannot be written ({reason}), so the {things} are drawn again in each run; "
                "set MS_GAN_CACHE to a folder that can",
                file=sys.stderr,
            )
    return images, labels
