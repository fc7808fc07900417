"""From a trained run to pictures and to a bundle, through the command line.

What a process of its own does not add to is run in this one, to be quick.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.commands import ROOT, SMALL, here, python, refused_here, run, write_mnist
from helpers.networks import ACGAN, BATCH
from safetensors import safe_open

from ms_gan.cli import export as cli_export
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.rounding import shortened
from ms_gan.errors import UserError
from ms_gan.files import write_checksums
from ms_gan.labels import LabelNames
from ms_gan.runs.model import load_model
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent

pytestmark = pytest.mark.usefixtures("device")

PICTURES = ("samples.png", "interpolation.png", "generated_beside_real.png")


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


@pytest.fixture(scope="module")
def conditional(device, random_data, tmp_path_factory):
    """The checkpoint of a conditional generator on which every weight, statistic and label has its effect."""
    from mindspore import Tensor

    from ms_gan import recipes
    from ms_gan.recipes.build import build_step
    from ms_gan.runs.checkpoints import save_checkpoint
    from ms_gan.runs.settings import RunSettings
    from ms_gan.runs.state import State

    recipe = recipes.override(recipes.load("acgan"), [*ACGAN, BATCH])
    step = build_step(recipe, random_data, seed=1)
    random = np.random.default_rng(1)
    for parameter in step.generator.get_parameters():
        positive = parameter.name.endswith("moving_variance")
        values = random.uniform(0.5, 2.0, parameter.shape) if positive else random.normal(0, 0.3, parameter.shape)
        parameter.set_data(Tensor(values.astype(np.float32)))
    settings = RunSettings(recipe, 1, "mnist", random_data.sha256, "CPU", 1, random_data.classes, 40)
    state = State(40, (), None, settings, initial_share=0.0)
    return save_checkpoint(tmp_path_factory.mktemp("conditional") / "checkpoints", step.saved(), state)


@pytest.fixture(scope="module")
def conditional_bundle(conditional):
    here("export", conditional)
    return conditional.parent.parent / "export"


def test_eval_draws_the_same_pictures_for_the_same_seed(trained, tmp_path):
    run("eval", trained, "--grid", "3x4", "--seed", 5, "--output-dir", tmp_path / "a")
    for name, seed in (("b", 5), ("c", 6)):
        here("eval", trained, "--grid", "3x4", "--seed", seed, "--output-dir", tmp_path / name)
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == sorted(PICTURES)
    for picture in PICTURES:
        contents = [(tmp_path / name / picture).read_bytes() for name in "abc"]
        assert contents[0] == contents[1] != contents[2]


def test_eval_takes_a_checkpoint_and_draws_only_what_was_asked_for(trained, tmp_path):
    here("eval", trained / "checkpoints" / "step_00000000", "--interpolate", "--output-dir", tmp_path / "old")
    here("eval", trained, "--interpolate", "--output-dir", tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "old").iterdir()) == ["interpolation.png", "samples.png"]
    assert (tmp_path / "old/samples.png").read_bytes() != (tmp_path / "new/samples.png").read_bytes()


def test_nothing_is_overwritten_without_being_asked(trained, tmp_path, capsys):
    target = tmp_path / "eval"
    target.mkdir()
    (target / "samples.png").write_text("mine")
    assert "--overwrite" in refused_here(capsys, "eval", trained, "--output-dir", target)
    assert (target / "samples.png").read_text() == "mine"
    (target / "thesis.txt").write_text("mine too")
    assert "thesis.txt" in refused_here(capsys, "eval", trained, "--output-dir", target, "--overwrite")
    assert sorted(file.name for file in target.iterdir()) == ["samples.png", "thesis.txt"]


def test_an_export_is_replaced_when_asked(trained, tmp_path):
    here("export", trained / "checkpoints" / "step_00000000", "--output-dir", tmp_path / "bundle")
    here("export", trained, "--output-dir", tmp_path / "bundle", "--overwrite")
    contract = json.loads((tmp_path / "bundle" / "contract.json").read_text())
    assert contract["origin"]["step"] == 20
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bundle"]


@pytest.mark.parametrize(
    "stranger",
    ["generator/1/notes.txt", "generator/2/generator.onnx", "thesis.txt", ".hidden", "generator/empty/", "link@"],
)
def test_what_an_export_did_not_write_it_does_not_replace(stranger, trained, bundle, tmp_path, capsys):
    shutil.copytree(bundle, tmp_path / "bundle")
    mine = tmp_path / "bundle" / stranger.rstrip("@")
    mine.parent.mkdir(parents=True, exist_ok=True)
    if stranger.endswith("@"):
        mine.symlink_to(trained)
    else:
        mine.mkdir() if stranger.endswith("/") else mine.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    refused = refused_here(capsys, "export", trained, "--output-dir", tmp_path / "bundle", "--overwrite")
    assert f"holds {stranger.rstrip('/@')}, which this command did not write" in refused
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_no_bundle_is_not_replaced(trained, tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    refused = refused_here(capsys, "export", trained, "--output-dir", tmp_path, "--overwrite")
    assert "holds README.md, which this command did not write" in refused
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]


def test_the_contract_says_what_the_file_does(bundle, conditional_bundle):
    for folder, recipe, step, labels in ((bundle, "mlp", 20, None), (conditional_bundle, "acgan", 40, [*"0123456789"])):
        contract = json.loads((folder / "contract.json").read_text())
        assert contract["contract_version"] == 2 and set(contract["models"]) == {"generator"}
        assert (contract["recipe"], contract["origin"]["step"], contract["labels"]) == (recipe, step, labels)
        generator = contract["models"]["generator"]
        (latent, *label), (image,) = generator["inputs"], generator["outputs"]
        assert (latent["name"], latent["shape"], latent["type"]) == ("latent", ["batch", 100], "float32")
        assert (image["name"], image["shape"], image["range"]) == ("image", ["batch", 1, 28, 28], [0.0, 1.0])
        for each in label:
            told = (each["name"], each["shape"], each["type"], each["range"])
            assert told == ("label", ["batch"], "int32", [0, 9])
        assert len(label) == (labels is not None)
        assert generator["files"] == {"mindir": "generator.mindir", "onnx": "generator/1/generator.onnx"}
        assert_equal_to_the_checkpoint(contract)


def test_inputs_of_a_mindir_have_the_names_of_the_contract(bundle, conditional_bundle):
    from mindspore.train import mind_ir_pb2

    for folder, names in ((bundle, ["latent"]), (conditional_bundle, ["latent", "label"])):
        model = mind_ir_pb2.ModelProto()
        model.ParseFromString((folder / "generator.mindir").read_bytes())
        assert [tensor.name for tensor in model.graph.input] == names
        assert set(names) <= {name for node in model.graph.node for name in node.input}


def assert_equal_to_the_checkpoint(contract):
    """The contract tells of each file against what it was proved, and how equal it is."""
    files = {file for facts in contract["models"].values() for file in facts["files"].values()}
    assert set(contract["parity"]) == set(contract["files"]) == files
    for name, facts in contract["parity"].items():
        assert facts["against"] == "the checkpoint's network on CPU" and facts["batches"] == [1, 7, 64]
        if name.endswith(".mindir"):
            assert facts["greatest_difference"] == facts["tolerance"] == 0
            assert re.fullmatch(r"MindSpore [\d.]+, CPU", facts["runtime"])
        else:
            assert 0 <= facts["greatest_difference"] <= facts["tolerance"] == 1e-5
            assert re.fullmatch(r"onnxruntime [\d.]+, CPU", facts["runtime"])


BUNDLED = {
    "contract.schema.json",
    "index.html",
    "in_browser.js",
    "contract.json",
    "SHA256SUMS",
    "README.md",
    "samples.png",
    "golden.json",
    "settings.json",
    "generator.mindir",
    "generator/model-settings.json",
    "generator/config.pbtxt",
    "generator/1/generator.onnx",
}


def test_a_bundle_holds_these_files_and_no_others(bundle):
    contract = json.loads((bundle / "contract.json").read_text())
    files = {str(path.relative_to(bundle)): path for path in bundle.rglob("*") if path.is_file()}
    assert set(files) == BUNDLED
    for name, facts in contract["files"].items():
        assert files[name].stat().st_size == facts["bytes"]
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == facts["sha256"]
    for path in bundle.rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, f"{path} cannot be read by others"
    listed = [line.split("  ")[1] for line in files["SHA256SUMS"].read_text().splitlines()]
    assert set(listed) == BUNDLED - {"SHA256SUMS"}
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_formats_are_written_in_one_order():
    assert cli_export.formats("onnx,mindir") == cli_export.formats("mindir,onnx") == ("mindir", "onnx")
    assert cli_export.formats("onnx") == ("onnx",)


@pytest.mark.parametrize(
    "held, absent, left_out",
    [
        ("mindir", "onnx", {"generator/1/generator.onnx", "generator/config.pbtxt", "index.html", "in_browser.js"}),
        ("onnx", "mindir", {"generator.mindir"}),
    ],
)
def test_only_the_format_that_is_asked_for_is_written_and_drawn(
    held, absent, left_out, trained, bundle, tmp_path, capsys
):
    folder, asked = tmp_path / "bundle", ("--num", 3, "--output")
    here("export", trained, "--format", held, "--output-dir", folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == BUNDLED - left_out
    contract = json.loads((folder / "contract.json").read_text())
    assert set(contract["models"]["generator"]["files"]) == {held}
    assert_equal_to_the_checkpoint(contract)
    settings = json.loads((folder / "generator" / "model-settings.json").read_text())
    assert settings["parameters"]["extra"]["format"] == held
    refused = refused_here(capsys, "infer", folder, *asked, tmp_path / "x.png", "--format", absent)
    assert f"holds no {absent}, only {held}" in refused and f"--format {absent}" in refused
    here("infer", folder, *asked, tmp_path / "alone.npy")
    for form in ("mindir", "onnx"):
        here("infer", bundle, *asked, tmp_path / f"{form}.npy", "--format", form)
    here("infer", bundle, *asked, tmp_path / "default.npy")
    images = {name: np.load(tmp_path / f"{name}.npy") for name in ("alone", "mindir", "onnx", "default")}
    assert np.array_equal(images["alone"], images[held]) and np.array_equal(images["default"], images["onnx"])
    np.testing.assert_allclose(images["onnx"], images["mindir"], atol=1e-5, rtol=0)


PROGRAM = """
import sys
from ms_gan.cli import main
assert main(sys.argv[1:]) == 0
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("ms_gan.")}
print("mindspore" in sys.modules, sorted(rooms & {"training", "steps", "recipes", "losses"}))
"""


def test_infer_of_onnx_does_not_import_mindspore(bundle, tmp_path):
    wanted = ("--num", 2, "--format", "onnx", "--output", tmp_path / "images.png")
    done = python("-c", PROGRAM, "infer", bundle, *wanted)
    assert done.stdout.splitlines()[-1] == "False []", done.stderr


def test_without_the_packages_of_onnx_nothing_is_begun(trained, tmp_path, monkeypatch, capsys):
    for missing in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)  # an import of it raises ImportError
            refused = refused_here(capsys, "export", trained, "--output-dir", tmp_path / "bundle")
            assert f"error: {missing} is not installed" in refused and "--format mindir" in refused
            assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    here("export", trained, "--format", "mindir", "--output-dir", tmp_path / "bundle")


def test_infer_draws_what_eval_draws_and_imports_nothing_of_training(bundle, trained, tmp_path):
    lone = shutil.copytree(bundle, tmp_path / "elsewhere")
    drawn = ("--seed", 9, "--format", "mindir", "--output")
    done = python("-c", PROGRAM, "infer", lone, "--num", 70, *drawn, tmp_path / "images.npy")
    assert done.stdout.splitlines()[-1] == "True []", done.stderr
    images = np.load(tmp_path / "images.npy")
    assert images.dtype == np.float32 and images.shape == (70, 1, 28, 28)
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.01

    here("infer", lone, "--num", 3, *drawn, tmp_path / "three.npy")
    assert np.array_equal(np.load(tmp_path / "three.npy"), images[:3])
    here("infer", lone, "--num", 70, *drawn, tmp_path / "images.png")
    assert (tmp_path / "images.png").read_bytes()[:4] == b"\x89PNG"


def test_an_export_that_differs_fails_loudly_and_leaves_nothing(trained, tmp_path, monkeypatch, capsys):
    import mindspore as ms

    export = ms.export

    def in_training_mode(network, *inputs, **options):  # the classic mistake
        network.set_train(True)
        export(network, *inputs, **options)
        network.set_train(False)

    monkeypatch.setattr(ms, "export", in_training_mode)
    refused = refused_here(capsys, "export", trained, "--output-dir", tmp_path / "bundle", status=1)
    assert "generator.mindir differs from the checkpoint's network" in refused
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_that_differs_fails_loudly_and_leaves_what_was_there(trained, bundle, tmp_path, monkeypatch, capsys):
    from ms_gan.delivery import formats

    write = formats.WRITERS["onnx"]

    def a_little_wrong(network, facts, file, half):
        import onnx

        write(network, facts, file, half)
        model = onnx.load(str(file))
        bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [28 * 28])  # of the last layer
        values = onnx.numpy_helper.to_array(bias) + np.float32(1e-3)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        onnx.save(model, str(file))

    monkeypatch.setitem(formats.WRITERS, "onnx", a_little_wrong)
    shutil.copytree(bundle, tmp_path / "bundle")
    before = (tmp_path / "bundle" / "contract.json").read_bytes()
    refused = refused_here(capsys, "export", trained, "--output-dir", tmp_path / "bundle", "--overwrite", status=1)
    assert re.search(
        r"generator/1/generator\.onnx differs from the checkpoint's network by up to 0\.000\d+ on "
        r"onnxruntime [\d.]+, CPU, more than 1e-05; nothing was exported",
        refused,
    )
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]
    assert (tmp_path / "bundle" / "contract.json").read_bytes() == before


@pytest.mark.parametrize(
    "name, damage, named",
    [
        ("generator.mindir", lambda content: content[:1000] + bytes([content[1000] ^ 1]) + content[1001:], "damaged"),
        ("contract.json", lambda content: content.replace(b'"step": 20', b'"step": 21'), "damaged"),
    ],
)
def test_a_damaged_bundle_is_refused(name, damage, named, bundle, tmp_path, capsys):
    shutil.copytree(bundle, tmp_path / "bundle")
    file = tmp_path / "bundle" / name
    file.write_bytes(damage(file.read_bytes()))
    refused = refused_here(capsys, "infer", tmp_path / "bundle", "--num", 1, "--output", tmp_path / "x.png")
    assert named in refused and name in refused


def damaged(checkpoint):
    content = bytearray((checkpoint / "generator.ckpt").read_bytes())
    content[len(content) // 2] ^= 16
    (checkpoint / "generator.ckpt").write_bytes(content)


def of_an_older_version(checkpoint):
    state = json.loads((checkpoint / "state.json").read_text())
    del state["settings"]["classes"]
    (checkpoint / "state.json").write_text(json.dumps(state))
    write_checksums(checkpoint)


@pytest.mark.parametrize("spoil, named", [(damaged, "generator.ckpt: damaged"), (of_an_older_version, "step_00000020")])
def test_a_checkpoint_that_cannot_be_used_is_refused(spoil, named, trained, tmp_path, capsys):
    checkpoint = shutil.copytree(trained / "checkpoints" / "step_00000020", tmp_path / "step_00000020")
    spoil(checkpoint)
    for command in ("eval", "export"):
        assert named in refused_here(capsys, command, checkpoint, "--output-dir", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_alone_is_enough(trained, tmp_path):
    shutil.copytree(trained / "checkpoints" / "step_00000020", tmp_path / "lone")
    here("export", tmp_path / "lone")
    assert (tmp_path / "export" / "generator.mindir").exists()


@pytest.mark.parametrize("bundle, as_ever", [("rpgan_residual_mnist", [0.1614, 0.1259, 0.1437, 0.1238])])
def test_a_released_bundle_draws_digits_of_a_seed_as_ever(bundle, as_ever, tmp_path):
    wanted = ("--label", 3, "--label", 8)
    here("infer", ROOT / "ckpt" / bundle, "--num", 16, *wanted, "--output", tmp_path / "images.npy")
    images = np.load(tmp_path / "images.npy")
    ink = images.mean(axis=(1, 2, 3))
    assert ((0.03 < ink) & (ink < 0.35)).all(), "the share of ink in a digit"
    np.testing.assert_allclose(ink[:4], as_ever, atol=2e-4, rtol=0, err_msg="of seed 1, when they were released")
    assert images[:, :, :, [0, -1]].mean() < 0.02, "nothing is drawn at the edges"
    assert np.unique(images.reshape(16, -1), axis=0).shape[0] == 16
    from ms_gan.evaluation.judge import load_judge

    read = load_judge(ROOT / "ckpt" / "judges" / "mnist").read(images)
    assert (read == np.tile([3, 8], 8)).mean() > 0.9, "digits that were asked for, in turns"


def test_the_released_pizzas_have_the_ingredients_that_are_asked_for(tmp_path):
    bundle = Bundle(ROOT / "ckpt" / "rpgan_residual")
    names = ("olive", "spinach", "mozzarella")
    wanted = [word for name in names for word in ("--label", name)]
    here("infer", bundle.folder, "--num", 48, *wanted, "--output", tmp_path / "images.npy")
    images = np.load(tmp_path / "images.npy")
    olive, spinach, mozzarella = (images[number::3, :, 8:24, 8:24].mean((0, 2, 3)) for number in range(3))
    np.testing.assert_allclose(
        images.mean((1, 2, 3))[:4], [0.6681, 0.6904, 0.7646, 0.7022], atol=2e-4, rtol=0, err_msg="as they were released"
    )
    assert olive.mean() < mozzarella.mean() - 0.1, "black ones, white ones"
    assert spinach[1] / spinach[0] > mozzarella[1] / mozzarella[0] + 0.05, "green ones"
    golden = json.loads((bundle.folder / "golden.json").read_text())["generator"]
    (latent, label), (due,) = (
        [np.array(one["data"], one["type"]).reshape(one["shape"]) for one in golden[side].values()]
        for side in ("inputs", "outputs")
    )
    np.testing.assert_allclose(bundle.draw((latent, label)), due, atol=golden["tolerance"], rtol=0)


def test_a_bundle_gives_the_pixels_of_its_checkpoint_for_every_label(trained, bundle, conditional, conditional_bundle):
    model, opened = load_model(str(trained)), Bundle(bundle)
    assert opened.latent == Latent(size=100, distribution="normal") and opened.label_names is None
    inputs = seeded_inputs(opened.latent, 100, 2)
    assert np.array_equal(model.draw(inputs), opened.draw(inputs))
    model, opened = load_model(str(conditional)), Bundle(conditional_bundle)
    assert model.label_names == opened.label_names == LabelNames(tuple("0123456789"))
    latents, labels = seeded_inputs(opened.latent, 70, 2, np.arange(70) % 10)
    images = opened.draw((latents, labels))
    assert np.array_equal(model.draw((latents, labels)), images)
    others = opened.draw((latents, (labels + 1) % 10))
    assert (images != others).any(axis=(1, 2, 3)).all(), "each image depends on its label"
    for chosen in (None, ["7", "3"]):
        found = opened.sample(20, 4, chosen)
        assert found.shape == (20, 28, 28) and found.dtype == np.uint8
        assert np.array_equal(found, model.sample(20, 4, chosen))
    due = opened.draw(seeded_inputs(opened.latent, 20, 4, np.resize([7, 3], 20)))
    assert np.array_equal(found, np.rint(255 * due[:, 0]).astype(np.uint8)), "the labels that were asked for, in turn"


def test_infer_draws_the_classes_that_are_named_in_turn(conditional_bundle, tmp_path):
    bundle = Bundle(conditional_bundle, "onnx")
    for chosen, labels in (([], range(10)), ([7, 3], [7, 3])):
        options = [word for label in chosen for word in ("--label", label)]
        here("infer", conditional_bundle, "--num", 12, "--seed", 4, *options, "--output", tmp_path / f"{chosen}.npy")
        expected = bundle.draw(seeded_inputs(bundle.latent, 12, 4, np.resize(labels, 12)))
        assert np.array_equal(np.load(tmp_path / f"{chosen}.npy"), expected), chosen


def test_infer_refuses_labels_that_cannot_be_drawn(conditional_bundle, tmp_path, capsys):
    wanted = ("--num", 1, "--label", "cat", "--output", tmp_path / "x.png")
    assert "7, 8, 9 with --label" in refused_here(capsys, "infer", conditional_bundle, *wanted)
    assert "takes no labels" in refused_here(capsys, "infer", ROOT / "tests" / "kept_runs" / "bundle", *wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options, rows, columns", [([], "0123456789", 10), (["--label", "7", "--label", "3", "--grid", "3x2"], "737", 2)]
)
def test_eval_draws_a_row_for_each_label(options, rows, columns, conditional, tmp_path, monkeypatch):
    from ms_gan.evaluation import plots

    pages = {}
    monkeypatch.setattr(
        plots,
        "sheet",
        lambda path, _, columns, *__, row_labels, **___: pages.update({path.name: (columns, row_labels)}),
    )
    here("eval", conditional, "--interpolate", *options, "--output-dir", tmp_path / "eval")
    assert pages["samples.png"] == (columns, list(rows))
    assert pages["interpolation.png"] == (11, list(dict.fromkeys(rows)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda listing: listing.unlink(),
        lambda listing: listing.write_text("".join(line for line in listing.open() if "contract.json" not in line)),
    ],
)
def test_a_list_of_checksums_that_says_nothing_of_the_contract_is_no_damage(spoil, conditional_bundle, tmp_path):

    shutil.copytree(conditional_bundle, tmp_path / "bundle")
    spoil(tmp_path / "bundle" / "SHA256SUMS")
    assert Bundle(tmp_path / "bundle").models.keys() == {"generator"}


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_safetensors_hold_the_weights_that_the_other_files_hold(weights, trained, tmp_path):
    here("export", trained, "--format", "safetensors,mindir", "--weights", weights, "--output-dir", tmp_path / "bundle")
    model = load_model(trained)
    with safe_open(tmp_path / "bundle" / "generator.safetensors", "np") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}
        scales = {name: held.pop(f"{name}.scales") for name in list(held) if f"{name}.scales" in held}
        assert (
            file.metadata()["weights"] == weights
            and file.metadata()["recipe"] == "mlp"
            and file.metadata()["step"] == str(model.step)
        )
    due = {name: each.asnumpy() for name, each in model.generator.parameters_dict().items()}
    assert held.keys() == due.keys() and len(due) > 3
    for name, array in due.items():
        short = weights if array.ndim > 1 else "float32"
        assert held[name].dtype == short and (name in scales) == (short == "int8")
        due = array if short == "float32" else shortened(array, short).weights()
        assert np.array_equal(held[name] * scales[name] if short == "int8" else held[name], due)
    facts = json.loads((tmp_path / "bundle" / "contract.json").read_text())
    assert facts["files"]["generator.safetensors"]["format"] == "safetensors"
    assert set(facts["models"]["generator"]["files"]) == {"mindir"}, "nothing runs it"
    (tmp_path / "bundle" / "generator.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="generator.safetensors: damaged or changed"):
        Bundle(tmp_path / "bundle")


def test_each_process_makes_the_same_bundle_of_a_checkpoint_byte_by_byte(trained, tmp_path):
    made = []
    for name in "ab":
        settings = ("--format", "safetensors,mindir,onnx", "--weights", "int8")
        run("export", trained, *settings, "--output-dir", tmp_path / name)
        files = sorted(file for file in (tmp_path / name).rglob("*") if file.is_file())
        made.append({file.relative_to(tmp_path / name).as_posix(): file.read_bytes() for file in files})
    assert {"generator.mindir", "generator/1/generator.onnx", "generator.safetensors"} < made[0].keys()
    assert [name for name in made[0] if made[0][name] != made[1].get(name)] == []


@pytest.mark.parametrize("text", ["safetensors", "onnx,onnx", "mindir,torch", ""])
def test_formats_that_cannot_be_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be mindir, onnx or both, and perhaps safetensors"):
        cli_export.formats(text)
