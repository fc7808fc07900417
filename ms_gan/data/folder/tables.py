"""The labels that a folder states: in labels.csv, or by the names of its sub-folders."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from ms_gan.data.faults import DataFault
from ms_gan.errors import Setting
from ms_gan.labels import natural_order

LABELS = "labels.csv"
OTHER_SEPARATOR = re.compile(r"\W*file\W*([;|\t])\W*(label|tags)\W*", re.IGNORECASE)
SEPARATORS = {";": "semicolons", "|": "bars", "\t": "tabs"}


class Row(NamedTuple):
    """An image's classes or tags, and the place that says so."""

    labels: tuple[str, ...]
    place: str


class Labels(NamedTuple):
    """What a folder says about its images: a row for each name; `tags`, whether a row may hold any number of labels."""

    rows: dict[str, Row]
    tags: bool


class LabelFault(DataFault):
    """Labels that are there, but not as they must be."""


def read_labels(home: Path, names: Sequence[str], max_tags: int | None) -> Labels | None:
    """Return a row for each name, from labels.csv or else from the sub-folders; None where neither says anything.

    A table of tags is taken if `max_tags` is not 0; None is for any number of them. Names and labels are compared, and
    labels are returned, in Unicode's composed form (NFC): one system stores the é of a file's name as one character,
    another as two. Raises LabelFault.
    """
    tables = tables_in(home)
    if LABELS in tables or len(tables) == 1:
        return _read_table(home / (LABELS if LABELS in tables else tables[0]), home, names, max_tags)
    if tables:
        raise LabelFault(f"{home / tables[0]}: lies beside {tables[1]}", f"leave one of them, as {LABELS}")
    in_folder, elsewhere = ([name for name in names if (name.count("/") == 1) == wanted] for wanted in (True, False))
    if not in_folder:
        return None
    if elsewhere:
        raise LabelFault(
            f"{home / elsewhere[0]}: is in no class's folder, as {in_folder[0]} and {len(in_folder) - 1} "
            f"other image(s) are",
            f"move it into one ({len(elsewhere)} image(s) in all), or write {LABELS}",
        )
    folders = {name: name.split("/")[0] for name in names}
    return Labels({name: _row(folder, "label", str(home / folder)) for name, folder in folders.items()}, False)


def tables_in(home: Path) -> list[str]:
    """Return the names, of those in a folder, that are labels.csv, be it in capital letters."""
    return sorted(name for name in os.listdir(home) if name.casefold() == LABELS)


def _read_table(path: Path, home: Path, names: Sequence[str], max_tags: int | None) -> Labels:
    """Read labels.csv, which must have one row for each of the names and no other."""
    text = _read_text(path)
    _refuse_separators(path, text)
    spelt = {**{composed(name): name for name in names}, **{name: name for name in names}}
    header: list[str] | None = None
    rows: dict[str, Row] = {}
    for place, cells in _lines(path, text):
        if header is None:
            header = _checked_header(cells, place, max_tags)
            continue
        _check_cells(cells, header, place, max_tags)
        name = _listed_name(cells[0], spelt, home, place)
        if name in rows:
            before = rows[name].place.rsplit(": ", 1)[-1]
            raise LabelFault(f"{place}: lists {name} again, after {before}", "leave one of the rows")
        rows[name] = _row(cells[1], header[1], place)
    if header is None:
        header = _checked_header([], f"{path}: line 1", max_tags)
    _refuse_missing(path, natural_order(set(names) - rows.keys()))
    return Labels(rows, header[1] == "tags")


