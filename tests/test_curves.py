"""Curves: every scalar of a step is drawn, whatever its name and its values; and those of two runs in one picture."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from ms_gan import steps
from ms_gan.evaluation import curves
from ms_gan.evaluation.comparison import Compared, picture
from ms_gan.evaluation.curves import losses
from ms_gan.evaluation.table import table

NAN, INF = float("nan"), float("inf")


def history(rows, **columns):
    return {"step": list(range(1, rows + 1)), "epoch": [row / 10 for row in range(rows)], **columns}


def players(rows, **columns):
    """A history with two players' losses and shares."""
    own = {"loss_d": 1.4, "loss_g": 0.7, "fool_rate": 0.3, "accuracy_real": 0.6}
    return history(rows, **{**{name: [value] * rows for name, value in own.items()}, **columns})


def is_coloured(path, colour):
    """Whether pixels of exactly this colour, six hexadecimal digits, are in a picture."""
    with Image.open(path) as image:
        return (np.asarray(image.convert("RGB")) == list(bytes.fromhex(colour))).all(axis=-1).any()


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: for each panel its label, its legends but those of a coin toss, and its scale."""
    panels = []

    def remember(figure, *_, **__):
        for axes in figure.axes:
            legends = [
                label for line in axes.get_lines() if not (label := str(line.get_label())).startswith(("_", "50%"))
            ]
            panels.append((axes.get_ylabel(), legends, axes.get_yscale()))

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", remember)
    return panels


@pytest.fixture
def axes_of(monkeypatch):
    """The axes of what is drawn, one for each panel; a table of scores is one, too."""
    panels = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: panels.extend(figure.axes))
    return panels


def curves_of(axes):
    """What is drawn in a panel: the points of each curve by its legend."""
    return {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}


def all_scalars():
    """The names of the scalars of every step of the project."""
    for module in pkgutil.iter_modules(steps.__path__):
        for _, step in inspect.getmembers(import_module(f"ms_gan.steps.{module.name}"), inspect.isclass):
            if step.__module__ == f"ms_gan.steps.{module.name}" and getattr(step, "scalars", ()):
                yield pytest.param(step.scalars, id=step.__name__)


@pytest.mark.parametrize("scalars", [*all_scalars(), ("temperature", "r", "lossy", "gradient_norm_g", "accuracy")])
def test_every_scalar_of_a_step_is_drawn_once(tmp_path, drawn, scalars):
    losses(tmp_path / "losses.png", history(3, **{name: [0.5, 0.4, 0.6] for name in scalars}), "title")
    legends = [name for _, names, _ in drawn for name in names]
    expected = [curves.READERS.get(name, name.replace("_", " ")) for name in scalars]
    assert sorted(legends) == sorted(expected)


def test_other_values_stand_below_in_panels_by_magnitude(tmp_path, drawn):
    losses(
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
    losses(tmp_path / "losses.png", history(2, **many), "title")
    assert [len(names) for _, names, _ in drawn] == [5, 5, 2]
    assert [name for _, names, _ in drawn for name in names] == [name.replace("_", " ") for name in many]


@pytest.mark.parametrize(
    "name, values, scale",
    [
        ("penalty", [1.0, 2.0, 3.0], "linear"),
        ("penalty", [0.01, 1.0, 3.0], "log"),
        ("penalty", [0.0, 1.0, 300.0], "linear"),
        ("penalty", [-1.0, 1.0, 300.0], "linear"),
        ("penalty", [0.01, None, 3.0], "log"),
        ("penalty", [0.01, NAN, 3.0], "log"),
        ("penalty", [INF, 1.0, 2.0], "linear"),
        ("penalty", [NAN, NAN, NAN], "linear"),
        ("fd_1k", [20.0, 3.0, 2.0], "log"),
        ("fd_1k", [20.0, None, None], "log"),
        ("fd_1k", [20.0, 3.0, 0.0], "linear"),
        ("fd_1k", [0.0, None, None], "linear"),
        ("fd_1k", [3.0, -1e-6, 2.0], "linear"),
        ("fd_1k", [NAN, 3.0, 2.0], "log"),
    ],
)
def test_an_axis_is_logarithmic_where_that_helps_and_nothing_vanishes(tmp_path, drawn, name, values, scale):
    losses(tmp_path / "losses.png", history(3, **{name: values}), "title")
    ((label, (legend,), found),) = drawn
    assert label == {"penalty": "other values", "fd_1k": "Fréchet distance"}[name] and found == scale
    assert legend.split("\n")[0] == name.replace("_", " ")


def test_columns_without_a_value_take_no_room(tmp_path, drawn):
    losses(tmp_path / "losses.png", history(2, loss_d=[1.0, 1.0], fd_1k=[None] * 2, penalty=[None] * 2), "title")
    assert [label for label, _, _ in drawn] == ["loss"]


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning", "ignore:.*deprecated")
@pytest.mark.parametrize("rows", [1, 2, 300])
@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, 3e38, NAN, INF, -INF])
def test_every_value_of_every_kind_can_be_drawn(tmp_path, rows, value):
    columns = {name: [None] * (rows - 1) + [value] for name in ("loss_d", "fd_1k", "accuracy_real", "penalty", "other")}
    assert losses(tmp_path / "losses.png", history(rows, **columns, more=[value] * rows), "title")


def test_the_same_history_gives_the_same_bytes(tmp_path):
    values = list(np.random.default_rng(0).random(250))
    for name in ("a.png", "b.png"):
        losses(tmp_path / name, history(250, loss_d=values, penalty=values, x=[1.0] * 250), "title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_losses_are_drawn_in_the_colours_of_the_players(tmp_path):
    losses(tmp_path / "losses.png", players(250), "title $x^$", {"loss_d": (1.386, "2 ln 2")})
    assert is_coloured(tmp_path / "losses.png", "0072B2") and is_coloured(tmp_path / "losses.png", "E69F00")


def test_curves_go_through_their_values_over_the_epochs(tmp_path, axes_of):
    columns = {"loss_d": [1.0, 0.0, 2.0], "accuracy_real": [0.0, None, 1.0], "fd_1k": [None, None, 4.0]}
    losses(tmp_path / "losses.png", {"step": [5, 10, 20], "epoch": [0.5, 1.0, 2.0], **columns}, "title")
    loss, share, distance = axes_of
    assert curves_of(loss) == {"loss d": [[0.5, 1], [1, 0], [2, 2]]}
    assert curves_of(share)["accuracy real"] == [[0.5, 0], [2, 1]] and share.get_ylim() == (-0.03, 1.03)
    assert curves_of(distance) == {"fd 1k": [[2, 4]]} and distance.get_xlabel() == "epoch"
    assert [axes.get_lines()[0].get_marker() for axes in axes_of] == ["None", "None", "."], "one value is a dot"


def test_steps_that_share_an_epoch_are_drawn_over_the_steps(tmp_path, axes_of):
    losses(tmp_path / "losses.png", {"step": [5, 10], "epoch": [0.5, 0.5], "loss_d": [1.0, 3.0]}, "title")
    (axes,) = axes_of
    assert curves_of(axes) == {"loss d": [[5, 1], [10, 3]]} and axes.get_xlabel() == "step"


def test_of_a_long_curve_the_mean_of_a_fiftieth_stands_out(tmp_path, axes_of):
    jagged = [0.0, 1.0] * 250  # a mean of ten is a half
    losses(tmp_path / "losses.png", history(500, loss_d=jagged), "title")
    pale, mean = axes_of[0].get_lines()
    assert pale.get_ydata().tolist() == jagged and np.allclose(mean.get_ydata()[10:-10], 0.5)
    ramp = [float(row >= 250) for row in range(500)]
    axes_of.clear()
    losses(tmp_path / "losses.png", history(500, loss_d=ramp), "title")
    values = axes_of[0].get_lines()[1].get_ydata()
    assert values[244] == 0 and 0 < values[248] < 1 and values[255] == 1


def test_two_players_of_one_equilibrium_share_a_grey_line(tmp_path, axes_of):
    losses(tmp_path / "losses.png", players(3), "title", {"loss_d": (0.693, "ln 2"), "loss_g": (0.693, "ln 2")})
    (line,) = [line for line in axes_of[0].get_lines() if "equilibrium" in line.get_label()]
    assert line.get_label() == "loss d and loss g at equilibrium,\nln 2 = 0.693" and line.get_color() == "#777777"
    axes_of.clear()
    losses(tmp_path / "losses.png", players(3), "title", {"loss_g": (0.693, "ln 2")})
    (line,) = [line for line in axes_of[0].get_lines() if "equilibrium" in line.get_label()]
    assert line.get_color() == "#E69F00"


@pytest.mark.parametrize(
    "rows",
    [
        players(0),
        players(0, fd_1k=[], penalty=[]),
        {"step": [1], "epoch": [1], "loss_d": [None], "fd_1k": [None], "penalty": [None]},
    ],
)
def test_a_history_without_a_value_is_not_drawn(tmp_path, rows):
    assert losses(tmp_path / "losses.png", rows, "title") is False
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_not_finite_are_counted_and_left_out(tmp_path, drawn):
    losses(tmp_path / "losses.png", players(3, loss_d=[1.0, NAN, -INF]), "title")
    assert drawn[0][1] == ["loss d\n(2 not finite, left out)", "loss g"]


def test_losses_share_one_panel_and_shares_of_images_another(tmp_path, drawn):
    columns = players(3, loss_g_class=[2.3] * 3, accuracy_class=[0.1] * 3, class_accuracy=[None] * 3)
    losses(tmp_path / "losses.png", columns, "title")
    assert [(label, names) for label, names, _ in drawn] == [
        ("loss", ["loss d", "loss g", "loss g class"]),
        ("share of images", ["fool rate", "accuracy real"]),
        ("asked-for class, or tags, are read", ["by D"]),
    ]
    losses(tmp_path / "losses.png", {**columns, "class_accuracy": [None, None, 0.9]}, "title")
    assert drawn[-1][1] == ["by D", "by the judge"]


def test_losses_ten_times_smaller_have_a_panel_of_their_own(tmp_path, drawn):
    columns = {
        "loss_kl": [9.0, -9.0],
        "loss_reconstruction": [100.0, 100.0],
        "loss_g": [0.8, NAN],
        "loss_d": [10.0, 10.0],
        "loss_lost": [NAN, INF],
    }
    losses(tmp_path / "losses.png", history(2, **columns), "title")
    legends = [[name.split("\n")[0] for name in names] for _, names, _ in drawn]
    assert legends == [["loss reconstruction", "loss d", "loss lost"], ["loss kl"], ["loss g"]]


@pytest.mark.parametrize(
    "equilibrium, lines",
    [
        (None, []),
        ({"loss_d": (1.3863, "2 ln 2")}, [(1.3863, "loss d at equilibrium,\n2 ln 2 = 1.386")]),
        (
            {"loss_d": (0.6931, "ln 2"), "loss_g": (-0.6931, "-ln 2"), "loss_x": (9.0, "absent")},
            [(0.6931, "loss d at equilibrium,\nln 2 = 0.693"), (-0.6931, "loss g at equilibrium,\n-ln 2 = -0.693")],
        ),
    ],
)
def test_equilibria_are_drawn_where_the_caller_says(tmp_path, monkeypatch, equilibrium, lines):
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.axhline", lambda _, level, label=None, **__: drawn.append((level, label)))
    losses(tmp_path / "losses.png", players(3), "title", equilibrium)
    assert drawn == [*lines, (0.5, "50%, a coin toss")]


def test_the_running_mean_passes_over_what_is_missing():
    mean = curves.running_mean(np.array([1, 3, np.nan, 5, np.inf, -np.inf, np.nan]), 3)
    assert np.array_equal(mean, [2, 2, 4, 5, 5, np.nan, np.nan], equal_nan=True)


def compared(name, step_count, columns, **scores):
    steps = list(range(step_count))
    return Compared(name, {column: (steps, [0.1 * number + 0.1 for number in steps]) for column in columns}, scores)


def test_runs_are_compared_column_by_column(tmp_path, drawn):
    first, second = compared("mlp/1", 3, ("loss_d", "fd_2k_train_ratio")), compared("rpgan/2", 5, ("loss_d", "gamma"))
    assert picture(tmp_path / "a.png", [first, second], "two runs")
    assert drawn == [
        ("loss d", ["mlp/1", "rpgan/2"], "linear"),
        ("fd 2k train ratio", ["mlp/1"], "log"),
        ("gamma", ["rpgan/2"], "linear"),
    ]


def test_compared_runs_are_drawn_over_their_own_steps_and_below_their_scores(tmp_path, axes_of):
    first = Compared("mlp/1", {"loss_d": ([10, 20], [1.0, 2.0])}, {})
    second = Compared("mlp/2", {"loss_d": ([5, 40], [3.0, 4.0])}, {f"score_{number}": 1.0 for number in range(9)})
    assert picture(tmp_path / "a.png", [first, second], "one of them was scored")
    scores, axes = axes_of
    assert curves_of(axes) == {"mlp/1": [[10, 1], [20, 2]], "mlp/2": [[5, 3], [40, 4]]}
    assert axes.get_xlabel() == "step"
    told = "\n".join(text.get_text() for text in scores.texts)
    assert "mlp/1" in told and "score_8" in told
    few = Compared("mlp/2", second.curves, {"score_0": 1.0})
    axes_of.clear()
    assert picture(tmp_path / "b.png", [first, few], "one score")
    heights = [axes.figure.get_size_inches()[1] for axes in (scores, axes_of[0])]
    assert heights[0] > heights[1] + 1, "each score has a line"


def test_the_picture_of_two_runs_has_both_colours_and_the_same_bytes_again(tmp_path):
    runs = [compared("mlp/1", 3, ("loss_d",), fd_1k=2.5), compared("$^猫", 300, ("loss_d",))]
    for name in ("a.png", "b.png"):
        assert picture(tmp_path / name, runs, "two runs")
    assert is_coloured(tmp_path / "a.png", "0072B2") and is_coloured(tmp_path / "a.png", "E69F00")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not picture(tmp_path / "c.png", [compared("a", 0, ()), compared("b", 0, ())], "nothing yet")
    assert not (tmp_path / "c.png").exists()


def test_the_table_of_scores_has_a_column_for_each_run_and_a_dash_for_a_missing_score():
    assert table([("mlp/1", {"fd_10k_test": 13.94}), ("rpgan/1", {"fd_10k_test": 1.45, "kl": 0.02})]) == [
        "                   mlp/1      rpgan/1",
        "fd_10k_test        13.94       1.4500",
        "kl                     –       0.0200",
    ]
