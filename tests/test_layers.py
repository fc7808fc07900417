"""The floors of the house: imports point down only, and what has to be light stays light."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from helpers.commands import PUBLISHED, python

import ms_gan
from ms_gan import recipes

ROOT = Path(ms_gan.__file__).parent
FLOORS = {
    -1: {"ms_gan", "errors"},
    0: {"files", "labels", "randomness", "schema", "signals"},
    1: {"runtime", "latents", "nets", "losses", "data", "weights"},
    2: {"sampling", "kernels"},
    3: {"steps", "evaluation"},
    4: {"recipes"},
    5: {"runs"},
    6: {"training", "delivery"},
    7: {"api", "doctor"},
    8: {"cli"},
    9: {"__main__"},
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}


def sources() -> dict[str, str]:
    """Every module of the package, by dotted name."""
    found = {}
    for file in ROOT.rglob("*.py"):
        parts = file.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = file.read_text(encoding="utf-8")
    return found


def imports(source: str, modules: set[str]) -> set[str]:
    """The project's modules that a source imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "the project's imports name whole paths"
            for name in (f"{node.module}.{alias.name}" for alias in node.names):  # a module, or what a module defines
                found.add(name if name in modules else node.module)
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
            name = node.args[0]
            name = name.values[0] if isinstance(name, ast.JoinedStr) else name
            if isinstance(name, ast.Constant):
                found.add(name.value.rstrip("."))
    return {name for name in found if name.split(".")[0] == "ms_gan"}


def arrows(modules: dict[str, str]) -> dict[str, set[str]]:
    """What each module imports."""
    found = {name: imports(source, set(modules)) for name, source in modules.items()}
    return {**found, "ms_gan": set()}  # it imports the API when that is asked for, and nothing before


def room(module: str) -> str:
    return (module.split(".") + ["ms_gan"])[1] if "." in module else "ms_gan"


def violations(modules: dict[str, str]) -> list[str]:
    """The arrows that do not point to a lower floor, and the modules whose floor nobody has said."""
    homeless = [f"{name}: which floor?" for name in modules if room(name) not in FLOOR]
    return sorted(
        homeless
        + [
            f"{importer} -> {imported}"
            for importer, targets in arrows(modules).items()
            for imported in targets
            if room(importer) != room(imported) and FLOOR.get(room(imported), 99) >= FLOOR.get(room(importer), -99)
        ]
    )


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    """All modules that importing `start` may import in the end, the packages around them included."""
    seen: set[str] = set()
    waiting = {start}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        package = {module.rpartition(".")[0]} - {""}
        waiting |= (graph.get(module, set()) | package) - seen
    return seen


def test_imports_point_down_only():
    assert violations(sources()) == []


@pytest.mark.parametrize(
    "importer, source, imported",
    [
        ("ms_gan.nets.mlp", "from ms_gan.training.loop import Loop", "ms_gan.training.loop"),
        ("ms_gan.losses", "import ms_gan.nets.layers as layers", "ms_gan.nets.layers"),
        ("ms_gan.recipes.build", "def late():\n    from ms_gan.training import loop", "ms_gan.training.loop"),
        ("ms_gan.steps.gan", "if True:\n    from ms_gan.evaluation import metrics", "ms_gan.evaluation.metrics"),
        ("ms_gan.delivery.bundle", "import_module(f'ms_gan.cli.{name}')", "ms_gan.cli"),
    ],
)
def test_an_arrow_up_or_sideways_is_found(importer, source, imported):
    known = dict.fromkeys(sources(), "")
    assert violations({**known, importer: source}) == [f"{importer} -> {imported}"]


def test_a_new_room_has_to_be_given_a_floor():
    assert violations({"ms_gan.attic": ""}) == ["ms_gan.attic: which floor?"]


def test_a_bundle_needs_no_training_code():
    needed = {room(module) for module in reachable("ms_gan.delivery.bundle", arrows(sources()))}
    assert "latents" in needed, "the search follows imports"
    assert not needed & {"training", "steps", "recipes"}


def test_importing_the_package_imports_no_room_of_it():
    done = python("-c", "import ms_gan, sys; print(*(name for name in sys.modules if name.startswith('ms_gan.')))")
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from ms_gan import cli\n"
        "for arguments in (['--help'], *([command, '--help'] for command in cli.COMMANDS)):\n"
        "    try:\n"
        "        cli.main(arguments)\n"
        "    except SystemExit as ended:\n"
        "        assert not ended.code\n"
        "    heavy = {'mindspore', 'matplotlib', 'cv2', 'numpy', 'PIL'} & set(sys.modules)\n"
        "    assert not heavy, (arguments, heavy)"
    )
    done = python("-c", program)
    assert done.returncode == 0 and "usage: " in done.stdout, done.stdout + done.stderr


def test_no_test_module_imports_another():
    """What several need stands in tests/helpers, or is a fixture in conftest.py."""
    importing = re.compile(r"^\s*(from|import) (\.|tests\b|conftest\b|(tests\.)?test_)", re.M)
    files = [*Path(__file__).parent.rglob("*.py")]
    assert not [file for file in files if importing.search(file.read_text(encoding="utf-8"))]


def test_the_trainer_contains_no_word_of_any_family():
    words = sorted({*recipes.FAMILIES, *PUBLISHED} - {"mlp", "gan"}) + ["mlp_", "GANStep", '"gan"', "'gan'"]
    for name, source in sources().items():
        if name.startswith("ms_gan.training"):
            assert not [word for word in words if word in source], name
