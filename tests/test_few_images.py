"""The study of few images, and the rendered photographs, by known answers; they are no part of the package."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import ms_gan
from benchmarks import few_images
from benchmarks.few_images import Cell
from ms_gan import recipes
from ms_gan.evaluation.protocol import as_shown

ROOT = Path(__file__).resolve().parent.parent
LOOK = {"precision": 0.5, "recall": 0.25, "nearer": 0.75, "far": 1.0}


def settings_of(command):
    return [after for before, after in zip(command, command[1:]) if before == "--set"]


@pytest.mark.parametrize("dataset", list(few_images.DATA_SETS))
def test_a_run_holds_out_all_other_images_and_only_augmentation_differs(dataset, tmp_path):
    name, images = few_images.DATA_SETS[dataset]
    plain, *augmented = (
        recipes.override(recipes.load(name), settings_of(Cell(dataset, 500, kind, 1, 800).command(tmp_path, None)))
        for kind in few_images.AUGMENTATIONS
    )
    assert plain.scores.held_out == images - 500 and plain.schedule.steps_per_epoch == 100
    assert plain.optimizers["discriminator"].decay_steps == plain.updates.gamma_decay_steps == 800
    assert plain.clusters == (10 if name == "rpgan" else 0)  # one for 50 images
    all_five, turns, both, held, both_held = augmented
    assert not plain.data.quarter_turns and not plain.updates.augmentation.cutout
    assert all_five == plain.but({f"updates.augmentation.{key}": value for key, value in few_images.PAPER.items()})
    assert turns == plain.but({"data.quarter_turns": True}) and turns.updates == plain.updates
    assert both == all_five.but({"data.quarter_turns": True})
    assert held == plain.but({"updates.gamma_decay_rate": 1.0})
    assert (held == plain) == (name == "rpgan"), "which holds it anyway"
    assert both_held == both.but({"updates.gamma_decay_rate": 1.0})


def test_an_interrupted_training_goes_on_and_an_ended_one_is_left_alone(tmp_path):
    cell = Cell("digits", 100, "all", 7, 300)
    run = tmp_path / "runs" / cell.name / "rpgan" / "1"
    run.mkdir(parents=True)
    command = cell.command(tmp_path, None)
    assert command[:3] == ["train", "--recipe", "rpgan"] and command[command.index("--seed") + 1] == "7"
    assert not run.exists()  # the next one is number 1 again
    (run / "checkpoints" / "step_00000090").mkdir(parents=True)
    assert cell.command(tmp_path, None) == ["train", "--resume", str(run)]
    (run / "checkpoints" / "step_00000300").mkdir()
    assert cell.command(tmp_path, None) == []


def test_mnist_alone_is_read_from_the_folder_that_was_named(tmp_path):
    assert "--data-path" in Cell("mnist", 100, "none", 1, 10).command(tmp_path, tmp_path)
    assert "--data-path" not in Cell("pizza", 100, "none", 1, 10).command(tmp_path, tmp_path)


def look(step, held_out, test):
    return {"step": step, "fd_held_out": held_out, "fd_test": test, **LOOK}


def test_the_best_checkpoint_is_chosen_by_held_out_images_and_the_last_is_in_the_table():
    cells = [Cell("pizza", 100, "all", seed, 300) for seed in (1, 2, 3)]
    scores = [
        {"real": look(0, 9, 2), "checkpoints": [look(100, 9, 8), look(200, 5, 7), look(300, 6, 6)]},
        {"real": look(0, 9, 3), "checkpoints": [look(100, 4, 1), look(200, 5, 7), look(300, 6, 4)]},
        {"real": look(0, 9, 4), "checkpoints": [look(100, 9, 8), look(200, 7, 7), look(300, 1, 5)]},
    ]
    real, row = few_images.rows_of(cells, scores)
    assert real[:5] == ["pizza", "real", "–", "–", "3.00 (2.00 to 4.00)"]
    shares = [f"{value:.2f} ({value:.2f} to {value:.2f})" for value in LOOK.values()]
    assert row == ["pizza", "100", "all", "3", "5.00 (4.00 to 6.00)", *shares, "5.00 (1.00 to 7.00)", "200"]


def test_what_has_scores_is_not_done_again(tmp_path, monkeypatch, capsys):
    done = []

    def faked(command):
        done.append(command)
        if command[1] == "ms_gan":
            home = Path(command[command.index("--output-dir") + 1])
            (home / command[command.index("--recipe") + 1] / "1").mkdir(parents=True)
        else:
            scores = {"real": look(0, 1, 1), "checkpoints": [look(200, 1, 1)]}
            Path(command[-1]).write_text(json.dumps(scores))

    monkeypatch.setattr(few_images, "run", faked)
    few = ["--quick", "--datasets", "digits", "--output", str(tmp_path)]
    few_images.main(few)
    assert [command[1] for command in done] == ["ms_gan", "benchmarks.few_images_scores"] * 2
    assert "few-images: 2 of 2, digits-100-all-200-steps-seed-1; " in capsys.readouterr().err
    few_images.main([*few, "--seeds", "1", "2"])
    assert len(done) == 8 and all("seed-2" in " ".join(command) for command in done[4:])
    text, kept = (tmp_path / "few-images.md").read_text(), json.loads((tmp_path / "few-images.json").read_text())
    assert "| digits | 100 | all | 2 | " in text and "200 steps of 32 images" in text
    assert len(kept["measured"]) == 4 and text.strip() in capsys.readouterr().out
    few_images.main([*few, "--seeds", "3", "3", "--augmentations", "turns"])  # the table keeps what others wrote
    assert len(done) == 10 and len(json.loads((tmp_path / "few-images.json").read_text())["measured"]) == 5
    assert "| digits | 100 | all | 2 | " in (tmp_path / "few-images.md").read_text()


# Ctrl-C comes to the whole group, a kill to one process.
@pytest.mark.parametrize(("kill", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_what_is_interrupted_is_waited_for_so_that_it_can_save(kill, number, tmp_path):
    saving = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    (folder / "begun").touch()
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    (folder / "saved").touch()
"""
    study = f"from benchmarks import few_images; few_images.run(['-c', {saving!r}, {str(tmp_path)!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", study], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    kill(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert (tmp_path / "saved").exists() and said.startswith("stopped; the same command ")


def test_a_failure_ends_the_study():
    with pytest.raises(SystemExit, match="^error: python -c exit.3. failed, see above; the same command "):
        few_images.run(["-c", "exit(3)"])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--counts", "31"], "--counts: takes 32 to 2,250"),
        (["--counts", "4000"], "--counts: takes 32 to 2,250"),
        (["--steps", "0"], "--steps: takes 1 or more"),
        (["--data-path", "nowhere"], "--data-path nowhere: no such folder"),
        (["--datasets", "faces"], "invalid choice: 'faces'"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_trained(arguments, problem, capsys):
    with pytest.raises(SystemExit) as ended:
        few_images.parsed(arguments)
    assert ended.value.code == 2 and problem in capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def scoring(device):
    from benchmarks import few_images_scores

    return few_images_scores


class Pixels:
    """A judge whose features are sixteen pixels."""

    sha256 = "pixels"

    def features(self, images):
        return images.reshape(len(images), -1)[:, :16].astype(np.float32) / 255


def random_images(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), np.uint8)


def test_copies_and_new_images_are_told_apart(scoring):
    test, held_out, trained_on, others, new = (random_images(400, seed) for seed in range(5))
    reference = scoring.Reference(Pixels(), test, held_out, trained_on, others)
    copies, fresh, of_test = (reference.scores(images) for images in (trained_on, new, test))
    assert copies["nearer"] == 1 and copies["far"] == 0
    assert fresh["nearer"] == pytest.approx(0.5, abs=0.1) and fresh["far"] == pytest.approx(1, abs=0.1)
    assert of_test["fd_test"] == pytest.approx(0, abs=1e-9) and of_test["precision"] == of_test["recall"] == 1
    assert fresh["fd_test"] > 0.01 and reference.scores(held_out)["fd_held_out"] == pytest.approx(0, abs=1e-9)


def test_copies_of_images_that_were_turned_are_told_however_they_lie(scoring):
    test, held_out, trained_on, others = (random_images(400, seed) for seed in range(4))
    shown = recipes.load("rpgan_residual").data
    assert shown.quarter_turns
    near = (np.concatenate(as_shown(some, shown)) for some in (trained_on, others))
    reference = scoring.Reference(Pixels(), test, held_out, *near)
    for copies in (np.rot90(trained_on, 1, (2, 3)), trained_on[..., ::-1]):
        found = reference.scores(copies)
        assert found["nearer"] == 1 and found["far"] == 0


def test_as_near_counts_half(scoring):
    assert scoring.nearer(np.array([1.0, 2, 3, 0]), np.array([2.0, 1, 3, 0])) == 0.5
    assert scoring.nearer(np.array([1.0, 1]), np.array([2.0, 1])) == 0.75


def test_the_ends_of_epochs_and_the_last_step_are_scored(scoring):
    assert scoring.scored_steps([0, 25, 50, 70, 75, 80], 25) == [25, 50, 75, 80]


def test_a_run_is_scored_against_images_that_it_did_not_see(scoring, tmp_path, monkeypatch):
    seen = {}

    def spied(judge, test, held_out, trained_on, others):
        seen.update(test=test, held_out=held_out, trained_on=trained_on, others=others)
        return reference(judge, test, held_out, trained_on, others)

    reference = scoring.Reference
    monkeypatch.setattr(scoring, "Reference", spied)
    monkeypatch.setattr(scoring, "judge_for", lambda *data: Pixels())
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    images, labels = random_images(300, 1), np.arange(300) % 2
    test = random_images(60, 2), np.arange(60) % 2
    changes = {"scores.held_out": 200, "scores.every_epochs": 0, "schedule.batch_size": 20}
    small = {"generator.widths": (8,), "discriminator.widths": (8,), "schedule.steps_per_epoch": 2}
    model = ms_gan.train(
        "rpgan", images, labels, test=test, steps=2, settings={**changes, **small}, output_dir=tmp_path
    )
    found = scoring.scores_of(Path(model.home))
    assert found["trained_on"] == 100 and found["compared"] == 60
    assert [each["step"] for each in found["checkpoints"]] == [2] and 0 <= found["real"]["nearer"] <= 1
    known = {image.tobytes() for image in seen["trained_on"]}
    assert len(known) == 100 and len(seen["others"]) == 100 and len(seen["held_out"]) == 60
    assert not any(image.tobytes() in known for name in ("test", "held_out", "others") for image in seen[name])
    assert {image.tobytes() for image in seen["test"]} == {image.tobytes() for image in test[0]}


@pytest.fixture
def rendering(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("photographs")


def test_the_same_seed_renders_the_same_pictures(rendering, tmp_path):
    for folder, count in (("a", 2), ("b", 1)):
        rendering.render(tmp_path / folder, count, seed=3)
    first, second, again = (tmp_path / name for name in ("a/mug_001.jpg", "a/mug_002.jpg", "b/mug_001.jpg"))
    assert first.read_bytes() == again.read_bytes() != second.read_bytes()
    assert sorted(cv2.imread(str(first)).shape) == [3, 480, 640]


def test_a_ray_meets_the_mug_where_its_wall_is(rendering):
    mug = rendering.Mug(radius=0.5, height=1, taper=0, wall=0.05, handle=0.2, turn=np.pi, filled=0)
    start = np.float32([0, 0.5, -3])
    rays = rendering.followed(mug, start, np.float32([[0, 0, 1], [0, -0.4, 0.9165], [0, 0.6, 0.8]]))
    assert rays.met.tolist() == [True, False, False]
    np.testing.assert_allclose(rays.points[0], [0, 0.5, -0.5], atol=0.01)
    assert rays.points[1][1] == pytest.approx(0, abs=0.01)  # the table


def test_the_nearest_training_images_are_drawn(device, rendering, tmp_path, monkeypatch, capsys):
    from ms_gan.evaluation import plots
    from ms_gan.runs import run_folder

    drawn = {}

    def compare(file, upper, lower, *more, **options):
        drawn.update(upper=upper[1], lower=lower[1])

    splits = {"train": random_images(5, 1)}

    def load(split):
        if split not in splits:
            raise ms_gan.UserError("no test split", "have more images")
        return SimpleNamespace(images=splits[split])

    model = SimpleNamespace(name="a", step=1, load=load, fitting=lambda split: split, settings=None)
    model.sample = lambda count: splits["train"][[3, 1], 0]
    monkeypatch.setattr(ms_gan, "load", lambda run: model)
    monkeypatch.setattr(plots, "compare", compare)
    monkeypatch.setattr(run_folder, "validation_split", lambda settings, images: (images, None))
    rendering.nearest("run", tmp_path / "x.png", 2)
    np.testing.assert_array_equal(drawn["lower"], drawn["upper"])
    np.testing.assert_allclose(drawn["upper"][1, 0, ::3, ::3] * 255, splits["train"][1, 0], rtol=1e-6)
    assert capsys.readouterr().out.endswith("nearest training image: samples 0.00\n")
    splits["test"] = splits["train"][:1] ^ 255
    rendering.nearest("run", tmp_path / "x.png", 2)
    assert "samples 0.00, photographs that were not trained on " in capsys.readouterr().out


def test_what_nearest_cannot_do_is_said_in_one_line(rendering, tmp_path, monkeypatch, capsys):
    (tmp_path / "there.png").write_bytes(b"mine")
    for run, file, wanted in (
        ("no_run", "new.png", "no_run: no such run"),
        ("no_run", "there.png", "is there already"),
    ):
        monkeypatch.setattr(sys, "argv", ["photographs.py", "nearest", str(tmp_path / run), str(tmp_path / file)])
        with pytest.raises(SystemExit, match="^2$"):
            rendering.main()
        assert re.match(f"error: .*{wanted}", capsys.readouterr().err)
    assert (tmp_path / "there.png").read_bytes() == b"mine"
    again = ["photographs.py", "nearest", str(tmp_path / "no_run"), str(tmp_path / "there.png"), "--overwrite"]
    monkeypatch.setattr(sys, "argv", again)
    with pytest.raises(SystemExit, match="^2$"):
        rendering.main()
    assert "no such run" in capsys.readouterr().err, "the file would be replaced"
    monkeypatch.setattr(ms_gan, "load", lambda bundle: SimpleNamespace())
    with pytest.raises(ms_gan.UserError, match="is a bundle"):
        rendering.nearest("bundle", tmp_path / "new.png", 2)
    monkeypatch.setattr(sys, "argv", ["photographs.py", "render", str(tmp_path / "there.png")])
    with pytest.raises(SystemExit, match="^2$"):
        rendering.main()
    assert re.match("error: .*there.png", capsys.readouterr().err)
    (tmp_path / "mug_001.jpg").write_bytes(b"mine")
    with pytest.raises(SystemExit, match="holds mugs already"):
        rendering.render(tmp_path, 1, 1)
