"""Several devices: each does its share; without BatchNorm all end where one device with the whole batch would."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import HANGS, ROOT, environment, refused_here, run, start, steps_saved, wait_until, write_mnist
from helpers.networks import MLP, options
from helpers.procedures import IMAGES, START, STEPS, Player, make_step, mlp_as_published
from helpers.resuming import ENDLESS, result, steps_to_resume_to

from ms_gan.errors import UserError
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import build_step
from ms_gan.steps.gan_noise import DiscriminatorNoise, GANNoise

HERE = Path(__file__).resolve().parent


def test_two_devices_do_what_one_does_with_the_whole_batch(device, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        common = {"MS_WORKER_NUM": "2", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": str(free.getsockname()[1])}
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
    assert first["moving_mean"] == pytest.approx(0.5), "the mean of 0 and 1, and both stay there"

    step, settings = make_step("mlp")
    g, d = Player(START["g"], settings, [0]), Player(START["d"], settings, [0])
    for number in range(STEPS):
        shares = [step.draw_noise(random_stream(3, "step", 2 * number + rank)) for rank in range(2)]
        latents = np.concatenate([share.discriminator[0].inputs[0] for share in shares])
        whole = GANNoise((DiscriminatorNoise((latents,), None, (), ()),), None)
        expected = mlp_as_published(g, d, IMAGES.astype(np.float64), None, whole)
        found = dict(zip(step.scalars, first["values"][number]))
        for key in found:
            assert found[key] == pytest.approx(expected[key], rel=2e-4, abs=2e-5), (number, key)
    for player, name in ((g, "g"), (d, "d")):
        assert first[name] == pytest.approx(player.numbers, abs=2e-4)


@pytest.mark.slow
def test_a_run_on_two_devices_is_killed_and_resumed_to_the_same_bytes(tmp_path, capsys):
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
    assert "device_num was 2" in refused_here(capsys, "train", "--resume", run_folder, "--device-num", 1)
    steps = steps_to_resume_to(run_folder, 40)
    run("train", "--resume", run_folder, "--steps", steps)
    run(*arguments, "--steps", steps, "--output-dir", tmp_path / "undisturbed")
    assert result(run_folder, steps) == result(tmp_path / "undisturbed" / "keras_mlp" / "1", steps)
    assert "2 × CPU" in (run_folder / "train.log").read_text()


@pytest.mark.parametrize("batch_size", [9, 6])
def test_a_batch_that_cannot_be_shared_is_refused(batch_size, device, small_recipe, random_data):
    recipe = small_recipe.but({"schedule.batch_size": batch_size})
    with pytest.raises(UserError, match="2 devices"):
        build_step(recipe, random_data, seed=1, devices=2)
