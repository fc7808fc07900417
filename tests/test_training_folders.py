"""Runs on folders of one's own images, whose labels, or pictures, are not as a score would need them."""

from __future__ import annotations

import json
import re
import shutil
from hashlib import sha256

import numpy as np
import pytest
from helpers.commands import SMALL, here, refused_here, write_mnist
from helpers.idx_files import contents, fill
from PIL import Image

from ms_gan.evaluation import plots

pytestmark = pytest.mark.usefixtures("device", "short_judges")
SIZES = ("--set", "data.size=12", "--batch-size", "20")
SCORED = ("--epochs", "2", "--set", "scores.every_epochs=1", "--set", "scores.images=100")
SCORED_LINE = re.compile(r"after step \d+: fd_100_train_ratio")
HOUSE = ("--recipe", "rpgan", "--set", "data.classes=2")


def write_images(folder, count, where, copies=False):
    """Write images of which a half is bright, each to where `where` says for its class, "dark" or "light"."""
    stream = np.random.default_rng(5)
    for number in range(count):
        kind = ("dark", "light")[number % 2]
        pixels = stream.integers(0, 100, (12, 12), dtype=np.uint8) + 150 * (number % 2)
        if copies:
            pixels = np.full((12, 12), 250 * (number % 2), np.uint8)
        file = folder / where.format(kind) / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(pixels)).save(file)


def train(folder, root, *more):
    here("train", "--dataset", "folder", "--data-path", str(folder), *SMALL, *SIZES, *more, "--output-dir", str(root))
    run = max(root.glob("*/*"))
    return run, (run / "train.log").read_text()


@pytest.mark.parametrize(
    "copies", [pytest.param("of two pictures", marks=pytest.mark.slow), "of one picture in two classes"]
)
def test_copies_are_trained_on_to_the_end_without_a_ratio(copies, tmp_path):
    write_images(tmp_path / "data", 260, "{}", copies=True)
    if copies == "of one picture in two classes":
        for file in (tmp_path / "data/light").iterdir():
            shutil.copy(tmp_path / "data/dark/0000.png", file)
    run, log = train(tmp_path / "data", tmp_path, *HOUSE, *SCORED)
    assert "done: " in log and "image(s) look the same as another, such as " in log
    header, *rows = [line.split(",") for line in (run / "history.csv").read_text().splitlines()]
    scored = [row[-2:] for row in rows if not row[2]]
    assert header[-2:] == ["fd_100_train_ratio", "class_accuracy"] and len(scored) == 2
    assert "the ratio is undefined" in log and not (run / "best.json").exists()
    assert all(ratio == "" and 0 <= float(accuracy) <= 1 for ratio, accuracy in scored)
    here("train", "--resume", run, "--epochs", "3")


def test_a_resumed_run_is_not_told_to_leave_images_out(tmp_path, capsys):
    write_images(tmp_path / "data", 40, "{}")
    run, _ = train(tmp_path / "data", tmp_path, *HOUSE, "--steps", 2)
    file = next((tmp_path / "data").rglob("0003.png"))
    whole = file.read_bytes()
    file.write_bytes(whole[:30])
    said = refused_here(capsys, "train", "--resume", run, "--steps", 4)
    assert f"{file}: is unreadable" in said and said.endswith("; put the run's own images back\n")
    file.write_bytes(whole)
    here("train", "--resume", run, "--steps", 4)


def test_classes_that_are_not_used_are_told_of_and_others_than_there_are_are_refused(tmp_path, capsys):
    write_images(tmp_path / "data", 24, "{}")
    three = ("--recipe", "rpgan", "--set", "data.classes=3", "--output-dir", tmp_path / "three")
    error = refused_here(
        capsys, "train", "--dataset", "folder", "--data-path", tmp_path / "data", *SMALL, *SIZES, *three
    )
    assert "has 2 classes (dark, light), but the recipe asks for 3 classes; give --set data.classes=2" in error
    once = ("--steps", "1", "--batch-size", "4")
    _, unused = train(tmp_path / "data", tmp_path / "unused", "--recipe", "rpgan", "--set", "data.clusters=0", *once)
    assert "note: the images have 2 classes, which are not used; with the setting data.classes=2 you can ask" in unused
    for name, options in (("used", HOUSE), ("taken by none", ("--recipe", "mlp"))):
        _, log = train(tmp_path / "data", tmp_path / name, *options, *once)
        assert "which are not used" not in log, name


def test_a_run_with_scores_says_which_test_files_it_lacks(tmp_path, capsys):
    train_files = {name: content for name, content in contents(train=240).items() if name.startswith("train")}
    fill(tmp_path / "data", train_files)
    where = ("--dataset", "idx", "--data-path", tmp_path / "data", "--output-dir", tmp_path / "runs")
    error = refused_here(capsys, "train", "--recipe", "rpgan", *where, *SMALL, *SCORED, "--batch-size", "20")
    assert "the test images are missing; expected t10k-images-idx3-ubyte or " in error


def test_flat_test_images_are_told_of_at_the_start_and_never_read_as_zero(tmp_path, capsys):
    write_images(tmp_path / "data/train", 240, "{}")
    write_images(tmp_path / "data/test", 120, "")
    run, log = train(tmp_path / "data", tmp_path, *HOUSE, *SCORED)
    assert "no scores on the way" in log and "eval will only draw samples" in log
    error = refused_here(capsys, "eval", run, "--metrics")
    assert "the test images have no labels" in error
    capsys.readouterr()
    here("eval", run)
    assert "note: no generated_beside_real.png" in capsys.readouterr().out

    plain, log = train(tmp_path / "data", tmp_path / "plain", "--recipe", "mlp", *SCORED)
    assert "its test images have no usable labels" in log
    here("eval", plain, "--metrics")
    assert "its test images have no usable labels" in capsys.readouterr().out
    found = json.loads((plain / "eval/metrics.json").read_text())
    assert found["judge"] is None and not any(name.startswith("fd_") for name in found["generated"])


def test_labels_that_a_recipe_does_not_take_serve_its_judge_while_training_and_after(tmp_path, capsys):
    write_images(tmp_path / "data/train", 240, "{}")
    write_images(tmp_path / "data/test", 120, "{}")
    run, log = train(tmp_path / "data", tmp_path, "--recipe", "mlp", *SCORED)
    assert "no scores on the way" not in log and len(SCORED_LINE.findall(log)) == 2
    assert "class_accuracy" not in (run / "history.csv").read_text()
    here("eval", run, "--metrics")
    found = json.loads((run / "eval/metrics.json").read_text())
    assert found["judge"]["accuracy_test"]["classes"] > 0.9 and found["generated"]["fd_120_test"] > 0


def test_a_run_that_began_without_scores_goes_on_without(tmp_path):
    """As one of the time when nobody looked for labels that the recipe does not take."""
    write_images(tmp_path / "data/train", 240, "")
    write_images(tmp_path / "data/test", 120, "")
    run, _ = train(tmp_path / "data", tmp_path, "--recipe", "mlp", *SCORED)
    header = (run / "history.csv").read_text().splitlines()[0]
    for part in ("train", "test"):  # the same images, now with labels
        shutil.copytree(tmp_path / "data" / part, tmp_path / "labelled" / part)
        names = sorted(file.name for file in (tmp_path / "labelled" / part).iterdir())
        (tmp_path / "labelled" / part / "labels.csv").write_text(
            "file,label\n" + "".join(f"{name},{int(name[:4]) % 2}\n" for name in names)
        )
    here("train", "--resume", run, "--epochs", "3", "--data-path", tmp_path / "labelled")
    assert (run / "history.csv").read_text().splitlines()[0] == header


def test_a_cache_that_cannot_be_written_does_not_end_a_run(tmp_path, monkeypatch):
    write_images(tmp_path / "data/train", 240, "{}")
    write_images(tmp_path / "data/test", 120, "{}")
    (tmp_path / "cache").write_text("a file, where a folder should be")
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    _, log = train(tmp_path / "data", tmp_path, "--recipe", "mlp", *SCORED)
    assert "cannot be kept" in log and len(SCORED_LINE.findall(log)) == 2 and "done: " in log


def test_changed_data_are_told_by_what_changed(tmp_path, capsys, monkeypatch):
    shown, draw = [], plots.sheet

    def sheet(path, images, *more):
        shown.append((path, images))
        draw(path, images, *more)

    monkeypatch.setattr(plots, "sheet", sheet)
    write_images(tmp_path / "data", 60, "{}")
    run, _ = train(tmp_path / "data", tmp_path, *HOUSE, "--epochs", "1")
    (real,) = [images for path, images in shown if path.name == "real.png"]
    assert len({image.mean() > 127 for image in real}) == 2, "of both classes, though the files of one come first"
    shutil.copy(tmp_path / "data/dark/0000.png", tmp_path / "data/dark/new.png")
    learned = json.loads((run / "data.json").read_text())["files"]
    gone = sorted(name for name in learned if name.startswith("light/"))[0]
    (tmp_path / "data" / gone).unlink()
    for error in (refused_here(capsys, "train", "--resume", run), refused_here(capsys, "eval", run, "--metrics")):
        assert "dark/new.png" in error and gone in error and "sha" not in error


def test_long_epochs_have_sheets_before_the_first_one_ends(tmp_path):
    data = write_mnist(tmp_path / "data", 32)
    arguments = ("train", "--data-path", data, *SMALL, "--batch-size", 16, "--steps", 101, "--output-dir", tmp_path)
    for number, steps in enumerate((1000, 500), start=1):
        here(*arguments, "--set", f"schedule.steps_per_epoch={steps}", "--set", "scores.every_epochs=0")
        early = tmp_path / "mlp" / str(number) / "samples" / "step_00000100.png"
        assert early.is_file() == (steps == 1000)


def test_an_average_that_few_images_leave_young_is_told_at_the_start(tmp_path, capsys):
    data = write_mnist(tmp_path / "data", 32)
    arguments = (
        "train",
        "--recipe",
        "rpgan",
        "--data-path",
        data,
        *SMALL,
        "--batch-size",
        16,
        "--output-dir",
        tmp_path,
    )
    arguments = (*arguments, "--set", "scores.every_epochs=0", "--set", "ema.decay=0.9")
    for length, told in (("--epochs", 2), True), (("--steps", 2), False):
        here(*arguments, *length)
        assert ("note: 2 epochs of 32 images are 4 steps" in capsys.readouterr().out) == told


def test_sheets_lines_and_checkpoints_keep_a_distance_of_steps(tmp_path):
    write_images(tmp_path / "data", 44, "{}")  # two steps an epoch
    run, log = train(tmp_path / "data", tmp_path, "--recipe", "mlp", "--epochs", "130")
    sheets = [f"epoch_{epoch:04}.png" for epoch in (0, 50, 100, 130)]
    assert sorted(file.name for file in (run / "samples").iterdir()) == sheets
    assert log.count("steps/s") <= 4 and (run / "losses.png").is_file()
    kept = [f"step_{step:08d}" for step in (0, 100, 200, 260)]
    assert sorted(path.name for path in (run / "checkpoints").glob("step_*")) == kept


@pytest.mark.parametrize("count", [60, 8])
def test_a_warm_start_keeps_the_test_split_of_a_folder_that_has_grown(count, tmp_path):
    """Files of large digests come: of a new choice, images that the networks know would be test images."""
    data = tmp_path / "data"
    unscored = ("--steps", "2", "--set", "scores.every_epochs=0", "--batch-size", "8")
    by_digest = sorted((f"{number}.png" for number in range(300)), key=lambda name: sha256(name.encode()).hexdigest())
    write_images(data, 1, ".")
    for name in by_digest[:count]:
        shutil.copy(data / "0000.png", data / name)
    (data / "0000.png").unlink()
    first, _ = train(data, tmp_path / "one", *unscored)
    for name in by_digest[200:]:
        shutil.copy(data / by_digest[0], data / name)
    warm, _ = train(data, tmp_path / "two", *unscored, "--warm-start", str(first))
    new, _ = train(data, tmp_path / "three", *unscored)
    known = set(json.loads((first / "data.json").read_text())["files"])
    tested = [
        set(by_digest[:count] + by_digest[200:]) - set(json.loads((run / "data.json").read_text())["files"])
        for run in (warm, new)
    ]
    assert not tested[0] & known and tested[1] & known
    assert tested[0] == set(by_digest[: count // 10])


def test_a_warm_start_on_a_folder_that_is_not_there_says_so_as_any_start_does(tmp_path, capsys):
    write_images(tmp_path / "data", 10, ".")
    first, _ = train(
        tmp_path / "data", tmp_path / "one", "--steps", "1", "--set", "scores.every_epochs=0", "--batch-size", "8"
    )
    wrong = (
        "--recipe",
        "mlp",
        "--dataset",
        "folder",
        "--data-path",
        tmp_path / "dat",
        "--output-dir",
        tmp_path / "two",
    )
    said = [refused_here(capsys, "train", *wrong, *more) for more in ((), ("--warm-start", first))]
    assert said[0] == said[1] and "dat: does not exist (did you mean" in said[0]


@pytest.mark.parametrize("changed", ["data.rotate_and_mirror", "data.quarter_turns"])
def test_a_test_image_that_is_trained_on_is_told_of_however_images_are_shown(changed, tmp_path):
    write_images(tmp_path / "data", 40, ".")
    names = sorted((tmp_path / "data").iterdir(), key=lambda file: sha256(file.name.encode()).hexdigest())
    shutil.copy(names[9], names[0])
    _, log = train(
        tmp_path / "data", tmp_path, "--steps", "2", "--set", f"{changed}=True", "--set", "scores.every_epochs=0"
    )
    assert f"1 test image(s) look the same as a training image, such as {names[0].name} as {names[9].name}" in log


def test_folders_for_the_splits_that_came_later_are_refused_in_place_of_the_runs_own_choice(tmp_path, capsys):
    data = tmp_path / "data"
    write_images(data, 40, ".")
    run, _ = train(data, tmp_path, "--steps", "2", "--set", "scores.every_epochs=0")
    for number, file in enumerate(sorted(data.iterdir())):
        place = data / ("test" if number < 5 else "train") / file.name
        place.parent.mkdir(exist_ok=True)
        file.rename(place)
    here("eval", run)
    told = "has folders for its splits now, and had none when the run chose its test images"
    assert told in capsys.readouterr().out and not (run / "eval" / "generated_beside_real.png").exists()
    here("eval", run, "--data-path", data, "--overwrite")
    assert (run / "eval" / "generated_beside_real.png").exists()
