"""The Python API: its page and its examples run, arrays make a run like any other, and mistakes are told."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import HANGS, ROOT, environment, python, run
from helpers.refusals import refused
from PIL import Image

import ms_gan
from ms_gan import runtime
from ms_gan.data import arrays
from ms_gan.data.arrays import keep_arrays, load_arrays

SMALL = {"generator.widths": (16,), "discriminator.widths": (16,), "scores.every_epochs": 0, "schedule.batch_size": 16}


def test_mistakes_that_newcomers_make_are_told(tmp_path):
    images = np.zeros((20, 8, 8), np.uint8)
    uneven = [images[0], images[0, :4, :4]]
    assert "not all of one shape; scale or crop" in refused(ms_gan.train, "mlp", uneven, output_dir=tmp_path)
    both = {"steps": 3, "epochs": 1}
    assert "steps and epochs both say" in refused(ms_gan.train, "mlp", images, output_dir=tmp_path, **both)
    nested = {"generator": {"widths": (8,)}}
    said = refused(ms_gan.train, "mlp", images, output_dir=tmp_path, settings=nested)
    assert said.endswith("'generator'; it is a section: name its settings with dots, such as generator.widths")
    said = refused(ms_gan.recipe("mlp").but, {"generator.network": "conv_generator"})
    assert "networks={**recipe.networks, 'generator': …}" in said
    assert "has no setting 'updates.network'" in refused(ms_gan.recipe("mlp").but, {"updates.network": "x"})
    scored = np.zeros((100, 28, 28), np.uint8)
    said = refused(ms_gan.score, scored, scored, str(tmp_path / "absent"))
    assert said.endswith("absent: no such folder, so no judge; `ms_gan judge` trains one")


def test_epochs_and_models_are_taken_as_steps_and_folders_are(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    model = ms_gan.train("mlp", images, epochs=2, settings=SMALL, output_dir=tmp_path)
    assert model.step == 2 * (36 // 16)
    longer = ms_gan.resume(model, epochs=3)
    assert longer.step == 3 * (36 // 16)
    assert not ms_gan.compare(model, longer).settings


def test_a_grid_is_written_and_none_is_lost(tmp_path):
    images = squares(5, 8)
    place = tmp_path / "grid.png"
    assert ms_gan.save_grid(images, place) == place
    with Image.open(place) as picture:
        pixels = np.asarray(picture)
    scale = 16  # a pixel of so small an image becomes the largest square
    assert pixels.shape == (2 * 8 * scale + 3, 3 * 8 * scale + 2 * 3, 3), "two rows of three"
    cell = pixels[8 * scale + 3 :, 8 * scale + 3 : 2 * 8 * scale + 3 : scale]
    assert (cell[::scale, :, 0] == images[4]).all()
    assert (pixels[8 * scale + 3 :, -8 * scale :] == 255).all(), "there is no sixth image"
    assert "grid.png: is there already; add overwrite" in refused(ms_gan.save_grid, images, place)
    ms_gan.save_grid(images[:, None].repeat(3, 1), place, columns=1, overwrite=True)
    with Image.open(place) as picture:
        assert picture.width == 8 * scale
    assert "no such folder" in refused(ms_gan.save_grid, images, tmp_path / "absent" / "x.png")
    assert "must be uint8" in refused(ms_gan.save_grid, images / 255, place, overwrite=True)
    for columns in (0, 2.5, "3"):
        said = refused(ms_gan.save_grid, images, place, columns=columns, overwrite=True)
        assert said.startswith("columns must be a whole number")


def test_names_come_as_arrays_and_a_test_alone_may_be_a_tuple_of_two(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path))
    kept = keep_arrays(squares(4), np.arange(4) % 2, label_names=np.array(["a", "b"]))
    assert load_arrays("train", kept).classes == ("a", "b")
    assert "test: a tuple of 1; give images alone, or" in refused(ms_gan.train, "mlp", squares(20), test=(squares(4),))
    assert "go with images; give images" in refused(ms_gan.train, "mlp", label_names=np.array(["a", "b"]))


def test_a_thread_trains_too_and_on_the_device_that_the_process_has(tmp_path, monkeypatch, device):
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "devices", lambda: {"Ascend": 8, "CPU": 1})
    made = {"settings": SMALL, "steps": 3, "device_target": "CPU", "label_names": None}
    with ThreadPoolExecutor() as pool:
        models = [
            pool.submit(ms_gan.train, "mlp", squares(40), output_dir=tmp_path / "a", **made).result(),
            ms_gan.train("mlp", squares(40), output_dir=tmp_path / "b", **made),
        ]
    assert np.array_equal(*(model.sample(4) for model in models))
    assert ms_gan.resume(models[0], steps=5).step == 5
    assert "already runs on" in refused(runtime.set_up, "auto"), "Ascend is what auto takes here"


def test_ctrl_c_saves_and_names_the_run_to_go_on_with(tmp_path):
    code = f"""{images_of(300, 8, 8)}
