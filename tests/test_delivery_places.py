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
from helpers.bundles import labels_of, networks_of, recipe_of
from helpers.commands import ROOT, SMALL, environment, refused_here, run, write_mnist
from helpers.servers import serving, tensor

from ms_gan import cli, runtime
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.formats import WRITERS, read_mindir, read_onnx
from ms_gan.errors import UserError
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent

pytestmark = pytest.mark.usefixtures("device")

TINY = ("generator.widths=[4]", "data.size=4")
NAMES = {
    "a space": "My Drive/e",
    "a letter": "ü",
    "signs": "a (1)/x=1,y@z+/{b}/[x]/*/?/#x/!/a;b&c|d/<>",
    "quotation marks": 'it\'s "quoted"/`x`/$HOME/back\\slash/100%s/%/~',
    "a dash": "-lead/--num",
    "white space": "trail / lead/new\nline/tab\t",
    "no Latin": "猫/犬/🙂",
    "hidden": ".hidden",
    "long": "n" * 250,
    "long letters": "é" * 120,
    "deep": "deep/" * 20 + "n" * 200,
}


def export_tiny(folder, formats=("mindir", "onnx"), replace=False):
    from ms_gan.delivery import export

    recipe = recipe_of("mlp", TINY)
    generator, _ = networks_of(recipe, seed=1)
    origin = {"step": 1, "seed": 1, "dataset": "noise", "data_sha256": "0" * 64}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PARITY_BATCHES", (1,))
        exported = export.Exported(generator, None, recipe, labels_of(recipe), runtime.set_up("CPU"), origin)
        return export.export_bundle(folder, exported, formats, replace)


