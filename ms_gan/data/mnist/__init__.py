"""MNIST from a folder, from the cache, or from the first mirror that has it; and other data in its format."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from ms_gan.data.description import ImageData, NoTestSplit
from ms_gan.data.faults import DataFault, one_line
from ms_gan.data.mnist import download
from ms_gan.data.mnist.classes import find_classes, read_labels
from ms_gan.data.mnist.download import NoMirror
from ms_gan.data.mnist.files import PREFIXES, STEMS, find_mnist
from ms_gan.data.mnist.idx import read_idx, require
from ms_gan.files import cache_folder
from ms_gan.signals import ASKING

__all__ = ["NoMirror", "load_mnist", "read_ahead"]

EMNIST = "emnist-"  # how the names of its files begin
LABELS = {  # SHA-256 of MNIST's labels as bytes
    "train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
_ahead: dict[Path, Future[ImageData | None]] = {}  # training images, by folder


def load_mnist(split: str, data_path: str | Path | None = None) -> ImageData:
    """Load one split ("train" or "test") of MNIST: images uint8 N x 1 x 28 x 28, labels int32 (N,).

    With `data_path`, only that folder is read, and checked for structure, not for being the published bytes: it may
    hold other data in MNIST's format, with any labels, see `find_classes`, or be the common beginning of files' names,
    see `find_mnist`. Unless the labels are MNIST's, the name is "idx". EMNIST's images are turned upright. Without it
    the cache is read, after a download of whatever it lacks; its files are used only if their SHA-256 is the published
    one. Raises UserError for data that are absent or bad, NoMirror for a dead network.
    """
    ahead = _ahead.pop(_folder(data_path), None) if split == "train" else None
    images = None if ahead is None else ahead.result()
    if images is None and not _is_there(split, data_path):
        download.download_mnist(_folder(None), download.MIRRORS, download.FILES)
    return images or _read(split, data_path)


def read_ahead(data_path: str | Path | None = None) -> None:
    """Begin to read the training images, and their checksum, in a thread: beside an import of MindSpore it is free.

    `load_mnist` takes it up. What is absent or bad is left to it, too.
    """
    ahead: Future[ImageData | None] = Future()

    def read() -> None:
        images = None
        with contextlib.suppress(Exception):
            images = _read("train", data_path) if _is_there("train", data_path) else None
            _ = images and images.sha256  # this computes it, and the images keep it
        ahead.set_result(images)

    waiting = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # the thread keeps that: signals are for the main one
    try:
        threading.Thread(target=read, daemon=True).start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)
    _ahead[_folder(data_path)] = ahead


def _folder(data_path: str | Path | None) -> Path:
    return cache_folder() / "mnist" if data_path is None else Path(data_path)


def _is_there(split: str, data_path: str | Path | None) -> bool:
    """Return whether there is nothing to download: the classes are found in the labels of both splits."""
    needed = {name: sha for name, sha in download.FILES.items() if name.startswith(PREFIXES[split]) or "labels" in name}
    return data_path is not None or all(download.is_whole(_folder(None) / name, sha) for name, sha in needed.items())


def _read(split: str, data_path: str | Path | None) -> ImageData:
    files = find_mnist(_folder(None) if data_path is None else data_path)
    source = f"the folder {data_path}"
    if data_path is None:
        source = f"the cache {files.home}"
    elif files.title:
        source = f"the files {files.home / files.title}*"
    for content in STEMS:
        if f"{split}-{content}" not in files.paths:
            expected = " or ".join(files.spellings(split, content))
            home = next((file.parent for file in files.paths.values()), files.home)
            place = f"{files.home} or its {split}/" if home.name in ("train", "test") else home
            kind = NoTestSplit if split == "test" else DataFault
            raise kind(f"{files.home}: the {split} {content} are missing", f"expected {expected}, in {place}")
    images_path, labels_path = (files.paths[f"{split}-{content}"] for content in STEMS)
    images, labels = read_idx(images_path), read_labels(labels_path)
    of_one = "x".join(map(str, images.shape[1:]))
    require(of_one == "28x28", images_path, f"images are {of_one or 'single numbers'}, not 28x28")
    require(images.dtype == np.uint8, images_path, "pixels are not bytes", "write them as unsigned bytes")
    require(len(labels) == len(images), labels_path, f"has {len(labels)} labels for {len(images)} images")
    require(len(images) > 0, images_path, "holds no images")
    numbers, classes = find_classes(files)
    notes: tuple[str, ...] = ()
    if files.title.startswith(EMNIST):
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
        notes = ("EMNIST's files hold each image with rows and columns exchanged: it was turned upright",)
    of_classes = np.searchsorted(numbers, labels).astype(np.int32)
    digest = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()
    is_mnist = data_path is None or (not files.title and digest == LABELS[split])  # QMNIST has the same labels to train
    name = "mnist" if is_mnist else "idx"
    return ImageData(name, split, one_line(source), images[:, None], of_classes, classes, notes=notes)
