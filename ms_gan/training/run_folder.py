"""The folder that a run leaves, and the settings that make it what it is."""

from __future__ import annotations

import errno
import fcntl
import json
from pathlib import Path
from typing import Any

from ms_gan import data, runtime
from ms_gan.data import ImageData
from ms_gan.errors import UserError, quoted
from ms_gan.files import CHECKSUMS, new_folder, write_file
from ms_gan.recipes import flatten
from ms_gan.training.checkpoints import STATE, checkpoint_name, checkpoint_steps, newest_preparation

SETTINGS = {"recipe", "seed", "dataset", "data_sha256", "device_target", "device_num", "classes", "steps", "warm_start"}
LENGTHS = {"steps", "recipe.schedule.epochs"}  # the only settings that a resumed run may change


class RunFolder:
    """`runs/<recipe>/<n>/` and the names of what lies in it."""

    def __init__(self, path: Path):
        self.path = path
        self.recipe = path / "recipe.json"
        self.environment = path / "environment.json"
        self.data = path / "data.json"
        self.log = path / "train.log"
        self.history = path / "history.csv"
        self.samples = path / "samples"
        self.real = path / "real.png"
        self.losses = path / "losses.png"
        self.progress = path / "progress.gif"
        self.checkpoints = path / "checkpoints"
        self.best = path / "best.json"
        self.best_checkpoint = self.checkpoints / "best"  # a link
        self._lock = None

    @classmethod
    def create(
        cls, root: Path, settings: dict[str, Any], environment: dict[str, Any], fingerprint: dict[str, Any]
    ) -> RunFolder:
        """Make the next free number below `root/<recipe>`; two runs started at once get two.

        The folder appears with its settings and environment, and the fingerprint of its data, in it: from its first
        moment it can be resumed.
        """
        parent = Path(root) / settings["recipe"]["name"]
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(entry.name) for entry in parent.iterdir() if entry.name.isdecimal()), default=0)
        while True:
            number += 1
            try:
                with new_folder(parent / str(number)) as hidden:
                    run = cls(hidden)
                    run.samples.mkdir()
                    write_json(run.recipe, settings)
                    write_json(run.environment, environment)
                    write_json(run.data, fingerprint)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was quicker
                    continue
                raise
            return cls(parent / str(number))

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run. Raises UserError when `path` is none."""
        run = cls(Path(path))
        if not run.recipe.is_file():
            raise UserError(f"{path}: not a run folder (no recipe.json in it)")
        return run

    def lock(self) -> None:
        """Claim the run for this process until it ends, however it ends."""
        self._lock = open(self.path / ".lock", "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self.path}: another process is training this run; wait for it or stop it") from None
        for leftover in self.path.glob(".*.part"):  # of a process that was killed while it wrote a file
            if leftover.is_file():
                leftover.unlink()

    def unlock(self) -> None:
        """Let another process train the run."""
        self._lock.close()

    def read_fingerprint(self) -> dict[str, Any]:
        """Return what identifies the data that the run began with; nothing where it has not been recorded."""
        try:
            return read_json(self.data)
        except (OSError, UserError):  # it only serves to say what changed
            return {}

    def newest_checkpoint(self) -> Path | None:
        """Return the newest checkpoint's folder, or None when the run was stopped before there was any."""
        steps = checkpoint_steps(self.checkpoints)
        return self.checkpoints / checkpoint_name(steps[-1]) if steps else None

    def newest_saved(self) -> Path | None:
        """Return the newest checkpoint's folder, or what was saved in the preparation before there was any, or None."""
        return self.newest_checkpoint() or newest_preparation(self.checkpoints)

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Write `recipe.json`: the recipe as it runs, and the seed, data and length of this run."""
        write_json(self.recipe, settings)

    def read_settings(self) -> dict[str, Any]:
        """Return what `write_settings` wrote. Raises UserError for a damaged file."""
        settings = read_json(self.recipe)
        recipe = settings.get("recipe")
        if not SETTINGS <= settings.keys() or not isinstance(recipe, dict) or "name" not in recipe:
            raise UserError(
                f"{self.recipe}: damaged, or written by another version of ms_gan "
                f"(settings are missing); use that one, or put the run's own file back"
            )
        return settings

    def read_environment(self) -> dict[str, Any]:
        """Return what `environment.json` holds. Raises UserError for a damaged file."""
        environment = read_json(self.environment)
        data = environment.get("data")
        known = isinstance(data, dict) and {"path", "skip_unreadable"} <= data.keys()
        if not known or not isinstance(environment.get("starts"), list):
            raise UserError(f"{self.environment}: damaged (entries are missing); put the run's own file back")
        return environment


def load_recorded(
    settings: dict[str, Any],
    environment: dict[str, Any],
    split: str,
    data_path: str | None = None,
    skip_unreadable: bool = False,
    **other: Any,
) -> ImageData:
    """Load a split of a run's data set from where it lay, or from `data_path`, as its recipe wants it.

    `environment` is what the run recorded, or empty. Images that cannot be read are left out with `skip_unreadable`, or
    where the run did so. `other` are settings of the recipe's data. Classes have the numbers that the run gave them.
    Images that the run was trained on are not in "test", unless they were renamed since, or `environment` is empty.
    """
    known = environment.get("data", {})
    wanted = {
        **settings["recipe"]["data"],
        "held_out_up_to": known.get("held_out_up_to"),
        "held_out_but": known.get("held_out_but"),
        "class_names": settings["classes"],
        **other,
    }
    return data.load(
        settings["dataset"],
        split,
        data_path or known.get("path"),
        wanted,
        skip_unreadable or known.get("skip_unreadable", False),
    )


def newest_run(root: Path) -> Path:
    """Return the run below `root` whose checkpoints are newest. Raises UserError when there is none."""
    runs = [path.parent.parent for path in Path(root).glob("*/*/checkpoints/step_*")]
    if not runs:
        raise UserError(f"no run with a checkpoint below {root}/; name one, or train first: bash scripts/run_train.sh")
    return max(runs, key=lambda run: (run / "checkpoints").stat().st_mtime)


def find_checkpoint(place: str | None, root: Path = Path("runs")) -> tuple[Path, Path]:
    """Resolve RUN_OR_CHECKPOINT: a run (its newest checkpoint), a checkpoint, or None (the newest run).

    Returns the checkpoint's folder and the folder beside which its products belong:
    its run, or, for a checkpoint on its own, the folder that holds it.
    """
    path = newest_run(root) if place is None else Path(place)
    if (path / "contract.json").is_file():
        raise UserError(
            f"{path}: is a bundle, which export wrote, and no run or checkpoint; draw from it: "
            f"{runtime.python()} -m ms_gan infer {quoted(path)} --num 25 --output images.png"
        )
    if any((path / name).exists() for name in (STATE, CHECKSUMS)):
        above = path.resolve().parent
        return path, (above.parent if above.name == "checkpoints" else above)
    if not path.is_dir():
        raise UserError(f"{path}: no such run or checkpoint folder")
    checkpoint = RunFolder.open(path).newest_checkpoint()
    if checkpoint is None:
        raise UserError(
            f"{path}: no checkpoint in it yet; go on with it first: bash scripts/run_train.sh --resume {quoted(path)}"
        )
    return checkpoint, path


def refuse_changes(recorded: dict[str, Any], wanted: dict[str, Any], whose: str) -> None:
    """Raise UserError that names the first setting, other than the length, that differs."""
    before, now = flatten(recorded), flatten(wanted)
    for key in sorted((before.keys() | now.keys()) - LENGTHS):
        if before.get(key) != now.get(key):
            raise UserError(
                f"a resumed run keeps its settings, but {key} was {before.get(key)} and {whose} "
                f"{now.get(key)}; start a new run for that"
            )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dictionary as readable JSON, whole or not at all."""
    try:
        encoded = json.dumps(content, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a name that is no UTF-8: escaped, it is read back as it was
        encoded = json.dumps(content, indent=2).encode()
    write_file(path, encoded + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises UserError that names a damaged file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged (not JSON)") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: damaged (not a JSON object)")
    return content
