"""What a run says of its speed, by a clock that is set by hand."""

from __future__ import annotations

import io

import pytest
import tqdm

from ms_gan.training import progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(tqdm.std, "time", lambda: Clock.now)
    monkeypatch.setattr(progress, "tqdm", ABar)
    return Clock


class ABar(tqdm.tqdm):
    """As on a terminal, which is not there in a test."""

    def __init__(self, *arguments, disable=None, **more):
        super().__init__(*arguments, disable=bool(disable), file=io.StringIO(), **more)


@pytest.fixture
def shown(clock, tmp_path, capsys):
    shown = progress.Progress(tmp_path / "log", ["loss_d"], 100)
    shown.begin(5, 205)
    assert "compiling" in capsys.readouterr().out
    yield shown
    shown.end()


def test_the_compilation_is_no_part_of_a_steps_time(shown, clock, capsys):
    clock.now += 90
    shown.show(6, [0.5])
    assert shown.seconds_a_step == 0 and capsys.readouterr().out == "", "nothing is known yet"
    for step in range(7, 11):
        clock.now += 2
        shown.show(step, [0.5])
    assert shown.seconds_a_step == 2 and capsys.readouterr().out == ""
    assert shown._bar.format_dict["rate"] == pytest.approx(0.5, rel=0.1), "the bar says the same"
    clock.now += 2
    shown.show(11, [0.5])
    assert "step 11 of 205: loss_d 0.500, 0.5 steps/s, 06:28 left" in capsys.readouterr().out
    clock.now += 30
    shown.show(11, [0.5])  # no step has come since: it is said that the run stands
    assert shown.seconds_a_step == 8 and "0.1 steps/s" in capsys.readouterr().out
    shown.begin(0, 5)
    assert shown.seconds_a_step == 0, "what begins is another step"


def test_what_is_done_once_is_no_part_of_a_steps_time(shown, clock, capsys):
    for step in range(6, 11):
        clock.now += 2
        shown.show(step, [0.5])
    clock.now += 300
    shown.leave_out(300)
    clock.now += 2
    shown.show(11, [0.5], speak=True)
    assert shown.seconds_a_step == 2
    assert "step 11 of 205: loss_d 0.500, 0.5 steps/s, 06:28 left" in capsys.readouterr().out
    assert shown._bar.format_dict["rate"] == pytest.approx(0.5, rel=0.1), "the bar says the same"


def test_where_the_first_look_is_the_last_it_is_told_what_is_known(shown, clock, capsys):
    clock.now += 20
    shown.show(205, [0.5], speak=True)
    assert "step 205 of 205: loss_d 0.500, 10.0 steps/s, 00:00 left" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("loss_d", 1.254, "d 1.25"),
        ("loss", 0.5, "loss 0.50"),
        ("accuracy_real", 0.64, "real 64%"),
        ("fool_rate", 0.3, "fool 30%"),
        ("penalty_real", 0.012, "penalty_real 0.012"),
    ],
)
def test_a_bar_names_scalars_in_few_letters(name, value, said):
    assert progress._short(name, value) == said


def test_pretraining_is_told_by_its_steps(shown, clock, capsys):
    shown.show(6, None)
    clock.now += 2
    shown.show(7, None, speak=True)
    assert capsys.readouterr().out.splitlines()[-1].startswith("pretraining, step 7 of 205: ")
