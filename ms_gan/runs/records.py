"""JSON files of a run: written whole or not at all, read with their format's version."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from ms_gan.errors import UserError, shown
from ms_gan.files import write_file

FORMAT_VERSION = 2  # of what is written; files without a version are of ms_gan 0.1, and are read as well
PUT_BACK = "put the run's own file back"
Record = TypeVar("Record")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dictionary as readable JSON, whole or not at all."""
    try:
        encoded = json.dumps(content, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a name that is not UTF-8: escaped, it is read back as it was
        encoded = json.dumps(content, indent=2).encode()
    write_file(path, encoded + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises UserError that names a file that is damaged, or of a later version of ms_gan."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged (not JSON)", PUT_BACK) from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: damaged (not a JSON object)", PUT_BACK)
    version = content.get("format_version", 1)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise UserError(f"{path}: written by a later version of ms_gan (format {version})", "use that version")
    return content


def typed(kind: type[Record], found: Any, file: Path) -> Record:
    """Return a dataclass of the entries of a record that it has fields for. Lists become tuples, null the default.

    Raises UserError that names `file` where an entry is missing, or is of another type than the field's default.
    """
    if not isinstance(found, dict):
        raise damaged(file, f"{shown(found)} is no JSON object")
    given: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        default = field.default if field.default_factory is MISSING else field.default_factory()
        value = found.get(field.name, default)
        if value is MISSING:
            raise damaged(file, f"{field.name} is missing")
        value = tuple(value) if isinstance(value, list) else value
        if default is not MISSING and default is not None:
            value = default if value is None else value
            if not isinstance(value, type(default)):
                raise damaged(file, f"{field.name} is {shown(value)}")
        given[field.name] = value
    return kind(**given)


def damaged(file: Path, fault: str) -> UserError:
    """Return the error for a record that this version cannot read; `fault` says what is wrong in it."""
    problem = f"{file}: damaged, or written by another version of ms_gan ({fault})"
    return UserError(problem, f"use that version, or {PUT_BACK}")
