"""A run's history, scores and sample sheets as files that TensorBoard shows, where somebody asks for them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mindspore import Tensor
from PIL import Image

from ms_gan.runs.history import read_rows
from ms_gan.training.observers import Checkpoints, Recording, step_of

if TYPE_CHECKING:
    from ms_gan.training.session import Session

FOLDER = "tensorboard"  # in the run's folder


class TensorBoard(Recording):
    """Writes after each checkpoint what the history then holds more, so a step takes no longer.

    The files are written anew when a run is resumed: they repeat the history, and hold nothing else.
    """

    def __init__(self, session: Session, checkpoints: Checkpoints):
        super().__init__(session)
        self._checkpoints, self._rows, self._sheets = checkpoints, 0, set[str]()
        self._writer: Any = None

    def after_step(self, done: int, scalars: Tensor) -> None:
        if self._checkpoints.saved == done:
            self.record.picture(self.record.folder.path / FOLDER, self._write)

    def at_end(self, done: int) -> None:
        self.record.picture(self.record.folder.path / FOLDER, self._write)
        if self._writer is not None:
            self._writer.close()

    def _write(self, place: Path) -> None:
        folder = self.record.folder
        if self._writer is None:
            from tensorboardX import SummaryWriter

            shutil.rmtree(place, ignore_errors=True)
            self._writer = SummaryWriter(str(place))
        header, *rows = read_rows(self.record.history.path)
        scores = set(self.record.history.scores)
        for row in rows[self._rows :]:
            for name, text in list(zip(header, row))[2:]:  # behind step and epoch
                if text:
                    tag = f"{'scores' if name in scores else 'training'}/{name}"
                    self._writer.add_scalar(tag, float(text), int(row[0]))
        self._rows = len(rows)
        for file in sorted(folder.samples.iterdir()):
            step = step_of(file, self.session.steps_per_epoch)
            if step >= 0 and file.name not in self._sheets:
                self._sheets.add(file.name)
                with Image.open(file) as opened:
                    picture = np.asarray(opened.convert("RGB"))
                self._writer.add_image("samples", picture, step, dataformats="HWC")
        self._writer.flush()
