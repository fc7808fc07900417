"""JSON files of a run: written whole or not at all, read with their format's version."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ms_gan.errors import UserError
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
    """Read a JSON object. Raises UserError that names a damaged file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged (not JSON)", "put the original file back") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: damaged (not a JSON object)", "put the original file back")
    return content


def typed(kind: type[Record], found: dict[str, Any]) -> Record:
    """Return a dataclass of the entries of a record that it has fields for. Lists become tuples."""
    given = {field.name: found[field.name] for field in fields(kind) if field.name in found}  # type: ignore[arg-type]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def require_known_version(content: dict[str, Any], path: Path) -> None:
    """Raise UserError for a record that a later version of ms_gan wrote."""
    version = content.get("format_version", 1)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise UserError(f"{path}: written by a later version of ms_gan (format {version})", "use that version")
