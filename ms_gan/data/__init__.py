"""Data sets by name, as uint8 arrays in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional, Union

from ms_gan.data.description import ImageData
from ms_gan.errors import UserError

__all__ = ["DATASETS", "ImageData", "load", "load_default"]


def _mnist(split: str, data_path: Optional[Union[str, Path]]) -> ImageData:
    from ms_gan.data.mnist import load_mnist

    return load_mnist(split, data_path)


def _digits(split: str, data_path: Optional[Union[str, Path]]) -> ImageData:
    from ms_gan.data.digits import load_digits

    if data_path is not None:
        raise UserError("--dataset digits is drawn, not read; leave out --data-path or choose another one")
    return load_digits(split)


DATASETS = {"mnist": _mnist, "digits": _digits}


def load(dataset: str, split: str, data_path: Optional[Union[str, Path]] = None) -> ImageData:
    """Load the split "train" or "test" of the data set of that name; never anything else instead.

    Raises UserError for an unknown name, and for data that are absent or bad.
    """
    if dataset not in DATASETS:
        raise UserError(f"there is no data set {dataset!r}; --dataset takes {', '.join(DATASETS)}")
    return DATASETS[dataset](split, data_path)


def load_default(dataset: str, fallback: str, split: str, say: Callable[[str], None]) -> ImageData:
    """Load `dataset`, or `fallback` when no mirror answers, after `say` got one line about it.

    The `name` of the result tells which of the two it is. Only for a run in which
    nothing was said about data; any other failure is raised.
    """
    from ms_gan.data.mnist import NoMirror

    try:
        return load(dataset, split)
    except NoMirror as error:
        say(f"{error}; using --dataset {fallback} instead")
        return load(fallback, split)
