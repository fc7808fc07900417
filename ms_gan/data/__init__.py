"""Data sets by name, as uint8 arrays in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Union

from ms_gan.data.description import ImageData
from ms_gan.errors import UserError

__all__ = ["DATASETS", "ImageData", "load", "load_default"]

DataPath = Optional[Union[str, Path]]
# where no recipe says otherwise
WANTED = {"size": 28, "channels": 1, "classes": 0, "places": 0, "rotate_and_mirror": False}


def _mnist(split: str, data_path: DataPath, wanted: Dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.mnist import load_mnist

    return load_mnist(split, data_path)


def _digits(split: str, data_path: DataPath, wanted: Dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.digits import load_digits

    _refuse_path("digits", data_path)
    return load_digits(split)


def _pizza(split: str, data_path: DataPath, wanted: Dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.pizza import load_pizza

    _refuse_path("pizza", data_path)
    return load_pizza(split, wanted["size"] * (2 if wanted["rotate_and_mirror"] else 1), wanted["channels"])


def _folder(split: str, data_path: DataPath, wanted: Dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.folder import load_folder

    return load_folder(split, data_path, wanted["size"], wanted["channels"], wanted["places"],
                       finer=wanted["rotate_and_mirror"], skip_unreadable=skip_unreadable,
                       labelled=wanted["classes"] > 0, held_out_up_to=wanted.get("held_out_up_to"),
                       verify="held_out_up_to" not in wanted)


def _stacked_mnist(split: str, data_path: DataPath, wanted: Dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.stacked import stack

    return stack(_mnist(split, data_path, wanted, skip_unreadable))


def _stacked_digits(split: str, data_path: DataPath, wanted: Dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.stacked import stack

    _refuse_path("stacked_digits", data_path)
    return stack(_digits(split, None, wanted, skip_unreadable))


def _refuse_path(dataset: str, data_path: DataPath) -> None:
    if data_path is not None:
        raise UserError(f"--dataset {dataset} is drawn, not read; leave out --data-path or choose another one")


DATASETS = {"mnist": _mnist, "digits": _digits, "stacked_mnist": _stacked_mnist, "stacked_digits": _stacked_digits,
            "pizza": _pizza, "folder": _folder}


def load(dataset: str, split: str, data_path: DataPath = None, wanted: Optional[Dict[str, Any]] = None,
         skip_unreadable: bool = False) -> ImageData:
    """Load the split "train" or "test" of the data set of that name; never anything else instead.

    `wanted` is a recipe's `data` section: data that have no size of their own are brought to its; where it has
    places, classes become tags; of a run that has begun it also holds the `held_out_up_to` of its data, for folders.
    `skip_unreadable` goes on without images that cannot be read.
    Raises UserError for an unknown name, and for data that are absent or bad.
    """
    if dataset not in DATASETS:
        raise UserError(f"there is no data set {dataset!r}; --dataset takes {', '.join(DATASETS)}")
    wanted = wanted or WANTED
    images = DATASETS[dataset](split, data_path, wanted, skip_unreadable)
    return images.with_tags(wanted["places"]) if wanted["places"] else images


def load_default(dataset: str, fallback: str, split: str, say: Callable[[str], None],
                 wanted: Optional[Dict[str, Any]] = None) -> ImageData:
    """Load `dataset`, or `fallback` when no mirror answers, after `say` got one line about it.

    The `name` of the result tells which of the two it is. Only for a run in which
    nothing was said about data; any other failure is raised.
    """
    from ms_gan.data.mnist import NoMirror

    try:
        return load(dataset, split, wanted=wanted)
    except NoMirror as error:
        say(f"{error}; using --dataset {fallback} instead")
        return load(fallback, split, wanted=wanted)
