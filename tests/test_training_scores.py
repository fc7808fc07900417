"""Scores on the way: what stands in the history, which checkpoint is kept for them, and that they change nothing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from helpers import tagged
from helpers.commands import SMALL, here, write_mnist
from helpers.networks import ACGAN, options

from ms_gan import data, recipes
from ms_gan.data.hold_out import split_validation
from ms_gan.errors import UserError
from ms_gan.runs.checkpoints import read_state
from ms_gan.runs.run_folder import find_checkpoint
from ms_gan.training import validation
from ms_gan.training.validation import ValidationScorer

pytestmark = pytest.mark.usefixtures("device", "short_judges")
EPOCHS, STEPS = 6, 10  # steps an epoch: of 210 images 110 are held out
HELD_OUT = ("--set", "scores.held_out=110", "--set", "scores.images=100")
COLUMN = "fd_100_held_out_ratio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_mnist(tmp_path_factory.mktemp("scores") / "data", 210)


def train(folder, root, epochs=EPOCHS, every=2):
    length = ("--epochs", epochs, "--set", f"scores.every_epochs={every}")
    here("train", "--data-path", folder, *SMALL, "--batch-size", 10, *length, *HELD_OUT, "--output-dir", root)
    return root / "mlp" / "1"


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    return train(folder, tmp_path_factory.mktemp("undisturbed"))


def scored_rows(run):
    header, *rows = [line.split(",") for line in (run / "history.csv").read_text().splitlines()]
    return [(int(row[0]), float(row[header.index(COLUMN)])) for row in rows if row[header.index(COLUMN)]]


def result(run):
    """All that must be the same: the last weights, history, and what is called the best."""
    last = max((run / "checkpoints").glob("step_*"))
    return {file.name: file.read_bytes() for file in (*last.glob("*.ckpt"), run / "history.csv", run / "best.json")}


def test_scores_stand_in_the_history_and_the_best_is_marked(undisturbed):
    rows = scored_rows(undisturbed)
    assert [step for step, _ in rows] == [20, 40, 60] and all(score > 0 for _, score in rows)
    best = json.loads((undisturbed / "best.json").read_text())
    step, score = min(rows, key=lambda row: row[1])
    assert (best["step"], best["chosen_by"]) == (step, COLUMN) and best["score"] == pytest.approx(score, rel=1e-6)
    link = undisturbed / "checkpoints" / "best"
    assert link.is_symlink() and link.resolve() == (undisturbed / best["checkpoint"]).resolve()
    assert json.loads((link / "state.json").read_text())["step"] == step
    told = f"of those that were scored, with {COLUMN} {score:.3f} after step {step}"
    assert (told in (undisturbed / "train.log").read_text()) == (step < EPOCHS * STEPS)


def test_the_best_is_marked_by_the_next_start_where_a_kill_came_before(undisturbed, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run, symlinks=True)
    for path in (run / "best.json", run / "checkpoints" / "best"):
        path.unlink()
    (run / "checkpoints" / "preparation_00000003").mkdir()  # what else is removed after a checkpoint
    here("train", "--resume", run)
    assert result(run) == result(undisturbed) and (run / "checkpoints" / "best" / "state.json").is_file()
    assert not (run / "checkpoints" / "preparation_00000003").exists()
    assert "compiling" not in (run / "train.log").read_text().splitlines()[-2], "nothing is to be compiled"


def test_they_change_nothing_of_the_training(undisturbed, folder, tmp_path):
    without = train(folder, tmp_path, every=0)
    weights = {
        file.name: file.read_bytes() for file in (without / "checkpoints" / f"step_{EPOCHS * STEPS:08d}").glob("*.ckpt")
    }
    assert len(weights) == 4 and {name: result(undisturbed)[name] for name in weights} == weights
    assert not (without / "best.json").exists() and COLUMN not in (without / "history.csv").read_text()


@pytest.mark.parametrize("last", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_scores_again_what_it_had_lost(last, undisturbed, tmp_path):
    """History and mark are those of the end, the newest checkpoint is an older one: as after kill -9."""
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run, symlinks=True)
    for checkpoint in (run / "checkpoints").glob("step_*"):
        if int(checkpoint.name[5:]) > last * STEPS:
            shutil.rmtree(checkpoint)
    here("train", "--resume", run)
    assert result(run) == result(undisturbed)


def test_the_best_is_kept_and_found(folder, tmp_path, monkeypatch):
    values = iter([3.0, 1.0, *[2.0] * 30])
    monkeypatch.setattr(ValidationScorer, "__call__", lambda self, draw, say: [next(values)])
    run = train(folder, tmp_path, epochs=14, every=1)
    assert json.loads((run / "best.json").read_text())["step"] == 20
    kept = sorted(int(path.name[5:]) // STEPS for path in (run / "checkpoints").glob("step_*"))
    assert kept == [0, 2, 10, 12, 13, 14], "the best, the last three, and one every hundred steps"
    checkpoint, home = find_checkpoint(str(run / "checkpoints" / "best"))
    assert read_state(checkpoint).step == 20 and home.resolve() == run.resolve()


@pytest.mark.slow
def test_a_conditional_model_is_scored_by_its_classes_too(folder, tmp_path):
    small = options([*ACGAN, "schedule.steps_per_epoch=3", "scores.every_epochs=1"])
    where = ("--data-path", folder, "--output-dir", tmp_path)
    here("train", "--recipe", "acgan", *small, "--batch-size", 8, "--epochs", 1, *where)
    header, row = (tmp_path / "acgan" / "1" / "history.csv").read_text().splitlines()
    assert header.endswith("fd_105_train_ratio,class_accuracy") and row.startswith("3,1.0000,")
    assert 0 <= float(row.rsplit(",", 1)[1]) <= 1


def test_images_held_out_are_not_trained_on_and_are_what_is_compared_with(folder):
    images = data.load("mnist", "train", str(folder), recipes.load("mlp").data)
    recipe = recipes.override(recipes.load("mlp"), ["scores.held_out=110", "scores.images=105"])
    left, held = split_validation(images, 110, 1, keep_labels=False)
    assert (len(left.images), len(held.images)) == (100, 110)
    images_of = [{image.tobytes() for image in part.images} for part in (left, held)]
    assert images_of[0] | images_of[1] == {image.tobytes() for image in images.images}
    scores = ValidationScorer(recipe, left, held, 1, 10)
    assert scores.columns == ("fd_100_held_out_ratio",) and scores.every == 50
    assert {image.tobytes() for image in scores.reference.images} <= images_of[1]
    with pytest.raises(UserError, match="smaller scores.held_out"):
        split_validation(images, 210, 1, keep_labels=False)


def test_data_that_cannot_score_are_told_once_and_trained_on(tmp_path, capsys):
    few = write_mnist(tmp_path / "data", 190)
    run = train(few, tmp_path, epochs=2)
    assert capsys.readouterr().out.count("note: no scores on the way: idx") == 1
    header = (run / "history.csv").read_text().splitlines()[0]
    assert header == "step,epoch,loss_d,loss_g,fool_rate,accuracy_real,accuracy_fake"


@pytest.mark.parametrize("train, held, told", [(300, 50, "50 validation images are too few"), (50, 150, "to compare")])
def test_it_is_said_which_images_are_too_few(folder, train, held, told):
    images = data.load("mnist", "train", str(folder), recipes.load("mlp").data)
    recipe = recipes.override(recipes.load("mlp"), ["scores.every_epochs=1", "scores.images=100"])
    parts = images.only(np.arange(train) % 200), images.only(np.arange(held) % 200)
    assert told in ValidationScorer(recipe, *parts, 1, 10).why_none


def test_scores_keep_a_distance_of_steps(folder, monkeypatch):
    monkeypatch.setattr(validation, "STEPS_BETWEEN_LOOKS", 100)
    images = data.load("mnist", "train", str(folder), recipes.load("mlp").data)
    recipe = recipes.override(recipes.load("mlp"), ["scores.every_epochs=3", "scores.images=100"])
    for steps_per_epoch, expected in ((10, 120), (400, 1200)):
        assert ValidationScorer(recipe, images, None, 1, steps_per_epoch).every == expected


def test_tags_have_a_column_if_they_are_asked_for_and_can_be_told_apart():
    images, scored = tagged.data("train", 300), ["scores.every_epochs=1", "scores.images=100"]
    for settings, expected in (
        (["data.classes=4", "data.max_tags=3"], ("fd_100_train_ratio", "average_precision")),
        (["data.classes=0", "data.max_tags=0"], ("fd_100_train_ratio",)),
    ):
        recipe = recipes.override(recipes.load("cvae_late"), [*settings, *scored])
        assert ValidationScorer(recipe, images, None, 1, 10).columns == expected
        alike = ValidationScorer(recipe, images.only([0] * 300), None, 1, 10)
        assert alike.columns == () and "on all of its images or on none" in alike.why_none


class PlayedScorer:
    has_ratio = True

    def __init__(self, judge, real, others):
        pass

    def __call__(self, images, labels):
        return {"fd_ratio": 1.5}


@pytest.mark.parametrize("draws, told", [(1, True), (2, False)])
def test_a_ratio_by_one_draw_of_real_images_is_noted(draws, told, folder, monkeypatch):
    images = data.load("mnist", "train", str(folder), recipes.load("mlp").data)
    scores = ValidationScorer(recipes.load("mlp"), images, None, 1, 10)
    monkeypatch.setattr(validation, "judge_for", lambda *_: None)
    monkeypatch.setattr(validation, "QuickScorer", PlayedScorer)
    scores.prepare(images, images)
    scores._draws = scores._draws[:1] * draws
    said = []
    assert scores(lambda inputs: np.zeros((len(inputs[0]), 1, 28, 28), np.float32), said.append) == [1.5]
    note = f"note: {scores.columns[0]} is divided by the distance of one draw"
    assert [line.startswith(note) for line in said] == [True] * told
