"""Room for images: in memory, or, where they are too many for it, in a file that is read as they are needed.

What has been read of the file is let go again, so that it does not count as memory of the process. The system keeps
it as long as it has memory to spare.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from ms_gan.errors import UserError, shown
from ms_gan.files import cache_folder

VARIABLE = "MS_GAN_IMAGES_IN_MEMORY"  # how many MiB of images are held in memory
DEFAULT = 512  # MiB
ROWS = 4096  # that are copied at a time


def room_for(shape: Sequence[int]) -> np.ndarray:
    """Return an uninitialised array for images, uint8, N×C×H×W.

    An array of more than `most_in_memory()` bytes lies in a file of the cache folder. The file has no name, so it is
    gone with the process. Raises UserError for a wrong MS_GAN_IMAGES_IN_MEMORY, and where the disk has no room.
    """
    size = math.prod(shape)
    if size <= most_in_memory():
        return np.empty(shape, np.uint8)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # else a full disk would end the process later, by a signal
            return np.memmap(file, np.uint8, "r+", shape=tuple(shape))
    except OSError as error:
        problem = f"{folder}: no room for {size / 1e6:,.0f} MB of images ({error.strerror or error})"
        raise UserError(problem, f"free some, or name another folder in MS_GAN_CACHE, or set {VARIABLE}") from error


def most_in_memory() -> int:
    """Return how many bytes of images are held in memory. Raises UserError for what is no number."""
    said = os.environ.get(VARIABLE) or str(DEFAULT)
    if not said.isdecimal():
        raise UserError(f"{VARIABLE} must be a whole number of MiB, not {shown(said)}")
    return int(said) << 20


def is_stored(images: np.ndarray) -> bool:
    """Return whether images lie in a file."""
    return isinstance(images, np.memmap)


def rows_of(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the rows at the indices, int (M,), or bool (N,), in that order; of images in a file in one, too."""
    if not is_stored(images):
        return images[chosen]
    indices = np.arange(len(images))[chosen]
    found = room_for((len(indices), *images.shape[1:]))
    for start in range(0, len(indices), ROWS):
        found[start : start + ROWS] = images[indices[start : start + ROWS]]
        let_go(images)
        let_go(found)
    return found


def parts_of(images: np.ndarray, rows: int = ROWS) -> Iterator[np.ndarray]:
    """Yield images, so many at a time, in their order."""
    for start in range(0, len(images), rows):
        yield images[start : start + rows]
        let_go(images)


def let_go(images: np.ndarray) -> None:
    """Take images in a file out of the process's memory. What is needed of them again comes back page by page.

    The call takes microseconds; the pages that a batch needs cost a third of a millisecond. Arrays that do not know
    their file, as those of np.asarray, stay.
    """
    mapping = getattr(images, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
