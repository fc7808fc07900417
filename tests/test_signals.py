"""Signals while a run trains: said at once, never the reason that work is lost."""

from __future__ import annotations

import os
import signal
import time

import pytest
from helpers.commands import SMALL, run, start, steps_saved, wait_until, write_mnist

from ms_gan.signals import ASKING
from ms_gan.training import stop_signals
from ms_gan.training.stop_signals import StopSignals


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0.05)  # the handler runs before the next line does, the thread soon


@pytest.fixture
def stop():
    """Signals that a run listens to, with 2.6 seconds for a step and a save."""
    listened = StopSignals()
    listened.know("step 40 of runs/mlp/1", 2.6)
    with listened.listening():
        yield listened


@pytest.fixture
def ended(monkeypatch):
    """The statuses with which the process would have ended; nobody is patient."""
    statuses = []
    monkeypatch.setattr(stop_signals, "PATIENCE", 0.0)
    monkeypatch.setattr(os, "_exit", statuses.append)
    return statuses


@pytest.mark.parametrize("number", ASKING)
def test_a_signal_is_noted_and_answered_at_once(number, stop, capfd):
    send(number)
    assert stop.number == number
    said = "stopping: the step under way ends, then all is saved, in about 3 s; please wait"
    assert capfd.readouterr().err.strip() == said


def test_no_time_is_promised_that_is_not_known(stop, capfd):
    with stop.busy("the scoring"):
        send(signal.SIGINT)
        assert capfd.readouterr().err.strip() == "stopping: the scoring ends, then all is saved; please wait"


def test_what_fails_is_no_longer_under_way(stop, capfd):
    with pytest.raises(OSError), stop.busy("the scoring"):
        raise OSError
    send(signal.SIGINT)
    assert "the step under way ends" in capfd.readouterr().err


def test_many_signals_at_once_change_nothing(stop, capfd):
    send(signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGINT)
    assert stop.number == signal.SIGINT and capfd.readouterr().err.count("still stopping") == 4


def test_a_late_signal_is_warned_of_and_one_more_ends_the_run(stop, ended, capfd):
    send(signal.SIGINT, signal.SIGINT)
    warning = "another signal ends the run at once, and only step 40 of runs/mlp/1 is kept"
    assert warning in capfd.readouterr().err and not ended
    send(signal.SIGINT)
    assert ended == [130] and "ended at once; step 40 of runs/mlp/1 is kept" in capfd.readouterr().err


def test_no_signal_breaks_a_save(stop, ended, capfd):
    send(signal.SIGINT, signal.SIGINT)
    with stop.saving:
        send(signal.SIGINT, signal.SIGTERM)
    assert "all is being saved" in capfd.readouterr().err and not ended


def test_handlers_are_put_back_and_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a fixture of all tests puts it back
    before = [signal.getsignal(number) for number in ASKING]
    stop = StopSignals()
    with stop.listening():
        assert signal.getsignal(signal.SIGINT) not in before
        send(signal.SIGHUP)
    assert stop.number is None
    assert [signal.getsignal(number) for number in ASKING] == before and signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
        *(pytest.param((number, number), marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_several_signals_to_a_run_save_it_once_and_lose_nothing(numbers, tmp_path):
    """Its schedule has one endless epoch: nothing but the signals saves anything after step 0."""
    data = write_mnist(tmp_path / "data", 56)
    endless = ("--steps", 1_000_000, "--set", "schedule.steps_per_epoch=1000000")
    process = start("train", "--data-path", data, "--batch-size", 8, *SMALL, *endless, "--output-dir", tmp_path)
    folder = tmp_path / "mlp" / "1"
    wait_until(lambda: (folder / "history.csv").is_file() and len((folder / "history.csv").read_text()) > 200, process)
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.01)
    said = process.communicate()[0]
    assert process.returncode in (129, 130, 143)
    assert "stopping: " in said and "all is saved\n" in said and f"--resume {folder}\n" in said
    saved = steps_saved(folder)
    rows = (folder / "history.csv").read_text().splitlines()[1:]
    assert saved >= 10 and int(rows[-1].split(",")[0]) == saved // 10 * 10
    run("train", "--resume", folder, "--steps", saved + 3)
