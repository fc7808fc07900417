"""Where a run's data came from, and how it was started each time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ms_gan import runtime
from ms_gan.errors import UserError
from ms_gan.runs.records import FORMAT_VERSION, PUT_BACK, require_known_version, typed

if TYPE_CHECKING:
    from ms_gan.data.description import ImageData


@dataclass(frozen=True)
class DataSource:
    """Where a run's data are, and how they are read.

    Attributes:
        path: the folder of the data; None if they are drawn, fetched or given as arrays.
        skip_unreadable: whether images that cannot be read are left out.
        source: a sentence fragment, such as "the folder X".
        instead_of: the data set that these data replace because it could not be fetched.
        held_out_up_to, held_out_but: which images of a folder are the test split; see `load_folder`.
    """

    path: str | None
    skip_unreadable: bool = False
    source: str = ""
    instead_of: str | None = None
    held_out_up_to: str | None = None
    held_out_but: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, images: ImageData, path: str | Path | None, skip_unreadable: bool = False, instead_of: str | None = None
    ) -> DataSource:
        """Return the source of training images that were read at `path`."""
        path = None if path is None else str(Path(path).absolute())
        return cls(path, skip_unreadable, images.source, instead_of, images.held_out_up_to, tuple(images.held_out_but))


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

    @classmethod
    def now(cls, step: int, device: runtime.Device, command: Sequence[str]) -> Start:
        """Return a start of this process, at this moment."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(when, step, str(device), os.getpid(), tuple(command), runtime.environment())


@dataclass(frozen=True)
class Provenance:
    """Where a run came from: its data, and each of its starts, the first one first."""

    data: DataSource
    starts: tuple[Start, ...] = ()

    def started(self, start: Start) -> Provenance:
        """Return the provenance with one more start."""
        return replace(self, starts=(*self.starts, start))

    def to_json(self) -> dict[str, Any]:
        """Return the provenance as it is recorded."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any], file: Path) -> Provenance:
        """Return the provenance of a record, also of one of ms_gan 0.1. Raises UserError for a damaged record."""
        require_known_version(content, file)
        data, starts = content.get("data"), content.get("starts")
        if not isinstance(data, dict) or not {"path", "skip_unreadable"} <= data.keys() or not isinstance(starts, list):
            raise UserError(f"{file}: damaged (entries are missing)", PUT_BACK)
        return cls(typed(DataSource, data), tuple(typed(Start, start) for start in starts))
