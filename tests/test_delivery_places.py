"""Bundles at paths of every kind, and paths that are taken for bundles."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import write_bundle
from helpers.commands import ROOT, SMALL, environment, refused_here, run, write_mnist
from helpers.servers import serving, tensor

from ms_gan import cli, runtime
from ms_gan.delivery.bundle import Bundle
from ms_gan.errors import UserError
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent

pytestmark = pytest.mark.usefixtures("device")

TINY = ("generator.widths=[4]", "data.size=4")
NAMES = {
    "signs": "My Drive/ü/a (1)/x=1,y@z+/{b}/[x]/*/?/#x/!/a;b&c|d/<>",
    "quotation marks": 'it\'s "quoted"/`x`/$HOME/back\\slash/100%s/%/~',
    "a dash": "-lead/--num",
    "white space": "trail / lead/new\nline/tab\t",
    "no Latin": "猫/犬/🙂",
    "hidden": ".hidden",
    "deep": "deep/" * 20 + "é" * 120,
}


def export_tiny(folder, formats=("mindir", "onnx")):
    return write_bundle(folder, "mlp", *TINY, formats=formats)


@pytest.fixture(scope="module")
def tiny(device, tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.mark.parametrize("what", NAMES)
def test_a_bundle_is_exported_to_any_path_and_opened_there(what, tiny, tmp_path):
    folder = tmp_path / NAMES[what]
    export_tiny(folder)
    assert sorted(path.name for path in folder.rglob("*")) == sorted(path.name for path in tiny.rglob("*"))
    for form in ("mindir", "onnx"):
        found, expected = (Bundle(place, form).draw(seeded_inputs(Latent(size=100), 3, 1)) for place in (folder, tiny))
        assert np.array_equal(found, expected)
    left = set(tmp_path.rglob("*")) - {folder, *folder.rglob("*"), *folder.parents}
    assert not left


@pytest.mark.parametrize("place", ["bundle", "../here/bundle", "link/bundle", "."])
def test_a_relative_path_is_relative_to_where_the_command_was_started(place, tmp_path, monkeypatch):
    here = tmp_path / "here"
    (here / "there").mkdir(parents=True)
    (tmp_path / "real folder").mkdir()
    (here / "link").symlink_to(tmp_path / "real folder")
    if place == ".":
        here = tmp_path / "empty"
        here.mkdir()
    monkeypatch.chdir(here)
    export_tiny(Path(place), ("mindir",))
    assert Path.cwd() == here and Path("contract.json").exists() == (place == ".")
    Bundle(Path(place))


def test_a_bundle_is_exported_from_a_folder_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    before = os.stat(".")
    export_tiny(tmp_path / "My Drive" / "e")
    assert os.path.samestat(os.stat("."), before)
    Bundle(tmp_path / "My Drive" / "e")
    os.chdir(tmp_path)


@pytest.mark.parametrize("form", ["mindir", "onnx"])
def test_an_export_that_fails_leaves_nothing_and_stays_where_it_was(form, tmp_path, monkeypatch):
    import mindspore

    def fail(*_arguments, **_options):
        Path("kernel_meta").mkdir()  # as compilers leave behind
        raise RuntimeError("the compiler")

    monkeypatch.setattr(mindspore, "export", fail)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="the compiler"):
        export_tiny(tmp_path / "My Drive" / "deep" / "e", (form,))
    assert list(tmp_path.iterdir()) == [] and Path.cwd() == tmp_path


def test_what_a_compiler_leaves_beside_it_is_not_in_the_bundle(tiny, tmp_path, monkeypatch):
    import mindspore

    real = mindspore.export

    def export(*arguments, **options):
        Path("kernel_meta").mkdir()
        real(*arguments, **options)

    monkeypatch.setattr(mindspore, "export", export)
    export_tiny(tmp_path / "bundle")
    found, expected = (sorted(path.name for path in folder.rglob("*")) for folder in (tmp_path / "bundle", tiny))
    assert found == expected


# the commands, in a folder whose name has a space


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A run below `My Drive (ü)`, its bundle, and what `export` said."""
    folder = tmp_path_factory.mktemp("places") / "My Drive (ü)"
    folder.mkdir()
    data = write_mnist(folder / "data", 80)
    run("train", "--data-path", data, "--epochs", 1, "--batch-size", 8, *SMALL, "--output-dir", folder / "runs")
    done = run("export", folder / "runs" / "mlp" / "1", "--output-dir", folder / "e=1")
    return folder, done.stdout


