"""The folder of a run: what its files are called, and how a run or a checkpoint is found."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, Callable

from ms_gan import data, recipes
from ms_gan.data.changes import Fingerprint, what_changed
from ms_gan.data.description import DataRequest, ImageData
from ms_gan.data.hold_out import split_validation
from ms_gan.errors import Command, Setting, UserError
from ms_gan.files import CHECKSUMS, new_folder
from ms_gan.runs.checkpoints import STATE, checkpoint_name, newest_checkpoint, newest_saved, read_state
from ms_gan.runs.history import read_rows
from ms_gan.runs.provenance import Provenance
from ms_gan.runs.records import read_json, write_json
from ms_gan.runs.settings import RunSettings
from ms_gan.runs.state import Best, State


class RunFolder:
    """`runs/<recipe>/<n>/` and the names of what is in it.

    Runs of ms_gan 0.1 have `recipe.json` and `environment.json` in place of `settings.json` and `provenance.json`. They
    are read where the new files are missing. A resumed run gets the new files, and keeps the old ones as they were.
    """

    def __init__(self, path: Path):
        self.path = path
        self.settings_file = path / "settings.json"
        self.provenance_file = path / "provenance.json"
        self.fingerprint_file = path / "data.json"
        self.log_file = path / "train.log"
        self.history_file = path / "history.csv"
        self.samples = path / "samples"
        self.real_png = path / "real.png"
        self.losses_png = path / "losses.png"
        self.progress_gif = path / "progress.gif"
        self.checkpoints = path / "checkpoints"
        self.best_file = path / "best.json"
        self.best_checkpoint = self.checkpoints / "best"  # a link
        self._lock: IO[str] | None = None

    @classmethod
    def create(
        cls,
        root: Path,
        settings: RunSettings,
        provenance: Provenance,
        fingerprint: Fingerprint,
        recipe_file: Path | None = None,
    ) -> RunFolder:
        """Make the next free number below `root/<recipe>`; two runs that start at once get two numbers.

        The folder appears with its settings, its provenance, the fingerprint of its data, and copies of the file that
        the recipe came from, if any, and of the modules that it imports from its own folder. So it can be resumed from
        its first moment.
        """
        parent = Path(root) / settings.recipe.name
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            problem = f"{parent}: no folder can be made there: a file is in the way"
            raise UserError(problem, "name another with ", Setting("output_dir")) from None
        number = max((int(entry.name) for entry in parent.iterdir() if entry.name.isdecimal()), default=0)
        while True:
            number += 1
            try:
                with new_folder(parent / str(number)) as hidden:
                    run = cls(hidden)
                    run.samples.mkdir()
                    run.write(settings, provenance)
                    write_json(run.fingerprint_file, fingerprint.to_json())
                    if recipe_file is not None:
                        recipes.keep(recipe_file, hidden)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was quicker
                    continue
                raise
            return cls(parent / str(number))

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open an existing run. Raises UserError if `path` is none."""
        run = cls(Path(path))
        _refuse_bundle(run.path)  # it holds a settings.json, too
        if not run._or_old(run.settings_file, "recipe.json").is_file():
            why = f"no {run.settings_file.name} in it" if run.path.is_dir() else "there is no such folder"
            raise UserError(f"{path}: not a run folder ({why})", *_other_than(run.path))
        return run

    def lock(self) -> None:
        """Claim the run for this process until it ends, however it ends."""
        self._lock = open(self.path / ".lock", "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self.path}: another process is training this run", "wait for it or stop it") from None
        for leftover in self.path.glob(".*.part"):  # of a process that was killed while it wrote a file
            if leftover.is_file():
                leftover.unlink()

    def unlock(self) -> None:
        """Let another process train the run."""
        if self._lock is not None:
            self._lock.close()

    def write(self, settings: RunSettings, provenance: Provenance) -> None:
        """Write `settings.json` and `provenance.json`."""
        write_json(self.settings_file, settings.to_json())
        write_json(self.provenance_file, provenance.to_json())

    def read_settings(self) -> RunSettings:
        """Return the settings of the run. Raises UserError for a damaged file."""
        file = self._or_old(self.settings_file, "recipe.json")
        return RunSettings.from_json(read_json(file), file)

    def read_provenance(self) -> Provenance:
        """Return the provenance of the run. Raises UserError for a damaged file, OSError where there is none."""
        file = self._or_old(self.provenance_file, "environment.json")
        return Provenance.from_json(read_json(file), file)

    def require_own(self, images: ImageData, settings: RunSettings) -> None:
        """Raise UserError, with what has changed, unless these are the training images of the run."""
        if images.sha256 == settings.data_sha256:
            return
        try:
            before = Fingerprint.from_json(read_json(self.fingerprint_file))
        except (OSError, UserError):  # it only serves to say what changed
            before = Fingerprint()
        raise UserError(
            f"{images.called}: not the images that the run was trained on: {what_changed(before, images)}",
            "make them as they were, or name the run's own with ",
            Setting("data_path"),
            "; others need a new run, which may begin with this one's networks: ",
            Setting("warm_start"),
        )

    def read_newest_state(self, settings: RunSettings) -> tuple[State, Path | None]:
        """Return where the run stands, and the folder of its weights; None if it has none yet and begins anew.

        Raises UserError for a damaged checkpoint, and if the run cannot go on.
        """
        saved = newest_saved(self.checkpoints)
        if saved is not None:
            try:
                return read_state(saved), saved
            except UserError as error:
                mend = [*error.mend, ", or "] if error.mend else []
                raise UserError(error.problem, *mend, f"remove {saved.name} to go on from the one before it") from error
        if settings.warm_start:
            raise UserError(f"{self.path}: stopped before its first checkpoint", "start it again from its warm start")
        if len(read_rows(self.history_file)) > 1:
            raise UserError(f"{self.path}: its checkpoints are gone", "put them back")
        return State.beginning(settings), None

    def mark_best(self, best: Best | None, say: Callable[[str], None]) -> None:
        """Write `best.json`, and let `checkpoints/best` lead to the best checkpoint; with None remove both.

        If the file system has no links, `say` gets a note, and there is only `best.json`.
        """
        if best is None:
            for path in (self.best_file, self.best_checkpoint):
                path.unlink(missing_ok=True)
            return
        write_json(self.best_file, asdict(best))
        hidden = self.best_checkpoint.with_name(".best.part")
        try:
            hidden.unlink(missing_ok=True)
            hidden.symlink_to(checkpoint_name(best.step))
            os.replace(hidden, self.best_checkpoint)
        except OSError as error:
            said = error.strerror or error
            say(f"note: no link {self.best_checkpoint} ({said}); {self.best_file.name} names the best checkpoint")

    def _or_old(self, file: Path, old_name: str) -> Path:
        """Return a file, or the one that ms_gan 0.1 wrote in its place."""
        old = self.path / old_name
        return old if old.is_file() and not file.is_file() else file


