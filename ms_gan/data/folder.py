"""A folder of the user's own images, with classes or tags from labels.csv or from the names of its sub-folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError, features

from ms_gan.data.description import ImageData, NothingHeldOut, nothing_to_learn
from ms_gan.data.folder_labels import LABELS, LabelFault, Labels, composed, label_array, read_labels, vocabulary
from ms_gan.data.folder_splits import NO_IMAGES, find_splits
from ms_gan.data.mnist_files import IDX
from ms_gan.data.words import folder_at, one_line, user_error
from ms_gan.errors import UserError
from ms_gan.labels import natural_order

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
if "avif" in features.modules and features.check("avif"):  # Pillow 11.3 and later
    SUFFIXES, FORMATS = (*SUFFIXES, ".avif"), (*FORMATS, "AVIF")
OF_SYSTEMS = ("thumbs.db", "desktop.ini")  # files that a system puts beside images
HELD_OUT = 10  # one image in so many
MOST_BYTES = 1 << 30  # of finer images
MOST_LISTED = 100_000  # files, for a hint
WORTH_A_NOTE = 100_000_000  # bytes of images
MOST_PIXELS = 130_000_000  # of one file: as cameras make; 2 GB while it is decoded
ONE_AT_A_TIME = 25_000_000  # pixels from which on files are decoded one after the other
FINENESS = 8  # times as fine as wanted a JPEG is decoded: it is cropped at whole pixels of what is decoded
WORKERS = min(4, os.cpu_count() or 1)  # images that are decoded at a time
BLOCK = 256  # images that wait to be decoded

ORIENTATION = 0x0112  # the tag in EXIF; its values from 2 on are undone by:
UPRIGHT = dict(
    enumerate(
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        start=2,
    )
)


_large_file = threading.Lock()


class _Found(NamedTuple):
    """What an image file held; the size is width and height, as it is seen."""

    size: tuple[int, int]
    grey: bool
    transparent: bool


def load_folder(
    split: str,
    data_path: str | Path | None,
    size: int,
    channels: int,
    places: int = 0,
    finer: bool = False,
    skip_unreadable: bool = False,
    labelled: bool = True,
    held_out_up_to: str | None = None,
    verify: bool = False,
    held_out_but: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> ImageData:
    """Load the split "train" or "test" of a folder of images: uint8 N x `channels` x `size` x `size`, by relative path.

    Colours are brought to `channels`, 1 (luminance) or 3 (red, green, blue); with `finer`, images are of twice the
    size if 1 GiB holds them. Labels, if there are any, are int32: with `places` = 0 (N,), the class of each image,
    otherwise (N, places), the tags; they number `class_names`, the vocabulary of a run that exists, or else what the
    folder holds in natural order. Without `labelled` they are spare ones, one class an image, and faults in them say
    why there are none.

    If there are folders for the splits, see `find_splits`, these are the splits; otherwise "test" is a tenth of the
    images, chosen by their relative paths, but never the last image of a class or tag, which would be left without any
    to train on. `held_out_up_to` and `held_out_but` of an earlier ImageData hold out what was held out then: of a
    folder that has changed since, "test" then holds none that was in "train". The first without the second is the
    record of a run from before there were such exceptions, and other spellings of the splits than train/ and test/: it
    finds what it found. With "train" and `verify` the files of "test" are read, too, to find those that cannot be.
    Raises UserError, one line that names the file, for whatever the user has to mend, and NothingHeldOut for "test"
    without an image; images that cannot be read are left out with `skip_unreadable`.
    """
    if not data_path:
        raise UserError("--dataset folder needs --data-path, the folder that holds the images")
    top = home = folder_at(data_path, "the images")
    notes: list[str] = []
    names = _image_names(home, notes)
    splits = find_splits(home, names, exactly=held_out_up_to is not None and held_out_but is None)
    wanted = _Wanted(top, places, labelled, class_names and tuple(map(composed, class_names)))
    if splits:
        inside = {
            part: [name[len(part) + 1 :] for name in names if name.startswith(f"{part}/")] for part in splits if part
        }
        known = _look(home / splits.train, inside[splits.train], wanted)
        others = [home / splits.test / name for name in inside[splits.test]]
        part = splits.train if split == "train" else splits.test
        home, names = home / part, inside[part]
        if not names:
            away = (
                f"{splits.test}/ away, so that {splits.left_out}/ is the split"
                if splits.left_out
                else f"both {splits.train}/ and {splits.test}/ away"
            )
            raise user_error(f"{home}: holds no images; put some there, or take {away}")
        own = known if split == "train" else _look(home, names, wanted)
        notes.append(
            f"the splits are {splits.train}/ ({len(inside[splits.train])} images), which is trained on, and "
            f"{splits.test}/ ({len(inside[splits.test])}), which is not"
        )
        if splits.left_out and inside[splits.left_out]:
            notes.append(
                f"left out {splits.left_out}/ ({len(inside[splits.left_out])} image(s)): {splits.train}/ and "
                f"{splits.test}/ are the splits"
            )
        held_out_but = tuple(held_out_but or ())
    else:
        own = known = _look(home, names, wanted)
        names, others, held_out_up_to, held_out_but = _hold_out(
            split, home, names, notes, held_out_up_to, held_out_but, own.labels
        )
        others = [home / name for name in others]
    classes, labels, why_none = _labels(own, known, names, wanted, f"{splits.train}/" if splits else "the folder")

    fits = len(names) * channels * (2 * size) ** 2 <= MOST_BYTES
    side = 2 * size if finer and fits else size
    if finer and not fits:
        notes.append(f"kept at {size}x{size}, as images of {2 * size}x{2 * size} would take more than 1 GiB")
    images, found, failures = _read_images(home, names, side, channels)
    read = [home / name not in failures for name in names]
    names = [name for name, is_read in zip(names, read) if is_read]
    spare = None
    if labels is not None:
        labels = labels[read]
        if labelled:
            notes.extend(_vocabulary(classes, labels, places, split))
        else:
            spare, labels, classes = (labels, classes), None, ()
    others = others if verify and split == "train" else []
    failures.update((path, reason) for path, _, _, reason in _squares(others, 1, channels) if reason)
    if failures:
        notes.append(_without(failures, len(read) + len(others), skip_unreadable, none_left=not found))
    if images.nbytes > WORTH_A_NOTE:
        notes.append(f"the images take {images.nbytes / 1e6:.0f} MB of memory")
    if side > size:
        notes.append("twice as fine as the recipe's, so that turning blurs them less")
    notes = [one_line(note) for note in _what_was_done(found, side, channels) + notes]
    return ImageData(
        "folder",
        split,
        one_line(f"the folder {data_path}"),
        images,
        labels,
        classes,
        places if labels is not None else 0,
        tuple(notes),
        held_out_up_to=held_out_up_to,
        held_out_but=held_out_but,
        names=tuple(names),
        spare=spare,
        why_unlabelled=why_none and one_line(why_none),
    )


class _Wanted(NamedTuple):
    """Which labels are wanted of the folder --data-path: one class or tags, or spare ones, and by which numbers."""

    top: Path
    places: int
    labelled: bool
    class_names: tuple[str, ...] | None


class _Looked(NamedTuple):
    """The labels of a split, or why there are none."""

    labels: Labels | None
    why_none: str | None
    place: str  # its folder below --data-path, such as "test/", or ""


def _look(home: Path, names: Sequence[str], wanted: _Wanted) -> _Looked:
    """Look for the labels of a split. Raises UserError for faults in them if they are wanted."""
    place = "" if home == wanted.top else f"{home.name}/"
    try:
        labels = read_labels(home, names, wanted.places if wanted.labelled else None)
    except LabelFault as error:
        if wanted.labelled:
            raise
        return _Looked(None, _relative(error, wanted), place)
    why_none = (
        f"{f'the images of {place}' if place else 'its images'} are in no class's folder, and there is no "
        f"{place}{LABELS}"
    )
    above = os.path.commonpath([os.path.dirname(name) for name in names] or [""])
    if above and all(name.count("/") == above.count("/") + 2 for name in names):
        why_none = f"its classes' folders lie in {place}{above}/ and not in {place or '--data-path'} itself"
    return _Looked(labels, None if labels else why_none, place)


def _labels(
    own: _Looked, known: _Looked, names: Sequence[str], wanted: _Wanted, where: str
) -> tuple[tuple[str, ...], np.ndarray | None, str | None]:
    """Return the classes or tags, the labels of the names, and None; or (), None and why there are no labels.

    `known` are the labels of what is trained on, whose vocabulary counts; `where` says where that is.
    """
    for looked in (own, known):
        if looked.labels is None:
            return (), None, looked.why_none
        if looked.labels.tags and not wanted.labelled:
            return (), None, f"the labels of {looked.place} are tags" if looked.place else "its labels are tags"
    vocabulary_of_folder = vocabulary(known.labels)
    if not vocabulary_of_folder:
        return (), None, f"{known.place}{LABELS} gives no image a tag"
    try:
        if wanted.class_names:
            _refuse_others((known.labels,), wanted)
        classes = wanted.class_names or vocabulary_of_folder
        return classes, label_array(own.labels, names, classes, wanted.places if wanted.labelled else 0, where), None
    except LabelFault as error:
        if wanted.labelled:
            raise
        return (), None, _relative(error, wanted)


def _refuse_others(split_labels: Sequence[Labels], wanted: _Wanted) -> None:
    """Raise LabelFault for labels that are none of the run's."""
    for labels in split_labels:
        for row in labels.rows.values():
            for label in row.labels:
                if label not in wanted.class_names:
                    which = f"folder, the folder {wanted.top}: has" if wanted.labelled else "it has"
                    raise LabelFault(
                        f"{which} other labels than the run, such as {label!r} ({row.place})",
                        "the run's own data, or such as they, are needed",
                    )


