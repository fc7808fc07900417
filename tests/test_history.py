"""`history.csv`: means of ten steps, and the same file whether or not a run was interrupted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ms_gan.errors import UserError
from ms_gan.runs.history import History

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
    assert path.read_text() == HEADER
    add(history, 1, 25)
    columns = history.read()
    assert list(columns) == ["step", "epoch", *SCALARS]
    assert columns["step"] == [10, 20] and columns["epoch"] == [1.25, 2.5]
    for column, name in enumerate(SCALARS):
        expected = VALUES[:20, column].astype(np.float64).reshape(2, 10).mean(axis=1)
        np.testing.assert_allclose(columns[name], expected, rtol=1e-6)
    assert history.pending == VALUES[20:25].astype(float).tolist()


def test_rows_are_written_as_they_come(path):
    history = started(path)
    for step in range(1, 21):
        history.add(step, [step, 0.5])
    assert path.read_text() == HEADER + "10,1.2500,5.5,0.5\n20,2.5000,15.5,0.5\n"


def test_a_new_run_has_no_rows(path):
    history = started(path)
    assert history.read() == {"step": [], "epoch": [], "loss_d": [], "loss_g": []}


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
    history = started(path, step=39, pending=PENDING)
    assert path.read_text() == HEADER + rows
    assert history.read()["step"] == [10, 20, 30]
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


def test_pending_values_are_a_copy(path):
    pending = [[1.0, 2.0]]
    history = started(path, 1, pending)
    history.add(2, [3.0, 4.0])
    history.pending[0][0] = 9.0
    assert pending == [[1.0, 2.0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_ends_the_run(path, value):
    history = started(path)
    add(history, 1, 9)
    with pytest.raises(UserError, match=r"diverged: loss_g is -?(nan|inf) at step 10;") as error:
        history.add(10, [1.0, value])
    assert "\n" not in str(error.value)
    assert path.read_text() == HEADER, "no row of it"