import os, pathlib, signal, threading, time

def press():
    while not list(pathlib.Path("runs/mlp/1/checkpoints").glob("step_*")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=press, daemon=True).start()
try:
    ms_gan.train("mlp", images, steps=10_000_000, settings=settings)
except ms_gan.Interrupted as stopped:
    step = ms_gan.load(stopped.run).step
    print(stopped.run, ms_gan.resume(stopped.run, steps=step + 2).step - step)
"""
    assert execute(code, tmp_path).splitlines()[-1] == "runs/mlp/1 2"


def test_arrays_are_not_called_by_their_file_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path))
    same = squares(6)
    said = refused(ms_gan.train, "mlp", same, np.arange(6), label_names=["a", "b"], output_dir=tmp_path / "runs")
    assert said.startswith("the arrays given: label_names must be 6 different names")
    assert load_arrays("train", keep_arrays(same)).called == f"the arrays given, kept in {keep_arrays(same)}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MS_GAN_CACHE", "relative")
    assert load_arrays("train", keep_arrays(same).absolute()).called.startswith("the arrays given")


def test_a_file_of_arrays_needs_no_cache(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", images=squares(20))

    def no_home():
        raise ms_gan.UserError("this user has no home folder")

    monkeypatch.setattr(arrays, "cache_folder", no_home)
    assert load_arrays("train", tmp_path / "x.npz").called == f"arrays, the file {tmp_path}/x.npz"


def test_a_process_can_send_what_interrupted_it_to_another():
    sent = pickle.loads(pickle.dumps(ms_gan.Interrupted(2, Path("runs/mlp/1"))))
    assert (sent.number, sent.run) == (2, Path("runs/mlp/1")) and "SIGINT; all is saved" in str(sent)


def execute(code, tmp_path):
    """Run Python code in a process of its own, in a folder of its own."""
    (tmp_path / "code.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "code.py"],
        cwd=tmp_path,
        env=environment(MS_GAN_CACHE=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_runs_as_it_stands(tmp_path):
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) >= 5
    assert "fd_400" in execute("\n".join(blocks), tmp_path)
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_the_example_script_runs(tmp_path):
    script = ROOT / "examples" / "train_and_sample.py"
    assert "`PYTHONPATH=. python examples/train_and_sample.py`" in script.read_text(encoding="utf-8")
    options = ("--steps", "60", "--output-dir", str(tmp_path / "runs"))
    done = python("examples/train_and_sample.py", *options, PYTHONPATH=".", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "16 rings: uint8 (16, 28, 28)" in done.stdout


def test_the_notebook_runs(tmp_path):
    cells = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 4
    execute("import matplotlib; matplotlib.use('Agg')\n" + "\n".join(code), tmp_path)


def images_of(*shape):
    """Code that makes images of this shape, and the settings of a small recipe."""
    return f"""