def _relative(error: LabelFault, wanted: _Wanted) -> str:
    """Return what is wrong, with the path of the table or folder as it is below --data-path."""
    start = f"{wanted.top}{os.sep}"
    return error.fault[len(start) :] if error.fault.startswith(start) else error.fault


def _image_names(folder: Path, notes: list[str]) -> list[str]:
    """Return the relative paths, with slashes, of all images in the folder and below it, sorted; note other files."""
    files = list(_files(folder))
    names = sorted(name for name in files if name.lower().endswith(SUFFIXES))
    if not names:
        if any(IDX.search(os.path.basename(name)) for name in files):
            raise user_error(
                f"{folder}: holds files in MNIST's IDX format, and no image files; leave --dataset folder "
                "out, or write --dataset mnist"
            )
        what = (
            f"holds {len(files)} file(s), but no image"
            if files
            else "holds nothing but empty folders and hidden files"
            if os.listdir(folder)
            else "is empty"
        )
        raise user_error(f"{folder}: {what}; --data-path must name a folder with images ({', '.join(FORMATS)})")
    others = natural_order(
        name for name in set(files) - set(names) if os.path.basename(name).casefold() not in (LABELS, *OF_SYSTEMS)
    )
    if others:
        notes.append(f"left out {len(others)} file(s) that are no {', '.join(FORMATS)}, such as {others[0]}")
    return names


