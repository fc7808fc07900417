"""Checkpoints: every byte comes back, damage is found and named, and the right ones stay."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from dataclasses import replace

import mindspore as ms
import pytest
from helpers.networks import MLP
from helpers.refusals import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan import recipes
from ms_gan.files import CHECKSUMS
from ms_gan.recipes.build import build_generator, build_step
from ms_gan.runs.checkpoints import checkpoint_steps, kept_steps, load_cells, read_state, save_checkpoint, thin_out
from ms_gan.runs.settings import RunSettings
from ms_gan.runs.state import State

pytestmark = pytest.mark.usefixtures("device")

SETTINGS = RunSettings(recipes.load("mlp"), 1, "größe", "00", "CPU", 1, None, 24)
STATE = State(7, ((0.1, 1 / 3),), None, SETTINGS, 0.5)
FILES = {
    "generator.ckpt",
    "discriminator.ckpt",
    "optimizer_generator.ckpt",
    "optimizer_discriminator.ckpt",
    "state.json",
    CHECKSUMS,
}


@pytest.fixture
def step(small_recipe, random_data):
    return build_step(small_recipe, random_data, seed=1)


@pytest.fixture(scope="module")
def saved(device, random_data, tmp_path_factory):
    """A checkpoint that no test may change."""
    recipe = recipes.override(recipes.load("mlp"), MLP)
    before = os.umask(0o022)
    path = save_checkpoint(tmp_path_factory.mktemp("run"), build_step(recipe, random_data, seed=1).saved(), STATE)
    os.umask(before)
    return path


@pytest.fixture
def checkpoint(saved, tmp_path):
    """A copy of the checkpoint, to be damaged."""
    return shutil.copytree(saved, tmp_path / saved.name)


def contents(step):
    return {
        parameter.name: (parameter.dtype, parameter.shape, parameter.asnumpy().tobytes())
        for cell in step.saved().values()
        for parameter in cell.get_parameters()
    }


def flip(file, position, bits=0xFF):
    data = bytearray(file.read_bytes())
    data[position] ^= bits
    file.write_bytes(data)


def test_every_byte_comes_back(step, small_recipe, random_data, tmp_path):
    for index, parameter in enumerate(step.get_parameters()):  # zeros would hide what was not loaded
        if parameter.name.startswith("optimizer") and "moment" in parameter.name:
            parameter.set_data(ms.Tensor(parameter.asnumpy() + 0.25 * index, parameter.dtype))
    path = save_checkpoint(tmp_path, step.saved(), STATE)
    other = build_step(small_recipe, random_data, seed=2)
    assert contents(other) != contents(step)
    assert read_state(path) == STATE
    load_cells(path, other.saved())
    assert contents(other) == contents(step)


def test_a_checkpoint_holds_these_files_and_others_may_read_them(saved):
    assert {file.name for file in saved.iterdir()} == FILES
    assert {stat.S_IMODE(file.stat().st_mode) for file in saved.iterdir()} == {0o644}
    assert stat.S_IMODE(saved.stat().st_mode) == 0o755


def test_each_file_holds_its_own_parameters_only_and_loads_without_the_rest(saved, small_recipe):
    stored = {file.stem: ms.load_checkpoint(str(file)) for file in saved.glob("*.ckpt")}
    for name, parameters in stored.items():
        assert all(key.startswith(f"{name}.") for key in parameters)
    assert "generator.layers.3.moving_mean" in stored["generator"]
    generator = build_generator(small_recipe)
    load_cells(saved, {"generator": generator})
    for parameter in generator.get_parameters():
        assert parameter.asnumpy().tobytes() == stored["generator"][parameter.name].asnumpy().tobytes()


@pytest.mark.parametrize("name", sorted(FILES - {CHECKSUMS}))
def test_a_flipped_bit_is_found_and_its_file_named(checkpoint, name):
    file = checkpoint / name
    size = file.stat().st_size
    for position, bits in ((0, 1), (size // 3, 128), (size // 2, 16), (size - 1, 1)):
        flip(file, position, bits)
        assert str(file) in refused(read_state, checkpoint)
        flip(file, position, bits)
    assert read_state(checkpoint) == STATE


def test_a_flipped_byte_anywhere_in_the_checksums_is_found(checkpoint):
    listing = checkpoint / CHECKSUMS
    for position in range(listing.stat().st_size):
        for bits in (0xFF, 2):
            flip(listing, position, bits)
            assert str(checkpoint) in refused(read_state, checkpoint)
            flip(listing, position, bits)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_is_truncated_or_missing_is_named(checkpoint, name):
    file = checkpoint / name
    whole = file.read_bytes()
    for length in (0, len(whole) // 2, len(whole) - 2):
        file.write_bytes(whole[:length])
        assert str(checkpoint) in refused(read_state, checkpoint)
    file.unlink()
    assert name in refused(read_state, checkpoint)


@pytest.mark.parametrize("setting", ["generator.widths=[16, 24]", "generator.widths=[16, 32, 16]", "latent.size=50"])
def test_the_checkpoint_of_another_recipe_is_refused(saved, small_recipe, random_data, setting):
    other = build_step(recipes.override(small_recipe, [setting]), random_data, seed=1)
    message = refused(load_cells, saved, other.saved())
    assert "generator.ckpt" in message and "generator.layers." in message


def test_files_that_do_not_fit_or_cannot_be_read_are_refused_by_name(checkpoint, step, small_conditional_recipe):
    assert "encoder.ckpt: missing" in refused(load_cells, checkpoint, {"encoder": step.generator})
    conditional = build_generator(small_conditional_recipe)
    assert "generator.ckpt: does not fit the recipe" in refused(load_cells, checkpoint, {"generator": conditional})
    (checkpoint / "generator.ckpt").write_bytes(b"nothing that MindSpore knows")
    assert str(checkpoint / "generator.ckpt") in refused(load_cells, checkpoint, step.saved())


def test_a_checkpoint_of_the_same_step_is_kept(step, tmp_path):
    path = save_checkpoint(tmp_path, step.saved(), STATE)
    before = (path / "generator.ckpt").stat()
    assert save_checkpoint(tmp_path, step.saved(), replace(STATE, initial_share=0.0)) == path
    assert read_state(path) == STATE
    assert (path / "generator.ckpt").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_leaves_the_older_checkpoints_only(step, tmp_path, monkeypatch, wrapped):
    save_checkpoint(tmp_path, step.saved(), STATE)
    write, written = ms.save_checkpoint, []

    def full(parameters, file, *arguments, **options):
        if len(written) == 2:
            try:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file)
            except OSError as error:
                if not wrapped:
                    raise
                raise RuntimeError("pages of text, as MindSpore has it") from error
        written.append(file)
        write(parameters, file, *arguments, **options)

    monkeypatch.setattr(ms, "save_checkpoint", full)
    with pytest.raises(OSError) as error:
        save_checkpoint(tmp_path, step.saved(), replace(STATE, step=8))
    assert error.value.errno == errno.ENOSPC
    assert len(written) == 2, "it was in the middle"
    assert [entry.name for entry in tmp_path.iterdir()] == ["step_00000007"]
    assert read_state(tmp_path / "step_00000007") == STATE


def test_thinning_removes_what_is_not_kept_and_all_leftovers(tmp_path):
    for step in range(0, 60, 2):
        (tmp_path / f"step_{step:08d}").mkdir()
        (tmp_path / f"step_{step:08d}" / "state.json").write_text(json.dumps(step))
    for leftover in (".step_00000060.abc.part", ".step_00000002.removed"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "generator.ckpt").write_text("half")
    expected = kept_steps(list(range(0, 60, 2)), 4)
    thin_out(tmp_path, 4, None)
    assert checkpoint_steps(tmp_path) == sorted(expected) and 0 < len(expected) < 30
    assert len(list(tmp_path.iterdir())) == len(expected), "nothing else is left"
    thin_out(tmp_path, 4, None)
    assert checkpoint_steps(tmp_path) == sorted(expected)


def test_steps_are_told_from_other_names(tmp_path):
    for name in ("step_00000012", "step_00000003", "step_123456789", "step_x", ".step_00000009.part", "x"):
        (tmp_path / name).mkdir()
    assert checkpoint_steps(tmp_path) == [3, 12, 123456789] and checkpoint_steps(tmp_path / "absent") == []


def test_a_short_run_keeps_every_epoch():
    assert kept_steps([], 10) == set()
    assert kept_steps([0], 10) == {0}
    assert kept_steps(list(range(0, 100, 10)), 10) == set(range(0, 100, 10))
    assert kept_steps(list(range(0, 110, 10)), 10) == {0, 20, 40, 60, 80, 90, 100}
    assert kept_steps([0, 4, 8, 10, 14, 18], 10) == {0, 10, 14, 18}


@settings(deadline=None, max_examples=50)
@given(per_epoch=st.integers(1, 20), gaps=st.lists(st.integers(1, 40), max_size=150))
def test_thinning_now_and_then_keeps_what_thinning_once_would(per_epoch, gaps):
    kept, everything = [0], [0]
    for gap in gaps:
        for step in sorted({everything[-1] + gap, (everything[-1] // per_epoch + 1) * per_epoch}):
            everything.append(step)
            kept = sorted(kept_steps(kept + [step], per_epoch))
            assert set(kept) == kept_steps(everything, per_epoch)
    spread = {step for step in kept if step % per_epoch == 0} - set(everything[-3:])
    assert 0 in kept and set(everything[-3:]) <= set(kept) and len(spread) <= 10


def test_a_long_run_keeps_epochs_ever_further_apart():
    steps = [epoch * 468 for epoch in (*range(0, 1000, 128), 998, 999, 1000)]
    assert kept_steps([epoch * 468 for epoch in range(1001)], 468) == set(steps)


def test_a_state_of_the_steps_own_comes_back(small_recipe, random_data, tmp_path):
    def with_balance(value):
        step = build_step(small_recipe, random_data, seed=1)
        assert "step" not in step.saved(), "a step without such a state saves nothing more"
        step.balance = ms.Parameter(ms.Tensor(value, ms.float32), name="balance")
        return step

    path = save_checkpoint(tmp_path / "checkpoints", with_balance(0.25).saved(), STATE)
    assert {file.name for file in path.iterdir()} == {*FILES, "step.ckpt"}
    step = with_balance(0.0)
    load_cells(path, step.saved())
    assert float(step.balance) == 0.25
