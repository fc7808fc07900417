"""What differs between the data that a run began with and those that are there now."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Callable

import numpy as np

from ms_gan.data.description import ONE_FORMAT, ImageData
from ms_gan.data.faults import one_line
from ms_gan.data.storage import parts_of
from ms_gan.labels import natural_order

Pairs = list[tuple[str, str]]


def _checksum(image: np.ndarray) -> str:
    return f"{zlib.crc32(np.ascontiguousarray(image).data):08x}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


SOUND: dict[str, Callable[[Any], bool]] = {  # what each entry of a record must be
    **dict.fromkeys(("name", "source", "images_sha256", "labels_sha256"), _is_text),
    **dict.fromkeys(("count", "classes"), _is_whole),
    "image_shape": lambda value: isinstance(value, list) and all(map(_is_whole, value)),
    "files": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
}


@dataclass(frozen=True)
class Fingerprint:
    """What tells data from others. Whatever a run did not record is None.

    name, source, count, image_shape: of the images. classes: how many; None without labels.
    images_sha256, labels_sha256: of the bytes; None without labels.
    files: of a folder, by relative path the CRC-32 of the image's pixels as they were loaded and, where there are
    labels, a space and the names of its class or tags, joined by commas, which no name holds.
    """

    name: str | None = None
    source: str | None = None
    count: int | None = None
    image_shape: Sequence[int] | None = None
    classes: int | None = None
    images_sha256: str | None = None
    labels_sha256: str | None = None
    files: Mapping[str, str] | None = None

    @classmethod
    def of(cls, images: ImageData) -> Fingerprint:
        """Return what tells these data from others."""
        pixels, labels = images.images, images.labels
        each = (image for part in parts_of(pixels) for image in part) if images.names else ()
        files = [_checksum(image) for image in each]
        if labels is not None:
            files = [f"{of_one} {_names(images, label)}" for of_one, label in zip(files, labels)]
        return cls(
            images.name,
            images.source,
            len(pixels),
            list(pixels.shape[1:]),
            None if labels is None else len(images.classes),
            _sha256(pixels),
            None if labels is None else _sha256(labels),
            dict(zip(images.names, files)) or None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fingerprint as it is recorded."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> Fingerprint:
        """Return the fingerprint of a record, which may lack anything; what is not as it is written is passed over."""
        content = content if isinstance(content, dict) else {}
        return cls(**{name: content[name] for name, sound in SOUND.items() if sound(content.get(name))})


def copies(files: Mapping[str, str], images: ImageData, test: ImageData | None) -> tuple[Pairs, Pairs]:
    """Return the images of a folder that look the same, pixel by pixel, as one before them, each with that one's path.

    The second of the two are test images, each with the path of the training image that looks the same.
    `files`: of the training images' fingerprint.
    """
    different: dict[str, list[int]] = {}  # training images of each checksum

    def same(checksum: str, image: np.ndarray) -> list[str]:
        return [images.names[one] for one in different.get(checksum, ()) if np.array_equal(images.images[one], image)]

    among: Pairs = []
    for number, (name, told) in enumerate(files.items()):
        before = same(told[:8], images.images[number])
        if before:
            among.append((name, before[0]))
        else:
            different.setdefault(told[:8], []).append(number)
    in_test: Pairs = []
    if test is not None and test.names:
        for name, image in zip(test.names, (image for part in parts_of(test.images) for image in part)):
            in_test += [(name, alike) for alike in same(_checksum(image), image)]
    return among, in_test


def what_changed(before: Fingerprint, images: ImageData) -> str:
    """Say in one line, a sentence fragment that is never empty, how the images differ from a run's fingerprint."""
    now = Fingerprint.of(images)
    said: list[str] = []
    if before.name not in (None, now.name) and {before.name, now.name} != ONE_FORMAT:
        return one_line(f"the data set is {now.name}, was {before.name}")
    if before.image_shape not in (None, now.image_shape):
        said.append(f"images are of shape {now.image_shape}, were of {before.image_shape}")
    if before.files and now.files:
        said += _of_files(before.files, now.files, compare_pixels=not said)
    if not said and before.count not in (None, now.count):
        said.append(f"{now.count:,} image(s), were {before.count:,}")
    return one_line(", ".join(said or [_of_arrays(before, now)]))


def _of_files(before: Mapping[str, str], now: Mapping[str, str], compare_pixels: bool) -> list[str]:
    """Say which files are new, are gone, have other pixels, or other labels."""
    both = [name for name in now if name in before]
    other_pixels = [name for name in both if now[name][:8] != before[name][:8]] if compare_pixels else []
    other_label = [name for name in both if now[name][8:] != before[name][8:]]
    found = {
        "new": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now],
        "with other pixels": other_pixels,
        "with another label": other_label,
    }
    said: list[str] = []
    for what, names in found.items():
        if names:
            which = natural_order(names)[0]
            if names is other_label:
                which += f": {_label(now[which])}, was {_label(before[which])}"
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            said.append(f"{len(names):,} {'' if said else 'image(s) '}{what} ({which}{more})")
    return said


def _label(of_file: str) -> str:
    """Return the label that an entry of `files` holds, as a person would write it."""
    return of_file[9:].replace(",", ", ") or ("without tags" if len(of_file) > 8 else "without a label")


def _of_arrays(before: Fingerprint, now: Fingerprint) -> str:
    """Say whether images, labels or both are others, as far as the record tells."""
    if before.images_sha256 is None:
        return f"{now.count:,} images, whose pixels or labels differ"
    images, labels = (
        "the same" if was == there else "new" if was is None else "gone" if there is None else "others"
        for was, there in ((before.images_sha256, now.images_sha256), (before.labels_sha256, now.labels_sha256))
    )
    if None not in (before.classes, now.classes) and before.classes != now.classes:
        labels = f"of {now.classes} classes, were of {before.classes}"
    return f"the images are {images}, the labels {labels}"


def _sha256(array: np.ndarray) -> str:
    digest = hashlib.sha256()
    for part in parts_of(array):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _names(images: ImageData, label: np.ndarray) -> str:
    numbers = [number - 1 for number in label if number] if images.max_tags else [int(label)]
    return ",".join(images.classes[number] for number in numbers)
