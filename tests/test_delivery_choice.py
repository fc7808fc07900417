"""Which of a bundle's files draws where nobody says which, and how many rows a model computes at once."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from helpers.commands import here, python, refused_here

from ms_gan.delivery import choice, formats
from ms_gan.delivery.bundle import Bundle
from ms_gan.files import CHECKSUMS
from ms_gan.sampling import CHUNK, LARGE, Rows, in_chunks, rows_at_once, seeded_inputs

pytestmark = pytest.mark.usefixtures("device")
BY_ONNX, BY_MINDSPORE = (
    f"drawn as onnx by onnxruntime {onnxruntime.__version__}, CPU: ",
    "drawn as mindir by MindSpore ",
)


@pytest.fixture
def copy(conditional_folder, tmp_path):
    """A copy of a bundle, whose contract may be changed."""
    folder = shutil.copytree(conditional_folder, tmp_path / "copy")
    (folder / CHECKSUMS).unlink()
    return folder


def change(folder, make):
    contract = json.loads((folder / "contract.json").read_text())
    make(contract)
    (folder / "contract.json").write_text(json.dumps(contract))


def drawn(folder, capsys, *options):
    """What `infer` draws of a bundle, and the one line that says with what."""
    capsys.readouterr()
    file = folder.parent / "drawn.npy"
    here("infer", folder, "--num", 40, "--output", file, "--overwrite", *options)
    named, line = capsys.readouterr().out.splitlines()
    assert named == str(file)
    return np.load(file), line


def expected(folder, form):
    bundle = Bundle(folder, form)
    return bundle.draw(seeded_inputs(bundle.latent, 40, 1, np.arange(40) % 10))


def by_another(contract):
    """The ONNX was proved, but with another onnxruntime."""
    contract["parity"]["generator/1/generator.onnx"]["runtime"] = "onnxruntime 1.0.0, CPU"


def elsewhere(contract):
    contract["versions"]["platform"] = "Plan9 pdp11"


def test_on_a_cpu_the_onnx_draws_and_says_how_equal_it_is(conditional_folder, tmp_path):
    wanted = ("--num", 40, "--output", tmp_path / "x.npy")
    program = (
        "import sys\nfrom ms_gan.cli import main\nassert main(sys.argv[1:]) == 0\nprint('mindspore' in sys.modules)"
    )
    done = python("-c", program, "infer", conditional_folder, *wanted)
    named, line, mindspore = done.stdout.splitlines()
    proof = json.loads((conditional_folder / "contract.json").read_text())["parity"]["generator/1/generator.onnx"]
    assert line.startswith(BY_ONNX + "equal to the checkpoint's network to ") and mindspore == "False"
    assert f"{proof['greatest_difference']:.2g}, as the contract says" in line
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected(conditional_folder, "onnx"))


@pytest.mark.parametrize("form, by", [("onnx", BY_ONNX), ("mindir", BY_MINDSPORE)])
def test_the_format_that_is_asked_for_draws(form, by, conditional_folder, tmp_path, capsys):
    folder = shutil.copytree(conditional_folder, tmp_path / "copy")
    images, line = drawn(folder, capsys, "--format", form)
    assert line.startswith(by) and np.array_equal(images, expected(folder, form))


@pytest.mark.parametrize("change_it", [by_another, elsewhere])
def test_what_was_proved_with_something_else_is_compared_here(change_it, copy, capsys):
    change(copy, change_it)
    images, line = drawn(copy, capsys)
    assert line.startswith(BY_ONNX + "equal to the MindIR to ") and line.endswith(", compared here")
    assert np.array_equal(images, expected(copy, "onnx"))


def test_an_onnx_that_is_not_equal_here_does_not_draw(copy, capsys):
    def exact(contract):
        by_another(contract)
        contract["parity"]["generator/1/generator.onnx"].update(greatest_difference=0.0, tolerance=0.0)

    change(copy, exact)
    images, line = drawn(copy, capsys)
    assert line.startswith(BY_MINDSPORE) and "the ONNX differs from it by " in line and "0 is allowed" in line
    assert np.array_equal(images, expected(copy, "mindir"))


DIFFERENT = {"runtime": "onnxruntime 1.0.0, CPU"}


@pytest.mark.parametrize(
    "changes, by, why",
    [
        (DIFFERENT, BY_ONNX, ", compared here"),
        ({**DIFFERENT, "tolerance": 0.0, "greatest_difference": 0.0}, BY_MINDSPORE, "the ONNX differs from it by "),
        ({"greatest_difference": 9e-6}, BY_ONNX, "equal to the checkpoint's network to 9e-06, as the contract says"),
    ],
)
def test_of_two_models_the_worse_one_decides(changes, by, why, autoencoder_folder, tmp_path, capsys):
    folder = shutil.copytree(autoencoder_folder, tmp_path / "copy")
    (folder / CHECKSUMS).unlink()
    change(folder, lambda contract: contract["parity"]["encoder/1/encoder.onnx"].update(changes))
    _, line = drawn(folder, capsys)
    assert line.startswith(by) and why in line


def test_of_two_models_the_one_that_differs_more_here_decides(autoencoder_folder, monkeypatch):
    found = iter([0.25, 0.125])
    monkeypatch.setattr(choice, "greatest_difference", lambda *_: next(found))
    assert choice._difference(autoencoder_folder, Bundle(autoencoder_folder, "onnx").contract) == 0.25
    found = iter([0.125, 0.25])
    assert choice._difference(autoencoder_folder, Bundle(autoencoder_folder, "onnx").contract) == 0.25


def test_rounded_weights_are_told_with_the_difference(copy, capsys):
    change(copy, lambda contract: contract.update(weights="float16"))
    assert "equal to the checkpoint's network with rounded weights to " in drawn(copy, capsys)[1]


def fails(error):
    raise error


@pytest.mark.parametrize(
    "broken",
    [
        lambda outputs: fails(RuntimeError("no memory")),
        lambda outputs: fails(onnxruntime.capi.onnxruntime_pybind11_state.Fail("no kernel")),
        lambda outputs: tuple(output[:-1] for output in outputs),  # other shapes
    ],
)
def test_an_onnx_that_does_not_run_here_does_not_draw(broken, copy, capsys, monkeypatch):
    def read(file, spec, read=formats.READERS["onnx"]):
        model = read(file, spec)
        return lambda *arrays: broken(model(*arrays)) if len(arrays[0]) > 2 else model(*arrays)  # opening takes 2

    change(copy, by_another)
    monkeypatch.setitem(formats.READERS, "onnx", read)
    images, line = drawn(copy, capsys)
    assert line.startswith(BY_MINDSPORE) and line.endswith(": the ONNX does not run here")
    assert np.array_equal(images, expected(copy, "mindir"))


@pytest.mark.parametrize("held, other, said", [("mindir", "onnx", "no ONNX"), ("onnx", "mindir", "no MindIR")])
def test_a_bundle_of_one_format_draws_with_it_and_says_so(held, other, said, copy, capsys):
    change(copy, lambda contract: contract["models"]["generator"]["files"].pop(other))
    images, line = drawn(copy, capsys)
    assert line.startswith(BY_ONNX if held == "onnx" else BY_MINDSPORE) and said in line
    assert np.array_equal(images, expected(copy, held))


def test_without_onnxruntime_the_mindir_draws(copy, capsys, monkeypatch):
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    _, line = drawn(copy, capsys)
    assert line.startswith(BY_MINDSPORE) and line.endswith("is not installed")


def test_a_device_that_is_asked_for_is_not_passed_over(copy, tmp_path, capsys):
    wanted = ("infer", copy, "--num", 1, "--output", tmp_path / "x.npy")
    assert "device target Ascend is not available" in refused_here(capsys, *wanted, "--device-target", "Ascend")
    assert "there is no CPU 3" in refused_here(capsys, *wanted, "--device-id", 3)


def test_a_machine_with_an_accelerator_asks_mindspore_which_it_is(conditional_folder, monkeypatch):
    contract = Bundle(conditional_folder, "onnx").contract
    monkeypatch.setattr(choice, "ACCELERATORS", ("null",))  # which is below /dev everywhere
    for found, form in (("Ascend", "mindir"), ("CPU", "onnx")):
        monkeypatch.setattr(choice.runtime, "set_up", {"auto": SimpleNamespace(target=found)}.get)
        assert choice.choose_format(conditional_folder, contract, None, None, None).file_format == form
    monkeypatch.setattr(choice.runtime, "set_up", None)
    assert choice.choose_format(conditional_folder, contract, None, "CPU", None).file_format == "onnx"


# how many rows at once


@pytest.mark.parametrize("form", ["onnx", "mindir"])
def test_images_have_the_same_bits_however_many_are_drawn_at_once(form, conditional_folder):
    bundle = Bundle(conditional_folder, form)
    inputs = seeded_inputs(bundle.latent, 300, 2, np.arange(300) % 10)
    all_of_them = in_chunks(bundle.models["generator"], inputs)[0]
    for count in (1, 2, 15, 17, 100, LARGE - 1, LARGE, LARGE + 1, 2 * LARGE + 5, 300):
        assert np.array_equal(bundle.draw(tuple(array[:count] for array in inputs)), all_of_them[:count]), count
    assert np.array_equal(in_chunks(bundle.models["generator"], inputs, *bundle.rows("generator"))[0], all_of_them)


def test_a_bundle_that_draws_again_and_again_pads_no_more(conditional_folder, monkeypatch):
    bundle, seen = Bundle(conditional_folder, "onnx"), []
    model = bundle.models["generator"]
    monkeypatch.setitem(bundle.models, "generator", lambda *arrays: (seen.append(len(arrays[0])), model(*arrays))[1])
    inputs = seeded_inputs(bundle.latent, 1, 2, np.int32([3]))
    few = LARGE // CHUNK
    images = [bundle.draw(inputs) for _ in range(few)]
    assert seen[: few - 1] == [CHUNK] * (few - 1), "each of a few is padded: to find out takes longer"
    seen.clear()
    images.append(bundle.draw(inputs))
    assert seen == [1] and all(np.array_equal(images[0], each) for each in images)


@pytest.mark.parametrize(
    "differs, found",
    [
        (lambda rows: False, Rows(LARGE, 1)),
        (lambda rows: rows < CHUNK, Rows(LARGE, CHUNK)),
        (lambda rows: rows > CHUNK, Rows(CHUNK, 1)),
        (lambda rows: rows == LARGE, Rows(CHUNK, 1)),
        (lambda rows: rows % 2, Rows(CHUNK, CHUNK)),
        (lambda rows: rows != CHUNK, Rows(CHUNK, CHUNK)),
    ],
)
def test_a_model_whose_bits_depend_on_the_rows_computes_as_many_as_ever(differs, found):
    def model(latents):
        return (latents * np.float32(1 + 1e-6 * bool(differs(len(latents)))),)

    latents = np.random.default_rng(1).standard_normal((LARGE, 5), np.float32)
    assert rows_at_once(model, (latents,)) == found


@pytest.mark.parametrize("row, rows, found", [(5, 9, Rows(LARGE, CHUNK)), (60, LARGE, Rows(CHUNK, 1))])
def test_a_model_of_which_one_row_among_many_differs_is_found(row, rows, found):
    def model(latents):
        return (latents + np.float32(len(latents) == rows) * (np.arange(len(latents)) == row)[:, None],)

    assert rows_at_once(model, (np.ones((LARGE, 5), np.float32),)) == found


@pytest.mark.parametrize(
    "count, least, seen", [(5, None, [16]), (5, 1, [5]), (40, 1, [16, 16, 8]), (40, 9, [16, 16, 9])]
)
def test_only_what_is_fewer_than_the_least_is_padded(count, least, seen):
    rows = []

    def model(latents):
        rows.append(len(latents))
        return (latents + 1,)

    latents = np.random.default_rng(1).standard_normal((count, 3), np.float32)
    assert np.array_equal(in_chunks(model, (latents,), 16, least)[0], latents + 1) and rows == seen
