"""A folder of the user's own images, with classes or tags from labels.csv or from the names of its sub-folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ms_gan.data.description import DataRequest, ImageData, NothingHeldOut
from ms_gan.data.faults import DataFault, folder_at, one_line
from ms_gan.data.folder.decoding import Found, read_images, read_squares
from ms_gan.data.folder.files import image_names
from ms_gan.data.folder.labels import FolderLabels, Numbered, Stated, vocabulary_notes
from ms_gan.data.folder.splits import Splits, find_splits
from ms_gan.data.folder.tenth import ONE_IN, Tenth, choose_tenth
from ms_gan.errors import Setting, UserError

MOST_BYTES = 1 << 30  # of finer images
WORTH_A_NOTE = 100_000_000  # bytes of images


@dataclass(frozen=True)
class _Split:
    """The images of a split: in the folder `home`, by `names` relative to it, with the labels that they state.

    known: what the training split states. others: the paths of the other split's images. up_to, but: what an ImageData
    records of the choice.
    """

    home: Path
    names: list[str]
    own: Stated
    known: Stated
    others: list[Path]
    up_to: str | None
    but: tuple[str, ...]


def load_folder(split: str, path: str | Path | None, request: DataRequest, skip_unreadable: bool = False) -> ImageData:
    """Load the split "train" or "test" of a folder of images: uint8 N x channels x size x size, by relative path.

    Colours are brought to the request's `channels`, 1 (luminance) or 3 (red, green, blue); with `rotate_and_mirror`,
    images are of twice the size if 1 GiB holds them. Labels, if there are any, are int32: with `max_tags` = 0 (N,), the
    class of each image, otherwise (N, max_tags), the tags. They number `class_names`, or else what the folder holds in
    natural order. Without `classes` they are spare ones, one class an image, and faults in them say why there are none.

    If there are folders for the splits, see `find_splits`, these are the splits. Otherwise "test" is a tenth of the
    images, see `choose_tenth`. `held_out_up_to` and `held_out_but` of an earlier ImageData hold out what was held out
    then: in a folder that has changed since, no image of "test" was in "train". The first without the second is the
    record of a run from before there were exceptions and other spellings of the splits than train/ and test/: it finds
    what it found. With "train" and `verify_test` the files of "test" are read, too, to find those that cannot be.
    Raises UserError, one line that names the file, for whatever the user has to correct, and NothingHeldOut for "test"
    without an image; images that cannot be read are left out with `skip_unreadable`.
    """
    if not path:
        raise UserError(
            "the data set folder is read from your images",
            "name the folder that holds them with ",
            Setting("data_path"),
        )
    top = folder_at(path, "the images")
    notes: list[str] = []
    names = image_names(top, notes)
    labels = FolderLabels(top, request)
    record_of_before = request.held_out_up_to is not None and request.held_out_but is None
    splits = find_splits(top, names, exactly=record_of_before)
    if splits:
        chosen = _from_folders(split, top, names, notes, labels, splits, request)
    else:
        chosen = _from_tenths(split, top, names, notes, labels, request)
    return _read(
        split, path, chosen, labels.numbered(chosen.own, chosen.known, chosen.names), notes, request, skip_unreadable
    )


def _from_folders(
    split: str,
    top: Path,
    names: Sequence[str],
    notes: list[str],
    labels: FolderLabels,
    splits: Splits,
    request: DataRequest,
) -> _Split:
    """Return a split that has a folder of its own; add notes."""
    inside = {part: [name[len(part) + 1 :] for name in names if name.startswith(f"{part}/")] for part in splits if part}
    part = splits.train if split == "train" else splits.test
    known = labels.of(top / splits.train, inside[splits.train])
    if not inside[part]:
        away = (
            f"{splits.test}/ away, so that {splits.left_out}/ is the split"
            if splits.left_out
            else f"both {splits.train}/ and {splits.test}/ away"
        )
        raise DataFault(f"{top / part}: holds no images", f"put some there, or take {away}")
    own = known if split == "train" else labels.of(top / part, inside[part])
    notes.append(
        f"the splits are {splits.train}/ ({len(inside[splits.train])} images), which is trained on, and "
        f"{splits.test}/ ({len(inside[splits.test])}), which is not"
    )
    if splits.left_out and inside[splits.left_out]:
        notes.append(
            f"left out {splits.left_out}/ ({len(inside[splits.left_out])} image(s)): {splits.train}/ and "
            f"{splits.test}/ are the splits"
        )
    others = [top / splits.test / name for name in inside[splits.test]]
    record = request.held_out_up_to, tuple(request.held_out_but or ())
    return _Split(top / part, inside[part], own, known, others, *record)


def _from_tenths(
    split: str, top: Path, names: list[str], notes: list[str], labels: FolderLabels, request: DataRequest
) -> _Split:
    """Return a split of a folder that has none: its test tenth, or the rest; add notes."""
    own = labels.of(top, names)
    up_to, but = request.held_out_up_to, tuple(request.held_out_but or ())
    tenth = choose_tenth(names, own.labels) if up_to is None else Tenth(up_to, but)
    test = {name for name in names if tenth.holds(name)}
    if split == "train" and len(test) == len(names):  # in a folder that has changed
        raise DataFault(
            f"{top}: all of its {len(names)} image(s) were held out when the run began",
            "put those back that it was trained on",
        )
    exceptions = len(tenth.but) if up_to is None else 0
    if split == "test" and not test:
        alone = ", as each that would be is the last of its class" if exceptions else ""
        more = f"have at least {ONE_IN}, or " if len(names) < ONE_IN else ""
        more = "have more images of each class, or " if alone else more
        raise NothingHeldOut(
            f'{top}: holds {len(names)} image(s), of which none is held out for "test"{alone}',
            f"{more}put other images into a folder test/ beside train/",
        )
    if test:
        notes.append(f'{len(test)} of {len(names)} images are held out for "test"')
    if exceptions:
        notes.append(f"{exceptions} image(s) more would be, but stay for training as the last of a class or tag")
    mine, others = (
        [name for name in names if (name in test) == is_test] for is_test in (split == "test", split != "test")
    )
    return _Split(top, mine, own, own, [top / name for name in others], *tenth)


def _read(
    split: str,
    path: str | Path,
    chosen: _Split,
    numbered: Numbered,
    notes: list[str],
    request: DataRequest,
    skip_unreadable: bool,
) -> ImageData:
    """Read the images of a split, and leave out what cannot be read, with its labels."""
    side = 2 * request.size if request.rotate_and_mirror else request.size
    if side > request.size and len(chosen.names) * request.channels * side**2 > MOST_BYTES:
        notes.append(f"kept at {request.size}x{request.size}, as images of {side}x{side} would take more than 1 GiB")
        side = request.size
    images, found, failures = read_images(chosen.home, chosen.names, side, request.channels)
    is_read = [chosen.home / name not in failures for name in chosen.names]
    labels, classes, why_none = numbered
    labels = None if labels is None else labels[is_read]
    spare = None if labels is None or request.classes else (labels, classes)
    if spare:
        labels, classes = None, ()
    max_tags = 0 if labels is None else request.max_tags
    if labels is not None:
        notes.extend(vocabulary_notes(labels, classes, max_tags, split))
    others = chosen.others if request.verify_test and split == "train" else []
    failures.update((one.path, one.fault) for one in read_squares(others, 1, request.channels) if one.fault)
    if failures:
        notes.append(_without(failures, len(chosen.names) + len(others), skip_unreadable, none_left=not found))
    if images.nbytes > WORTH_A_NOTE:
        notes.append(f"the images take {images.nbytes / 1e6:.0f} MB of memory")
    if side > request.size:
        notes.append("twice as fine as the recipe's, so that turning blurs them less")
    return ImageData(
        "folder",
        split,
        one_line(f"the folder {path}"),
        images,
        labels,
        classes,
        max_tags,
        notes=tuple(map(one_line, _what_was_done(found, side, request.channels) + notes)),
        held_out_up_to=chosen.up_to,
        held_out_but=chosen.but,
        names=tuple(name for name, kept in zip(chosen.names, is_read) if kept),
        spare=spare,
        why_unlabelled=why_none and one_line(why_none),
    )


def _without(failures: dict[Path, str], count: int, skip: bool, none_left: bool) -> str:
    """Return a note about the images that were left out; raise DataFault if that is not wanted, or none is left."""
    path, reason = next(iter(failures.items()))
    if skip and not none_left:
        return f"left out {len(failures)} unreadable image(s), the first of them {path} ({reason})"
    mend = (
        ("repair them or name another folder with ", Setting("data_path"))
        if skip
        else ("remove or repair them, or leave them out with ", Setting("skip_unreadable"))
    )
    raise DataFault(f"{path}: is unreadable ({reason}), {len(failures)} of {count} images are in all", *mend)


def _what_was_done(found: Sequence[Found], side: int, channels: int) -> list[str]:
    """Return notes: what the arrays were made from, and in what some of the images were different."""
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
