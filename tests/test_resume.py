"""A run that was broken off and resumed ends with the bytes of one that was not."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.commands import (
    HANGS,
    SMALL,
    here,
    kill_when,
    refused_here,
    run,
    start,
    steps_saved,
    wait_until,
    write_mnist,
)
from helpers.networks import ACGAN, MLP, options
from helpers.resuming import ENDLESS, STEPS, result, steps_to_resume_to

from ms_gan.runs import checkpoints
from ms_gan.runs.run_folder import RunFolder
from ms_gan.training import loop, observers, progress

EPOCHS = {"short": 7, "long": ENDLESS}  # steps of one; of 7, so that checkpoints fall between rows of the history


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_mnist(tmp_path_factory.mktemp("data") / "mnist", 56)


def arguments(data, kind, output, steps=STEPS):
    length = ("--steps", steps, "--set", f"schedule.steps_per_epoch={EPOCHS[kind]}")
    return ("train", "--data-path", data, "--batch-size", 8, "--seed", 3, *SMALL, *length, "--output-dir", output)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """Return a function to the folder of a run of that kind, and of so many steps, that nothing disturbed."""
    runs = {}

    def run_of(kind, steps=STEPS):
        if (kind, steps) not in runs:
            folder = tmp_path_factory.mktemp(f"undisturbed_{kind}")
            run(*arguments(data, kind, folder, steps))
            runs[kind, steps] = folder / "mlp" / "1"
        return runs[kind, steps]

    return run_of


KILL_POINTS = {
    "as soon as there is a folder": lambda folder: (folder / "settings.json").exists(),
    "while the first checkpoint is written": lambda folder: any(folder.glob("checkpoints/.step_*")),
    "while a later checkpoint is written": lambda folder: any(
        path.name > ".step_00000100" for path in folder.glob("checkpoints/.step_*.part")
    ),
}


@pytest.mark.parametrize("point", KILL_POINTS)
def test_killed_runs_resume_to_the_same_bytes(point, data, undisturbed, tmp_path):
    run_folder = tmp_path / "mlp" / "1"
    process = start(*arguments(data, "short", tmp_path, ENDLESS))
    kill_when(lambda: KILL_POINTS[point](run_folder), process)
    steps = steps_to_resume_to(run_folder)
    resumed = run("train", "--resume", run_folder, "--steps", steps)
    assert result(run_folder, steps) == result(undisturbed("short", steps), steps)
    assert "resumed" in resumed.stdout
    assert not list(run_folder.glob("checkpoints/.step_*"))


RECIPES = {  # what else has to go on where it stood
    "acgan": (  # labels, masks
        *ACGAN,
        "updates.shared_counters=True",
        *("optimizer_generator.decay_rate=0.9", "optimizer_generator.decay_steps=2"),
        *("optimizer_discriminator.decay_rate=0.9", "optimizer_discriminator.decay_steps=2"),
        "schedule.sampling=continuous",
        "ema.decay=0.9",
    ),
    "keras_mlp": (*MLP, "updates.pretraining_steps=300"),
    "slim_mlp": MLP,  # counters that two share
    "dcgan": (  # how images are turned
        "data.size=28",
        "data.channels=1",
        "generator.start_channels=4",
        "generator.widths=[4,4,4]",
        "discriminator.widths=[4,4,4]",
        "discriminator.dense_widths=[8]",
    ),
}


def of_recipe(data, recipe, *settings):
    """The command that trains a recipe of RECIPES, without its length and its folder."""
    settings = options((*RECIPES[recipe], "schedule.steps_per_epoch=10", *settings))
    where = ("--dataset", "mnist", "--data-path", data)
    return ("train", "--recipe", recipe, *where, "--batch-size", 12, *settings)


# In its pretraining, and as soon as there is a checkpoint; the others as their second epoch ends.
KILLED_WHEN = {
    "keras_mlp": [
        lambda folder: "of pretraining" in read(folder / "train.log"),
        lambda folder: any(folder.glob("checkpoints/step_*")),
    ]
}


def read(file):
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize(
    "recipe", ["acgan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("slim_mlp", "keras_mlp", "dcgan"))]
)
def test_recipes_with_more_to_carry_on_resume_to_the_same_bytes(recipe, data, tmp_path, device):
    command = of_recipe(data, recipe)
    run_folder = tmp_path / "killed" / recipe / "1"
    process = start(*command, "--steps", ENDLESS, "--output-dir", tmp_path / "killed")
    for number, condition in enumerate(KILLED_WHEN.get(recipe, [lambda folder: steps_saved(folder) >= 20])):
        if number:
            process = start("train", "--resume", run_folder)
        kill_when(lambda: condition(run_folder), process)
    steps = steps_to_resume_to(run_folder, 45)
    here("train", "--resume", run_folder, "--steps", steps)
    here(*command, "--steps", steps, "--output-dir", tmp_path / "undisturbed")
    assert result(run_folder, steps) == result(tmp_path / "undisturbed" / recipe / "1", steps)


def test_a_pretraining_goes_on_where_it_was_saved(data, tmp_path, monkeypatch, capsys, device):
    command = (*of_recipe(data, "keras_mlp", "updates.pretraining_steps=20", "ema.decay=0.9"), "--steps", 12)
    here(*command, "--output-dir", tmp_path / "undisturbed")

    run_folder, run_cell, pretrained = tmp_path / "killed" / "keras_mlp" / "1", loop.run_cell, []

    def killed(*arguments):
        if arguments[-2:] == ("preparation", 15):
            raise SystemExit("killed")
        return run_cell(*arguments)

    def followed(*arguments):
        pretrained.extend([arguments[-1]] * (arguments[-2] == "preparation"))
        return run_cell(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "run_cell", killed)
        patch.setattr(observers, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        with pytest.raises(SystemExit):
            here(*command, "--output-dir", tmp_path / "killed")
    assert [path.name for path in run_folder.glob("checkpoints/*")] == ["preparation_00000015"]
    assert "no checkpoint in it yet" in refused_here(capsys, "eval", run_folder)
    (run_folder / "checkpoints" / ".preparation_00000012.x.part").mkdir()  # as a killed process leaves them
    monkeypatch.setattr(loop, "run_cell", followed)
    here("train", "--resume", run_folder)
    assert pretrained == [15, 16, 17, 18, 19]
    assert result(run_folder, 12) == result(tmp_path / "undisturbed" / "keras_mlp" / "1", 12)
    first = [
        {file.name: file.read_bytes() for file in (folder / "checkpoints" / "step_00000000").iterdir()}
        for folder in (run_folder, tmp_path / "undisturbed" / "keras_mlp" / "1")
    ]
    assert first[0] == first[1], "the first checkpoint is that after the pretraining"
    assert not list(run_folder.glob("checkpoints/*preparation*")) and not list(run_folder.glob("checkpoints/.*"))


def test_a_signal_while_the_pretraining_speaks_loses_nothing(data, tmp_path, monkeypatch, capsys, device):
    command = of_recipe(data, "keras_mlp", "updates.pretraining_steps=30")
    updates = []

    def due(self):
        updates.append(0)
        if len(updates) == 15:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    monkeypatch.setattr(progress.Progress, "due", due)
    here(*command, "--steps", 1, "--output-dir", tmp_path, status=143)
    assert "stopped in the pretraining; all is saved" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "keras_mlp/1/checkpoints").iterdir()] == ["preparation_00000015"]


def test_a_warm_start_is_not_pretrained_once_more(data, tmp_path, capsys, device):
    pretrained = of_recipe(data, "keras_mlp", "updates.pretraining_steps=20")
    here(*pretrained, "--steps", 1, "--output-dir", tmp_path)
    first, second = (tmp_path / f"keras_mlp/{number}" for number in (1, 2))
    capsys.readouterr()
    here(*pretrained, "--steps", 1, "--output-dir", tmp_path, "--warm-start", first)
    said = capsys.readouterr().out
    assert "no pretraining: the networks begin as those of keras_mlp at step 1" in said
    assert "1 steps, beginning with the networks of keras_mlp at step 1; all in" in said
    assert "steps of pretraining" not in said and "nothing is trained" not in said and "initial" not in said
    names = [
        f"{folder}/checkpoints/{step}/discriminator.ckpt"
        for folder, step in ((first, "step_00000001"), (second, "step_00000000"))
    ]
    assert Path(names[0]).read_bytes() == Path(names[1]).read_bytes()


@pytest.mark.slow
def test_killed_again_and_again(data, undisturbed, tmp_path):
    run_folder = tmp_path / "mlp" / "1"
    delays = random.Random(5)
    for number in range(3):
        process = start(
            *(arguments(data, "short", tmp_path, ENDLESS) if number == 0 else ("train", "--resume", run_folder))
        )
        before = steps_saved(run_folder)
        wait_until(lambda: steps_saved(run_folder) > before, process)
        time.sleep(delays.uniform(0, 0.05))  # so that it is killed anywhere
        process.kill()
        process.communicate()
    steps = steps_to_resume_to(run_folder)
    run("train", "--resume", run_folder, "--steps", steps)
    assert result(run_folder, steps) == result(undisturbed("short", steps), steps)


@pytest.mark.parametrize(
    "number, statuses",
    [
        (signal.SIGTERM, {143}),
        # while a graph runs, MindSpore turns SIGINT into SIGTERM
        pytest.param(signal.SIGINT, {130, 143}, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_in_the_middle_of_an_epoch(number, statuses, data, undisturbed, tmp_path):
    run_folder = tmp_path / "mlp" / "1"
    process = start(*arguments(data, "long", tmp_path, ENDLESS))
    wait_until(lambda: len(read(run_folder / "history.csv").splitlines()) > 2, process)
    assert "another process is training this run" in run("train", "--resume", run_folder, status=2).stderr
    process.send_signal(number)
    output, _ = process.communicate(timeout=HANGS)
    assert process.returncode in statuses, output
    saved = steps_saved(run_folder)
    assert saved > 0 and (run_folder / "losses.png").exists() and (run_folder / "progress.gif").exists()
    assert f"stopped after step {saved:,}; all is saved" in output
    assert f"--resume {run_folder}" in output

    steps = steps_to_resume_to(run_folder)
    resumed = run("train", "--resume", run_folder, "--steps", steps)
    assert f"resumed {run_folder} at step {saved:,} of {steps:,}" in resumed.stdout
    assert result(run_folder, steps) == result(undisturbed("long", steps), steps)


def test_a_longer_schedule_goes_on_in_the_middle_of_an_epoch(data, undisturbed, tmp_path, device):
    here(*arguments(data, "long", tmp_path, steps=93))
    here("train", "--resume", tmp_path / "mlp" / "1", "--steps", STEPS)
    assert result(tmp_path / "mlp" / "1") == result(undisturbed("long"))


def test_the_same_seed_gives_the_same_pictures_and_another_does_not(data, undisturbed, tmp_path, device):
    for seed in (3, 4):
        here(*arguments(data, "short", tmp_path / str(seed), steps=10), "--seed", seed)
    folders = (undisturbed("short", 10), tmp_path / "3/mlp/1", tmp_path / "4/mlp/1")
    expected, same, other = ((folder / "samples/step_00000010.png").read_bytes() for folder in folders)
    assert same == expected != other


def test_a_resume_is_recorded_as_it_was_typed_and_leaves_files_of_others_alone(data, tmp_path, device):
    here(*arguments(data, "short", tmp_path, steps=7))
    run_folder = tmp_path / "mlp" / "1"
    strangers = [run_folder / "samples" / "best one.png", run_folder / "checkpoints/step_00000007/.DS_Store"]
    for stranger in strangers:
        stranger.write_text("mine")
    here("train", "--resume", run_folder, "--steps", 14)
    assert all(stranger.read_text() == "mine" for stranger in strangers)
    first, second = RunFolder.open(run_folder).read_provenance().starts
    assert first.command == tuple(map(str, arguments(data, "short", tmp_path, steps=7)))
    assert second.command == ("train", "--resume", str(run_folder), "--steps", "14")
    assert (first.step, second.step) == (0, 7)


def test_changed_settings_are_refused_by_name(data, tmp_path, capsys, device):
    others = write_mnist(tmp_path / "others", 57)
    here(*arguments(data, "short", tmp_path, steps=10))
    run_folder = tmp_path / "mlp" / "1"
    before = {file: file.read_bytes() for file in run_folder.rglob("*") if file.is_file()}
    for change, named in [
        (("--seed", "4"), "seed was 3"),
        (("--batch-size", "4"), "schedule.batch_size was 8"),
        (("--set", "latent.size=50"), "latent.size was 100"),
        (("--set", "optimizer_generator.learning_rate=1e-3"), "optimizer_generator.learning_rate was 0.0002"),
        (("--dataset", "digits"), "dataset was idx"),
        (("--data-path", str(others)), "not the images that the run was trained on: 57 image"),
        (("--steps", "5"), "already at step 10"),
        (("--output-dir", str(tmp_path)), "--output-dir"),
    ]:
        assert named in refused_here(capsys, "train", "--resume", run_folder, *change)
    assert {file: file.read_bytes() for file in run_folder.rglob("*") if file.is_file()} == before


@pytest.mark.slow
def test_a_run_goes_on_when_nobody_reads_what_it_prints(data, undisturbed, tmp_path):
    process = start(*arguments(data, "short", tmp_path))
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(HANGS) == 0
    assert result(tmp_path / "mlp" / "1") == result(undisturbed("short"))
    *_, done, after = (tmp_path / "mlp" / "1" / "train.log").read_text().splitlines()
    assert "done: 250 steps" in done and " next: " in after
    assert f"run_eval.sh {tmp_path}/mlp/1 " in after and f"run_export.sh {tmp_path}/mlp/1 " in after


@pytest.mark.parametrize(
    "settings, told, left",
    [
        (("optimizer_generator.learning_rate=1e30",), "", ["step_00000000"]),
        (("updates.pretraining_steps=20", "optimizer_discriminator.learning_rate=1e30"), "step", []),
    ],
)
def test_what_diverged_is_neither_saved_nor_called_done(settings, told, left, data, tmp_path, capsys, device):
    command = (*of_recipe(data, "keras_mlp", *settings), "--steps", 20, "--output-dir", tmp_path)
    assert f"training diverged: {told}" in refused_here(capsys, *command)
    assert [path.name for path in (tmp_path / "keras_mlp/1/checkpoints").glob("*")] == left


def test_a_fault_before_the_first_step_is_told(data, tmp_path, monkeypatch, capsys, device):
    sizes, room = [], checkpoints._require_room
    monkeypatch.setattr(checkpoints, "_require_room", lambda folder, size: (sizes.append(size), room(folder, size)))
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda _: SimpleNamespace(free=sum(sizes[:1]) - 1))
    assert "MB are free" in refused_here(capsys, *arguments(data, "short", tmp_path, steps=7))
    monkeypatch.undo()
    here("train", "--resume", tmp_path / "mlp" / "1")
    checkpoint = max((tmp_path / "mlp/1/checkpoints").iterdir())
    assert sum(file.stat().st_size for file in checkpoint.glob("*.ckpt")) == pytest.approx(sizes[0], rel=0.05)


def test_a_warm_start_takes_the_networks_and_not_the_optimizers(data, tmp_path, device):
    here(*arguments(data, "short", tmp_path, steps=7))
    here(*arguments(data, "short", tmp_path, steps=1), "--seed", 9, "--warm-start", tmp_path / "mlp" / "1")
    first, second = (tmp_path / f"mlp/{number}/checkpoints" for number in (1, 2))
    for name, equal in (("generator", True), ("discriminator", True), ("optimizer_generator", False)):
        files = [folder / f"{name}.ckpt" for folder in (first / "step_00000007", second / "step_00000000")]
        assert (files[0].read_bytes() == files[1].read_bytes()) == equal, name


DAMAGE = {
    "settings.json": ["", "{}", '{"recipe": {}}', "\xff"],
    "provenance.json": [
        *("", "{}", '{"data": {}, "starts": []}', '{"data": 5}', '{"data": {"path": 5}}'),
        *(f'{{"data": {{"path": null}}, "starts": {starts}}}' for starts in ("5", "[5]", '[{"versions": 5}]')),
    ],
    "history.csv": ["", "step,epoch\n", "\xff\xfe\n"],
}
WORDS = {"a scalar": 2, "an epoch": 1}  # a word in a column of numbers


def test_damaged_files_of_a_run_are_named(data, tmp_path, capsys, device):
    here(*arguments(data, "short", tmp_path, steps=20))
    run_folder = tmp_path / "mlp" / "1"
    for name, contents in DAMAGE.items():
        good = (run_folder / name).read_bytes()
        for content in contents:
            (run_folder / name).write_text(content, encoding="latin-1")
            assert f"{run_folder}/{name}" in refused_here(capsys, "train", "--resume", run_folder, "--steps", 30)
            (run_folder / name).write_bytes(good)
    history = run_folder / "history.csv"
    header, *rows = [line.split(",") for line in history.read_text().splitlines()]
    for number in WORDS.values():
        changed = [[*row[:number], "many", *row[number + 1 :]] for row in rows]
        history.write_text("\n".join(map(",".join, [header, *changed])) + "\n")
        compared, listed = ("compare", run_folder, run_folder), ("runs", "--output-dir", tmp_path)
        for command in (("train", "--resume", run_folder, "--steps", 30), compared, listed):
            assert f"{history}: damaged" in refused_here(capsys, *command)
