"""What the project says of itself: its packages, its requirements, its version, and the links of its pages."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from helpers.commands import ROOT

from ms_gan import cli, recipes

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / name / "README.md" for name in ("ckpt", "findings"))]
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@pytest.fixture(scope="module")
def project():
    """pyproject.toml, as a dict."""
    tomllib = pytest.importorskip("tomllib", reason="Python reads TOML from 3.11 on")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_installed(project):
    """A room that the list in pyproject.toml forgets is missing after `pip install`."""
    packages = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "ms_gan").rglob("__init__.py")}
    assert set(project["tool"]["setuptools"]["packages"]) - {"ms_gan.judges.mnist"} == packages


def test_each_finding_is_listed():
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.sh\)", (ROOT / "findings/README.md").read_text(encoding="utf-8"), re.M)
    assert listed == sorted(file.stem for file in (ROOT / "findings").glob("*.sh"))


@pytest.mark.parametrize("extra", ["", "serve", "test", "bench"])
def test_pins_lie_within_the_supported_ranges(project, extra):
    requirements = pytest.importorskip("packaging.requirements")
    named = project["project"]
    ranges = {}
    for line in named["optional-dependencies"][extra] if extra else named["dependencies"]:
        wanted = requirements.Requirement(line)
        ranges[wanted.name.lower()] = wanted
    pins = {}
    text = (ROOT / f"requirements{extra and '-'}{extra}.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if line and not line.startswith("-r "):
            pin = requirements.Requirement(line)
            pins[pin.name.lower()] = pin.specifier
    assert pins.keys() == ranges.keys()
    for name, specifier in pins.items():
        (pinned,) = specifier
        assert pinned.operator == "==" and ranges[name].specifier.contains(pinned.version), name


def test_the_changelog_knows_the_version():
    version = re.search(r'__version__ = "([^"]+)"', (ROOT / "ms_gan" / "__init__.py").read_text(encoding="utf-8"))[1]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def commands(page: Path) -> list[list[str]]:
    """The commands of ms_gan in a page's blocks, as arguments of `python -m ms_gan`."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    found = []
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        if not line.startswith(("bash scripts/", "python -m ms_gan")):
            continue
        words = shlex.split(line, comments=True)
        script = re.fullmatch(r"scripts/run_(?:[a-z]+_)?(train|eval|export|serve)\.sh", "".join(words[1:2]))
        if script:
            found.append([script[1], *words[2:]])
        elif words[1:3] == ["-m", "ms_gan"]:
            found.append(words[3:])
    return found


@each_page
def test_commands_of_the_pages_exist_with_their_options_and_settings(page):
    for command, *arguments in commands(page):
        with contextlib.redirect_stdout(io.StringIO()) as help_text, pytest.raises(SystemExit):
            cli.main([command, "--help"])
        options = {word for word in arguments if word.startswith("--")}
        assert options <= set(re.findall(r"--[a-z][a-z-]+", help_text.getvalue())), (command, arguments)
        after = list(zip(arguments, arguments[1:]))
        name = dict(after).get("--recipe", "mlp")
        if name in recipes.names():
            recipes.override(recipes.load(name), [value for option, value in after if option == "--set"])
        else:
            assert name.endswith((".py", ".json"))


@each_page
def test_settings_that_the_pages_name_exist(page):
    known = {key for name in recipes.names() for key in recipes.load(name).settings()}
    assert set(re.findall(r"--set\s+'?([a-z][\w.]*)=", page.read_text(encoding="utf-8"))) <= known


def test_recipes_of_the_pages_load(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), re.S)
    loaded = []
    for number, block in enumerate(blocks):
        (tmp_path / f"example_{number}.py").write_text(block, encoding="utf-8")
        loaded.append(recipes.load(str(tmp_path / f"example_{number}.py")).name)
    assert loaded == ["lsgan", "wgan_gp", "one_layer", "gmmn"]


def anchors(page: Path) -> set[str]:
    """The ids that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken
