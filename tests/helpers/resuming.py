"""What tests of interrupted runs share: how far a run goes, and what must be the same at its end."""

from __future__ import annotations

from helpers.commands import steps_saved

STEPS = 250


ENDLESS = 1_000_000  # steps of a run that does not end before it is broken off, however late that is


def steps_to_resume_to(run_folder, least=STEPS):
    """How far a run that was broken off is to go on: as far as that, or further where it has come further."""
    return max(least, steps_saved(run_folder) + 5)


def result(run_folder, steps=STEPS):
    """All that must be the same: every byte of the last checkpoint, and the history."""
    last = max((run_folder / "checkpoints").glob("step_*"))
    assert last.name == f"step_{steps:08d}"
    files = {file.name: file.read_bytes() for file in last.iterdir()}
    assert {
        "generator.ckpt",
        "discriminator.ckpt",
        "optimizer_generator.ckpt",
        "optimizer_discriminator.ckpt",
        "state.json",
    } <= set(files)
    return {**files, "history.csv": (run_folder / "history.csv").read_bytes()}
