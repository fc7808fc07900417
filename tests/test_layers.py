"""The floors of the house: imports point down only, and what has to be light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import PUBLISHED

import ms_gan
from ms_gan import recipes

ROOT = Path(ms_gan.__file__).parent
FLOORS = {
    -2: {"ms_gan", "errors"},
    -1: {"files", "labels", "randomness", "schema"},
    0: {"runtime", "latents", "nets", "losses", "data"},
    1: {"sampling"},
    2: {"steps", "evaluation"},
    3: {"recipes"},
    4: {"runs"},
    5: {"training", "delivery"},
    6: {"api", "cli"},
    7: {"__main__"},
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


def imports(module: str, source: str, modules: set[str], packages: set[str]) -> set[str]:
    """The project's modules that a source imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if module in packages else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *base.split(".")]).rstrip(".")
            for alias in node.names:  # `from a import b` may mean a.b, or what a defines
                found.add(f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base)
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
            name = node.args[0]
            name = name.values[0] if isinstance(name, ast.JoinedStr) else name
            if isinstance(name, ast.Constant):
                found.add(name.value.rstrip("."))
    return {name for name in found if name.split(".")[0] == "ms_gan"}


def arrows(modules: dict[str, str]) -> dict[str, set[str]]:
    """What each module imports."""
    packages = {name.rpartition(".")[0] for name in modules}
    found = {name: imports(name, source, set(modules), packages) for name, source in modules.items()}
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
        ("ms_gan.nets.mlp", "from ms_gan import losses", "ms_gan.losses"),
        ("ms_gan.losses", "import ms_gan.nets.layers as layers", "ms_gan.nets.layers"),
        ("ms_gan.recipes.build", "def late():\n    from ms_gan.training import loop", "ms_gan.training.loop"),
        ("ms_gan.steps.gan", "if True:\n    from ..evaluation import metrics", "ms_gan.evaluation.metrics"),
        ("ms_gan.steps", "from ..evaluation.metrics import BLOCK", "ms_gan.evaluation.metrics"),
        ("ms_gan.delivery.bundle", "importlib.import_module('ms_gan.cli')", "ms_gan.cli"),
        ("ms_gan.delivery.bundle", "import_module(f'ms_gan.cli.{name}')", "ms_gan.cli"),
    ],
)
def test_an_arrow_up_or_sideways_is_found(importer, source, imported):
    known = dict.fromkeys(sources(), "")
    assert violations({**known, importer: source}) == [f"{importer} -> {imported}"]


@pytest.mark.parametrize(
    "importer, source",
    [
        ("ms_gan.training.loop", "from ms_gan.recipes import build\nimport numpy, ms_gan"),
        ("ms_gan.nets.mlp", "from ms_gan.nets.layers import LeakyReLU\nfrom . import layers"),
    ],
)
def test_an_arrow_down_or_within_a_room_is_allowed(importer, source):
    assert violations({**dict.fromkeys(sources(), ""), importer: source}) == []


def test_a_new_room_has_to_be_given_a_floor():
    assert violations({"ms_gan.attic": ""}) == ["ms_gan.attic: which floor?"]


def test_a_bundle_needs_no_training_code():
    needed = {room(module) for module in reachable("ms_gan.delivery.bundle", arrows(sources()))}
    assert "latents" in needed, "the search follows imports"
    assert not needed & {"training", "steps", "recipes"}


def test_the_search_goes_through_other_modules_and_packages():
    modules = {"ms_gan.a": "import ms_gan.b.c", "ms_gan.b": "import ms_gan.d", "ms_gan.b.c": "", "ms_gan.d": ""}
    graph = arrows(modules)
    assert reachable("ms_gan.a", graph) == {"ms_gan", "ms_gan.a", "ms_gan.b", "ms_gan.b.c", "ms_gan.d"}


def test_importing_the_package_imports_no_room_of_it():
    program = "import ms_gan, sys; print(*(name for name in sys.modules if name.startswith('ms_gan.')))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT.parent, capture_output=True, text=True)
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
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT.parent, capture_output=True, text=True)
    assert done.returncode == 0 and "usage: " in done.stdout, done.stdout + done.stderr


TESTS = Path(__file__).parent


def imported_tests(source: str) -> set[str]:
    """The test files that a source imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(alias.name for alias in node.names if node.module in (None, "tests"))}
    return {name for name in found if name.split(".")[-1].startswith("test_") or name.split(".")[-1] == "conftest"}


def test_no_test_module_imports_another():
    files = sorted(TESTS.rglob("*.py"))
    assert Path(__file__) in files and TESTS / "helpers" / "commands.py" in files
    assert {str(file): found for file in files if (found := imported_tests(file.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "source",
    ["import test_a", "def late():\n    from test_a import b", "from . import test_a", "from tests.test_a import b"],
)
def test_an_import_of_a_test_module_is_found(source):
    assert imported_tests(source) and not imported_tests("from helpers.commands import test_b")


def test_the_trainer_contains_no_word_of_any_family():
    words = sorted({*recipes.FAMILIES, *PUBLISHED} - {"mlp", "gan"}) + ["mlp_", "GANStep", '"gan"', "'gan'"]
    for name, source in sources().items():
        if name.startswith("ms_gan.training"):
            assert not [word for word in words if word in source], name