import numpy as np, ms_gan
images = np.random.default_rng(0).integers(0, 256, {shape}, np.uint8)
settings = {SMALL}"""


def squares(count, size=8, channels=None, seed=0):
    shape = (count, size, size) if channels is None else (count, channels, size, size)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_arrays_make_a_run_that_is_resumed_evaluated_and_exported(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    code = f"""{images_of(300, 3, 8, 8)}
model = ms_gan.train("mlp", images, test=images[:120] // 2, steps=30, settings=settings, output_dir="runs")
assert model.sample(3).shape == (3, 3, 8, 8)
ms_gan.resume(model.home, steps=40)
"""
    execute(code, tmp_path)
    for command in (("eval", "runs/mlp/1", "--metrics"), ("export", "runs/mlp/1")):
        run(*command, cwd=tmp_path)
    settings = json.loads((tmp_path / "runs/mlp/1/settings.json").read_text())
    assert settings["dataset"] == "arrays" and settings["recipe"]["data"]["channels"] == 3


def test_one_process_resumes_to_the_bytes_of_an_undisturbed_run(tmp_path):
    code = f"""{images_of(100, 8, 8)}
first = ms_gan.train("mlp", images, steps=40, settings=settings)
second = ms_gan.train("mlp", images, steps=20, settings=settings)
ms_gan.resume(second.home, steps=40)
for name in ("generator.ckpt", "optimizer_discriminator.ckpt"):
    one, two = ((model.home / "checkpoints" / "step_00000040" / name).read_bytes() for model in (first, second))
    assert one == two, name
"""
    execute(code, tmp_path)


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_kept_arrays_come_back_as_they_were(channels, tmp_path, monkeypatch):
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path))
    images, labels = squares(50, channels=channels), np.arange(50) % 5
    test = squares(20, channels=channels, seed=1)
    path = keep_arrays(images, labels, (test, np.zeros(20, int)), ["a", "b", "c", "d", "e"])
    assert keep_arrays(images, labels, (test, np.zeros(20, int)), ["a", "b", "c", "d", "e"]) == path
    found = load_arrays("train", path)
    assert found.images.shape == (50, channels or 1, 8, 8) and found.images.tobytes() == images.tobytes()
    assert found.labels.tolist() == labels.tolist() and found.classes == ("a", "b", "c", "d", "e")
    assert load_arrays("test", path).images.tobytes() == test.tobytes()


def test_channels_may_come_last(tmp_path):
    images = squares(30, channels=3)
    np.savez(tmp_path / "x.npz", images=images.transpose(0, 2, 3, 1))
    both = [load_arrays(split, tmp_path / "x.npz").images for split in ("train", "test")]
    assert sorted(image.tobytes() for image in np.concatenate(both)) == sorted(image.tobytes() for image in images)


def test_the_names_of_keras_and_medmnist_are_understood(tmp_path):
    images, labels = squares(20), np.arange(20) % 3
    np.savez(tmp_path / "keras.npz", x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    np.savez(
        tmp_path / "med.npz",
        train_images=images,
        train_labels=labels[:, None],
        val_images=images[:3],
        test_images=images[:5],
        test_labels=labels[:5, None],
    )
    for file in ("keras.npz", "med.npz"):
        assert load_arrays("train", tmp_path / file).labels.tolist() == labels.tolist()
        assert len(load_arrays("test", tmp_path / file).images) == 5


def test_the_classes_are_the_numbers_that_occur(tmp_path):
    labels = np.array([1, 4, 26] * 10)
    file = {"images": squares(30), "labels": labels, "test_images": squares(2), "test_labels": labels[:2]}
    for names, classes in ([], ("1", "4", "26")), (["A", "D", "Z"], ("A", "D", "Z")):
        np.savez(tmp_path / "x.npz", **file, **({"label_names": names} if names else {}))
        train, test = (load_arrays(split, tmp_path / "x.npz") for split in ("train", "test"))
        assert train.classes == test.classes == classes
        assert train.labels.tolist() == [0, 1, 2] * 10 and test.labels.tolist() == [0, 1]
    np.savez(tmp_path / "bytes.npz", images=squares(2), labels=np.arange(2), label_names=[b"cat", "é".encode()])
    assert ms_gan.data.load("arrays", "train", tmp_path / "bytes.npz").classes == ("cat", "é")
    np.savez(tmp_path / "x.npz", **file, label_names=list(map(str, range(30))))
    assert load_arrays("train", tmp_path / "x.npz").labels.tolist() == labels.tolist(), "names of all from 0"


def test_a_tenth_is_held_out_and_no_class_loses_its_last_image(tmp_path):
    images = squares(1000)
    labels = np.zeros(1000, int)
    labels[:40] = np.arange(40)
    np.savez(tmp_path / "x.npz", images=images, labels=labels)
    train, test = (load_arrays(split, tmp_path / "x.npz") for split in ("train", "test"))
    assert 60 <= len(test.images) <= 140 and len(train.images) + len(test.images) == 1000
    assert set(range(1, 40)) <= set(train.labels.tolist())


@pytest.mark.parametrize(
    "arrays, told",
    [
        ({"images": np.zeros((5, 8, 8))}, "must be uint8"),
        (
            {"images": np.zeros((5, 8, 9, 3), np.uint8)},
            "must be square, grey or in colour, N×H×W, N×C×H×W or N×H×W×C with 1 or 3 channels, not (5, 8, 9, 3)",
        ),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, "there are none, in an array of (0, 8, 8, 3)"),
        ({"images": np.zeros((5, 2, 8, 8), np.uint8)}, "1 or 3 channels"),
        ({"pixels": np.zeros((5, 8, 8), np.uint8)}, "no array `images`"),
        ({"images": squares(5), "labels": np.zeros(4, int)}, "4 of them, for 5 images; give one for each"),
        ({"images": squares(5), "labels": np.full(5, -1)}, "from 0"),
        ({"images": squares(5), "labels": np.zeros((5, 14), int)}, "a folder with labels.csv"),
        ({"images": squares(5), "labels": np.zeros(5)}, "whole numbers"),
        ({"images": squares(5), "labels": np.arange(5), "label_names": np.array(["a", "b"])}, "label_names must be 5"),
        ({"images": squares(5), "labels": np.arange(5), "label_names": np.array(["a"] * 6)}, "different names"),
        (
            {"images": squares(2), "labels": np.arange(2), "label_names": np.array(["a\nb", "c"])},
            "is empty, or holds a line break",
        ),
        ({"images": squares(2), "labels": np.arange(2), "label_names": np.array(["a", " "])}, "' ' is empty, or hold"),
        ({"images": squares(2), "labels": np.arange(2), "label_names": np.array([b"a", b"\xff"])}, "not UTF-8"),
        ({"images": squares(5), "test_images": squares(5, 6)}, "one size"),
        ({"images": squares(5), "labels": np.arange(5), "test_images": squares(5)}, "the test images have no labels"),
        (
            {"images": squares(5), "test_images": squares(5), "test_labels": np.arange(5)},
            "training images have no labels",
        ),
        ({"images": np.array([object()])}, "no .npz file of plain arrays"),
    ],
)
def test_arrays_that_cannot_be_are_refused_by_name(arrays, told, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    assert told in refused(load_arrays, "train", tmp_path / "x.npz")


def test_scores_tell_like_from_unlike(device):
    like, reference = squares(200, 28), squares(200, 28, seed=1)
    near, far = (ms_gan.score(some, reference, judge="mnist") for some in (like, np.zeros_like(like)))
    assert set(near) == {"fd_200", "fd_100_real", "precision", "recall", "density", "coverage"}
    assert near["fd_200"] < far["fd_200"] and near["coverage"] > far["coverage"] == 0
    assert ms_gan.score(reference, reference, judge="mnist")["fd_200"] == pytest.approx(0, abs=1e-6)
    halves = ms_gan.score(reference[:100], reference[100:], judge="mnist")
    assert near["fd_100_real"] == pytest.approx(halves["fd_100"], rel=1e-5) and near["fd_100_real"] > 0
    few_kinds = ms_gan.score(np.tile(reference[:10], (20, 1, 1)), reference, judge="mnist")
    assert few_kinds["precision"] == 1 and few_kinds["recall"] < 0.5, "all of them are real ones, but ten"


@pytest.mark.parametrize(
    "generated, reference",
    [(squares(50, 28), squares(200, 28)), (squares(200, 28), squares(200, 8)), (squares(200, 8), squares(200, 8))],
)
def test_what_cannot_be_scored_is_refused(generated, reference, device):
    with pytest.raises(ms_gan.UserError):
        ms_gan.score(generated, reference, judge="mnist")


def test_no_judge_is_guessed(device):
    with pytest.raises(ms_gan.UserError, match="none is named.*'mnist' for handwritten digits"):
        ms_gan.score(squares(200, 28), squares(200, 28))


def test_the_names_of_the_api_are_there():
    assert all(hasattr(ms_gan, name) for name in ms_gan.__all__) and not hasattr(ms_gan, "trian")
    assert set(ms_gan.__all__) <= set(dir(ms_gan))


def test_a_file_in_the_way_of_the_runs_is_told_of(device, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ms_gan.UserError, match="taken/rpgan: no folder can be made there: a file is in the way; name"):
        ms_gan.train("rpgan", squares(50), settings=SMALL, steps=1, output_dir=tmp_path / "taken")
    model = ms_gan.train("rpgan", squares(50), settings=SMALL, steps=1, output_dir=tmp_path)
    assert repr(model) == f"<Model: rpgan at step 1, {model.checkpoint}>"


def test_names_without_labels_are_refused():
    with pytest.raises(ms_gan.UserError, match="label_names are for labels, and there are none"):
        ms_gan.train("rpgan", squares(50), label_names=["a"])


def test_labels_without_images_are_refused():
    with pytest.raises(ms_gan.UserError, match="images"):
        ms_gan.train("mlp", labels=np.zeros(3, int))


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"count": 0}, "count must be a whole number"),
        ({"count": 2.0}, "count must be"),
        ({"count": 3, "seed": -1}, "seed must be a whole number"),
        ({"count": 3, "seed": 2**32}, "seed must be a whole number"),
        ({"count": 3, "labels": "eleven"}, "eleven"),
        ({"count": 3, "labels": ["7", "eleven"]}, "eleven"),
    ],
)
def test_what_cannot_be_sampled_is_refused(arguments, told, device):
    with pytest.raises(ms_gan.UserError, match=told):
        ms_gan.load(ROOT / "ckpt" / "rpgan_residual_mnist").sample(**arguments)


def test_labels_are_texts_or_what_reads_as_their_names(device):
    bundle = ms_gan.load(ROOT / "ckpt" / "rpgan_residual_mnist")
    sevens = bundle.sample(3, labels="7")
    assert np.array_equal(sevens, bundle.sample(3, labels=["7"])) and np.array_equal(
        sevens, bundle.sample(3, labels=[7])
    )
    assert np.array_equal(sevens, bundle.sample(3, labels=7)) and np.array_equal(
        sevens, bundle.sample(3, labels=np.array([7, 7]))
    )
    assert sevens.dtype == np.uint8 and sevens.shape == (3, 28, 28)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"steps": -1}, {"steps": 1.5}, {"steps": True}, {"seed": -3}, {"seed": 2**32}]
)
def test_a_length_or_a_seed_that_cannot_be_is_refused_before_anything_is_read(wrong, tmp_path):
    with pytest.raises(ms_gan.UserError, match=f"^{next(iter(wrong))} must be"):
        ms_gan.train("mlp", output_dir=tmp_path, **wrong)
    if "steps" in wrong:
        with pytest.raises(ms_gan.UserError, match="^steps must be"):
            ms_gan.resume(tmp_path, **wrong)
        assert "steps and epochs both say" in refused(ms_gan.resume, tmp_path, steps=5, epochs=2)
    assert not list(tmp_path.iterdir())
