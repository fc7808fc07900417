"""What is typed wrongly, or cannot be done, is answered in one line with status 2, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.commands import here, refused_here, run, write_mnist
from helpers.refusals import refused
from PIL import Image

import ms_gan
from ms_gan import cli, recipes
from ms_gan.cli import options
from ms_gan.cli.options import chosen_labels
from ms_gan.labels import LabelNames

WRONG = [
    ((), "COMMAND"),
    (("bogus",), "bogus"),
    (("train", "--recipe", "foo"), "there are: acgan, "),
    (("train", "--set", "latent.siz=10"), "did you mean latent.size"),
    (("train", "--set", "latent.size"), "key=value"),
    (("train", "--set", "latent.size=many"), "latent.size must be a whole number"),
    (("train", "--set", "generator.widths=[0]"), "generator.widths"),
    (("train", "--set", "latent.distribution=cubic"), "normal"),
    (("train", "--recipe", "dcgan", "--set", "generator.strides=[2]"), "that makes pixels, so 4, not 1: (2,)"),
    (("train", "--batch-size", "3"), "at least 4"),
    (("train", "--set", "schedule.epochs=3"), "use --epochs"),
    (("train", "--set", "schedule.batch_size=8"), "use --batch-size"),
    (("train", "--epochs", "0"), "whole number from 1"),
    (("train", "--epochs", "2", "--steps", "3"), "not allowed with"),
    (("train", "--seed", "4294967296"), "0 to 4294967295"),
    (("train", "--device-target", "TPU"), "TPU"),
    (("train", "--device-target", "Ascend"), "--device-target"),
    (("train", "--device-target", "CPU", "--device-id", "3"), "no CPU 3"),
    (("train", "--data-path", "absent"), "absent"),
    (("train", "--data-path", "empty"), "empty"),
    (("train", "--data-path", "data", "--batch-size", "1000"), "--batch-size"),
    (("train", "--data-path", "data", "--set", "data.size=32"), "28x28"),
    (("train", "--data-path", "data", "--recipe", "acgan", "--set", "data.classes=5"), "--set data.classes=10"),
    (("train", "--data-path", "data", "--batch-size", "8", "--set", "generator.output=sigmoid"), "data.pixel_range"),
    (("train", "--data-path", "data", "--batch-size", "8", "--set", "generator.network=unet"), "mlp_generator"),
    (("train", "--data-path", "data", "--batch-size", "8", "--output-dir", "a_file"), "a_file"),
    (("train", "--dataset", "digits", "--data-path", "data"), "--data-path"),
    (("train", "--resume", "absent"), "not a run folder (there is no such folder); list what there is: "),
    (("eval", "runs/mlp/1/checkpoints/best"), "no such run or checkpoint folder; it comes with the first scores"),
    (("eval", "absent"), "no such run or checkpoint folder; list what there is: "),
    (("eval",), "train first"),
    (("eval", "data"), "not a run folder"),
    (("eval", "data", "--grid", "5"), "ROWSxCOLUMNS"),
    (("judge",), "--output-dir"),
    (("judge", "--data-path", "absent", "--output-dir", "x"), "absent"),
    (("judge", "--data-path", "data", "--output-dir", "a_file"), "is a file"),
    (("judge", "--data-path", "data", "--output-dir", "data"), "holds"),
    (("judge", "--data-path", "data", "--output-dir", "x", "--seed", "4294967295"), "0 to 4294967294"),
    (("infer", "data", "--num", "1", "--output", "x.png"), "not a bundle"),
    (("infer", "data", "--num", "1", "--output", "x.jpg"), "does not end in .png, .npy"),
    (("infer", "data", "--num", "1", "--output", "absent/x.png"), "no such folder"),
    (("infer", "data", "--num", "1"), "--output"),
    (("compare", "data", "data", "--output", "empty", "--overwrite"), "empty: is a folder"),
    (("eval", "data", "--grid", "101x1"), "each from 1 to 100"),
    (("export", "data", "--format", "tflite"), "mindir, onnx or both"),
    (("export", "data", "--format", "onnx,onnx"), "mindir, onnx or both"),
    (("serve",), "BUNDLE"),
    (("serve", "data", "--format", "mindir,onnx"), "--format"),
    (("serve", "data", "--http-port", "0"), "1 to 65535"),
    (("serve", "data", "--grpc-port", "65536"), "1 to 65535"),
    (("serve", "data", "--device-id", "-1"), "whole number from 0"),
    (("serve", "data"), "not a bundle"),
    (("infer", "data", "--num", "1", "--output", "x.png", "--format", "tflite"), "--format"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    write_mnist(folder / "data", 40)
    (folder / "empty").mkdir()
    (folder / "a_file").write_text("mine")
    return folder


@pytest.mark.parametrize("arguments, named", WRONG, ids=[" ".join(arguments) or "nothing" for arguments, _ in WRONG])
def test_mistakes_get_one_line_and_status_2(arguments, named, home, monkeypatch, capsys, device):
    monkeypatch.chdir(home)
    before = sorted(home.rglob("*"))
    assert named in refused_here(capsys, *arguments)
    assert sorted(home.rglob("*")) == before


def printed(capsys, *arguments):
    """What a command, run in this process, prints."""
    capsys.readouterr()
    here(*arguments)
    return capsys.readouterr().out


def test_help_names_every_command_and_its_defaults(capsys):
    everything = " ".join(printed(capsys, "--help").split())
    for command, purpose in cli.COMMANDS.items():
        assert f"{command} {purpose}" in everything
        assert printed(capsys, command, "--help").startswith(f"usage: python -m ms_gan {command}")
    of_training = " ".join(printed(capsys, "train", "--help").split())
    for default in ("mlp", "auto", "runs"):
        assert f"(default: {default})" in of_training


def test_the_version_is_the_packages():
    assert run("--version").stdout == f"ms_gan {ms_gan.__version__}\n"


def test_recipes_are_listed_and_shown(capsys):
    listed = printed(capsys, "recipes").splitlines()
    assert [line.split()[0] for line in listed] == recipes.names()
    assert all(recipes.load(line.split()[0]).summary in line for line in listed)
    assert any("epochs of 1000 steps" in line for line in listed)
    for name in recipes.names():
        assert recipes.from_json(json.loads(printed(capsys, "recipes", name))) == recipes.load(name)


ANIMALS, TAGS = LabelNames(("cat", "dog", "owl")), LabelNames(("cat", "dog", "owl"), max_tags=2)


def test_labels_are_drawn_as_they_are_named_and_all_if_none_is():
    assert chosen_labels(None, None) is None
    assert chosen_labels(None, ANIMALS).tolist() == [0, 1, 2]
    assert chosen_labels(None, TAGS).tolist() == [[1, 0], [2, 0], [3, 0]]
    assert chosen_labels(["owl", "cat", "owl"], ANIMALS).tolist() == [2, 0, 2]
    assert chosen_labels(["owl", " owl,cat", "dog,dog"], TAGS).tolist() == [[3, 0], [1, 3], [2, 0]]
    assert TAGS.texts(chosen_labels(["owl,cat", ""], TAGS)) == ["cat, owl", "none"]


@pytest.mark.parametrize(
    "wanted, names, said",
    [
        (["cat", "horse"], ANIMALS, "there is no class 'horse'; name one of cat, dog, owl with labels"),
        (["dogs"], ANIMALS, "there is no class 'dogs' (did you mean dog?)"),
        (["cat,dgo"], TAGS, "there is no tag 'dgo' (did you mean dog?); name some of cat, dog, owl, joined by commas,"),
        (["cat,dog,owl"], TAGS, "'cat,dog,owl': 3 tags, but an image has at most 2"),
        (["cat"], None, "this generator takes no labels; leave out labels"),
    ],
)
def test_labels_that_cannot_be_drawn_are_refused_in_one_line(wanted, names, said):
    assert said in refused(chosen_labels, wanted, names)


def test_without_network_the_drawn_digits_take_over_and_the_record_says_so(home, tmp_path):
    dead = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
    cache = {"MS_GAN_CACHE": str(tmp_path / "cache"), **dead}
    failed = run("train", "--dataset", "mnist", "--output-dir", tmp_path / "runs", status=2, **cache)
    assert re.fullmatch(r"error: no mirror [^\n]+\n", failed.stderr) and not (tmp_path / "runs").exists()

    done = run("train", "--steps", 2, "--set", "generator.widths=[8]", "--output-dir", tmp_path / "runs", **cache)
    assert "using the data set digits instead" in done.stdout
    record = (tmp_path / "runs/mlp/1/provenance.json").read_text()
    assert '"instead_of": "mnist"' in record
    assert "mnist could not be fetched" in (tmp_path / "runs/mlp/1/train.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk takes root")
def test_a_full_disk_loses_nothing(home, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        small = ("--set", "generator.widths=[64]", "--set", "discriminator.widths=[64]", "--batch-size", 8)
        full = run("train", "--data-path", home / "data", "--epochs", 100, *small, "--output-dir", disk, status=2)
        assert re.fullmatch(r"error: [^\n]*(MB are free|No space left on device)[^\n]*\n", full.stderr), full.stderr
        run_folder = disk / "mlp" / "1"
        kept = sorted(run_folder.glob("checkpoints/step_*"))
        assert kept and not list(run_folder.glob("checkpoints/.*"))
        shutil.copytree(run_folder, tmp_path / "moved")
        resumed = run("train", "--resume", tmp_path / "moved", "--epochs", int(kept[-1].name[5:]) // 5 + 1)
        assert f"at step {int(kept[-1].name[5:])} of" in resumed.stdout
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("train", "--data-pth", "x"), "unrecognized arguments: --data-pth x; did you mean --data-path?"),
        (("export", "runs/mlp/1", "--overwrit"), "unrecognized arguments: --overwrit; did you mean --overwrite?"),
        (("train", "--step", "2"), "unrecognized arguments: --step 2; did you mean --steps?"),
        (("train", "x", "--data-pth", "y"), "did you mean --data-path?"),
        (("train", "--zzzz"), "unrecognized arguments: --zzzz (see"),
        (("train", "-steps", "2"), "unrecognized arguments: -steps 2; did you mean --steps?"),
        (("train", "--data-path", "my", "mugs"), "unrecognized arguments: mugs; put quotes around a name with spaces"),
        (("train", "--set", "data.sise=64"), "did you mean data.size?"),
    ],
)
def test_a_part_of_an_option_is_none_and_what_was_probably_meant_is_offered(arguments, said, capsys):
    assert said in refused_here(capsys, *arguments)


@pytest.mark.parametrize(
    "count, said", [(3, "have at least 4, since no batch is smaller"), (5, "give a smaller --batch-size")]
)
def test_few_images_get_advice_that_can_be_followed(count, said, tmp_path, capsys, device):
    for number in range(count):
        Image.new("L", (8, 8), 40 * number).save(tmp_path / f"{number}.png")
    arguments = (
        "train",
        "--dataset",
        "folder",
        "--data-path",
        tmp_path,
        "--set",
        "data.size=8",
        "--output-dir",
        tmp_path / "runs",
    )
    assert said in refused_here(capsys, *arguments, "--batch-size", 32)


def test_a_place_that_cannot_be_written_to_is_told_before_a_judge_is_trained(tmp_path, capsys, monkeypatch):
    judge = ("judge", "--dataset", "digits", "--output-dir", tmp_path / "new" / "judge")
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != tmp_path)  # root may write anywhere
    said = f"error: {tmp_path}: cannot be written to; name another folder with --output-dir\n"
    assert refused_here(capsys, *judge) == said
    (tmp_path / "there").mkdir()
    assert options.free_folder(tmp_path / "there", (), False) == tmp_path / "there", "that one can be"
