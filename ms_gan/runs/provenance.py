"""Where a run's data came from, and how it was started each time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ms_gan.errors import shown
from ms_gan.runs.records import FORMAT_VERSION, damaged, typed

FORMER_NAMES = {"held_out_up_to": "test_split_up_to", "held_out_but": "test_split_but"}  # in older records


@dataclass(frozen=True)
class DataSource:
    """Where a run's data are, and how they are read.

    Attributes:
        path: the folder or file of the data; None if they are drawn or fetched.
        skip_unreadable: whether images that cannot be read are left out.
        source: a sentence fragment, such as "the folder X".
        instead_of: the data set that these data replace because it could not be fetched.
        test_split_up_to, test_split_but: which images of a folder are the test split; see `load_folder`.
    """

    path: str | None
    skip_unreadable: bool = False
    source: str = ""
    instead_of: str | None = None
    test_split_up_to: str | None = None
    test_split_but: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """One start of a run: when, at which step, on what device, in which process, by which command, with which versions.

    What its version of ms_gan did not record is empty.
    """

    time: str = ""
    step: int = 0
    device: str = ""
    process: int = 0
    command: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Provenance:
    """Where a run came from: its data, and each of its starts, the first one first."""

    data: DataSource
    starts: tuple[Start, ...] = ()

    def started(self, step: int, device: str, command: tuple[str, ...], versions: Mapping[str, str]) -> Provenance:
        """Return the provenance with one more start: by this process, at this moment."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        start = Start(when, step, device, os.getpid(), command, versions)
        return replace(self, starts=(*self.starts, start))

    def to_json(self) -> dict[str, Any]:
        """Return the provenance as it is recorded."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any], file: Path) -> Provenance:
        """Return the provenance of a record, also of one of ms_gan 0.1. Raises UserError for a damaged record."""
        found = typed(cls, content, file)
        known = found.data if isinstance(found.data, dict) else {}
        data = typed(DataSource, {FORMER_NAMES.get(key, key): value for key, value in known.items()}, file)
        if not isinstance(data.path, (str, type(None))):
            raise damaged(file, f"data.path is {shown(data.path)}")
        return cls(data, tuple(typed(Start, start, file) for start in found.starts))
