"""The picture of a training shows every scalar of the step, by whatever name, and survives every value."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import numpy as np
import pytest

from ms_gan import steps
from ms_gan.evaluation import plots

NAN, INF = float("nan"), float("inf")


def history(rows, **columns):
    return {"step": list(range(1, rows + 1)), "epoch": [row / 10 for row in range(rows)], **columns}


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: for each panel its label, the first lines of its curves' legends, and its scale."""
    from matplotlib.figure import Figure

    panels = []

    def remember(figure, *_, **__):
        for axes in figure.axes:
            curves = [str(line.get_label()).split("\n")[0] for line in axes.get_lines()]
            panels.append(
                (
                    axes.get_ylabel(),
                    [curve for curve in curves if not curve.startswith(("_", "50%"))],
                    axes.get_yscale(),
                )
            )

    monkeypatch.setattr(Figure, "savefig", remember)
    return panels


def all_scalars():
    """The names of the scalars of every step of the project."""
    for module in pkgutil.iter_modules(steps.__path__):
        for _, step in inspect.getmembers(import_module(f"ms_gan.steps.{module.name}"), inspect.isclass):
            if step.__module__ == f"ms_gan.steps.{module.name}" and getattr(step, "scalars", ()):
                yield pytest.param(step.scalars, id=step.__name__)


@pytest.mark.parametrize("scalars", [*all_scalars(), ("temperature", "r", "lossy", "gradient_norm_g", "accuracy")])
def test_every_scalar_of_a_step_is_drawn_once(tmp_path, drawn, scalars):
    plots.losses(tmp_path / "losses.png", history(3, **{name: [0.5, 0.4, 0.6] for name in scalars}), "title")
    legends = [name for _, names, _ in drawn for name in names]
    expected = [plots.READERS.get(name, name.replace("_", " ")) for name in scalars]
    assert sorted(legends) == sorted(expected)


def test_other_values_stand_below_in_panels_by_magnitude(tmp_path, drawn):
    plots.losses(
        tmp_path / "losses.png",
        history(
            2,
            penalty_real=[3.0, 2.0],
            loss_d=[1.0, 1.0],
            tiny=[1e-4, 2e-4],
            penalty_fake=[-4.0, 5.0],
            fd_1k=[9.0, 8.0],
            accuracy_real=[0.5, 0.5],
        ),
        "title",
    )
    assert [(label, names) for label, names, _ in drawn] == [
        ("loss", ["loss d"]),
        ("share of images", ["accuracy real"]),
        ("Fréchet distance", ["fd 1k"]),
        ("other values", ["penalty real", "penalty fake"]),
        ("other values", ["tiny"]),
    ]


def test_no_panel_of_other_values_has_two_curves_of_one_colour(tmp_path, drawn):
    many = {f"value_{number}": [1.0 + number / 10] * 2 for number in range(12)}
    plots.losses(tmp_path / "losses.png", history(2, **many), "title")
    assert [len(names) for _, names, _ in drawn] == [5, 5, 2]
    assert [name for _, names, _ in drawn for name in names] == [name.replace("_", " ") for name in many]


@pytest.mark.parametrize(
    "values, scale",
    [
        ([1.0, 2.0, 3.0], "linear"),
        ([0.01, 1.0, 3.0], "log"),
        ([0.0, 1.0, 300.0], "linear"),
        ([-1.0, 1.0, 300.0], "linear"),
        ([0.01, None, 3.0], "log"),
        ([0.01, NAN, 3.0], "log"),
        ([INF, 1.0, 2.0], "linear"),
        ([7.0, 7.0, 7.0], "linear"),
        ([NAN, NAN, NAN], "linear"),
    ],
)
def test_an_axis_of_other_values_is_logarithmic_where_that_helps(tmp_path, drawn, values, scale):
    plots.losses(tmp_path / "losses.png", history(3, penalty=values), "title")
    assert drawn == [("other values", ["penalty"], scale)]


@pytest.mark.parametrize(
    "values, scale",
    [
        ([20.0, 3.0, 2.0], "log"),
        ([20.0, None, None], "log"),
        ([20.0, 3.0, 0.0], "linear"),
        ([0.0, None, None], "linear"),
        ([3.0, -1e-6, 2.0], "linear"),
        ([NAN, 3.0, 2.0], "log"),
        ([NAN, None, None], "linear"),
    ],
)
def test_a_distance_of_zero_does_not_vanish(tmp_path, drawn, values, scale):
    plots.losses(tmp_path / "losses.png", history(3, loss_d=[1.0] * 3, fd_1k=values), "title")
    assert drawn[1] == ("Fréchet distance", ["fd 1k"], scale)


def test_columns_without_a_value_take_no_room(tmp_path, drawn):
    plots.losses(tmp_path / "losses.png", history(2, loss_d=[1.0, 1.0], fd_1k=[None] * 2, penalty=[None] * 2), "title")
    assert [label for label, _, _ in drawn] == ["loss"]


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning", "ignore:.*deprecated")
@pytest.mark.parametrize("rows", [1, 2, 300])
@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, 3e38, NAN, INF, -INF])
def test_every_value_of_every_kind_can_be_drawn(tmp_path, rows, value):
    columns = {name: [None] * (rows - 1) + [value] for name in ("loss_d", "fd_1k", "accuracy_real", "penalty", "other")}
    assert plots.losses(tmp_path / "losses.png", history(rows, **columns, more=[value] * rows), "title")


def test_the_same_history_gives_the_same_bytes(tmp_path):
    values = list(np.random.default_rng(0).random(250))
    for name in ("a.png", "b.png"):
        plots.losses(tmp_path / name, history(250, loss_d=values, penalty=values, x=[1.0] * 250), "title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
