"""What a path is that was named as a bundle and is none, and what to do about it."""

from __future__ import annotations

import os
from pathlib import Path

from ms_gan.errors import quoted

CONTRACT = "contract.json"
RUN, STATE, CHECKPOINTS, EXPORT = "recipe.json", "state.json", "checkpoints", "export"  # in runs and checkpoints
MOST_ABOVE = 4  # folders above a path in which a bundle, a run or a checkpoint is looked for
BELOW = ("*/", "*/export/", "*/*/", "*/*/export/")  # where a folder may hold bundles


def why_no_bundle(path: Path) -> str:
    """Return one line about a path without a contract: what it is, and the command or the path that is meant."""
    return f"{path}: not a bundle{_what(path)}"


def _what(path: Path) -> str:
    if not os.path.lexists(path):
        return ": there is no such file or folder"
    if not path.exists():
        return f": a link to {os.readlink(path)}, which is not there"
    known = _known(path)
    if known:
        kind, place = known
        part = "folder" if path.is_dir() else "file"
        what = f"a {kind}" if place == path else f"a {part} of the {kind} {quoted(place)}"
        return f", but {what}; {'name that' if kind == 'bundle' else _advice(kind, place)}"
    if not path.is_dir():
        return ", but a file; name the folder that `export` wrote"
    for names, kind in (((CONTRACT,), "bundle"), ((RUN,), "run")):
        found = _below(path, names[0])
        if found:
            return (
                f", but a folder with {'a ' + kind if len(found) == 1 else kind + 's'} in it; "
                f"{_advice(kind, found[-1], one_of=len(found) > 1)}"
            )
    return f" (no {CONTRACT} in it); `export` writes one: bash scripts/run_export.sh RUN"


def _known(path: Path) -> tuple[str, Path] | None:
    """Return what the path is, or what the nearest folder above is that it lies in: its kind and its path."""
    absolute = Path(os.path.abspath(path))
    for place in (absolute, *list(absolute.parents)[:MOST_ABOVE]):
        for name, kind in ((CONTRACT, "bundle"), (STATE, "checkpoint"), (RUN, "run")):
            if (place / name).is_file():
                if place == absolute:
                    return kind, path
                return kind, place if path.is_absolute() else Path(os.path.relpath(place))
    return None


def _advice(kind: str, place: Path, one_of: bool = False) -> str:
    if kind == "bundle":
        return f"name {'one, such as ' + quoted(place) if one_of else quoted(place)}"
    export = f"bash scripts/run_export.sh {quoted(place)}"
    run = place
    if kind == "checkpoint":
        above = Path(os.path.abspath(place)).parent
        run = place.parent.parent if above.name == CHECKPOINTS else place.parent
    if not (run / EXPORT / CONTRACT).is_file():
        return f"export {'one' if one_of else 'it'} first{', such as' if one_of else ''}: {export}"
    if kind == "checkpoint":
        return f"the bundle of its run is {quoted(run / EXPORT)}, and {export} --output-dir DIR writes one of this step"
    return f"its bundle is {quoted(run / EXPORT)}"


def _below(path: Path, name: str) -> list[Path]:
    """Return the folders a little below a path that hold a file of this name, the newest last."""
    found = {file.parent for pattern in BELOW for file in path.glob(f"{pattern}{name}")}
    visible = [place for place in found if not any(part.startswith(".") for part in place.relative_to(path).parts)]
    return sorted(visible, key=lambda place: ((place / name).stat().st_mtime, place))
