"""Runs and bundles of ms_gan 0.1 (see kept_runs/README.md) still open, and go on with the bytes that it had written."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import here

from ms_gan import runtime
from ms_gan.files import write_checksums
from ms_gan.runs.checkpoints import read_state
from ms_gan.runs.model import load_model
from ms_gan.runs.run_folder import RunFolder, find_checkpoint
from ms_gan.training.request import DataChoice, ResumeRequest
from ms_gan.training.session import Session

pytestmark = pytest.mark.usefixtures("device")
KEPT = Path(__file__).parent / "kept_runs"
RUNS = ("mlp", "rpgan")
UNDISTURBED = json.loads((KEPT / "undisturbed.json").read_text())


@pytest.fixture(params=RUNS)
def kept(request, tmp_path):
    """A copy of a kept run."""
    return Path(shutil.copytree(KEPT / request.param, tmp_path / request.param))


def test_records_are_read_as_those_of_today(kept):
    run = RunFolder.open(kept)
    settings, provenance = run.read_settings(), run.read_provenance()
    assert (settings.seed, settings.steps, settings.dataset, settings.device_num) == (3, 24, "mnist", 1)
    assert settings.recipe.name == kept.name and settings.recipe.networks["generator"].widths == (2, 2)
    assert settings.recipe.ema.decay == (0.9 if kept.name == "rpgan" else 0.0) and settings.recipe.data.max_tags == 0
    assert (provenance.data.path, provenance.data.skip_unreadable) == ("/data/mnist", False)
    assert provenance.starts[0].command[:2] == ("train", "--data-path" if kept.name == "mlp" else "--recipe")
    state = read_state(find_checkpoint(kept)[0])
    assert state.settings == settings and (state.step, state.prepared) == (24, None) and len(state.pending) == 4


def test_a_kept_run_goes_on_with_its_own_bytes(kept):
    """The very bytes are asked for on a machine with the versions that they were made with; elsewhere the numbers."""
    made_with = RunFolder.open(kept).read_provenance().starts[0].versions
    session = Session.open(ResumeRequest(kept, data=DataChoice(path=str(KEPT / "mnist")), steps=UNDISTURBED["step"]))
    session.train()
    last = (kept / "history.csv").read_text().splitlines()[-1]
    expected = [float(number) for number in UNDISTURBED["last_row"][kept.name].split(",")]
    assert [float(number) for number in last.split(",")] == pytest.approx(expected, rel=0.02)
    run = RunFolder.open(kept)
    assert [start.step for start in run.read_provenance().starts] == [0, 24]
    assert json.loads(run.settings_file.read_text())["steps"] == UNDISTURBED["step"]
    assert json.loads((kept / "recipe.json").read_text())["steps"] == 24, "the old records stay as they were"
    if {**made_with, "ms_gan": "", "cores": ""} != {**runtime.environment(), "ms_gan": "", "cores": ""}:
        pytest.skip("other versions than those that wrote the bytes")
    checkpoint = kept / "checkpoints" / f"step_{UNDISTURBED['step']:08d}"
    files = [kept / "history.csv", *checkpoint.glob("*.ckpt")]
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert digests == UNDISTURBED["files"][kept.name]


@pytest.mark.parametrize("kept", ["rpgan"], indirect=True)
def test_a_checkpoint_of_the_time_when_an_ema_had_no_warm_up_is_read(kept):
    checkpoint = find_checkpoint(kept)[0]
    content = json.loads((checkpoint / "state.json").read_text())
    del content["initial_share"]
    (checkpoint / "state.json").write_text(json.dumps(content))
    write_checksums(checkpoint)
    assert load_model(kept).maturity.weights == pytest.approx(0.9**24)


def test_a_kept_run_is_evaluated(kept):
    here("eval", kept, "--data-path", KEPT / "mnist")
    assert (kept / "eval" / "samples.png").is_file()


def test_a_kept_bundle_draws(tmp_path):
    here("infer", KEPT / "bundle", "--num", "3", "--output", tmp_path / "images.npy")
    images = np.load(tmp_path / "images.npy")
    assert images.shape == (3, 1, 28, 28) and 0 <= images.min() < images.max() <= 1
