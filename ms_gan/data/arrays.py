"""Data sets as arrays: an `.npz` file, or arrays of your own that are kept as one."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ms_gan.data.description import ImageData, NoTestSplit
from ms_gan.data.faults import DataFault, one_line
from ms_gan.data.folder.tables import IN_NO_LABEL
from ms_gan.errors import Setting, UserError
from ms_gan.files import cache_folder, write_file

# What files of others call the images and labels of each split: those of ms_gan, Keras' mnist.npz, and MedMNIST.
KEYS = {
    "train": (("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
GIVEN = "the arrays given"  # in place of a file that is only in the cache
ONE_IN = 10  # images is a test image where a file has none


def as_images(array: np.ndarray, where: str = "images") -> np.ndarray:
    """Return images as uint8, N×C×H×W, of N×H×W, N×C×H×W or N×H×W×C.

    Raises DataFault for another shape or type; `where` names the array.
    """
    try:
        array = np.asarray(array)
    except ValueError as error:  # a list of arrays
        raise DataFault(f"{where}: not all of one shape", "scale or crop them to one size") from error
    shape = array.shape
    if array.dtype != np.uint8:
        raise DataFault(
            f"{where}: must be uint8, from 0 to 255, not {array.dtype}",
            "scale pixels to 0 to 255 and convert them, such as np.uint8(np.rint(255 * images)) for pixels in [0, 1]",
        )
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or array.shape[2] != array.shape[3] or array.size == 0:
        if len(shape) in (3, 4) and not shape[0]:
            raise DataFault(f"{where}: there are none, in an array of {shape}", "give some")
        raise DataFault(
            f"{where}: must be square, grey or in colour, N×H×W, N×C×H×W or N×H×W×C with 1 or 3 channels, not {shape}",
            "crop or stack them to that shape",
        )
    return np.ascontiguousarray(array)


def as_labels(array: np.ndarray | None, count: int, where: str = "labels") -> np.ndarray | None:
    """Return labels, whole numbers from 0, as int32 (N,); (N, 1) is taken, too. Raises DataFault for others."""
    if array is None:
        return None
    array = np.asarray(array)
    if array.ndim == 1 and len(array) != count:
        raise DataFault(f"{where}: {len(array):,} of them, for {count:,} images", "give one for each image")
    if array.shape not in ((count,), (count, 1)) or array.dtype.kind not in "iu" or array.min(initial=0) < 0:
        least = f" from {array.min()}" if array.dtype.kind in "iu" and array.size else ""
        shape = f"not {array.dtype} {array.shape}{least}"
        problem = f"{where}: must be whole numbers from 0, one for each of the {count} images, {shape}"
        several = array.ndim == 2 and array.shape[0] == count
        mend = "for several labels an image make a folder with labels.csv" if several else "number the classes from 0"
        raise DataFault(problem, mend)
    if array.max(initial=0) > np.iinfo(np.int32).max:
        raise DataFault(f"{where}: go up to {array.max():,}", "number the classes from 0")
    return array.reshape(count).astype(np.int32)


def keep_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    test: tuple[np.ndarray, np.ndarray | None] | None = None,
    label_names: Sequence[str] = (),
) -> Path:
    """Write arrays as an `.npz` into the cache, where the same bytes have the same name, and return the file.

    A run records where its data are: kept like this, arrays can be loaded again to resume and to evaluate it.
    """
    if test is not None and len(test) != 2:
        raise DataFault(f"test: a tuple of {len(test)}", "give images alone, or a tuple of images and labels")
    test_images, test_labels = test or (None, None)
    arrays = {"images": as_images(images), "labels": as_labels(labels, len(images))}
    if test_images is not None:
        arrays["test_images"] = as_images(test_images, "test images")
        arrays["test_labels"] = as_labels(test_labels, len(test_images), "test labels")
    if len(label_names):
        if labels is None:
            raise DataFault("label_names are for labels, and there are none", "give labels, too")
        arrays["label_names"] = np.array(list(map(str, label_names)))
    content = io.BytesIO()
    np.savez_compressed(content, **{name: array for name, array in arrays.items() if array is not None})
    path = _kept_folder() / f"{hashlib.sha256(content.getvalue()).hexdigest()[:16]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content.getvalue())
    return path


def _kept_folder() -> Path:
    return cache_folder() / "arrays"


def _is_kept(path: Path) -> bool:
    try:
        return path.parent.absolute() == _kept_folder().absolute()
    except UserError:  # this user has no cache
        return False


def load_arrays(split: str, path: str | Path | None) -> ImageData:
    """Load a split, "train" or "test", of an `.npz` file.

    It holds `images`, uint8, N×H×W, N×C×H×W or N×H×W×C, and where there are classes `labels`, whole numbers from 0,
    (N,) or (N, 1); for the split "test" `test_images` and `test_labels`; and `label_names`, which may be left out. The
    classes are the numbers that occur in either split; `label_names` may also name others, from 0. The names of Keras'
    mnist.npz and of MedMNIST are taken, too; MedMNIST's `val_images` are not read. Where there are no test images, a
    tenth of the images is the test split, chosen by their pixels: the same one each time. Raises DataFault for a file
    that is not like this.
    """
    if path is None:
        raise DataFault("arrays are read from a file", "name an .npz file with ", Setting("data_path"))
    path = Path(path)
    where = GIVEN if _is_kept(path) else str(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror or error})", "name an .npz file") from error
    except (ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFault(f"{path}: no .npz file of plain arrays ({error})", "write one with np.savez") from error
    train, test = (_split(arrays, each, where, path) for each in KEYS)
    if train is None:
        problem = f"{where}: has no array `images`, only {', '.join(arrays) or 'nothing'}"
        raise DataFault(problem, "write one with np.savez(FILE, images=…, labels=…, test_images=…, test_labels=…)")
    if test is None:
        tenth = _test_tenth(train)
        train, test = train.only(np.flatnonzero(~tenth)), replace(train.only(np.flatnonzero(tenth)), split="test")
        if split == "test" and not len(test.images):
            problem = f"{where}: has no test images, and too few images to take some of them"
            raise NoTestSplit(problem, "add an array `test_images`")
    _require_alike(train, test, where)
    return _with_classes(test if split == "test" else train, arrays, (train, test), where)


def _split(arrays: Mapping[str, np.ndarray], split: str, where: str, path: Path) -> ImageData | None:
    """Return the images and labels of a split, without the names of the classes; None where there are no images."""
    for images, labels in KEYS[split]:
        if images in arrays:
            found = as_images(arrays[images], f"{where}: {images}")
            source = f"{GIVEN}, kept in {path}" if where == GIVEN else f"the file {path}"
            numbers = as_labels(arrays.get(labels), len(found), f"{where}: {labels}")
            return ImageData("arrays", split, one_line(source), found, numbers, ())
    return None


def _require_alike(train: ImageData, test: ImageData, where: str) -> None:
    """Raise a fault for test images that no model of the training images could be compared with."""
    if train.images.shape[1:] != test.images.shape[1:]:
        problem = f"{where}: training images are {train.images.shape[1:]} and test images {test.images.shape[1:]}"
        raise DataFault(problem, "bring them to one size and as many channels")
    if (train.labels is None) != (test.labels is None):
        which = "training" if train.labels is None else "test"
        raise DataFault(f"{where}: the {which} images have no labels, and the others have", "label both, or none")


def _with_classes(
    data: ImageData, arrays: Mapping[str, np.ndarray], splits: Sequence[ImageData], where: str
) -> ImageData:
    """Return one of both splits with its classes, which are called by their numbers where there are no `label_names`.

    The names are those of the numbers that occur, if there are as many, or else of 0, 1, and so on.
    """
    labels = [split.labels for split in splits if split.labels is not None]
    if data.labels is None:
        return data
    occur = np.unique(np.concatenate(labels))
    stated = arrays.get("label_names", occur)
    if stated.ndim != 1:
        raise DataFault(f"{where}: label_names must be a row of names, not of shape {stated.shape}", "name each class")
    if stated.dtype.kind == "S":
        stated = np.char.decode(stated, "utf-8", "surrogateescape")
    names = tuple(map(str, stated.tolist()))
    for name in names:
        if not name.strip() or IN_NO_LABEL.search(name.replace(",", "")):
            what = f"the label name {name!r} is empty, or holds a line break or what is not UTF-8"
            raise DataFault(f"{where}: {what}", "rename it")
    numbers = occur if len(names) == len(occur) else np.arange(len(names))
    if len(numbers) <= np.searchsorted(numbers, occur[-1]) or len(set(names)) < len(names):
        found = f"{len(names)}, {len(set(names))} of them different"
        problem = f"{where}: label_names must be {len(occur)} different names, not {found}"
        raise DataFault(problem, "name each class once")
    return replace(data, labels=np.searchsorted(numbers, data.labels).astype(np.int32), classes=names)


def _test_tenth(data: ImageData) -> np.ndarray:
    """Return which images are test images: bool (N,). Equal images go together, but no class
    loses its last image: those of a class that would are all for training."""
    tenth = np.array([zlib.crc32(image) % ONE_IN == 0 for image in data.images]) & (len(data.images) >= ONE_IN)
    for label in np.unique(data.labels) if data.labels is not None else ():
        if tenth[data.labels == label].all():
            tenth[data.labels == label] = False
    return tenth & ~tenth.all()
