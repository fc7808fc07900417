"""`history.csv`: means of ten steps, and the same file whether or not a run was interrupted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ms_gan.errors import UserError
from ms_gan.runs.history import History, read_columns

SCALARS = ("loss_d", "loss_g")
HEADER = "step,epoch,loss_d,loss_g\n"
VALUES = np.random.default_rng(0).random((45, 2), dtype=np.float32)


def started(path, step=0, pending=()):
    history = History(path, SCALARS, steps_per_epoch=8)
    history.start(step, pending)
    return history


def add(history, first, last):
    for step in range(first, last + 1):
        history.add(step, VALUES[step - 1])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.csv"


def test_a_row_is_the_mean_of_ten_steps(path):
    history = started(path)
    assert path.read_text() == HEADER and set(map(len, read_columns(path).values())) == {0}
    add(history, 1, 25)
    columns = read_columns(path)
    assert list(columns) == ["step", "epoch", *SCALARS]
    assert columns["step"] == [10, 20] and columns["epoch"] == [1.25, 2.5]
    for column, name in enumerate(SCALARS):
        expected = VALUES[:20, column].astype(np.float64).reshape(2, 10).mean(axis=1)
        np.testing.assert_allclose(columns[name], expected, rtol=1e-6)
    assert history.pending == VALUES[20:25].astype(float).tolist()


@pytest.mark.parametrize("stop", [1, 9, 10, 11, 25, 30, 44])
def test_an_interrupted_run_writes_the_file_of_an_undisturbed_one(path, stop):
    add(started(path), 1, 45)
    undisturbed = path.read_bytes()
    path.unlink()

    history = started(path)
    add(history, 1, stop)
    pending = json.loads(json.dumps(history.pending))  # a checkpoint stores it so
    add(history, stop + 1, 45)  # what ran on after the checkpoint is lost, but its rows are in the file
    add(started(path, stop, pending), stop + 1, 45)
    assert path.read_bytes() == undisturbed


PENDING = [[1.0, 2.0]] * 9


@pytest.mark.parametrize("torn", ["40,5.0000,0.1,0.2", "40,5.00", "4", "40,5.0000\n"])
def test_going_on_cuts_off_later_rows_and_a_torn_line(path, torn):
    rows = "10,1.2500,5.5,0.5\n20,2.5000,15.5,0.5\n30,3.7500,1.0,0.5\n"
    path.write_text(HEADER + rows + torn)
    started(path, step=39, pending=PENDING)
    assert path.read_text() == HEADER + rows
    assert read_columns(path)["step"] == [10, 20, 30]
    started(path, step=29, pending=PENDING)
    assert path.read_text() == HEADER + rows[: rows.index("30,")]


@pytest.mark.parametrize("left", ["", "step,ep", HEADER])
def test_before_the_first_row_any_beginning_of_the_file_will_do(path, left):
    path.write_text(left)
    started(path, step=9, pending=PENDING)
    assert path.read_text() == HEADER


@pytest.mark.parametrize(
    "step, pending, left",
    [
        (40, [], "10,1.2500,5.5,0.5\n20,2.5000,15.5,0.5\n30,3.7500,1.0,0.5\n40,5.0000,0.1\n"),
        (20, [], ""),
        (20, [], "10,1.2500,5.5,0.5\n30,3.7500,1.0,0.5\n"),
        (10, [], "ten,1.2500,5.5,0.5\n"),
        (9, PENDING[1:], ""),
    ],
)
def test_rows_that_are_missing_are_not_made_up(path, step, pending, left):
    path.write_text(HEADER + left)
    with pytest.raises(UserError, match="history.csv: damaged"):
        started(path, step, pending)
    assert path.read_text() == HEADER + left


def test_a_file_keeps_its_own_scores_whichever_there_are(path):
    text = "step,epoch,loss_d,loss_g,fd_ratio\n8,1.0000,,,3.5\n10,1.2500,5.5,0.5,\n"
    path.write_text(text + "11,1.3750,,,2.5\n")
    history = History(path, SCALARS, 8, ["another_score"])
    history.start(10, [])
    assert history.scores == ("fd_ratio",) and path.read_text() == text
    history.add_scores(16, [None])
    assert path.read_text() == text + "16,2.0000,,,\n"


@pytest.mark.parametrize("every, whole", [(0, True), (8, True), (16, True), (4, False), (20, False)])
def test_a_row_of_scores_that_is_missing_is_found(path, every, whole):
    """More scores than are asked for are no damage: earlier versions gave them after fewer steps."""
    means = "".join(f"{step},{step / 8:.4f},5.5,0.5,\n" for step in (10, 20))
    path.write_text(f"step,epoch,loss_d,loss_g,fd_ratio\n8,1.0000,,,3.5\n16,2.0000,,,\n{means}")
    history = History(path, SCALARS, 8, ["fd_ratio"])
    if whole:
        history.start(23, PENDING[:3], every)
    else:
        with pytest.raises(UserError, match="history.csv: damaged"):
            history.start(23, PENDING[:3], every)


def test_a_row_of_scores_that_is_missing_at_the_last_step_is_found(path):
    path.write_text("step,epoch,loss_d,loss_g,fd_ratio\n10,1.2500,5.5,0.5,\n10,1.2500,,,3.5\n20,2.5000,5.5,0.5,\n")
    with pytest.raises(UserError, match="history.csv: damaged"):
        History(path, SCALARS, 8, ["fd_ratio"]).start(20, [], 10)


def test_a_short_row_takes_no_column_from_the_others(path):
    path.write_text(HEADER + "10,1.25,5.5,0.5\n20,2.5\n")
    assert read_columns(path) == {"step": [10], "epoch": [1.25], "loss_d": [5.5], "loss_g": [0.5]}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_ends_the_run(path, value):
    history = started(path)
    add(history, 1, 9)
    with pytest.raises(UserError, match=r"diverged: loss_g is -?(nan|inf) at step 10;") as error:
        history.add(10, [1.0, value])
    assert "\n" not in str(error.value)
    assert path.read_text() == HEADER, "no row of it"


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0]])
def test_as_many_scalars_as_names_are_taken(path, values):
    with pytest.raises(
        UserError, match=f"returns {len(values)} scalars and names 2: loss_d, loss_g; let its `scalars`"
    ):
        started(path).add(1, values)


def test_rows_are_put_on_the_disk_where_a_checkpoint_asks_for_it(path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    history = started(path)
    add(history, 1, 25)
    before = len(synced)
    history.sync()
    assert len(synced) == before + 1
