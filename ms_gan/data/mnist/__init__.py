"""MNIST from a folder, from the cache, or from the first mirror that has it."""

from __future__ import annotations

from pathlib import Path

from ms_gan.data.description import ImageData
from ms_gan.data.faults import DataFault, one_line
from ms_gan.data.mnist import download
from ms_gan.data.mnist.download import NoMirror
from ms_gan.data.mnist.files import PREFIXES, STEMS, find_mnist, spellings
from ms_gan.data.mnist.idx import read_idx, require
from ms_gan.files import cache_folder

__all__ = ["NoMirror", "load_mnist"]

CLASSES = tuple("0123456789")


def load_mnist(split: str, data_path: str | Path | None = None) -> ImageData:
    """Load one split ("train" or "test") of MNIST: images uint8 N x 1 x 28 x 28, labels int32 (N,).

    With `data_path`, only that folder is read, and checked for structure, not for being the published bytes. Otherwise
    the cache is, after a download of whatever it lacks; its files are used only if their SHA-256 is the published one.
    Raises UserError for data that are absent or bad, NoMirror for a dead network.
    """
    if data_path is not None:
        return _read_split(data_path, split, one_line(f"the folder {data_path}"))
    cache = cache_folder() / "mnist"
    needed = {name: digest for name, digest in download.FILES.items() if name.startswith(PREFIXES[split])}
    if not all(download.is_whole(cache / name, digest) for name, digest in needed.items()):
        download.download_mnist(cache, download.MIRRORS, download.FILES)
    return _read_split(cache, split, f"the cache {cache}")


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
