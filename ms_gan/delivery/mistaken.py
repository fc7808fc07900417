"""The error for a path that is no bundle: what it is instead, and what to do."""

from __future__ import annotations

import os
from pathlib import Path

from ms_gan.errors import Setting, UserError, quoted

CONTRACT = "contract.json"
MARKS = (  # the file that marks a folder of each kind
    (CONTRACT, "bundle"),
    ("state.json", "checkpoint"),
    ("provenance.json", "run"),
    ("recipe.json", "run"),  # of earlier versions
)
MOST_ABOVE = 4  # folders above a path in which a bundle, a run or a checkpoint is looked for
BELOW = ("*/", "*/export/", "*/*/", "*/*/export/")  # where a folder may hold bundles and runs


def why_no_bundle(path: Path) -> UserError:
    """Return the error for a path without a contract: what it is instead, and the path or command to use."""
    wrong = f"{path}: not a bundle"
    if not os.path.lexists(path):
        return UserError(f"{wrong}: there is no such file or folder")
    if not path.exists():
        return UserError(f"{wrong}: a link to {os.readlink(path)}, which is not there")
    known = _known(path)
    if known:
        kind, place = known
        part = "folder" if path.is_dir() else "file"
        what = f"a {kind}" if place == path else f"a {part} of the {kind} {quoted(place)}"
        return UserError(f"{wrong}, but {what}", *(["name that"] if kind == "bundle" else _advice(kind, place)))
    if not path.is_dir():
        return UserError(f"{wrong}, but a file", "name the folder that `export` wrote")
    for kind in ("bundle", "run"):
        found = _below(path, kind)
        if found:
            what, several = (f"a {kind}", False) if len(found) == 1 else (f"{kind}s", True)
            return UserError(f"{wrong}, but a folder with {what} in it", *_advice(kind, found[-1], several))
    return UserError(f"{wrong} (no {CONTRACT} in it)", "`export` writes one: bash scripts/run_export.sh RUN")


def _known(path: Path) -> tuple[str, Path] | None:
    """Return the kind of the path, or of the nearest folder above that has one, and that folder."""
    absolute = Path(os.path.abspath(path))
    for place in (absolute, *list(absolute.parents)[:MOST_ABOVE]):
        for name, kind in MARKS:
            if (place / name).is_file():
                if place == absolute:
                    return kind, path
                return kind, place if path.is_absolute() else Path(os.path.relpath(place))
    return None


def _advice(kind: str, place: Path, several: bool = False) -> list[str | Setting]:
    """Return how to get at a bundle from a bundle, run or checkpoint; of several, `place` is the newest."""
    if kind == "bundle":
        return [f"name {'one, such as ' if several else ''}{quoted(place)}"]
    command = f"bash scripts/run_export.sh {quoted(place)}"
    run = place
    if kind == "checkpoint":
        run = place.parent.parent if Path(os.path.abspath(place)).parent.name == "checkpoints" else place.parent
    bundle = run / "export"
    if not (bundle / CONTRACT).is_file():
        return [f"export {'one first, such as' if several else 'it first'}: {command}"]
    if kind == "run":
        return [f"its bundle is {quoted(bundle)}"]
    other = Setting("output_dir", "DIR")
    return [f"the bundle of its run is {quoted(bundle)}, and {command} ", other, " writes one of this step"]


def _below(path: Path, kind: str) -> list[Path]:
    """Return the folders of a kind a little below a path, the newest last; hidden ones are left out."""
    names = [name for name, marked in MARKS if marked == kind]
    files = {file for name in names for pattern in BELOW for file in path.glob(f"{pattern}{name}")}
    seen = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    return [file.parent for file in sorted(seen, key=lambda file: (file.stat().st_mtime, file))]
