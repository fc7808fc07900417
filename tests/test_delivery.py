"""From a trained run to pictures and to a bundle, through the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from commands import ROOT, SMALL, environment, run, write_mnist


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = write_mnist(folder / "data", 80)
    run("train", "--data-path", data, "--epochs", 2, "--batch-size", 8, *SMALL, "--output-dir", folder)
    return folder / "mlp" / "1"


@pytest.fixture(scope="module")
def bundle(trained):
    run("export", trained)
    return trained / "export"


def one_line(refused):
    assert re.fullmatch(r"error: [^\n]+\n", refused.stderr), refused.stderr
    return refused.stderr


def test_a_run_leaves_what_the_readme_says(trained):
    for name in ("recipe.json", "environment.json", "train.log", "history.csv", "losses.png", "progress.gif",
                 "samples/epoch_0000.png", "samples/epoch_0001.png", "samples/epoch_0002.png"):
        assert (trained / name).stat().st_size > 0, name
    header, *rows = (trained / "history.csv").read_text().splitlines()
    assert header == "step,epoch,loss_d,loss_g,accuracy_real,accuracy_fake"
    assert [row.split(",")[0] for row in rows] == ["10", "20"]


def test_eval_draws_the_same_pictures_for_the_same_seed(trained, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        run("eval", trained, "--grid", "3x4", "--seed", seed, "--output-dir", tmp_path / name)
    pictures = ("samples.png", "interpolation.png", "generated_beside_real.png")
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == sorted(pictures)
    for picture in pictures:
        contents = [(tmp_path / name / picture).read_bytes() for name in "abc"]
        assert contents[0] == contents[1] != contents[2]


def test_eval_takes_a_checkpoint_and_draws_only_what_was_asked_for(trained, tmp_path):
    run("eval", trained / "checkpoints" / "step_00000010", "--interpolate", "--output-dir", tmp_path / "old")
    run("eval", trained, "--interpolate", "--output-dir", tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "old").iterdir()) == ["interpolation.png", "samples.png"]
    assert (tmp_path / "old/samples.png").read_bytes() != (tmp_path / "new/samples.png").read_bytes()


def test_nothing_is_overwritten_without_being_asked(trained, tmp_path):
    target = tmp_path / "eval"
    target.mkdir()
    (target / "samples.png").write_text("mine")
    assert "--overwrite" in one_line(run("eval", trained, "--output-dir", target, status=2))
    assert (target / "samples.png").read_text() == "mine"
    (target / "thesis.txt").write_text("mine too")
    assert "thesis.txt" in one_line(run("eval", trained, "--output-dir", target, "--overwrite", status=2))
    assert sorted(file.name for file in target.iterdir()) == ["samples.png", "thesis.txt"]


def test_an_export_is_replaced_when_asked(trained, tmp_path):
    run("export", trained / "checkpoints" / "step_00000010", "--output-dir", tmp_path / "bundle")
    run("export", trained, "--output-dir", tmp_path / "bundle", "--overwrite")
    contract = json.loads((tmp_path / "bundle" / "contract.json").read_text())
    assert contract["origin"]["step"] == 20
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bundle"]


def test_the_contract_says_what_the_file_does(bundle):
    contract = json.loads((bundle / "contract.json").read_text())
    (latent,), (image,) = contract["inputs"], contract["outputs"]
    assert (latent["name"], latent["shape"], latent["type"]) == ("latent", ["batch", 100], "float32")
    assert (image["name"], image["shape"], image["range"]) == ("image", ["batch", 1, 28, 28], [0.0, 1.0])
    assert contract["parity"] == {"device": "CPU", "batches": [1, 7, 64], "greatest_difference": 0.0}
    assert contract["origin"]["step"] == 20
    for name, facts in contract["files"].items():
        assert (bundle / name).stat().st_size == facts["bytes"]
    for file in bundle.iterdir():
        assert file.stat().st_mode & 0o044 == 0o044, f"{file} cannot be read by others"


def test_infer_draws_what_eval_draws_and_imports_nothing_of_training(bundle, trained, tmp_path):
    program = (
        "import sys\n"
        "from ms_gan.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('ms_gan.')}\n"
        "print(sorted(rooms & {'training', 'steps', 'recipes', 'losses'}))\n"
        "sys.exit(status)\n"
    )
    lone = tmp_path / "elsewhere"
    shutil.copytree(bundle, lone)
    arguments = ["infer", str(lone), "--num", "70", "--seed", "9", "--output", str(tmp_path / "images.npy")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    images = np.load(tmp_path / "images.npy")
    assert images.dtype == np.float32 and images.shape == (70, 1, 28, 28)
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.01

    run("infer", lone, "--num", 3, "--seed", 9, "--output", tmp_path / "three.npy")
    assert np.array_equal(np.load(tmp_path / "three.npy"), images[:3])
    run("infer", lone, "--num", 70, "--seed", 9, "--output", tmp_path / "images.png")
    assert (tmp_path / "images.png").read_bytes()[:4] == b"\x89PNG"


def test_a_bundle_gives_the_pixels_of_its_checkpoint(bundle, trained, tmp_path):
    program = (
        "import sys, numpy as np\n"
        "from ms_gan import runtime\n"
        "runtime.set_up('CPU')\n"
        "from ms_gan.cli.trained import load_trained\n"
        "from ms_gan.delivery.bundle import Bundle\n"
        "from ms_gan.evaluation.sampling import seeded_latents\n"
        "latents = seeded_latents('normal', 100, 100, 2)\n"
        "assert np.array_equal(load_trained(sys.argv[1]).draw(latents), Bundle(sys.argv[2]).draw(latents))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(trained), str(bundle)], env=environment(),
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_export_that_differs_fails_loudly_and_leaves_nothing(trained, tmp_path):
    program = (
        "import sys\n"
        "import ms_gan\n"
        "import mindspore as ms\n"
        "export = ms.export\n"
        "def in_training_mode(network, *inputs, **options):\n"  # the classic mistake
        "    network.set_train(True)\n"
        "    export(network, *inputs, **options)\n"
        "    network.set_train(False)\n"
        "ms.export = in_training_mode\n"
        "from ms_gan.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, "export", str(trained), "--output-dir",
                           str(tmp_path / "bundle")], env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "differs from the checkpoint's network" in one_line(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name, damage, named", [
    ("generator.mindir", lambda content: content[:1000] + bytes([content[1000] ^ 1]) + content[1001:], "damaged"),
    ("generator.mindir", lambda content: content[:-10], "damaged"),
    ("contract.json", lambda content: content[:-100], "damaged"),
    ("contract.json", lambda content: content.replace(b'"contract_version": 1', b'"contract_version": 9'), "another"),
    ("contract.json", lambda content: b"[]", "damaged"),
])
def test_a_damaged_bundle_is_refused(name, damage, named, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    file = tmp_path / "bundle" / name
    file.write_bytes(damage(file.read_bytes()))
    refused = run("infer", tmp_path / "bundle", "--num", 1, "--output", tmp_path / "x.png", status=2)
    assert named in one_line(refused) and name in refused.stderr


def test_a_damaged_checkpoint_is_refused(trained, tmp_path):
    checkpoint = tmp_path / "step_00000020"
    shutil.copytree(trained / "checkpoints" / "step_00000020", checkpoint)
    content = bytearray((checkpoint / "generator.ckpt").read_bytes())
    content[len(content) // 2] ^= 16
    (checkpoint / "generator.ckpt").write_bytes(content)
    for command in ("eval", "export"):
        refused = one_line(run(command, checkpoint, "--output-dir", tmp_path / "out", status=2))
        assert "generator.ckpt: damaged" in refused
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_alone_is_enough(trained, tmp_path):
    shutil.copytree(trained / "checkpoints" / "step_00000020", tmp_path / "lone")
    run("export", tmp_path / "lone")
    assert (tmp_path / "export" / "generator.mindir").exists()


def test_the_released_bundle_draws_digits(tmp_path):
    run("infer", ROOT / "ckpt" / "mlp", "--num", 16, "--output", tmp_path / "images.npy")
    images = np.load(tmp_path / "images.npy")
    ink = images.mean(axis=(1, 2, 3))
    assert ((0.03 < ink) & (ink < 0.35)).all(), "the share of ink in a digit"
    assert images[:, :, :, [0, -1]].mean() < 0.02, "nothing is drawn at the edges"
    assert np.unique(images.reshape(16, -1), axis=0).shape[0] == 16
