"""Data sets by name, as uint8 arrays in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Union

from ms_gan.errors import UserError

if TYPE_CHECKING:  # NumPy is heavy, and the names of the data sets are wanted without it
    from ms_gan.data.description import ImageData

__all__ = ["DATASETS", "ImageData", "load", "load_default"]

DataPath = Optional[Union[str, Path]]
# where no recipe says otherwise
WANTED = {"size": 28, "channels": 1, "classes": 0, "places": 0, "rotate_and_mirror": False}


def __getattr__(name: str) -> Any:
    """Import ImageData when it is first asked for."""
    if name != "ImageData":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ms_gan.data.description import ImageData

    return ImageData


def _mnist(split: str, data_path: DataPath, wanted: dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.description import nothing_to_learn
    from ms_gan.data.mnist import load_mnist

    images = load_mnist(split, data_path)
    none = [name for number, name in enumerate(images.classes) if number not in images.labels]
    if wanted["classes"] and split == "train" and none:
        return replace(images, notes=(nothing_to_learn("classes", none),))
    return images


def _digits(split: str, data_path: DataPath, wanted: dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.digits import load_digits

    _refuse_path("digits", data_path)
    return load_digits(split)


def _pizza(split: str, data_path: DataPath, wanted: dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.pizza import load_pizza

    _refuse_path("pizza", data_path)
    return load_pizza(split, wanted["size"] * (2 if wanted["rotate_and_mirror"] else 1), wanted["channels"])


def _folder(split: str, data_path: DataPath, wanted: dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.folder import load_folder

    return load_folder(
        split,
        data_path,
        wanted["size"],
        wanted["channels"],
        wanted["places"],
        finer=wanted["rotate_and_mirror"],
        skip_unreadable=skip_unreadable,
        labelled=wanted["classes"] > 0,
        held_out_up_to=wanted.get("held_out_up_to"),
        verify=wanted.get("verify", "held_out_up_to" not in wanted),
        held_out_but=wanted.get("held_out_but"),
        class_names=wanted.get("class_names"),
    )


def _stacked_mnist(split: str, data_path: DataPath, wanted: dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.stacked import stack

    return stack(_mnist(split, data_path, wanted, skip_unreadable))


def _stacked_digits(split: str, data_path: DataPath, wanted: dict[str, Any], skip_unreadable: bool) -> ImageData:
    from ms_gan.data.stacked import stack

    _refuse_path("stacked_digits", data_path)
    return stack(_digits(split, None, wanted, skip_unreadable))


def _refuse_path(dataset: str, data_path: DataPath) -> None:
    if data_path is None:
        return
    from ms_gan.data.folder import images_hint
    from ms_gan.data.mnist_files import holds_mnist

    hint = ""
    if str(data_path).strip():
        hint = (
            "it holds MNIST's files: add --dataset mnist"
            if holds_mnist(Path(data_path))
            else images_hint(Path(data_path))
        )
    hint = hint and f" ({hint})"
    raise UserError(f"--dataset {dataset} is drawn, not read; leave out --data-path or choose another one{hint}")


DATASETS = {
    "mnist": _mnist,
    "digits": _digits,
    "stacked_mnist": _stacked_mnist,
    "stacked_digits": _stacked_digits,
    "pizza": _pizza,
    "folder": _folder,
}


def load(
    dataset: str,
    split: str,
    data_path: DataPath = None,
    wanted: dict[str, Any] | None = None,
    skip_unreadable: bool = False,
) -> ImageData:
    """Load the split "train" or "test" of the data set of that name; never anything else instead.

    `wanted` is a recipe's `data` section: data that have no size of their own are brought to its; where it has
    places, classes become tags. Of a run that has begun it also holds, for folders, the `held_out_up_to` and
    `held_out_but` of its data, and as `class_names` its classes or tags, which labels then number; `verify` says
    whether the files of "test" are looked at when "train" is loaded, otherwise as for a new run.
    `skip_unreadable` goes on without images that cannot be read.
    Raises UserError for an unknown name, and for data that are absent or bad.
    """
    if dataset not in DATASETS:
        raise UserError(f"there is no data set {dataset!r}; --dataset takes {', '.join(DATASETS)}")
    wanted = wanted or WANTED
    images = DATASETS[dataset](split, data_path, wanted, skip_unreadable)
    return images.with_tags(wanted["places"]) if wanted["places"] else images


def load_default(
    dataset: str, fallback: str, split: str, say: Callable[[str], None], wanted: dict[str, Any] | None = None
) -> ImageData:
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
