"""A recipe's Python file, and what it imports from its own folder: how they are run, and kept with a run."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from ms_gan.errors import UserError, shown
from ms_gan.recipes import registry
from ms_gan.runtime import import_mindspore

RECIPE_FILE = "recipe.py"  # in a run's folder: a copy of the file that its recipe came from
KEPT = "recipe_modules"  # beside it: copies of the modules that this file imports from its own folder
OURS = "ms_gan"  # is installed wherever a run is opened, and is never copied


@dataclass(frozen=True)
class _Learned:
    """A recipe's file that was run."""

    module: ModuleType
    source: bytes
    folder: Path  # whose modules it can import
    beside: dict[str, bytes]  # the texts of those that it has imported, by their paths in this folder
    entries: list[registry.Family | registry.Network]


_learned: dict[Path, _Learned] = {}  # by the file, or a copy of it


class _LateFinder:
    """Finds what a recipe's file imports from its own folder after it was run, such as while a network is built."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where a module lies. Raises UserError where different ones of its name lie beside several recipes."""
        folders = {str(learned.folder) for learned in _learned.values()} if path is None else set()
        found = [spec for spec in (PathFinder.find_spec(name, [folder]) for folder in sorted(folders)) if spec]
        kinds = {id(spec) if spec.submodule_search_locations else _text(Path(str(spec.origin))) for spec in found}
        if len(kinds) > 1:
            files = ", ".join(map(shown, (spec.origin for spec in found)))
            raise UserError(f"several recipes have a module {name} beside them: {files}", "import it at their tops")
        return found[0] if found else None


sys.meta_path.append(_LateFinder)


def learn(path: Path) -> ModuleType:
    """Run a recipe's file, so that what it registers is known; return its module.

    It can import the modules of its own folder, or a run's copies of them. A file of the same text with the same
    modules beside it, such as a run's copy, is run once in a process, so that its classes stay the same ones. Raises
    UserError, with the line, for a file that cannot be run.
    """
    require_file(path)
    path, source = path.absolute(), path.read_bytes()
    folder = path.parent / KEPT if (path.parent / KEPT).is_dir() else path.parent
    for learned in _learned.values():
        if learned.source == source and all(_text(folder / each) == text for each, text in learned.beside.items()):
            for entry in learned.entries:
                registry.register(entry)  # another file may have registered its own by that name
            _learned[path] = learned
            return learned.module
    _learned[path] = _run_file(path, source, folder)
    return _learned[path].module


def _run_file(path: Path, source: bytes, folder: Path) -> _Learned:
    for learned in _learned.values():  # each file imports what lies beside it, and nothing that lay beside another
        for place in {**_imported_from(learned.folder), **learned.beside}:
            parts = Path(place).with_suffix("").parts
            sys.modules.pop(".".join(part for part in parts if part != "__init__"), None)
    if b"mindspore" in source:
        import_mindspore()
    module = ModuleType(f"ms_gan_recipe_{hashlib.sha256(source).hexdigest()[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look their module up
    before = len(registry.ADDED)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        run(lambda: exec(compile(source, str(path), "exec", dont_inherit=True), vars(module)), path)
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise
    finally:
        sys.path.remove(str(folder))
    return _Learned(module, source, folder, _imported_from(folder), registry.ADDED[before:])


def _imported_from(folder: Path) -> dict[str, bytes]:
    """Return the texts of all modules that are imported from a folder, by their paths in it, such as `a/b.py`."""
    found, tops = {}, {entry.stem for entry in folder.glob("*")} - {OURS}
    for name, module in list(sys.modules.items()):
        for end in (".py", "/__init__.py") if name.partition(".")[0] in tops else ():
            place = f"{name.replace('.', '/')}{end}"
            text = _text(folder / place)
            if text is not None and (folder / place).resolve() == Path(str(module.__file__)).resolve():
                found[place] = text
    return found


def _text(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def keep(path: Path, run: Path) -> None:
    """Copy a recipe's file, and the modules that it imports from its own folder, into a run.

    Where it was learned before, the copies have the texts that were run, also if a file has changed since.
    """
    if path.absolute() not in _learned:
        learn(path)
    learned = _learned[path.absolute()]
    (run / RECIPE_FILE).write_bytes(learned.source)
    for place, text in {**_imported_from(learned.folder), **learned.beside}.items():
        copy = run / KEPT / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(text)


def require_file(path: Path) -> None:
    """Raise UserError where there is no such file."""
    record = path / "settings.json"
    if record.is_file() and not (path / "contract.json").is_file():
        raise UserError(f"{path}: a run, not a recipe", f"name {record}")
    if not path.is_file():
        raise UserError(f"{path}: no such file", "name a recipe, or a file that ends in .py or .json")


def run(code: Callable[[], Any], path: Path) -> Any:
    """Run the code of a recipe's file. Raises UserError with the file and the line for whatever goes wrong in it."""
    try:
        return code()
    except (Exception, SystemExit) as error:
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(path)]
        text = error.problem if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        if isinstance(error, SyntaxError):
            lines, text = [error.lineno], f"{type(error).__name__}: {error.msg}"
        where = f"{path}, line {lines[-1]}" if lines and lines[-1] else path
        mend = error.mend if isinstance(error, UserError) else ()
        raise UserError(f"{where}: {' '.join(text.split())}", *mend) from error
