"""What differs between the data that a run began with and those that are there now."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.data.faults import one_line
from ms_gan.labels import natural_order


def fingerprint(images: ImageData) -> dict[str, Any]:
    """Return what tells these data from others, for a record as JSON.

    `name`, `source`, `count`, `image_shape`, the number of `classes`, `images_sha256` and `labels_sha256`, None without
    labels. Of a folder also `files`: by relative path the CRC-32 of the image's pixels as they were loaded and, where
    there are labels, a space and the names of its class or tags, joined by commas, which no name holds.
    """
    labels = images.labels
    found = {
        "name": images.name,
        "source": images.source,
        "count": len(images.images),
        "image_shape": list(images.images.shape[1:]),
        "classes": None if labels is None else len(images.classes),
        "images_sha256": hashlib.sha256(np.ascontiguousarray(images.images).data).hexdigest(),
        "labels_sha256": None if labels is None else hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest(),
    }
    if images.names:
        pixels = [f"{zlib.crc32(np.ascontiguousarray(image).data):08x}" for image in images.images]
        if labels is not None:
            pixels = [f"{of_one} {_names(images, label)}" for of_one, label in zip(pixels, labels)]
        found["files"] = dict(zip(images.names, pixels))
    return found


def what_changed(before: dict[str, Any], images: ImageData) -> str:
    """Say in one line, a sentence fragment that is never empty, how the images differ from a run's fingerprint.

    Whatever the record lacks, or holds in another form than `fingerprint` gives it, is passed over.
    """
    before = {key: before[key] for key, is_sound in FORMS.items() if key in before and is_sound(before[key])}
    now = fingerprint(images)
    said: list[str] = []
    if _differs(before, now, "name"):
        return one_line(f"the data set is {now['name']}, was {before['name']}")
    if _differs(before, now, "image_shape"):
        said.append(f"images are {_shape(now['image_shape'])}, were {_shape(before['image_shape'])}")
    if "files" in before and "files" in now:
        said += _of_files(before["files"], now["files"], compare_pixels=not said)
    if not said and _differs(before, now, "count"):
        said.append(f"{now['count']:,} images, were {before['count']:,}")
    return one_line(", ".join(said or [_of_arrays(before, now)]))


def _of_files(before: dict[str, str], now: dict[str, str], compare_pixels: bool) -> list[str]:
    """Say which files are new, are gone, have other pixels, or other labels."""
    both = [name for name in now if name in before]
    other_pixels = [name for name in both if now[name][:8] != before[name][:8]] if compare_pixels else []
    other_label = [name for name in both if now[name][8:] != before[name][8:]]
    found = [
        ("is new", "are new", [name for name in now if name not in before]),
        ("is gone", "are gone", [name for name in before if name not in now]),
        ("has other pixels", "have other pixels", other_pixels),
        ("has another label", "have another label", other_label),
    ]
    said: list[str] = []
    for one, several, names in found:
        if names:
            noun = "" if said else " image" if len(names) == 1 else " images"
            which = natural_order(names)[0]
            if names is other_label:
                which += f": {_label(now[which])}, was {_label(before[which])}"
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            said.append(f"{len(names):,}{noun} {several if more else one} ({which}{more})")
    return said


def _label(of_file: str) -> str:
    """Return the label that an entry of `files` holds, as a person would write it."""
    return of_file[9:].replace(",", ", ") or ("without tags" if len(of_file) > 8 else "without a label")


def _of_arrays(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Say whether images, labels or both are others, as far as the record tells."""
    if not {"images_sha256", "labels_sha256"} <= before.keys():
        return f"{now['count']:,} images, whose pixels or labels differ"
    images = _differs(before, now, "images_sha256")
    if before["labels_sha256"] == now["labels_sha256"]:
        return (
            "the images are others, the labels the same"
            if images
            else (f"{now['count']:,} images, whose pixels and labels are the same, but not their form")
        )
    if before["labels_sha256"] is None or now["labels_sha256"] is None:
        return (
            f"{'labels are there now' if before['labels_sha256'] is None else 'the labels are gone'}, the images "
            f"are {'others' if images else 'the same'}"
        )
    if _differs(before, now, "classes"):
        which = "others" if images else "the same"
        return f"{now['classes']} classes, were {before['classes']}, and the images are {which}"
    if "files" in before and "files" in now:  # which would have told of other labels by name
        return "the files have the labels that they had, but their classes come in another order"
    return "the images and the labels are others" if images else "the labels are others, the images the same"


def _differs(before: dict[str, Any], now: dict[str, Any], key: str) -> bool:
    return key in before and before[key] != now[key]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


FORMS: dict[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "count": _is_count,
    "images_sha256": _is_text,
    "labels_sha256": lambda value: value is None or _is_text(value),
    "classes": lambda value: value is None or _is_count(value),
    "image_shape": lambda value: isinstance(value, list) and len(value) == 3 and all(map(_is_count, value)),
    "files": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
}


def _names(images: ImageData, label: np.ndarray) -> str:
    numbers = [number - 1 for number in label if number] if images.max_tags else [int(label)]
    return ",".join(images.classes[number] for number in numbers)


def _shape(shape: Sequence[int]) -> str:
    channels, height, width = shape
    return f"{channels} channel(s) of {height}x{width}"