def _files(folder: Path, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the relative paths of all files that are not hidden; links are followed, but never in a circle."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in NO_IMAGES]
        for entry in visible:
            if entry.is_dir():
                yield from _files(folder / entry.name, f"{prefix}{entry.name}/", above + (real,))
            elif entry.is_file() or not os.path.exists(entry.path):  # a broken link is to be complained about
                yield prefix + entry.name
    except OSError as error:
        raise user_error(
            f"{error.filename or folder}: cannot be read ({error.strerror or error}); give yourself "
            "access, or move it out of --data-path"
        ) from error


def images_hint(folder: Path) -> str:
    """Say how many images are in a folder and below it, and how to use them; "" where there is none, or no folder."""
    count = listed = 0
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        count += sum(name.lower().endswith(SUFFIXES) and not name.startswith(".") for name in names)
        listed += len(names)
        if listed > MOST_LISTED:
            break
    more = "over " if listed > MOST_LISTED else ""
    return f"it holds {more}{count:,} image{'' if count == 1 else 's'}: add --dataset folder" if count else ""


def _hold_out(
    split: str,
    folder: Path,
    names: Sequence[str],
    notes: list[str],
    up_to: str | None,
    but: Sequence[str] | None = None,
    labels: Labels | None = None,
) -> tuple[list[str], list[str], str, tuple[str, ...]]:
    """Return the names that belong to the split, in their order, the others, up to which digest they are held out, and
    which are not although their digest says so.

    Adds a note. Without `up_to`, a tenth of the names is held out, but for those without which a class or tag would
    have no image to train on.
    """
    # A path's digest depends on no other file, nor on the order of listing, nor on the machine.
    digests = {name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest() for name in names}
    recorded = up_to is not None
    if not recorded:
        up_to = max(sorted(digests.values())[: len(names) // HELD_OUT], default="")
    held_out = {name for name in names if digests[name] <= up_to}
    if not recorded:
        but = _last_ones(sorted(held_out, key=digests.__getitem__, reverse=True), names, labels)
    held_out.difference_update(but or ())
    if split == "train" and len(held_out) == len(names):  # in a folder that has changed
        raise user_error(
            f"{folder}: all of its {len(names)} image(s) were held out when the run began; put those back "
            "that it was trained on"
        )
    if split == "test" and not held_out:
        alone = ", as each that would be is the last of its class" if but and not recorded else ""
        more = (
            "have more images of each class, or "
            if alone
            else f"have at least {HELD_OUT}, or "
            if len(names) < HELD_OUT
            else ""
        )
        raise NothingHeldOut(
            one_line(
                f'{folder}: holds {len(names)} image(s), of which none is held out for "test"'
                f"{alone}; {more}put other images into a folder test/ beside train/"
            )
        )
    if held_out:
        notes.append(f'{len(held_out)} of {len(names)} images are held out for "test"')
    if but and not recorded:
        notes.append(f"{len(but)} image(s) more would be, but stay for training as the last of a class or tag")
    parts = [[name for name in names if (name in held_out) == is_test] for is_test in (False, True)]
    return (*(parts if split == "train" else parts[::-1]), up_to, tuple(but or ()))


def _last_ones(held_out: Sequence[str], names: Sequence[str], labels: Labels | None) -> list[str]:
    """Return, sorted, which of the names that are to be held out have to stay, the first ones rather than the last."""
    if labels is None:
        return []
    stay = []
    trained = {label for name in set(names).difference(held_out) for label in labels.rows[name].labels}
    for name in held_out:
        if not trained.issuperset(labels.rows[name].labels):
            stay.append(name)
            trained.update(labels.rows[name].labels)
    return sorted(stay)


def _read_images(
    home: Path, names: Sequence[str], side: int, channels: int
) -> tuple[np.ndarray, list[_Found], dict[Path, str]]:
    """Read images: those that can be read, what they held, and why the others cannot, by path."""
    try:
        images = np.empty((len(names), channels, side, side), np.uint8)
    except MemoryError as error:
        needed = len(names) * channels * side**2 / 1e9
        raise user_error(
            f"{home}: {len(names)} images of {side}x{side} take {needed:.0f} GB of memory; "
            "give a smaller --set data.size, or fewer images"
        ) from error
    found: list[_Found] = []
    failures: dict[Path, str] = {}
    for path, square, what, reason in _squares([home / name for name in names], side, channels):
        if reason:
            failures[path] = reason
        else:
            images[len(found)] = square.reshape(side, side, channels).transpose(2, 0, 1)
            found.append(what)
    return images[: len(found)], found, failures


def _squares(
    paths: Sequence[Path], side: int, channels: int
) -> Iterator[tuple[Path, np.ndarray | None, _Found | None, str]]:
    """Yield each path, the middle square of its image, uint8 side×side or side×side×3, what it held, and "".

    Or the path, None, None and why it cannot be read. Some are decoded at a time.
    """
    from tqdm import tqdm

    def read(path: Path) -> tuple[Path, np.ndarray | None, _Found | None, str]:
        try:
            return (path, *_read_square(path, side, channels), "")
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises nearly anything for damaged files
            return path, None, None, _reason(error)

    most_pixels, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(WORKERS) as pool:
            warnings.simplefilter("ignore")  # what Pillow reads in spite of a flaw is good enough
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with tqdm(total=len(paths), desc="reading images", unit=" images", delay=1, mininterval=1) as bar:
                for start in range(0, len(paths), BLOCK):
                    for square in pool.map(read, paths[start : start + BLOCK]):
                        bar.update()
                        yield square
    finally:
        Image.MAX_IMAGE_PIXELS = most_pixels


def _read_square(path: Path, side: int, channels: int) -> tuple[np.ndarray, _Found]:
    """Read the middle square of an image: uint8 side×side, or side×side×3."""
    with Image.open(path, formats=FORMATS) as image:
        size, grey = image.size, image.mode in ("1", "L", "LA") or image.mode.startswith("I")
        # decodes a JPEG only as finely as is needed
        image.draft("L" if channels == 1 else None, (FINENESS * side, FINENESS * side))
        with _large_file if image.size[0] * image.size[1] > ONE_AT_A_TIME else contextlib.nullcontext():
            return _decoded(image, size, grey, side, channels)


def _decoded(
    image: Image.Image, size: tuple[int, int], grey: bool, side: int, channels: int
) -> tuple[np.ndarray, _Found]:
    """Return what `_read_square` does, of an opened file that says to be of that size, and to be grey or not."""
    image.load()
    orientation = _orientation(image)
    edge = min(image.size)
    left, top = ((length - edge) // 2 for length in image.size)
    square, transparent = _flattened(image.crop((left, top, left + edge, top + edge)), channels)
    if orientation in UPRIGHT:
        square = square.transpose(UPRIGHT[orientation])
    seen = size[::-1] if orientation in (5, 6, 7, 8) else size
    pixels = np.asarray(square)
    if edge != side:
        pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if edge > side else cv2.INTER_CUBIC)
    return pixels, _Found(seen, grey, transparent)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF makes no image unreadable
        return 1


def _flattened(image: Image.Image, channels: int) -> tuple[Image.Image, bool]:
    """Return the image on white, in mode L or RGB, and whether any of the white shows."""
    transparent = False
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers")
    if image.mode.startswith("I"):  # up to 16 bits; Pillow itself would cut off what is above 255
        values = np.asarray(image).astype(np.int32)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("it holds numbers of more than 16 bits")
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    elif image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        transparent = image.getextrema()[3][0] < 255
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return image.convert("L" if channels == 1 else "RGB"), transparent


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is damaged, or none of {', '.join(FORMATS)}"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it has more than {MOST_PIXELS:,} pixels, as decompression bombs have"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _vocabulary(classes: Sequence[str], labels: np.ndarray, places: int, split: str) -> list[str]:
    """Return notes: each class or tag and how many images have it, where a slip of the pen is seen; and what is bad."""
    counts = (
        np.bincount(labels.ravel(), minlength=len(classes) + 1)[1:]
        if places
        else np.bincount(labels, minlength=len(classes))
    )
    kind = "tags" if places else "classes"
    listed = ", ".join(f"{name} ({count})" for name, count in zip(classes, counts[:60]))
    notes = [f"{len(classes)} {kind}: {listed}{', …' if len(classes) > 60 else ''}"]
    none = [name for name, count in zip(classes, counts) if count == 0]
    if none and split == "train":
        notes.append(nothing_to_learn(kind, none))
    return notes


def _without(failures: dict[Path, str], count: int, skip: bool, none_left: bool) -> str:
    """Return a note about the images that were left out; raise UserError if that is not wanted, or none is left."""
    path, reason = next(iter(failures.items()))
    if skip and not none_left:
        return f"left out {len(failures)} unreadable image(s), the first of them {path} ({reason})"
    mend = "mend them or name another --data-path" if skip else "remove or mend them, or add --skip-unreadable"
    raise user_error(f"{path}: is unreadable ({reason}), {len(failures)} of {count} images are in all; {mend}")


def _what_was_done(found: Sequence[_Found], side: int, channels: int) -> list[str]:
    """Return notes: from what the arrays came, and in what some of the images were different."""
    sizes = sorted({what.size for what in found}, key=lambda size: (size[0] * size[1], size))
    ends = dict.fromkeys(f"{width}x{height}" for width, height in (sizes[0], sizes[-1]))
    cropped = "cropped at the centre to squares, " if any(width != height for width, height in sizes) else ""
    grey, transparent = (sum(column) for column in list(zip(*found))[1:])
    notes = [
        f"{len(found)} image(s) of {' to '.join(ends)}, {cropped}brought to {side}x{side} in "
        f"{'grey' if channels == 1 else 'colour'}"
    ]
    if grey and channels == 3:
        notes.append(f"{grey} of these image(s) were grey")
    if transparent:
        notes.append(f"{transparent} of these image(s) had transparency, which is white now")
    return notes
