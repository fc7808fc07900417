"""Run folders: a number for each run, one process at a time, and nothing found that was not meant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ms_gan.errors import UserError
from ms_gan.training.run_folder import RunFolder, find_checkpoint, newest_run, read_json, refuse_changes, write_json

SETTINGS = {
    "recipe": {"name": "mlp", "schedule": {"batch_size": 8, "epochs": 3}, "latent": {"size": 100}},
    "seed": 1,
    "dataset": "mnist",
    "data_sha256": "00",
    "device_target": "CPU",
    "device_num": 1,
    "classes": None,
    "steps": 24,
    "warm_start": None,
}
ENVIRONMENT = {"data": {"path": None}, "starts": []}


def create(root):
    return RunFolder.create(root, SETTINGS, ENVIRONMENT, {})


def add_checkpoint(run, step, newest=0):
    """A checkpoint as far as names go; `newest` orders runs."""
    path = run.checkpoints / f"step_{step:08d}"
    path.mkdir(parents=True)
    (path / "state.json").write_text("{}")
    os.utime(run.checkpoints, (newest, newest))
    return path


def refused(call, *arguments):
    """The one line with which a call refuses."""
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_runs_are_numbered_after_the_greatest(tmp_path):
    assert create(tmp_path / "runs").path == tmp_path / "runs/mlp/1"
    assert create(tmp_path / "runs").path == tmp_path / "runs/mlp/2"
    for name in ("7", "old", "12.bak", ".99"):
        (tmp_path / "runs/mlp" / name).mkdir()
    assert [create(tmp_path / "runs").path.name for _ in range(3)] == ["8", "9", "10"]


def test_a_new_run_can_be_opened_at_once(tmp_path):
    run = RunFolder.open(create(tmp_path).path)
    assert run.read_settings() == SETTINGS
    assert read_json(run.environment) == ENVIRONMENT
    assert run.samples.is_dir()


@pytest.mark.parametrize("key", SETTINGS)
def test_settings_that_lack_one_are_refused(tmp_path, key):
    run = create(tmp_path)
    run.write_settings({name: value for name, value in SETTINGS.items() if name != key})
    assert f"{run.recipe}: damaged" in refused(run.read_settings)


def test_runs_created_at_once_get_different_numbers(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(create, [tmp_path] * 24))
    assert sorted(int(run.path.name) for run in runs) == list(range(1, 25))
    assert {run.read_settings()["seed"] for run in runs} == {1}
    assert len(list((tmp_path / "mlp").iterdir())) == 24, "nothing half made is left"


def test_a_conditional_run_records_its_classes_and_shows_those_of_real_images(
    tmp_path, monkeypatch, small_conditional_recipe, random_data, device
):
    from ms_gan.training import train

    loops = []
    monkeypatch.setattr(train.Loop, "go", lambda loop, *_: loops.append(loop))
    train.start(small_conditional_recipe, random_data, device, 1, tmp_path, steps=1)
    assert RunFolder.open(tmp_path / "acgan" / "1").read_settings()["classes"] == list("0123456789")
    (latents, labels), real = loops[0].sheet.inputs, loops[0].sheet.real
    assert latents.shape == (16, 100) and real.shape == (16, 1, 28, 28)
    for label, image in zip(labels, real):
        shown = random_data.labels[(random_data.images == image).all(axis=(1, 2, 3))]
        assert shown.tolist() == [label]


def test_a_number_taken_in_between_is_passed_over(tmp_path, monkeypatch):
    first = create(tmp_path)
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(()))  # as if it had come after the look
    assert create(tmp_path).path.name == "2"
    monkeypatch.undo()
    assert first.read_settings() == SETTINGS


def test_what_is_no_run_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "absent"):
        assert f"{place}: not a run folder" in refused(RunFolder.open, place)


def test_one_process_at_a_time(tmp_path):
    run = create(tmp_path)
    run.lock()
    assert str(run.path) in refused(RunFolder.open(run.path).lock)
    create(tmp_path).lock()


def test_a_killed_process_holds_no_lock(tmp_path):
    run = create(tmp_path)
    program = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print(flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", program, run.path / ".lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        refused(run.lock)
        other.send_signal(signal.SIGKILL)
    run.lock()


def test_a_run_stands_for_its_newest_checkpoint(tmp_path):
    run = create(tmp_path)
    add_checkpoint(run, 9)
    newest = add_checkpoint(run, 10)
    add_checkpoint(run, 1)
    (run.checkpoints / ".step_00000011.abc.part").mkdir()
    assert find_checkpoint(str(run.path)) == (newest, run.path)


def test_a_checkpoint_in_a_run_belongs_to_it(tmp_path, monkeypatch):
    run = create(tmp_path)
    checkpoint = add_checkpoint(run, 3)
    add_checkpoint(run, 4)
    assert find_checkpoint(str(checkpoint)) == (checkpoint, run.path)
    monkeypatch.chdir(checkpoint)
    assert find_checkpoint(".")[1] == run.path


def test_a_checkpoint_on_its_own_belongs_to_the_folder_that_holds_it(tmp_path):
    checkpoint = tmp_path / "released" / "mlp"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    assert find_checkpoint(str(checkpoint)) == (checkpoint, tmp_path / "released")


def test_nothing_said_means_the_run_whose_checkpoints_are_newest(tmp_path):
    runs = [create(tmp_path) for _ in range(4)]
    for run, age in zip(runs, (1000, 3000, 2000)):
        expected = add_checkpoint(run, 5, newest=age)
        if age == 3000:
            newest = (expected, run.path)
    assert newest_run(tmp_path) == runs[1].path, "the last run has no checkpoint"
    assert find_checkpoint(None, tmp_path) == newest


def test_a_place_without_a_checkpoint_is_refused_by_name(tmp_path):
    run = create(tmp_path / "runs")
    assert f"{run.path}: no checkpoint" in refused(find_checkpoint, str(run.path))
    assert f"{tmp_path}/absent: no such" in refused(find_checkpoint, str(tmp_path / "absent"))
    assert f"{tmp_path}: not a run" in refused(find_checkpoint, str(tmp_path))
    assert f"below {tmp_path}/runs/" in refused(find_checkpoint, None, tmp_path / "runs")


@pytest.mark.parametrize(
    "changed, key, before, now",
    [
        ({"seed": 2}, "seed", "1", "2"),
        ({"recipe": {**SETTINGS["recipe"], "latent": {"size": 64}}}, "recipe.latent.size", "100", "64"),
        (
            {"recipe": {"name": "mlp", "schedule": {"batch_size": 9, "epochs": 3}, "latent": {"size": 100}}},
            "recipe.schedule.batch_size",
            "8",
            "9",
        ),
        ({"extra": 5}, "extra", "None", "5"),
        ({"classes": ["cat", "dog"]}, "classes", "None", "['cat', 'dog']"),
        ({"recipe": {"name": "mlp", "schedule": {"batch_size": 8, "epochs": 3}}}, "recipe.latent.size", "100", "None"),
    ],
)
def test_a_changed_setting_is_refused_by_name(changed, key, before, now):
    message = refused(refuse_changes, SETTINGS, {**SETTINGS, **changed}, "the command says")
    assert f"{key} was {before} and the command says {now};" in message


def test_the_length_may_change():
    longer = {**SETTINGS["recipe"], "schedule": {"batch_size": 8, "epochs": 300}}
    refuse_changes(SETTINGS, {**SETTINGS, "recipe": longer, "steps": 2400}, "the command says")
    refuse_changes(SETTINGS, SETTINGS, "the command says")


def test_json_comes_back(tmp_path):
    content = {"text": "größe · 图像", "numbers": [1, 0.1, 1e-8], "nothing": None}
    write_json(tmp_path / "file.json", content)
    assert read_json(tmp_path / "file.json") == content
    assert "图像" in (tmp_path / "file.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("damaged", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": 1} x'])
def test_damaged_json_is_named(tmp_path, damaged):
    file = tmp_path / "recipe.json"
    file.write_bytes(damaged)
    assert f"{file}: damaged" in refused(read_json, file)
