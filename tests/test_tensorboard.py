"""Files for TensorBoard: they hold the history, the scores and the sample sheets, also of a run that was resumed."""

from __future__ import annotations

import struct

import pytest
from helpers.commands import SMALL, here, refused_here, write_mnist

from ms_gan.runs.history import read_rows

pytestmark = pytest.mark.usefixtures("device")


def events(run):
    """Scalars by tag and step, and the steps of pictures, of all files, whose records are as TensorFlow writes them."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    scalars, pictures = {}, []
    for file in (run / "tensorboard").iterdir():
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                if value.HasField("image"):
                    assert value.image.encoded_image_string.startswith(b"\x89PNG")
                    pictures.append(event.step)
                else:
                    assert (value.tag, event.step) not in scalars, "each figure once"
                    scalars[value.tag, event.step] = value.simple_value
    return scalars, pictures


def of_history(run):
    header, *rows = read_rows(run / "history.csv")
    return {(name, int(row[0])): float(text) for row in rows for name, text in list(zip(header, row))[2:] if text}


def test_the_files_hold_what_the_history_holds_also_after_a_resumed_run(tmp_path):
    data = write_mnist(tmp_path / "data", 200)
    command = ("train", "--recipe", "rpgan", "--data-path", data, "--batch-size", 8, "--output-dir", tmp_path)
    small = ("--set", "generator.widths=[8]", "--set", "discriminator.widths=[8]", "--set", "data.clusters=0")
    here(*command, *small, "--steps", 230, "--tensorboard", "--set", "scores.every_epochs=0")
    run = tmp_path / "rpgan" / "1"

    def check():
        scalars, pictures = events(run)
        due = of_history(run)
        assert {(tag.partition("/")[2], step) for tag, step in scalars} == due.keys() and len(due) > 50
        for (tag, step), value in scalars.items():
            assert value == pytest.approx(due[tag.partition("/")[2], step], rel=1e-6)
        assert {tag.partition("/")[0] for tag, _ in scalars} == {"training"}
        assert len(pictures) == len(list((run / "samples").iterdir())) > 1
        return scalars

    first = check()
    here("train", "--resume", run, "--steps", 340, "--tensorboard")
    second = check()
    assert first.items() < second.items()


def test_scores_are_a_group_of_their_own(tmp_path):
    """Of a history that has them; to score a run takes minutes."""
    from types import SimpleNamespace

    from ms_gan.training.tensorboard import TensorBoard

    (tmp_path / "samples").mkdir()
    (tmp_path / "history.csv").write_text("step,epoch,loss_d,fd_2k_train_ratio\n10,0.1,0.5,\n10,0.1,,3.25\n")
    history = SimpleNamespace(path=tmp_path / "history.csv", scores=("fd_2k_train_ratio",))
    record = SimpleNamespace(
        picture=lambda path, draw: draw(path),
        folder=SimpleNamespace(path=tmp_path, samples=tmp_path / "samples"),
        history=history,
    )
    session = SimpleNamespace(record=record, settings=SimpleNamespace(recipe=None), steps_per_epoch=100)
    TensorBoard(session, SimpleNamespace(saved=10)).at_end(10)
    assert events(tmp_path)[0] == {("training/loss_d", 10): 0.5, ("scores/fd_2k_train_ratio", 10): 3.25}


def test_it_is_not_written_unless_asked_for_and_needs_its_package(tmp_path, capsys, monkeypatch):
    import importlib.util

    data = write_mnist(tmp_path / "data", 80)
    command = ("train", "--data-path", data, "--steps", 2, "--batch-size", 8, *SMALL, "--output-dir", tmp_path)
    here(*command)
    assert not (tmp_path / "mlp" / "1" / "tensorboard").exists()
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorboardX" else find(name))
    line = refused_here(capsys, *command, "--tensorboard")
    assert line.startswith("error: tensorboardX is not installed; ") and line.endswith(" -m pip install tensorboardX\n")
    assert not (tmp_path / "mlp" / "2").exists()
