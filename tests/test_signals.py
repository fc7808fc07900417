"""Signals while a run trains: said at once, never the reason that work is lost."""

from __future__ import annotations

import os
import signal
import time

import pytest
from helpers.commands import SMALL, run, start, steps_saved, wait_until, write_mnist

from ms_gan.training import signals
from ms_gan.training.signals import StopSignals


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)
    time.sleep(0.05)  # the handler runs before the next line does, the thread soon


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(signals, "PATIENCE", 0.0)


@pytest.mark.parametrize("number", signals.ASKING)
def test_a_signal_is_noted_and_answered_at_once(number, capfd):
    with StopSignals() as stop:
        stop.seconds = 2.6
        send(number)
        assert stop.number == number
        assert capfd.readouterr().err.strip() == (
            "stopping: the step under way ends, then all is saved, in about 3 s; please wait"
        )


def test_no_time_is_promised_that_is_not_known(capfd):
    with StopSignals() as stop:
        stop.doing, stop.seconds = "the scoring", 2.6
        send()
        assert capfd.readouterr().err.strip() == "stopping: the scoring ends, then all is saved; please wait"


def test_many_signals_at_once_change_nothing(capfd):
    with StopSignals() as stop:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            send(number)
        assert stop.number == signal.SIGINT
    assert capfd.readouterr().err.count("still stopping") == 4


def test_a_late_signal_is_warned_of_and_one_more_ends_the_run(impatient, capfd):
    ended = []
    with StopSignals(end=ended.append) as stop:
        stop.kept = "step 40 is kept; to go on: …"
        send()
        send()
        assert "another signal ends the run at once, and only step 40 is kept" in capfd.readouterr().err and not ended
        send()
        assert ended == [130] and "ended at once; step 40 is kept; to go on" in capfd.readouterr().err


def test_no_signal_breaks_a_save(impatient, capfd):
    with StopSignals(end=lambda status: pytest.fail("it ended")) as stop:
        send()
        send()
        with stop.saving():
            send()
            send(signal.SIGTERM)
        assert "all is being saved" in capfd.readouterr().err


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in signals.ASKING]
    with StopSignals():
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(number) for number in signals.ASKING] == before and signal.set_wakeup_fd(-1) == -1


def test_what_nohup_ignores_stays_ignored(monkeypatch):
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            send(signal.SIGHUP)
            assert stop.number is None
    finally:
        signal.signal(signal.SIGHUP, previous)


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)],
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
    assert "stopping: " in said and "all is saved; to go on: " in said
    saved = steps_saved(folder)
    rows = (folder / "history.csv").read_text().splitlines()[1:]
    assert saved >= 10 and int(rows[-1].split(",")[0]) == saved // 10 * 10
    run("train", "--resume", folder, "--steps", saved + 3)
