"""The modules that a recipe's file imports from its own folder. A run keeps them beside its copy of the file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT = "recipe_modules"  # in a run's folder
OURS = "ms_gan"  # is installed wherever a run is opened, and is never copied
_loaded: dict[str, bytes] = {}  # by the path below its folder: the text of each module, as it was last imported


def folder_of(recipe_file: Path) -> Path:
    """Return the folder whose modules a recipe's file can import: a run's `recipe_modules`, or its own folder."""
    folder = recipe_file.absolute().parent
    return folder / KEPT if (folder / KEPT).is_dir() else folder


def same(folder: Path, texts: dict[str, bytes]) -> bool:
    """Tell whether all of these modules are in the folder, with these texts."""
    return all(_text(folder / path) == text for path, text in texts.items())


def imported(folder: Path) -> dict[str, bytes]:
    """Return the texts of all modules that are imported from the folder, by their paths in it, such as `a/b.py`."""
    if folder.name == KEPT:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.py"))}
    found = {path: text for path, text in _loaded.items() if _text(folder / path) == text}
    tops = {entry.stem for entry in folder.iterdir()} - {OURS}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in tops and isinstance(file, str) and file.endswith(".py"):
            paths = (f"{name.replace('.', '/')}{end}" for end in (".py", "/__init__.py"))
            found.update(
                {
                    path: Path(file).read_bytes()
                    for path in paths
                    if (folder / path).is_file() and (folder / path).resolve() == Path(file).resolve()
                }
            )
    return found


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Look for modules in this folder first; afterwards last, for what is imported later.

    A module that is loaded with another text than the folder has is loaded again.
    """
    kept = imported(folder) if folder.name == KEPT else {}
    here = {path: _text(folder / path) for path in {**_loaded, **kept} if (folder / path).is_file()}
    if any(_loaded.get(path) != text for path, text in here.items()):
        for path in here:
            sys.modules.pop(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."), None)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    _loaded.update(imported(folder))


def _text(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
