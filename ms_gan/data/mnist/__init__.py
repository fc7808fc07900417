"""MNIST from a folder, from the cache, or from the first mirror that has it."""

from __future__ import annotations

from pathlib import Path

from ms_gan.data.description import ImageData
from ms_gan.data.faults import DataFault, one_line
from ms_gan.data.mnist import download
from ms_gan.data.mnist.download import NoMirror
from ms_gan.data.mnist.files import FITTING, PREFIXES, STEMS, find_mnist, missing_files
from ms_gan.data.mnist.idx import read_idx
from ms_gan.files import cache_folder

__all__ = ["NoMirror", "load_mnist"]

SIZE = 28
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
    found = find_mnist(folder)
    for content in STEMS:
        if f"{PREFIXES[split]}-{content}" not in found:
            raise missing_files(Path(folder), split, content)
    images_path, labels_path = (found[f"{PREFIXES[split]}-{content}"] for content in STEMS)
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3:
        raise DataFault(f"{images_path}: has {images.ndim} dimension(s), not 3", "get another copy")
    if images.shape[1:] != (SIZE, SIZE):
        height, width = images.shape[1:]
        raise DataFault(f"{images_path}: images are {height}x{width}, not {SIZE}x{SIZE}", "get another copy")
    if labels.ndim != 1:
        raise DataFault(f"{labels_path}: has {labels.ndim} dimensions, not 1", "get another copy")
    if len(images) != len(labels):
        raise DataFault(
            f"{labels_path}: has {len(labels)} labels, but {images_path} has {len(images)} images",
            "get copies that belong together",
        )
    if len(images) == 0:
        raise DataFault(f"{images_path}: holds no images", "get another copy")
    if labels.max() >= len(CLASSES):
        raise DataFault(f"{labels_path}: has a label {labels.max()}, not 0 to 9", f"get another copy ({FITTING})")
    return ImageData("mnist", split, source, images[:, None], labels.astype("int32"), CLASSES)
