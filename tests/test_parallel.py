"""Several devices: each does its share; without BatchNorm all end where one device with the whole batch would."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from helpers.commands import HANGS, ROOT, environment, run, start, steps_saved, wait_until, write_mnist
from helpers.networks import MLP, options
from helpers.procedures import IMAGES, START, STEPS, Player, make_step, mlp_as_published
from helpers.resuming import ENDLESS, result, steps_to_resume_to

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.randomness import random_stream
from ms_gan.recipes import share_of_batch
from ms_gan.runs.checkpoints import newest_saved
from ms_gan.runs.records import read_json
from ms_gan.steps.base import shard

HERE = Path(__file__).resolve().parent
NO_BATCH_NORM = "generator.batch_norm.place=none"
RESIDUAL = ("generator.widths=[8,6,4]", "discriminator.widths=[4,5,6]")


def test_two_devices_do_what_one_does_with_the_whole_batch(device, tmp_path):
    common = {"MS_WORKER_NUM": "2", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": str(free_port())}
    roles = [
        {"MS_ROLE": "MS_SCHED", "RANK_ID": "0"},
        *({"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "RANK_ID": str(rank)} for rank in range(2)),
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, HERE / "two_devices.py", tmp_path / "rank"],
            env={**environment(), "PYTHONPATH": f"{ROOT}:{HERE}", **common, **role},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for role in roles
    ]
    try:
        for process in processes[:0:-1]:  # when the second fails, the first one waits for it
            output, _ = process.communicate(timeout=HANGS)
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    first, second = (json.loads((tmp_path / f"rank{rank}").read_text()) for rank in range(2))
    assert first == second, "what one device saves is what both have"
    assert first["same"] == [True, True, False], "both learn whether they have the same"
    assert first["same_by_jit"] == [True, True, True], "the same bytes without graph mode"
    assert first["moving_mean"] == pytest.approx(0.5), "the mean of 0 and 1, and both stay there"

    step, settings = make_step("mlp", batch=12)
    g, d = Player(START["g"], settings, [0]), Player(START["d"], settings, [0])
    for number in range(STEPS):
        whole = step.draw_noise(random_stream(3, "step", number))
        expected = mlp_as_published(g, d, IMAGES.astype(np.float64), None, whole)
        found = dict(zip(step.scalars, first["values"][number]))
        for key in found:
            assert found[key] == pytest.approx(expected[key], rel=2e-4, abs=2e-5), (number, key)
    for player, name in ((g, "g"), (d, "d")):
        assert first[name] == pytest.approx(player.numbers, abs=2e-4)


def by_msrun(logs, *arguments):
    """Run the program on two devices that MindSpore's own launcher starts."""
    script = "import sys; from mindspore.parallel.cluster.run import main; sys.exit(main())"
    options = (
        "--worker_num=2",
        "--local_worker_num=2",
        "--join=True",
        f"--log_dir={logs}",
        f"--master_port={free_port()}",
    )
    command = [sys.executable, "-c", script, *options, "python", "-m", "ms_gan", *map(str, arguments)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stdout + done.stderr


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.slow
def test_a_run_on_two_devices_is_killed_and_resumed_to_the_same_bytes(tmp_path):
    data = write_mnist(tmp_path / "data", 160)
    settings = options([*MLP, "schedule.steps_per_epoch=10", "updates.pretraining_steps=5"])
    where = ("--data-path", data, "--device-num", 2)
    arguments = ("train", "--recipe", "keras_mlp", *where, "--batch-size", 16, *settings)
    process = start(*arguments, "--steps", ENDLESS, "--output-dir", tmp_path / "killed")
    run_folder = tmp_path / "killed" / "keras_mlp" / "1"
    wait_until(lambda: steps_saved(run_folder) >= 20, process)
    worker = json.loads((run_folder / "provenance.json").read_text())["starts"][0]["process"]
    subprocess.run(["kill", "-9", str(worker)], check=True)
    process.communicate(timeout=HANGS)
    assert process.returncode == 128 + 9
    steps = steps_to_resume_to(run_folder, 40)
    run("train", "--resume", run_folder, "--steps", steps)
    by_msrun(tmp_path / "logs", *arguments, "--steps", steps, "--output-dir", tmp_path / "undisturbed")
    assert result(run_folder, steps) == result(tmp_path / "undisturbed" / "keras_mlp" / "1", steps)
    assert "2 × CPU" in (run_folder / "train.log").read_text()


def weights(run_folder):
    """The numbers of all networks at a run's last checkpoint, by their names.

    But for one to which a D that only sees differences is blind: its gradient is 0 but for rounding, and Adam makes
    whole steps of that.
    """
    files = [file for file in newest_saved(run_folder / "checkpoints").glob("*.ckpt") if "optimizer" not in file.name]
    found = {name: number.asnumpy() for file in files for name, number in ms.load_checkpoint(str(file)).items()}
    return {name: numbers for name, numbers in found.items() if name != "discriminator.heads.real.bias"}


def apart(one, other):
    """How far all numbers of two runs are apart, as one length."""
    return np.sqrt(sum(float(((one[name] - other[name]) ** 2).sum()) for name in one))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("keras_mlp", (*MLP, NO_BATCH_NORM, "generator.batch_norm.first_layer=False", "updates.pretraining_steps=5")),
        ("rpgan_residual_mnist", (*RESIDUAL, "updates.penalised=6", "updates.augmentation.cutout=0.3")),
    ],
)
def test_a_run_goes_on_on_another_number_of_devices(recipe, settings, tmp_path):
    data = "--dataset", "mnist", "--data-path", write_mnist(tmp_path / "data", 160)
    arguments = ("train", "--recipe", recipe, *data, "--batch-size", 24, *options(settings))
    for devices, steps in ((1, 12), (3, 4)):
        where = tmp_path / f"{devices}-{steps}"
        run(*arguments, "--device-num", devices, "--steps", steps, "--output-dir", where)
    alone, changing = (tmp_path / name / recipe / "1" for name in ("1-12", "3-4"))
    early, end = weights(changing), weights(alone)
    for devices, steps, before in ((1, 8, "3 devices"), (2, 12, "1 device ")):
        said = run("train", "--resume", changing, "--device-num", devices, "--steps", steps).stdout
        assert f"note: before, {before}" in said
    assert read_json(changing / "settings.json")["device_num"] == 2
    assert apart(weights(changing), end) < 1e-4 * apart(early, end), "rounding alone"


