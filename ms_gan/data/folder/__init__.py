"""A folder of the user's own images, with classes or tags from labels.csv or from the names of its sub-folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ms_gan.data.description import DataRequest, ImageData, NoTestSplit
from ms_gan.data.faults import DataFault, folder_at, one_line
from ms_gan.data.folder.decoding import DIM, Found, read_images, read_squares
from ms_gan.data.folder.files import image_names
from ms_gan.data.folder.labels import FolderLabels, Numbered, vocabulary_notes
from ms_gan.data.folder.splits import ONE_IN, Splits, Tenth, choose_tenth, find_splits
from ms_gan.data.storage import is_stored
from ms_gan.errors import Setting, UserError

MOST_BYTES = 1 << 30  # of finer images
WORTH_A_NOTE = 100_000_000  # bytes of images


@dataclass(frozen=True)
class _Split:
    """The images of a split: in the folder `home`, by `names` relative to it, with their labels.

    others: the paths of the other split's images. tenth: what an ImageData records of the choice.
    """

    home: Path
    names: list[str]
    labels: Numbered
    others: list[Path]
    tenth: tuple[str | None, tuple[str, ...]]


def load_folder(split: str, path: str | Path | None, request: DataRequest, skip_unreadable: bool = False) -> ImageData:
    """Load the split "train" or "test" of a folder of images: uint8 N x channels x size x size, by relative path.

    Colours are brought to the request's `channels`, 1 (luminance) or 3 (red, green, blue); with `rotate_and_mirror`,
    images are of twice the size if 1 GiB holds them. Labels, if there are any, are int32: with `max_tags` = 0 (N,), the
    class of each image, otherwise (N, max_tags), the tags. They number `class_names`, or else what the folder holds in
    natural order. Without `classes` they are spare ones, one class an image, and faults in them say why there are none.

    If there are folders for the splits, see `find_splits`, these are the splits. Otherwise "test" is a tenth of the
    images, see `choose_tenth`. `test_split_up_to` and `test_split_but` of an earlier ImageData choose what was chosen
    then: in a folder that has changed since, no image of "test" was in "train". With "train" and `verify_test` the
    files of "test" are read, too, to find those that cannot be. Raises UserError, one line that names the file, for
    whatever the user has to correct, and NoTestSplit for "test" without an image; images that cannot be read are left
    out with `skip_unreadable`.
    """
    if not path:
        mend = ("name the folder that holds them with ", Setting("data_path"))
        raise UserError("the data set folder is read from your images", *mend)
    top = folder_at(path, "the images")
    notes: list[str] = []
    names = image_names(top, notes)
    labels = FolderLabels(top, request)
    splits = find_splits(top, names, trained=request.test_split_up_to is not None)
    if splits:
        chosen = _from_folders(split, top, names, notes, labels, splits)
    else:
        chosen = _from_tenths(split, top, names, notes, labels, request)
    return _read(split, path, chosen, notes, request, skip_unreadable)


def _from_folders(
    split: str, top: Path, names: Sequence[str], notes: list[str], labels: FolderLabels, splits: Splits
) -> _Split:
    """Return a split that has a folder of its own; add notes."""
    inside = {part: [name[len(part) + 1 :] for name in names if name.startswith(f"{part}/")] for part in splits if part}
    train, test, left_out = splits
    own_part, other_part = (train, test) if split == "train" else (test, train)
    known = labels.of(top / train, inside[train])
    own = known if split == "train" else labels.of(top / test, inside[test])
    both = (
        f"{train}/ ({len(inside[train])} images), which is trained on, and {test}/ ({len(inside[test])}), which is not"
    )
    notes.append(f"the splits are {both}")
    if left_out:
        notes.append(f"left out {left_out}/ ({len(inside[left_out])} image(s)): {train}/ and {test}/ are the splits")
    others = [top / other_part / name for name in inside[other_part]]
    numbered = labels.numbered(own, known, inside[own_part])
    return _Split(top / own_part, inside[own_part], numbered, others, (None, ()))


def _from_tenths(
    split: str, top: Path, names: list[str], notes: list[str], labels: FolderLabels, request: DataRequest
) -> _Split:
    """Return a split of a folder that has none: its test tenth, or the rest; add notes."""
    stated = labels.of(top, names)
    up_to = request.test_split_up_to
    tenth = choose_tenth(names, stated) if up_to is None else Tenth(up_to, tuple(request.test_split_but))
    test = [name for name in names if tenth.holds(name)]
    train = [name for name in names if not tenth.holds(name)]
    if split == "train" and not train:  # in a folder that has changed
        problem = f"{top}: all of its {len(names)} image(s) were test images when the run began"
        raise DataFault(problem, "put those back that it was trained on")
    alone = len(tenth.but) if up_to is None else 0
    if split == "test" and not test:
        why = ", as each that would be is the last of its class" if alone else ""
        mend = f"have at least {ONE_IN}, more of each class, or put other images into a folder test/ beside train/"
        raise NoTestSplit(f"{top}: holds {len(names)} image(s), none of which is a test image{why}", mend)
    if test:
        notes.append(f"of {len(names)} files {len(test)} are the test split, and are not trained on")
    if alone:
        notes.append(f"{alone} image(s) more would be, but stay for training as the last of a class or tag")
    own, others = (train, test) if split == "train" else (test, train)
    return _Split(top, own, labels.numbered(stated, stated, own), [top / name for name in others], tenth)


def _read(
    split: str, path: str | Path, chosen: _Split, notes: list[str], request: DataRequest, skip_unreadable: bool
) -> ImageData:
    """Read the images of a split, and leave out what cannot be read, with its labels."""
    side = 2 * request.size if request.rotate_and_mirror else request.size
    if side > request.size and len(chosen.names) * request.channels * side**2 > MOST_BYTES:
        notes.append(f"kept at {request.size}x{request.size}, as images of {side}x{side} would take more than 1 GiB")
        side = request.size
    images, found, failures = read_images(chosen.home, chosen.names, side, request.channels)
    is_read = [chosen.home / name not in failures for name in chosen.names]
    labels, classes, why_none = chosen.labels
    labels = None if labels is None else labels[is_read]
    spare = None if labels is None or request.classes else (labels, classes)
    if spare:
        labels, classes = None, ()
    max_tags = 0 if labels is None else request.max_tags
    if labels is not None:
        notes.extend(vocabulary_notes(labels, classes, max_tags, split))
    others = chosen.others if request.verify_test and split == "train" else []
    failures.update((file, why) for file, why in read_squares(others, 1, request.channels) if isinstance(why, str))
    if failures:
        notes.append(_without(failures, len(chosen.names) + len(others), skip_unreadable, none_left=not found))
    if images.nbytes > WORTH_A_NOTE:
        where = "in a file, and are read as they are needed" if is_stored(images) else "of memory"
        notes.append(f"the images take {images.nbytes / 1e6:.0f} MB {where}")
    if side > request.size:
        notes.append("twice as fine as the recipe's, so that turning blurs them less")
    up_to, but = chosen.tenth
    return ImageData(
        "folder",
        split,
        one_line(f"the folder {path}"),
        images,
        labels,
        classes,
        max_tags,
        notes=tuple(map(one_line, _what_was_done(found, side, request.channels) + notes)),
        test_split_up_to=up_to,
        test_split_but=but,
        names=tuple(name for name, kept in zip(chosen.names, is_read) if kept),
        spare=spare,
        why_unlabelled=why_none and one_line(why_none),
    )


def _without(failures: Mapping[Path, str], count: int, skip: bool, none_left: bool) -> str:
    """Return a note about the images that were left out; raise DataFault if that is not wanted, or none is left."""
    (path, reason), *others = failures.items()
    if skip and not none_left:
        return f"left out {len(failures)} unreadable image(s), the first of them {path} ({reason})"
    more = f", the next is {others[0][0]}" if others else ""
    problem = f"{path}: is unreadable ({reason}); {len(failures)} of {count} images cannot be read{more}"
    leave_out = () if skip else (", or leave them out with ", Setting("skip_unreadable"))
    raise DataFault(problem, "remove or repair them", *leave_out)


def _what_was_done(found: Sequence[Found], side: int, channels: int) -> list[str]:
    """Return notes: what the arrays were made from, and in what some of the images were different."""
    sizes = sorted({what.size for what in found}, key=lambda size: (size[0] * size[1], size))
    ends = dict.fromkeys(f"{width}x{height}" for width, height in (sizes[0], sizes[-1]))
    cropped = "cropped at the centre to squares, " if any(width != height for width, height in sizes) else ""
    colour = "grey" if channels == 1 else "colour"
    notes = [f"{len(found)} image(s) of {' to '.join(ends)}, {cropped}brought to {side}x{side} in {colour}"]
    grey, transparent = sum(what.grey for what in found), sum(what.transparent for what in found)
    if grey and channels == 3:
        notes.append(f"grey among them: {grey} image(s)")
    if transparent:
        notes.append(f"with transparency, which is white now: {transparent} image(s)")
    dim, other_colours = sum(what.dim for what in found), sum(what.other_colours for what in found)
    if dim:
        notes.append(f"nearly black: {dim} image(s) of 16 bits, whose numbers are all below {DIM:,}; write them with 8")
    if other_colours:
        notes.append(f"converted to sRGB from the colours of their profile: {other_colours} image(s)")
    return notes
