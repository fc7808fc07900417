"""Installed, without its requirements or elsewhere than in a clone: help, the right advice, and all files it needs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest
from helpers.commands import NEEDED, ROOT, python

from ms_gan import cli, data, runtime
from ms_gan.errors import quoted
from ms_gan.evaluation.judge import load_judge

WITHOUT_CACHES = shutil.ignore_patterns("__pycache__")
NO_PACKAGE = r"error: \w+ is not installed; "


def bare(place, *arguments, packages=ROOT):
    """Run a command in a Python without any package but this one."""
    return python("-m", "ms_gan", *arguments, cwd=place, bare=True, PYTHONPATH=str(packages))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of packages into which `pip install CLONE` has installed this one, without its requirements."""
    setuptools = importlib.util.find_spec("setuptools") and __import__("setuptools")
    if setuptools is None or int(setuptools.__version__.split(".")[0]) < 77 or importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip, or no setuptools from 77 on")
    clone, target = tmp_path_factory.mktemp("my clone"), tmp_path_factory.mktemp("packages")
    for name in ("ms_gan", "ckpt/judges"):
        shutil.copytree(ROOT / name, clone / name, ignore=WITHOUT_CACHES)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, clone)
    options = "--no-deps --no-build-isolation --no-index --quiet --disable-pip-version-check --no-compile".split()
    done = python("-m", "pip", "install", *options, "--target", target, clone)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_needs_no_package_and_names_every_data_set(tmp_path, command):
    done = bare(tmp_path, *command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout
    assert command not in ("train", "judge") or all(name in done.stdout for name in data.DATASETS)


def test_mistakes_of_typing_need_no_package(tmp_path):
    for arguments in (("bogus",), ("train", "--dataset", "bogus"), ("eval", "--grid", "5"), ("infer", "x")):
        done = bare(tmp_path, *arguments)
        assert done.returncode == 2 and re.fullmatch(r"error: [^\n]+ --help\)\n", done.stderr)


@pytest.mark.parametrize("command", [name for name in cli.COMMANDS if name != "recipes"])  # which needs none
def test_a_command_without_its_packages_says_how_to_install_them(tmp_path, command):
    done = bare(tmp_path, command, *NEEDED.get(command, ()))
    assert done.returncode == 2
    listing = "requirements-serve.txt" if command == "serve" else "requirements.txt"
    assert re.fullmatch(rf"{NO_PACKAGE}[^\n]+ -m pip install -r [^\n]*{listing}(, or use [^\n]+)?\n", done.stderr)
    stack = bare(tmp_path, command, "--debug", *NEEDED.get(command, ()))
    assert stack.returncode == 2 and stack.stderr.startswith("Traceback") and stack.stderr.endswith(done.stderr)


def test_the_command_that_installs_can_be_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert runtime.install_command() == f"{runtime.python()} -m pip install -r {quoted(ROOT / 'requirements.txt')}"
    monkeypatch.chdir(ROOT)
    assert runtime.install_command(serving=True).endswith(" -m pip install -r requirements-serve.txt")
    monkeypatch.setattr(runtime.shutil, "which", lambda name: sys.executable)
    assert runtime.install_command() == "python -m pip install -r requirements.txt"


def test_a_command_that_is_offered_can_be_typed_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(ROOT)
    assert runtime.command_line("eval") == "bash scripts/run_eval.sh"
    assert runtime.command_line("infer") == f"{runtime.python()} -m ms_gan infer"
    monkeypatch.chdir(tmp_path)
    assert runtime.command_line("eval") == f"{runtime.python()} -m ms_gan eval", "installed from its clone"
    (tmp_path / "link").symlink_to(ROOT)
    monkeypatch.setenv("PYTHONPATH", f"elsewhere{os.pathsep}{tmp_path / 'link'}/")  # as the scripts may set it
    assert runtime.command_line("eval") == f"bash {quoted(ROOT / 'scripts' / 'run_eval.sh')}"
    assert runtime.command_line("infer") == f"PYTHONPATH={quoted(ROOT)} {runtime.python()} -m ms_gan infer"


def test_an_installed_package_names_what_it_needs_and_no_file_of_a_clone(tmp_path, installed):
    said = bare(tmp_path, "eval", packages=installed).stderr
    wanted = re.fullmatch(rf"{NO_PACKAGE}[^\n]+ -m pip install ([^\n]+)\n", said)[1]
    for package in ("mindspore", "numpy", "matplotlib", "opencv-python-headless", "tqdm"):
        assert f"'{package}" in wanted
    assert "fastapi" not in wanted and "requirements" not in wanted and "extra" not in wanted
    wanted = bare(tmp_path, "serve", "x", packages=installed).stderr
    assert "'fastapi<" in wanted and "'mindspore<" in wanted


def test_a_package_that_was_copied_without_its_metadata_names_where_they_are_listed(tmp_path):
    shutil.copytree(ROOT / "ms_gan", tmp_path / "ms_gan", ignore=WITHOUT_CACHES)
    (tmp_path / "requirements.txt").write_text("of somebody else\n")
    said = bare(tmp_path, "eval", packages=tmp_path).stderr
    assert re.fullmatch(rf"{NO_PACKAGE}install the packages that the pyproject\.toml of ms_gan's clone lists\n", said)


def test_every_file_of_the_package_is_installed(installed):
    def files(folder):
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    in_clone = {
        **files(ROOT / "ms_gan"),
        **{f"judges/{name}": content for name, content in files(ROOT / "ckpt" / "judges").items()},
    }
    assert files(installed / "ms_gan") == in_clone
    assert bare(installed.parent, "recipes", "--help", packages=installed).returncode == 0


def test_an_installed_package_brings_its_judges(installed):
    home = installed / "ms_gan" / "judges"
    assert load_judge(home / "mnist").data.name == "mnist"
    program = "from ms_gan.evaluation import judge_training; print(*judge_training.SHIPPED, sep='\\n')"
    done = python("-c", program, cwd=installed.parent, PYTHONPATH=str(installed))
    assert str(home) in done.stdout.splitlines()


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="this is no clone")
def test_what_building_leaves_is_not_taken_for_a_part_of_the_project():
    for name in ("build/lib/ms_gan/cli/train.py", "dist/x.whl", "ms_gan.egg-info/PKG-INFO"):
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT).returncode == 0, name