def _lines(path: Path, text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of each row that is not empty, without the empty cells that spreadsheets add."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            while len(cells) > 2 and not cells[-1].strip():
                cells.pop()
            if any(cell.strip() for cell in cells):
                yield f"{path}: line {reader.line_num}", cells
    except csv.Error as error:
        raise LabelFault(
            f"{path}: line {reader.line_num}: is no CSV ({error})", "correct its quotation marks"
        ) from error


def _check_cells(cells: Sequence[str], header: Sequence[str], place: str, max_tags: int | None) -> None:
    if len(cells) != 2:
        separator = next((one for one in SEPARATORS if one in cells[0]), None)
        if len(cells) == 1 and separator:
            raise LabelFault(
                f"{place}: the columns are separated by {SEPARATORS[separator]}",
                f"save the file with commas: {','.join(header)}",
            )
        joined = ", tags joined by ;" if header[1] == "tags" else ""
        raise LabelFault(
            f"{place}: has {len(cells)} column(s), not 2",
            f"write {','.join(header)}{joined}, with quotation marks around a file's name that holds a comma",
        )
    if max_tags and header[1] == "label" and ";" in cells[1]:
        raise LabelFault(
            f"{place}: {cells[1]!r} looks like tags, but under the header file,label it is one class",
            "write the header file,tags, or take the ; away",
        )


def _refuse_missing(path: Path, missing: Sequence[str]) -> None:
    if not missing:
        return
    unwritable = [name for name in missing if not _is_utf8(name)]
    if unwritable:
        raise LabelFault(
            f"{path}: has no row for {unwritable[0]}, whose name is not UTF-8, as a row must be "
            f"({len(unwritable)} image(s) in all)",
            "rename such files",
        )
    raise LabelFault(
        f"{path}: has no row for {missing[0]} ({len(missing)} image(s) in all)", "add rows, or take such images away"
    )


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-8").lstrip("\ufeff")
    except OSError as error:
        raise LabelFault(f"{path}: cannot be read ({error.strerror or error})", "correct it or take it away") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LabelFault(f"{path}: line {line}: is not UTF-8", "save the file as UTF-8") from error


def _refuse_separators(path: Path, text: str) -> None:
    """Raise LabelFault for a table whose columns something else than commas parts, as some spreadsheets write them."""
    for number, line in enumerate(text.splitlines(), start=1):
        found = OTHER_SEPARATOR.fullmatch(line)
        if found:
            joined = " (tags stay joined by ;)" if found[2].lower() == "tags" else ""
            raise LabelFault(
                f"{path}: line {number}: the columns are separated by {SEPARATORS[found[1]]}",
                f"save the file with commas: file,{found[2].lower()}{joined}",
            )
        if line.strip(" ,;|\t") and not line.startswith("sep="):  # which some spreadsheets put first
            return


def _checked_header(cells: Sequence[str], place: str, max_tags: int | None) -> list[str]:
    header = [cell.strip() for cell in cells]
    if header not in (["file", "label"], ["file", "tags"]):
        written = f"is {','.join(header)[:60]!r}" if header else "is missing"
        raise LabelFault(
            f"{place}: the header {written}", "it must be file,label (a class each) or file,tags (joined by ;)"
        )
    if header[1] == "tags" and max_tags == 0:
        raise LabelFault(
            f"{place}: lists tags, but this recipe takes one class an image",
            "write file,label, choose another ",
            Setting("recipe"),
            ", or set ",
            Setting("data.max_tags", "N"),
            " where the recipe takes tags, too",
        )
    return header


def _listed_name(cell: str, spelt: dict[str, str], home: Path, place: str) -> str:
    """Return the image that a row lists, however its path is spelt."""
    name = cell if cell in spelt else composed(posixpath.normpath(_below(cell, home)))
    if name == ".." or name.startswith(("../", "/")) or name[1:3] == ":/":
        raise LabelFault(f"{place}: {cell} leaves {home}", "write a path relative to that folder")
    if name not in spelt:
        if os.path.isfile(home / name):
            raise LabelFault(
                f"{place}: {cell!r} is in {home}, but hidden, spelt otherwise, or in a format that is not read",
                "change that, or take the row away",
            )
        inside = name[len(home.name) + 1 :] if name.startswith(f"{home.name}/") else None
        raise LabelFault(
            f"{place}: there is no image {cell!r} in {home}",
            f"write {inside!r}" if inside in spelt else "correct the name, or take the row away",
        )
    return spelt[name]


def _below(cell: str, home: Path) -> str:
    """Return a path that a row writes with slashes and, where it is an absolute one in the folder, relative to it."""
    if cell[:7].lower() == "file://":
        cell = unquote(re.sub("^(localhost)?(?=/)", "", cell[7:], flags=re.IGNORECASE))
        cell = cell[1:] if re.match("/[A-Za-z]:", cell) else cell
    path = composed(posixpath.normpath(cell.replace("\\", "/")))
    path = path[1:] if path.startswith("//") else path
    for folder in (os.path.abspath(home), os.path.realpath(home)):
        start = composed(folder.replace("\\", "/")).rstrip("/") + "/"
        if path.startswith(start):
            return path[len(start) :]
    return path


def _row(cell: str, column: str, place: str) -> Row:
    labels = [composed(label.strip()) for label in (cell.split(";") if column == "tags" else [cell])]
    if column == "tags":
        labels = sorted(set(filter(None, labels)))
    for label in labels:
        if not label:
            raise LabelFault(f"{place}: the label is empty", "give the image a class, or take both away")
        if "," in label or len(label.splitlines()) > 1:
            raise LabelFault(
                f"{place}: {label!r} holds a comma or a line break, which no class or tag may", "rename it"
            )
        if not _is_utf8(label):
            raise LabelFault(f"{place}: the name of this class is not UTF-8", "rename the folder")
    return Row(tuple(labels), place)


def composed(text: str) -> str:
    """Return the text in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def _is_utf8(text: str) -> bool:
    """Tell whether a name can be written down: Python keeps bytes of a file's name that are not UTF-8 as surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
