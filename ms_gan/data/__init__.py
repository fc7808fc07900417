"""Data sets by name, as uint8 arrays in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ms_gan.errors import Setting, UserError
from ms_gan.schema.recipe import DATASETS

if TYPE_CHECKING:  # NumPy is heavy, and the names of the data sets are wanted without it
    from ms_gan.data.description import DataRequest, ImageData

__all__ = ["DATASETS", "load", "load_default", "read_ahead"]

DataPath = Optional[Union[str, Path]]
STACKED = "stacked_"
DRAWN = ("digits", "pizza")  # the others are read from files that a user may have


def load(
    dataset: str, split: str, path: DataPath = None, request: Any = None, skip_unreadable: bool = False
) -> ImageData:
    """Load the split "train" or "test" of the data set of that name; never anything else instead.

    `path` is where a data set is that is read. `request` is a DataRequest, or a recipe's `data`
    section: where it has `max_tags`, classes become tags. `skip_unreadable` leaves out images that
    cannot be read. Raises UserError for an unknown name, and for data that are absent or bad.
    """
    from ms_gan.data.description import DataRequest

    if dataset not in DATASETS:
        raise UserError(f"there is no data set {dataset!r}", "take one of ", Setting("dataset", ", ".join(DATASETS)))
    if path is not None and dataset.replace(STACKED, "") in DRAWN:
        mend = ("leave out ", Setting("data_path"), ", or say what is there, such as ", Setting("dataset", "folder"))
        raise UserError(f"the data set {dataset} is drawn, not read", *mend)
    request = DataRequest.of(request)
    images = _load(dataset, split, path, request, skip_unreadable)
    return images.with_tags(request.max_tags)


def load_default(dataset: str, fallback: str, say: Callable[[str], None], request: Any = None) -> ImageData:
    """Load the training images of `dataset`, or `fallback` when no mirror answers, after `say` got one line about it.

    The `name` of the result tells which of the two it is. Only for a run in which nothing was said about data; any
    other failure is raised.
    """
    from ms_gan.data.mnist import NoMirror

    try:
        return load(dataset, "train", request=request)
    except NoMirror as error:
        say(f"{error.problem}; using the data set {fallback} instead")
        return load(fallback, "train", request=request)


def read_ahead(dataset: str, path: DataPath = None) -> None:
    """Begin to read the training images that `load` will be asked for, from IDX files; no fault is told."""
    if dataset.replace(STACKED, "") in ("mnist", "idx"):
        from ms_gan.data import mnist

        mnist.read_ahead(path)


def _load(dataset: str, split: str, path: DataPath, request: DataRequest, skip_unreadable: bool) -> ImageData:
    if dataset.startswith(STACKED):
        from ms_gan.data.synthetic.stacked import stack

        return stack(_load(dataset[len(STACKED) :], split, path, request, skip_unreadable))
    if dataset == "folder":
        from ms_gan.data.folder import load_folder

        return load_folder(split, path, request, skip_unreadable)
    if dataset == "arrays":
        from ms_gan.data.arrays import load_arrays

        return load_arrays(split, path)
    if dataset == "pizza":
        from ms_gan.data.synthetic.pizza import load_pizza

        return load_pizza(split, request.size * (2 if request.rotate_and_mirror else 1), request.channels)
    if dataset == "digits":
        from ms_gan.data.synthetic.digits import load_digits

        return load_digits(split)
    from ms_gan.data.mnist import load_mnist

    if dataset == "idx" and path is None:
        mend = ("name the folder that holds them with ", Setting("data_path"))
        raise UserError("images in MNIST's format are read from a folder", *mend)
    return load_mnist(split, path)