def test_the_commands_that_export_offers_can_be_copied(drive, tmp_path):
    folder, said = drive
    infer, serve = (line.partition(": " if "next" in line else "      ")[2] for line in said.splitlines()[-2:])
    assert shlex.split(infer)[-8:-4] == ["-m", "ms_gan", "infer", str(folder / "e=1")]
    script = Path(shlex.split(serve)[1])
    assert shlex.split(serve) == ["bash", str(script), str(folder / "e=1")] and (ROOT / script).is_file()
    command = infer.replace(" python ", f" {shlex.quote(sys.executable)} ", 1)
    captured = {"env": environment(), "capture_output": True, "text": True}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, **captured)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "images.png").is_file()


def test_paths_break_no_line_of_the_log(drive, tiny, tmp_path):
    folder, _ = drive
    with serving(folder / "e=1", tmp_path / "log", "--format", "onnx") as server:
        assert server.draw(tensor("seed", "INT64", [1]))[0].shape == (1, 1, 28, 28)
        lines = server.log.read_text().splitlines()
    assert lines[0] == f"opening {folder / 'e=1'} as onnx"
    assert all(re.match(r"opening |serving mlp|INFO:  |\d{4}-\d\d-\d\d ", line) for line in lines), lines
    two = shutil.copytree(tiny, tmp_path / "two\nlines")
    (two / "generator.mindir").write_bytes(b"")
    done = run("serve", two, status=2)
    assert re.fullmatch(r"opening [^\n]+\nerror: [^\n]+\n", done.stderr), done.stderr


def test_an_export_that_is_refused_leaves_no_parents(drive, tmp_path, monkeypatch, capsys):
    from ms_gan.delivery import export

    monkeypatch.setattr(export, "greatest_difference", lambda *_: 1.0)
    assert cli.main(["export", str(drive[0] / "runs/mlp/1"), "--output-dir", str(tmp_path / "My Drive" / "e")]) == 1
    assert "differs from the checkpoint's network by up to 1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# paths that are no bundles


@pytest.fixture(scope="module")
def places(tiny, tmp_path_factory):
    """Runs with and without a bundle, and what else may be named in its place."""
    home = tmp_path_factory.mktemp("named") / "My Drive"
    for number, mark in (("1", "recipe.json"), ("2", "provenance.json")):  # of an earlier version, and of this
        checkpoint = home / number / "checkpoints" / "step_00000010"
        checkpoint.mkdir(parents=True)
        (home / number / mark).write_text("{}")
        (checkpoint / "state.json").write_text("{}")
    shutil.copytree(tiny, home / "2" / "export")
    (home / "empty").mkdir()
    (home / "notes.txt").write_text("mine")
    return home


EXPORT, STEP = f"export it first: {runtime.command_line('export')}", "checkpoints/step_00000010"
ASTRAY = {  # path, and what the line says behind it; {} is the folder of all
    "nowhere at all": ": there is no such file or folder",
    "1": f", but a run; {EXPORT} '{{}}/1'",
    "2": ", but a run; the run's bundle is '{}/2/export'",
    f"1/{STEP}": f", but a checkpoint; {EXPORT} '{{}}/1/{STEP}'",
    f"2/{STEP}": ", but a checkpoint; the run's bundle is '{}/2/export'",
    "empty": " (no contract.json in it); `export` writes one",
    "notes.txt": ", but a file; name the folder that `export` wrote",
    "2/export/generator.mindir": ", but a file; name the folder that `export` wrote",
}


@pytest.mark.parametrize("path", ASTRAY)
@pytest.mark.parametrize("command", ["infer", "serve"])
def test_what_is_no_bundle_is_named_with_what_to_do(command, path, places, tmp_path, capsys):
    more = ("--num", 1, "--output", tmp_path / "x.png") if command == "infer" else ()
    line = refused_here(capsys, command, places / path, *more)
    assert line.startswith(f"error: {places / path}: not a bundle{ASTRAY[path].format(places)}")


def test_in_python_a_command_is_offered_that_works_without_a_clone(places):
    with pytest.raises(UserError, match="but a run; export it first: python -m ms_gan export '.*/1'$"):
        Bundle(places / "1")