def load_recorded(
    settings: RunSettings,
    provenance: Provenance | None,
    split: str,
    data_path: str | Path | None = None,
    skip_unreadable: bool = False,
    **other: Any,
) -> ImageData:
    """Load a split of a run's data set as its recipe asks for it. Classes have the numbers that the run gave them.

    No image that the run was trained on is in "test", unless it was renamed since, or `provenance` is None. Raises
    UserError where that cannot be kept: the run's own folder has folders for its splits now.

    Args:
        settings, provenance: what the run recorded; a checkpoint without its run has no provenance.
        split: "train" or "test".
        data_path: where the data are; None is where they were.
        skip_unreadable: leave out images that cannot be read, also if the run did not.
        other: fields of the DataRequest that are to be others.
    """
    request, chosen_by_run = DataRequest.of(settings.recipe.data, class_names=settings.classes), False
    if provenance is not None:
        known = provenance.data
        request = replace(request, test_split_up_to=known.test_split_up_to, test_split_but=known.test_split_but)
        request = replace(request, verify_test=False)
        chosen_by_run = known.test_split_up_to is not None and data_path is None
        data_path, skip_unreadable = data_path or known.path, skip_unreadable or known.skip_unreadable
    images = data.load(settings.dataset, split, data_path, replace(request, **other), skip_unreadable)
    if chosen_by_run and images.test_split_up_to is None:
        problem = f"{images.called}: has folders for its splits now, and had none when the run chose its test images"
        raise UserError(problem, "put the images back as they were then")
    return images


def validation_split(settings: RunSettings, images: ImageData) -> tuple[ImageData, ImageData | None]:
    """Split a run's training images into those that it trains on, and its validation images, None if there are none."""
    recipe = settings.recipe
    return split_validation(images, recipe.scores.held_out, settings.seed, keep_labels=recipe.data.classes > 0)


def find_checkpoint(place: str | Path | None) -> tuple[Path, Path]:
    """Return the checkpoint that is meant, and the folder of its run, into which pictures and bundles of it go.

    Args:
        place: a run (its newest checkpoint), a checkpoint, or None (the run below runs/ whose checkpoints are newest).

    Returns:
        The checkpoint's folder, and its run; for a checkpoint on its own the folder that holds it.

    Raises:
        UserError: for a place that is neither, or has no checkpoint yet.
    """
    if place is None:
        folders = {path.parent for path in Path("runs").glob("*/*/checkpoints/step_*")}
        if not folders:
            raise UserError("no run with a checkpoint below runs/", "name one, or train first: ", Command("train"))
        place = max(folders, key=lambda folder: folder.stat().st_mtime).parent
    path = Path(place)
    _refuse_bundle(path)
    if any((path / name).exists() for name in (STATE, CHECKSUMS)):
        above = path.resolve().parent
        return path, (above.parent if above.name == "checkpoints" else above)
    if not path.is_dir():
        mend = ["it comes with the first scores of a run"] if path.name == "best" else _other_than(path)
        raise UserError(f"{path}: no such run or checkpoint folder", *mend)
    checkpoint = newest_checkpoint(RunFolder.open(path).checkpoints)
    if checkpoint is None:
        raise UserError(f"{path}: no checkpoint in it yet", "go on with it first: ", Command("resume", path))
    return checkpoint, path


def runs_at(folder: Path, pattern: str) -> set[Path]:
    """Return the runs, of this version or 0.1, among what a glob pattern finds below a folder."""
    found = {file.parent for name in ("settings.json", "recipe.json") for file in folder.glob(f"{pattern}/{name}")}
    return {path for path in found if not (path / "contract.json").is_file()}  # a bundle has a settings.json, too


def _other_than(path: Path) -> list[str | Command]:
    """Return what to name in place of a folder that is no run: the newest run in it, or what lists them."""
    runs = [run for run in runs_at(path, "*") if run.name.isdecimal()]
    if runs:
        return [f"name a run in it, such as {max(runs, key=lambda run: int(run.name))}"]
    return ["list what there is: ", Command("runs")]


def _refuse_bundle(path: Path) -> None:
    if (path / "contract.json").is_file():
        mend = ("name the run that it came from; to draw from it: ", Command("load", path))
        raise UserError(f"{path}: is a bundle, and no run or checkpoint", *mend)
