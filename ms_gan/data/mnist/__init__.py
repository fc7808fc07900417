"""MNIST from a folder, from the cache, or from the first mirror that has it."""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures import Future
from pathlib import Path

from ms_gan.data.description import ImageData
from ms_gan.data.faults import DataFault, one_line
from ms_gan.data.mnist import download
from ms_gan.data.mnist.download import NoMirror
from ms_gan.data.mnist.files import PREFIXES, STEMS, find_mnist, spellings
from ms_gan.data.mnist.idx import read_idx, require
from ms_gan.files import cache_folder
from ms_gan.signals import ASKING

__all__ = ["NoMirror", "load_mnist", "read_ahead"]

CLASSES = tuple("0123456789")
_ahead: dict[tuple[str, Path], Future[ImageData | None]] = {}  # by split and folder


def load_mnist(split: str, data_path: str | Path | None = None) -> ImageData:
    """Load one split ("train" or "test") of MNIST: images uint8 N x 1 x 28 x 28, labels int32 (N,).

    With `data_path`, only that folder is read, and checked for structure, not for being the published bytes. Otherwise
    the cache is, after a download of whatever it lacks; its files are used only if their SHA-256 is the published one.
    Raises UserError for data that are absent or bad, NoMirror for a dead network.
    """
    ahead = _ahead.pop((split, _folder(data_path)), None)
    images = None if ahead is None else ahead.result()
    if images is None and not _is_there(split, data_path):
        download.download_mnist(_folder(None), download.MIRRORS, download.FILES)
    return images or _read(split, data_path)


def read_ahead(split: str, data_path: str | Path | None = None) -> None:
    """Begin to read a split, and to compute its checksum, in a thread: beside an import of MindSpore it costs no time.

    `load_mnist` takes it up. What is absent or bad is left to it, too.
    """
    ahead: Future[ImageData | None] = Future()

    def read() -> None:
        images = None
        with contextlib.suppress(Exception):
            images = _read(split, data_path) if _is_there(split, data_path) else None
            _ = images and images.sha256  # this computes it, and the images keep it
        ahead.set_result(images)

    waiting = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # the thread keeps that: signals are for the main one
    try:
        threading.Thread(target=read, daemon=True).start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)
    _ahead[split, _folder(data_path)] = ahead


def _folder(data_path: str | Path | None) -> Path:
    return cache_folder() / "mnist" if data_path is None else Path(data_path)


def _is_there(split: str, data_path: str | Path | None) -> bool:
    """Return whether there is nothing to download."""
    needed = {name: digest for name, digest in download.FILES.items() if name.startswith(PREFIXES[split])}
    return data_path is not None or all(download.is_whole(_folder(None) / name, sha) for name, sha in needed.items())


def _read(split: str, data_path: str | Path | None) -> ImageData:
    where = f"the cache {_folder(None)}" if data_path is None else one_line(f"the folder {data_path}")
    return _read_split(_folder(None) if data_path is None else data_path, split, where)


def _read_split(folder: str | Path, split: str, source: str) -> ImageData:
    found, prefix = find_mnist(folder), PREFIXES[split]
    for content in STEMS:
        if f"{prefix}-{content}" not in found:
            expected = " or ".join(spellings(prefix, content))
            raise DataFault(
                f"{folder}: the {split} {content} are missing", f"expected {expected}, there or in {split}/"
            )
    images_path, labels_path = (found[f"{prefix}-{content}"] for content in STEMS)
    images, labels = read_idx(images_path), read_idx(labels_path)
    of_one, counted = ("x".join(map(str, shape)) for shape in (images.shape[1:], labels.shape))
    require(of_one == "28x28", images_path, f"images are {of_one or 'single numbers'}, not 28x28")
    require(labels.shape == images.shape[:1], labels_path, f"has {counted} labels for {len(images)} images")
    require(len(images) > 0, images_path, "holds no images")
    require(
        labels.max() < len(CLASSES),
        labels_path,
        f"has a label {labels.max()}, not 0 to 9",
        "get another copy (of EMNIST only the sets digits and mnist have labels 0 to 9)",
    )
    return ImageData("mnist", split, source, images[:, None], labels.astype("int32"), CLASSES)