@pytest.fixture(scope="module")
def tiny(device, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    export_tiny(folder)
    return folder


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


def test_a_path_that_is_not_utf8_is_read_or_refused_in_a_sentence(tiny, tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    shutil.copytree(tiny, folder)
    inputs = seeded_inputs(Latent(size=100), 3, 1)
    assert np.array_equal(Bundle(folder, "onnx").draw(inputs), Bundle(tiny, "onnx").draw(inputs))
    with pytest.raises(UserError, match="path is not UTF-8"):
        Bundle(folder, "mindir")


def test_every_writer_gives_what_its_reader_takes_at_any_path(tmp_path):
    from ms_gan.delivery.export import models_of

    recipe = recipe_of("mlp", TINY)
    network, _ = networks_of(recipe, seed=2)
    spec = models_of(recipe, None, with_encoder=False)["generator"]
    for form, read in (("mindir", read_mindir), ("onnx", read_onnx)):
        file = tmp_path / "My (1) Drive" / f"generator.{form}"
        file.parent.mkdir(exist_ok=True)
        WRITERS[form](network, spec, file)
        assert read(file, spec)(np.zeros((2, 100), np.float32))[0].shape == (2, 1, 4, 4)
    assert sorted(path.name for path in file.parent.iterdir()) == ["generator.mindir", "generator.onnx"]


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
    assert shlex.split(infer)[:4] == ["python", "-m", "ms_gan", "infer"]
    assert shlex.split(serve) == ["bash", "scripts/run_serve.sh", str(folder / "e=1")]
    done = subprocess.run(
        ["bash", "-c", infer.replace("python", shlex.quote(sys.executable), 1)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "images.png").is_file()


def test_a_bundle_in_a_folder_with_a_space_is_served_and_its_log_has_whole_lines(drive, tmp_path):
    folder, _ = drive
    with serving(folder / "e=1", tmp_path / "log", "--format", "onnx") as server:
        assert server.draw(tensor("seed", "INT64", [1]))[0].shape == (1, 1, 28, 28)
        lines = server.log.read_text().splitlines()
    assert lines[0] == f"opening {folder / 'e=1'} as onnx"
    assert all(re.match(r"opening |serving mlp|INFO:  |\d{4}-\d\d-\d\d ", line) for line in lines), lines


def test_a_line_feed_in_a_path_breaks_no_line(tiny, tmp_path):
    folder = tmp_path / "two\nlines"
    with serving(shutil.copytree(tiny, folder), tmp_path / "log", "--format", "onnx") as server:
        assert server.log.read_text().splitlines()[0].startswith("opening ")
        assert server.log.read_text().splitlines()[0].endswith(" as onnx")
    (folder / "generator.mindir").write_bytes(b"")
    done = run("serve", folder, status=2)
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
    """Runs with and without a bundle, a bundle of its own, and what may be named in its place."""
    home = tmp_path_factory.mktemp("named") / "My Drive"
    for number in ("1", "2"):
        checkpoint = home / "runs" / "mlp" / number / "checkpoints" / "step_00000010"
        checkpoint.mkdir(parents=True)
        (home / "runs" / "mlp" / number / "samples").mkdir()
        mark = {"1": "recipe.json", "2": "provenance.json"}[number]  # of an earlier version, and of this
        (home / "runs" / "mlp" / number / mark).write_text("{}")
        for name in ("state.json", "generator.ckpt"):
            (checkpoint / name).write_text("{}")
    shutil.copytree(tiny, home / "runs" / "mlp" / "2" / "export")
    shutil.copytree(tiny, home / "mine" / "a bundle")
    shutil.copytree(home / "runs" / "mlp" / "1", home / "other" / "mlp" / "1")
    (home / "empty").mkdir()
    (home / "notes.txt").write_text("mine")
    (home / "broken").symlink_to("nowhere")
    return home


EXPORT, CHECKPOINT = "bash scripts/run_export.sh", "runs/mlp/{}/checkpoints/step_00000010"
ASTRAY = {  # path, and what the line says behind it; {} is the folder of all
    "nowhere at all": ": there is no such file or folder",
    "broken": ": a link to nowhere, which is not there",
    "runs/mlp/1": f", but a run; export it first: {EXPORT} '{{}}/runs/mlp/1'",
    "runs/mlp/2": ", but a run; its bundle is '{}/runs/mlp/2/export'",
    "runs/mlp/1/checkpoints": ", but a folder of the run '{}/runs/mlp/1'; "
    f"export it first: {EXPORT} '{{}}/runs/mlp/1'",
    CHECKPOINT.format(1): f", but a checkpoint; export it first: {EXPORT} '{{}}/{CHECKPOINT.format(1)}'",
    CHECKPOINT.format(2): f", but a checkpoint; the bundle of its run is '{{}}/runs/mlp/2/export', and {EXPORT} "
    f"'{{}}/{CHECKPOINT.format(2)}' --output-dir DIR writes one of this step",
    "runs/mlp/1/checkpoints/step_00000010/generator.ckpt": ", but a file of the checkpoint",
    "runs/mlp/2/samples": ", but a folder of the run '{}/runs/mlp/2'; its bundle is '{}/runs/mlp/2/export'",
    "runs": ", but a folder with a bundle in it; name '{}/runs/mlp/2/export'",
    "runs/mlp": ", but a folder with a bundle in it; name '{}/runs/mlp/2/export'",
    "other": f", but a folder with a run in it; export it first: {EXPORT} '{{}}/other/mlp/1'",
    "mine": ", but a folder with a bundle in it; name '{}/mine/a bundle'",
    "mine/a bundle/generator.mindir": ", but a file of the bundle '{}/mine/a bundle'; name that",
    "mine/a bundle/contract.json": ", but a file of the bundle '{}/mine/a bundle'; name that",
    "mine/a bundle/generator": ", but a folder of the bundle '{}/mine/a bundle'; name that",
    "mine/a bundle/generator/1/generator.onnx": ", but a file of the bundle '{}/mine/a bundle'; name that",
    ".": ", but a folder with a bundle in it; name '{}/mine/a bundle'",
    "empty": " (no contract.json in it); `export` writes one",
    "notes.txt": ", but a file; name the folder that `export` wrote",
}


@pytest.mark.parametrize("path", ASTRAY)
@pytest.mark.parametrize("command", ["infer", "serve"])
def test_what_is_no_bundle_is_named_with_what_to_do(command, path, places, tmp_path, capsys):
    more = ("--num", 1, "--output", tmp_path / "x.png") if command == "infer" else ()
    line = refused_here(capsys, command, places / path, *more)
    assert line.startswith(f"error: {places / path}: not a bundle{ASTRAY[path].format(*[places] * 4)}")


def test_a_relative_path_gets_a_relative_answer(places, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(places / "mine" / "a bundle" / "generator")
    more = ("--num", 1, "--output", tmp_path / "x.png")
    assert "a folder of the bundle ..; name that" in refused_here(capsys, "infer", ".", *more)
    monkeypatch.chdir(places)
    assert "its bundle is runs/mlp/2/export" in refused_here(capsys, "infer", "runs/mlp/2", *more)
    assert f"{EXPORT} other/mlp/1\n" in refused_here(capsys, "infer", "other", *more)


def test_what_a_killed_export_left_is_not_offered(tiny, tmp_path, capsys):
    shutil.copytree(tiny, tmp_path / ".export.abc.part")
    line = refused_here(capsys, "infer", tmp_path, "--num", 1, "--output", tmp_path / "x.png")
    assert "no contract.json in it" in line and ".part" not in line


def test_the_shipped_bundles_are_offered_by_the_folder_above_them(tmp_path, capsys):
    line = refused_here(capsys, "infer", ROOT / "ckpt", "--num", 1, "--output", tmp_path / "x.png")
    assert re.search(rf"name one, such as {re.escape(str(ROOT))}/ckpt/(mlp|rpgan)\n", line)