@pytest.mark.parametrize(
    ("recipe", "settings", "wanted"),
    [
        ("mlp", {"schedule.batch_size": 9}, "device_num of 1, or another batch_size that is 2 times at least 4"),
        ("mlp", {"schedule.batch_size": 6}, "batch_size that is 2 times at least 4"),
        ("mlp", {"schedule.batch_size": 10, "updates.half_batches": True}, "batch_size that is 4 times a whole"),
        ("rpgan", {"schedule.batch_size": 30, "updates.penalised": 5}, "device_num of 1 or 5, or another updates.pen"),
    ],
)
def test_what_cannot_be_shared_is_refused(recipe, settings, wanted):
    with pytest.raises(UserError, match=f"2 devices.*{wanted}"):
        share_of_batch(recipes.load(recipe).but(settings), 2)


def test_four_images_a_device_are_enough_and_penalties_are_at_most_at_a_batch():
    assert share_of_batch(recipes.load("mlp").but({"schedule.batch_size": 8}), 2) == 4
    assert share_of_batch(recipes.load("rpgan").but({"schedule.batch_size": 30, "updates.penalised": 100}), 3) == 10


def test_penalties_that_are_not_measured_need_not_be_shared():
    recipe = recipes.load("rpgan").but({"schedule.batch_size": 30, "updates.penalised": 5, "updates.gamma": 0.0})
    assert share_of_batch(recipe, 3) == 10


def test_noise_that_is_not_for_the_whole_batch_is_refused():
    for array in (np.zeros(7), np.float32(1)):
        with pytest.raises(UserError, match="cannot be dealt out to 2 devices"):
            shard((np.zeros(4), (array,)), 0, 2)


def test_rows_are_dealt_so_that_the_first_of_all_devices_are_the_first_of_the_whole():
    real_then_fake, noise = np.arange(24).reshape(12, 2), (np.arange(6), ())
    shares = [shard((real_then_fake, noise), device, 3) for device in range(3)]
    assert [share[1][0].tolist() for share in shares] == [[0, 3], [1, 4], [2, 5]]
    for count in (1, 2):  # of the first kind, then of the second, on each device
        firsts = np.concatenate([share[0][:count] for share in shares])
        assert sorted(firsts.ravel()) == list(range(6 * count))
        assert sorted(np.concatenate([share[0][2 : 2 + count] for share in shares]).ravel()) == list(
            range(12, 12 + 6 * count)
        )
    assert shares[0][1][1] == (), "nothing stays nothing"
