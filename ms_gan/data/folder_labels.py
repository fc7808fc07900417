"""Which classes or tags the images of a folder have: from labels.csv, or from the names of its sub-folders."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import unicodedata
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ms_gan.errors import UserError

LABELS = "labels.csv"


class Row(NamedTuple):
    """An image's classes or tags, and the place that says so."""

    labels: Tuple[str, ...]
    place: str


def read_labels(home: Path, names: Sequence[str], places: int) -> Optional[Dict[str, Row]]:
    """Return a row for each name, from labels.csv or else from the sub-folders; None where neither says anything.

    Names and labels are compared, and labels are returned, in Unicode's composed form (NFC): one system stores the é of
    a file's name as one character, another as two.
    """
    if os.path.lexists(home / LABELS):
        return _read_table(home, names, places)
    in_folder, elsewhere = ([name for name in names if (name.count("/") == 1) == wanted] for wanted in (True, False))
    if not in_folder:
        return None
    if elsewhere:
        raise user_error(f"{home / elsewhere[0]}: is in no class's folder, as {in_folder[0]} and {len(in_folder) - 1} "
                         f"other image(s) are; move it into one ({len(elsewhere)} image(s) in all), or write {LABELS}")
    folders = {name: name.split("/")[0] for name in names}
    return {name: _row(folder, "label", str(home / folder)) for name, folder in folders.items()}


def _read_table(home: Path, names: Sequence[str], places: int) -> Dict[str, Row]:
    """Read labels.csv, which must have one row for each of the names and no other."""
    path, header, rows = home / LABELS, None, {}
    spelt = {**{composed(name): name for name in names}, **{name: name for name in names}}
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        for cells in filter(None, reader):
            place = f"{path}: line {reader.line_num}"
            if header is None:
                header = _checked_header(cells, place, places)
                continue
            if len(cells) != 2:
                joined = ", tags joined by ;" if header[1] == "tags" else ""
                raise user_error(f"{place}: has {len(cells)} column(s), not 2; write {','.join(header)}{joined}, with "
                                 "quotation marks around a file's name that holds a comma")
            name = _listed_name(cells[0], spelt, home, place)
            if name in rows:
                before = rows[name].place.rsplit(": ", 1)[-1]
                raise user_error(f"{place}: lists {name} again, after {before}; leave one of the rows")
            if places and header[1] == "label" and ";" in cells[1]:
                raise user_error(f"{place}: {cells[1]!r} looks like tags, but under the header file,label it is one "
                                 "class; write the header file,tags, or take the ; away")
            rows[name] = _row(cells[1], header[1], place)
    except csv.Error as error:
        raise user_error(f"{path}: line {reader.line_num}: is no CSV ({error}); mend its quotation marks") from error
    if header is None:
        _checked_header([], f"{path}: line 1", places)
    missing = sorted(set(names) - rows.keys())
    if missing:
        raise user_error(f"{path}: has no row for {missing[0]} ({len(missing)} image(s) in all); add rows, or take "
                         "such images away")
    return rows


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-8").lstrip("\ufeff")
    except OSError as error:
        raise user_error(f"{path}: cannot be read ({error.strerror or error}); mend it or take it away") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise user_error(f"{path}: line {line}: is not UTF-8; save the file as UTF-8") from error


def _checked_header(cells: Sequence[str], place: str, places: int) -> List[str]:
    header = [cell.strip() for cell in cells]
    if header not in (["file", "label"], ["file", "tags"]):
        written = f"is {','.join(header)[:60]!r}" if header else "is missing"
        raise user_error(f"{place}: the header {written}; it must be file,label (a class each) or file,tags "
                         f"(joined by ;)")
    if header[1] == "tags" and not places:
        raise user_error(f"{place}: lists tags, but this recipe takes one class an image; write file,label, "
                     "choose another --recipe, or add --set data.places=N where the recipe takes tags, too")
    return header


def _listed_name(cell: str, spelt: Dict[str, str], home: Path, place: str) -> str:
    """Return the image that a row lists, however its path is spelt."""
    name = cell if cell in spelt else composed(posixpath.normpath(cell.replace("\\", "/")))
    if name == ".." or name.startswith(("../", "/")) or name[1:3] == ":/":
        raise user_error(f"{place}: {cell} leaves {home}; write a path relative to that folder")
    if name not in spelt:
        if os.path.isfile(home / name):
            raise user_error(f"{place}: {cell!r} is in {home}, but hidden, spelt otherwise, or in a format that is not "
                             "read; mend that, or take the row away")
        raise user_error(f"{place}: there is no image {cell!r} in {home}; mend the name, or take the row away")
    return spelt[name]


def _row(cell: str, column: str, place: str) -> Row:
    labels = [composed(label.strip()) for label in (cell.split(";") if column == "tags" else [cell])]
    if column == "tags":
        labels = sorted(set(filter(None, labels)))
    for label in labels:
        if not label:
            raise user_error(f"{place}: the label is empty; give the image a class, or take both away")
        if "," in label or len(label.splitlines()) > 1:
            raise user_error(f"{place}: {label!r} holds a comma or a line break, which no class or tag may; rename it")
    return Row(tuple(labels), place)


def label_array(rows: Dict[str, Row], names: Sequence[str], classes: Tuple[str, ...], places: int) -> np.ndarray:
    """Return the labels of the names in ImageData's form: int32 (N,), or (N, places) where there are places."""
    numbers = {label: number for number, label in enumerate(classes)}
    for row in rows.values():
        for label in row.labels:
            if label not in numbers:
                raise user_error(f"{row.place}: {label!r} does not occur in train/; mend it, or add such images there")
    fullest = max(rows, key=lambda name: len(rows[name].labels))
    most = len(rows[fullest].labels)
    if 0 < places < most:
        raise user_error(f"{rows[fullest].place}: {fullest} has {most} tags, but there are places for {places}; "
                     f"add --set data.places={most}")
    if not places:
        return np.array([numbers[rows[name].labels[0]] for name in names], np.int32)
    labels = np.zeros((len(names), places), np.int32)
    for line, name in zip(labels, names):
        line[: len(rows[name].labels)] = sorted(1 + numbers[label] for label in rows[name].labels)
    return labels


def composed(text: str) -> str:
    """Return the text in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """Spell out whatever could break a line, as the name of a file may hold anything."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def user_error(text: str) -> UserError:
    return UserError(one_line(text))
