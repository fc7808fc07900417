"""Run folders: a number for each run, one process at a time, and nothing found that was not meant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest
from helpers.refusals import refused

from ms_gan import recipes
from ms_gan.data.changes import Fingerprint
from ms_gan.runs.provenance import DataSource, Provenance
from ms_gan.runs.records import read_json, write_json
from ms_gan.runs.run_folder import RunFolder, find_checkpoint
from ms_gan.runs.settings import RunSettings, refuse_changes
from ms_gan.training.observers import sheet_of

SETTINGS = RunSettings(recipes.load("mlp"), 1, "mnist", "00", "CPU", 1, None, 24)
PROVENANCE = Provenance(DataSource(None, test_split_but=("a/größe.png",)))


def create(root):
    return RunFolder.create(root, SETTINGS, PROVENANCE, Fingerprint())


def add_checkpoint(run, step, newest=0):
    """A checkpoint as far as names go; `newest` orders runs."""
    path = run.checkpoints / f"step_{step:08d}"
    path.mkdir(parents=True)
    (path / "state.json").write_text("{}")
    os.utime(run.checkpoints, (newest, newest))
    return path


def test_a_new_run_can_be_opened_at_once_and_is_numbered_after_the_greatest(tmp_path):
    assert [create(tmp_path).path for _ in range(2)] == [tmp_path / "mlp/1", tmp_path / "mlp/2"]
    for name in ("7", "old", "12.bak", ".99"):
        (tmp_path / "mlp" / name).mkdir()
    run = RunFolder.open(create(tmp_path).path)
    assert run.path.name == "8" and run.samples.is_dir()
    assert (run.read_settings(), run.read_provenance()) == (SETTINGS, PROVENANCE)


@pytest.mark.parametrize("key", [field.name for field in fields(RunSettings) if field.default is MISSING])
def test_settings_that_lack_one_are_refused(tmp_path, key):
    run = create(tmp_path)
    write_json(run.settings_file, {name: value for name, value in SETTINGS.to_json().items() if name != key})
    assert f"{run.settings_file}: damaged" in refused(run.read_settings)


def test_records_of_a_later_version_are_refused(tmp_path):
    run = create(tmp_path)
    for file, read in ((run.settings_file, run.read_settings), (run.provenance_file, run.read_provenance)):
        write_json(file, {**read_json(file), "format_version": 3})
        assert f"{file}: written by a later version" in refused(read)


def test_a_recipe_that_is_not_registered_is_named(tmp_path):
    run = create(tmp_path)
    content = SETTINGS.to_json()
    write_json(run.settings_file, {**content, "recipe": {**content["recipe"], "family": "nobodys"}})
    assert "nobodys" in refused(run.read_settings) and "damaged" not in refused(run.read_settings)


def test_runs_created_at_once_get_different_numbers(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(create, [tmp_path] * 24))
    assert sorted(int(run.path.name) for run in runs) == list(range(1, 25))
    assert {run.read_settings().seed for run in runs} == {1}
    assert len(list((tmp_path / "mlp").iterdir())) == 24, "nothing half made is left"


def test_sheets_show_the_classes_of_real_images(small_conditional_recipe, random_data):
    (latents, labels), real = sheet_of(small_conditional_recipe, random_data, seed=1)
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


def test_one_process_at_a_time_and_a_killed_one_holds_no_lock(tmp_path):
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
        assert f"{run.path}: another process" in refused(run.lock)
        create(tmp_path).lock()
        other.send_signal(signal.SIGKILL)
    run.lock()


def test_a_run_stands_for_its_newest_checkpoint_and_a_checkpoint_belongs_to_its_run(tmp_path, monkeypatch):
    run = create(tmp_path)
    checkpoints = {step: add_checkpoint(run, step) for step in (9, 10, 1)}
    (run.checkpoints / ".step_00000011.abc.part").mkdir()
    assert find_checkpoint(str(run.path)) == (checkpoints[10], run.path)
    assert find_checkpoint(str(checkpoints[9])) == (checkpoints[9], run.path)
    monkeypatch.chdir(checkpoints[9])
    assert find_checkpoint(".")[1] == run.path


def test_a_checkpoint_on_its_own_belongs_to_the_folder_that_holds_it(tmp_path):
    checkpoint = tmp_path / "released" / "mlp"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    assert find_checkpoint(str(checkpoint)) == (checkpoint, tmp_path / "released")


def test_nothing_said_means_the_run_whose_checkpoints_are_newest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [create("runs") for _ in range(4)]  # the last one has no checkpoint
    assert "below runs/" in refused(find_checkpoint, None)
    expected = [(add_checkpoint(run, 5, newest=age), run.path) for run, age in zip(runs, (1000, 3000, 2000))]
    assert find_checkpoint(None) == expected[1]


def test_a_place_without_a_checkpoint_is_refused_by_name(tmp_path):
    run = create(tmp_path)
    for place, fault in ((run.path, "no checkpoint"), (tmp_path / "absent", "no such"), (tmp_path, "not a run")):
        assert f"{place}: {fault}" in refused(find_checkpoint, str(place))
    assert f"ms_gan.resume('{run.path}')" in refused(find_checkpoint, run.path), "the command line has its own command"


@pytest.mark.parametrize(
    "changed, key, before, now",
    [
        ({"seed": 2}, "seed", "1", "2"),
        ({"recipe": SETTINGS.recipe.but({"latent.size": 64})}, "latent.size", "100", "64"),
        ({"recipe": recipes.load("rpgan")}, "recipe", "mlp", "rpgan"),
        ({"classes": ("cat", "dog")}, "classes", "None", "('cat', 'dog')"),
    ],
)
def test_a_changed_setting_is_refused_by_name(changed, key, before, now):
    message = refused(refuse_changes, SETTINGS, replace(SETTINGS, **changed), "the command says")
    assert f"{key} was {before} and the command says {now};" in message


def test_the_length_may_change():
    longer = SETTINGS.lasting(steps_per_epoch=10, epochs=300)
    assert (longer.steps, longer.recipe.schedule.epochs) == (3000, 300)
    assert SETTINGS.lasting(10, steps=7).steps == 7 and SETTINGS.lasting(10) == SETTINGS
    assert replace(SETTINGS, steps=0).lasting(10).steps == 10 * SETTINGS.recipe.schedule.epochs
    refuse_changes(SETTINGS, longer, "the command says")
    refuse_changes(SETTINGS, SETTINGS, "the command says")


def test_json_comes_back_and_where_it_is_damaged_its_file_is_named(tmp_path):
    content, file = {"text": "größe · 图像", "numbers": [1, 0.1, 1e-8], "nothing": None}, tmp_path / "recipe.json"
    write_json(file, content)
    assert read_json(file) == content and "图像" in file.read_text(encoding="utf-8")
    for damaged in (b"", b"{", b"[1]", b"\xff\xfe", b'{"a": 1} x'):
        file.write_bytes(damaged)
        assert f"{file}: damaged" in refused(read_json, file)
