"""The labels that a folder states: in labels.csv, or by the names of its sub-folders."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ms_gan.data.faults import DataFault
from ms_gan.errors import Setting
from ms_gan.labels import natural_order

LABELS = "labels.csv"
SEPARATORS = {";": "semicolons", "|": "bars", "\t": "tabs"}
IN_NO_LABEL = re.compile("[,\n-\r\x1c-\x1e\x85\u2028\u2029\udc80-\udcff]")  # the last are bytes that are not UTF-8


class Place(NamedTuple):
    """A file, or a line of it, or a folder."""

    path: Path
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}: line {self.line}" if self.line else str(self.path)


class LabelFault(DataFault):
    """Labels that are there, but not as they must be: where, and what is wrong there."""

    def __init__(self, place: Place, what: str, *mend: str | Setting):
        super().__init__(f"{place}: {what}", *mend)
        self.place = place
        self.what = what

    def below(self, top: Path) -> str:
        """Return where and what, with the place relative to the folder that is named anyway."""
        return f"{self.place._replace(path=self.place.path.relative_to(top))}: {self.what}"


class Row(NamedTuple):
    """An image's classes or tags, and the place that says so."""

    labels: tuple[str, ...]
    place: Place


class Labels(NamedTuple):
    """What a folder, `home`, says about its images: a row for each name; `tags`, whether it may hold several labels."""

    home: Path
    rows: dict[str, Row]
    tags: bool


def read_labels(home: Path, names: Sequence[str], max_tags: int | None) -> Labels | None:
    """Return a row for each name, from labels.csv or else from the sub-folders; None where neither says anything.

    A table of tags is taken if `max_tags` is not 0; None is for any number of them. Names and labels are compared, and
    labels are returned, in Unicode's composed form (NFC): one system stores the é of a file's name as one character,
    another as two. Raises LabelFault.
    """
    tables = tables_in(home)
    if len(tables) > 1 and LABELS not in tables:
        raise LabelFault(Place(home / tables[0]), f"lies beside {tables[1]}", f"leave one of them, as {LABELS}")
    if tables:
        return _read_table(home / tables[-1], home, names, max_tags)
    in_folder, elsewhere = ([name for name in names if (name.count("/") == 1) == wanted] for wanted in (True, False))
    if not in_folder:
        return None
    if elsewhere:
        what = f"is in no class's folder, as {in_folder[0]} and {len(in_folder) - 1} other image(s) are"
        mend = f"move it into one ({len(elsewhere)} image(s) in all), or write {LABELS}"
        raise LabelFault(Place(home / elsewhere[0]), what, mend)
    folders = {name: name.split("/")[0] for name in names}
    rows = {name: _row([folder], Place(home / folder)) for name, folder in folders.items()}
    return Labels(home, rows, tags=False)


def tables_in(home: Path) -> list[str]:
    """Return the names, of those in a folder, that are labels.csv, be it in capital letters; small ones come last."""
    return sorted(name for name in os.listdir(home) if name.casefold() == LABELS)


def _read_table(path: Path, home: Path, names: Sequence[str], max_tags: int | None) -> Labels:
    """Read labels.csv, which must have one row for each of the names and no other."""
    spelt = {**{composed(name): name for name in names}, **{name: name for name in names}}
    lines = _lines(path)
    place, header = next(lines, (Place(path, 1), []))
    tags = _has_tags(header, place, max_tags)
    rows: dict[str, Row] = {}
    for place, cells in lines:
        if max_tags and not tags and ";" in cells[1]:
            what = f"{cells[1]!r} looks like tags, but under the header file,label it is one class"
            raise LabelFault(place, what, "write the header file,tags, or take the ; away")
        name = _listed_name(cells[0], spelt, home, place)
        if name in rows:
            again = f"lists {name} again, after line {rows[name].place.line}"
            raise LabelFault(place, again, "leave one of the rows")
        rows[name] = _row(list(filter(str.strip, cells[1].split(";"))) if tags else cells[1:], place)
    missing = natural_order(set(names) - rows.keys())
    if missing:
        what = f"has no row for {missing[0]} ({len(missing)} image(s) in all)"
        raise LabelFault(Place(path), what, "add rows, or take such images away")
    return Labels(home, rows, tags)


def _lines(path: Path) -> Iterator[tuple[Place, list[str]]]:
    """Yield the place and the two cells of each row that is not empty; spreadsheets add more, which are empty."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        for cells in reader:
            while len(cells) > 2 and not cells[-1].strip():
                cells.pop()
            if any(cell.strip() for cell in cells):
                place = Place(path, reader.line_num)
                _check_cells(cells, place)
                yield place, cells
    except csv.Error as error:
        what = f"is no CSV ({error})"
        raise LabelFault(Place(path, reader.line_num), what, "write commas, and correct quotation marks") from error


def _check_cells(cells: Sequence[str], place: Place) -> None:
    separator = next((one for one in SEPARATORS if len(cells) == 1 and one in cells[0]), None)
    if separator:
        what = f"the columns are separated by {SEPARATORS[separator]}"
        raise LabelFault(place, what, "save the file with commas (tags stay joined by ;)")
    if len(cells) != 2:
        mend = "write a file and its label or tags, in quotation marks if they hold a comma; tags are joined by ;"
        raise LabelFault(place, f"has {len(cells)} column(s), not 2", mend)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise LabelFault(Place(path), what, "correct it or take it away") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise LabelFault(Place(path, line), "is not UTF-8", "save the file as UTF-8") from error


def _has_tags(cells: Sequence[str], place: Place, max_tags: int | None) -> bool:
    """Tell by its header whether a table states tags, and not classes."""
    header = ",".join(cell.strip() for cell in cells)
    if header not in ("file,label", "file,tags"):
        written = f"is {header[:60]!r}" if header else "is missing"
        mend = "it must be file,label (a class each) or file,tags (joined by ;)"
        raise LabelFault(place, f"the header {written}", mend)
    if header == "file,tags" and max_tags == 0:
        raise LabelFault(
            place,
            "lists tags, but this recipe takes one class an image",
            "write file,label, choose another ",
            Setting("recipe"),
            ", or give ",
            Setting("data.max_tags", "N"),
            " where the recipe takes tags, too",
        )
    return header == "file,tags"


def _listed_name(cell: str, spelt: Mapping[str, str], home: Path, place: Place) -> str:
    """Return the image that a row lists: by its path in the folder, however it is spelt, or by an absolute one."""
    path = posixpath.normpath(cell.replace("\\", "/"))
    written = (cell, path, *(path.removeprefix(f"{of(home)}/") for of in (os.path.abspath, os.path.realpath)))
    found = next((spelt[name] for name in (cell, *map(composed, written)) if name in spelt), None)
    if found is None:
        what = f"there is no image {cell!r} in {home}, or it is hidden, or in a format that is not read"
        raise LabelFault(place, what, "correct the name, or take the row away")
    return found


def _row(labels: Sequence[str], place: Place) -> Row:
    labels = sorted({composed(label.strip()) for label in labels})
    for label in labels:
        if not label:
            raise LabelFault(place, "the label is empty", "give the image a class, or take both away")
        if IN_NO_LABEL.search(label):
            what = f"{label!r} holds a comma, a line break or what is not UTF-8, which no class or tag may"
            raise LabelFault(place, what, "rename it")
    return Row(tuple(labels), place)


def composed(text: str) -> str:
    """Return the text in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)
