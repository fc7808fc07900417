"""The classes of a data set in MNIST's format: the labels that occur in its files, and their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ms_gan.data.faults import DataFault
from ms_gan.data.mnist.files import MNISTFiles
from ms_gan.data.mnist.idx import read_idx, require

INT = "i"  # the kind of NumPy's signed whole numbers
NAMES, MAPPING = "label_names.txt", "mapping.txt"  # after the title of the data set; the second is EMNIST's


def read_labels(path: Path) -> np.ndarray:
    """Return the labels of a file as they stand there: int32 (N,).

    QMNIST's have several numbers an image, of which the first is the class. Raises DataFault for other shapes.
    """
    labels = read_idx(path)
    if labels.ndim == 2 and labels.dtype.kind == INT and labels.shape[1]:
        labels = labels[:, 0]
    require(labels.ndim == 1, path, f"has {'x'.join(map(str, labels.shape))} labels, not one for each image")
    return labels.astype(np.int32)


def find_classes(files: MNISTFiles) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the labels that occur in either split, int32 (classes,), rising, and as many names.

    A class is called by its label, unless there is a file of names beside the labels: `label_names.txt`, one name a
    line, or EMNIST's `…-mapping.txt`, which gives each label one or two character codes, of which the first is taken.
    Raises DataFault for a bad file.
    """
    paths = [path for content, path in files.paths.items() if content.endswith("labels")]
    numbers = np.unique(np.concatenate([read_labels(path) for path in paths]))
    for name, read in ((NAMES, _names), (MAPPING, _characters)):
        for path in (place / f"{files.title}{name}" for place in (paths[0].parent, files.home)):
            if path.is_file():
                return numbers, _checked(path, read(path, numbers), len(numbers))
    return numbers, tuple(map(str, numbers.tolist()))


def _names(path: Path, numbers: np.ndarray) -> list[str]:
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _characters(path: Path, numbers: np.ndarray) -> list[str]:
    try:
        rows = [list(map(int, line.split())) for line in _text(path).splitlines()]
        codes = {label: code for label, code, *_ in filter(None, rows)}
        return [chr(codes[number]) for number in numbers.tolist()]
    except (KeyError, ValueError, OverflowError) as error:
        raise DataFault(f"{path}: is no table of all labels and their characters ({error})", "remove it") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataFault(f"{path}: cannot be read ({error})", "write it as UTF-8, or remove it") from error


def _checked(path: Path, names: list[str], count: int) -> tuple[str, ...]:
    fault = f"must name each of the {count} classes once, not {len(names)} ({len(set(names))} different ones)"
    require(len(names) == len(set(names)) == count, path, fault, "write one name a line, in the order of the labels")
    return tuple(names)
