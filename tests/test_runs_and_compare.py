"""`runs` and `compare`: what was trained, how it went, and what differs between two runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from helpers.commands import here, refused_here

import ms_gan
from ms_gan import cli
from ms_gan.runs.checkpoints import checkpoint_name
from ms_gan.runs.summary import Summary, all_runs

KEPT = Path(__file__).parent / "kept_runs"


@pytest.fixture
def root(tmp_path):
    """A folder of two runs, in which the one of rpgan was scored on the way and by eval."""
    for name in ("mlp", "rpgan"):
        shutil.copytree(KEPT / name, tmp_path / "runs" / name / "1")
    run = tmp_path / "runs" / "rpgan" / "1"
    header, *rows = (run / "history.csv").read_text().splitlines()
    scored = f"20,1.0{',' * (header.count(',') - 1)},3.5"
    text = [f"{header},fd_100_train_ratio", *(f"{row}," for row in rows), scored, ""]
    (run / "history.csv").write_text("\n".join(text))
    (run / "eval").mkdir()
    (run / "eval" / "metrics.json").write_text(json.dumps({"generated": {"fd_10k_test": 1.25, "precision": None}}))
    return tmp_path / "runs"


def test_a_line_tells_of_each_run(root, capsys):
    here("runs", "--output-dir", root)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split()[:2] == ["run", "steps"] and len(lines) == 2
    by_name = {line.split()[0]: line for line in lines}
    assert "24 of 24" in by_name[str(root / "mlp" / "1")]
    assert "fd_100_train_ratio 3.5, fd_10k_test 1.25" in by_name[str(root / "rpgan" / "1")]


def trained(run, year, step=None, settings=None):
    """Let a run be trained last in a year, with other settings, and a further checkpoint of this step."""
    if settings:
        (file,) = [run / name for name in ("settings.json", "recipe.json") if (run / name).exists()]
        file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    if step:
        (run / "checkpoints" / checkpoint_name(step)).mkdir()
    then = time.mktime((year, 7, 1, 12, 30, 0, 0, 0, -1))
    for file in (run, *run.rglob("*")):
        os.utime(file, (then, then))


def test_a_line_tells_how_far_a_run_is_its_seed_its_latest_scores_and_when_it_was_trained(root, capsys):
    trained(root / "mlp" / "1", 2020, step=12, settings={"steps": 40, "seed": 3})
    history = root / "rpgan" / "1" / "history.csv"
    header, *rows = history.read_text().splitlines()
    later = [f"{rows[-1]},0.5,6.5", f"30,1.5{',' * (header.count(',') - 2)},1.23456,7.5"]
    history.write_text("\n".join([f"{header},class_accuracy", *(f"{row}," for row in rows), *later, ""]))
    trained(root / "rpgan" / "1", 2019)
    here("runs", root)
    _, older, newer = (line.split("  ") for line in capsys.readouterr().out.splitlines())
    words = [[word.strip() for word in line if word.strip()] for line in (older, newer)]
    assert words[0][0] == str(root / "rpgan" / "1") and words[0][-1] == "2019-07-01 12:30"
    assert words[0][-2] == "fd_100_train_ratio 1.235, class_accuracy 7.5, fd_10k_test 1.25"
    assert words[1] == [str(root / "mlp" / "1"), "24 of 40", "mnist", "3", "–", "2020-07-01 12:30"]
    compared = str(ms_gan.compare(root / "mlp" / "1", root / "rpgan" / "1"))
    assert re.search(r"steps trained +24 +24\n", compared) and "1.235" in compared


def test_what_eval_writes_does_not_make_a_run_younger(root):
    trained(root / "mlp" / "1", 2019)
    trained(root / "rpgan" / "1", 2020)
    before = [(run.path, run.trained_at) for run in all_runs(root)]
    (root / "mlp" / "1" / "eval").mkdir()
    assert [(run.path, run.trained_at) for run in all_runs(root)] == before
    assert [path.parent.name for path, _ in before] == ["mlp", "rpgan"]
    os.utime(root / "mlp" / "1" / "history.csv")
    assert [run.path.parent.name for run in all_runs(root)] == ["rpgan", "mlp"]


def test_without_a_folder_it_is_runs_and_bundles_are_no_runs(root, capsys, monkeypatch):
    shutil.copytree(KEPT / "bundle", root / "exported" / "bundle")
    monkeypatch.chdir(root.parent)
    here("runs")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["run", "runs/mlp/1", "runs/rpgan/1"]
    monkeypatch.chdir(root / "mlp" / "1")
    assert Summary.read(".").name == "mlp/1"


def test_damaged_scores_hide_no_run(root, capsys):
    (root / "rpgan" / "1" / "eval" / "metrics.json").write_text("{")
    here("runs", root)
    assert "fd_100_train_ratio 3.5" in capsys.readouterr().out


def test_the_folder_is_named_as_other_commands_name_theirs(root, capsys):
    printed = []
    for where in ([root], ["--output-dir", root]):
        here("runs", *where)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] and str(root) in printed[0]
    assert "two folders" in refused_here(capsys, "runs", root, "--output-dir", root)


def test_a_damaged_run_hides_no_other(root, capsys):
    (root / "mlp" / "1" / "recipe.json").write_text("{")
    assert cli.main(["runs", "--output-dir", str(root)]) == 2
    output = capsys.readouterr()
    assert "rpgan" in output.out and "recipe.json" in output.err and output.err.count("\n") == 1


def test_where_there_is_no_run_it_is_said(tmp_path, capsys):
    assert "no run below" in refused_here(capsys, "runs", "--output-dir", tmp_path)


def test_a_comparison_tells_what_differs_and_nothing_else(root, tmp_path, capsys):
    picture = tmp_path / "both.png"
    here("compare", root / "mlp" / "1", root / "rpgan" / "1", "--output", picture)
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines["recipe"] == ["mlp", "rpgan"] and lines["ema.decay"] == ["0", "0.9"]
    assert lines["updates.gamma"][0] == "–" and lines["fd_100_train_ratio"] == ["–", "3.5"]
    assert "data.size" not in lines and "seed" not in lines
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = refused_here(capsys, "compare", root / "mlp" / "1", root / "rpgan" / "1", "--output", picture)
    assert "--overwrite" in refused
    with pytest.raises(ms_gan.UserError, match="is there already; add overwrite"):
        ms_gan.compare(root / "mlp" / "1", root / "rpgan" / "1").draw(picture)


def test_it_says_where_nothing_differs_and_that_there_is_nothing_to_draw(root, tmp_path, capsys):
    run, picture = root / "mlp" / "1", tmp_path / "both.png"
    here("compare", run, shutil.copytree(run, root / "mlp" / "2"), "--output", picture)
    assert "no setting differs" in (said := capsys.readouterr().out) and f"curves: {picture}" in said
    picture.unlink()
    for number in "12":
        (root / "mlp" / number / "history.csv").unlink()
    here("compare", run, root / "mlp" / "2", "--output", picture)
    assert "so there is no picture" in (said := capsys.readouterr().out) and "curves:" not in said
    assert not picture.exists()
    here("compare", run, root / "rpgan" / "1", "--output", picture)
    assert "no setting differs" not in capsys.readouterr().out


def test_of_a_checksum_the_beginning_is_told(root, capsys):
    for name, digit in (("mlp", "0"), ("rpgan", "1")):
        file = root / name / "1" / "recipe.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "data_sha256": digit * 64}))
    comparison = ms_gan.compare(root / "mlp" / "1", root / "rpgan" / "1")
    assert ("data_sha256", "0" * 64, "1" * 64) in comparison.settings
    assert re.search(r"^data_sha256 +0{12} +1{12}$", str(comparison), re.M)


def test_in_place_of_a_recipes_folder_its_newest_run_is_offered(root, capsys):
    for number in ("9", "10"):
        shutil.copytree(root / "mlp" / "1", root / "mlp" / number)
    shutil.copytree(KEPT / "bundle", root / "mlp" / "11")
    for command in (("train", "--resume"), ("eval",), ("export",)):
        assert refused_here(capsys, *command, root / "mlp").endswith(
            f"; name a run in it, such as {root / 'mlp' / '10'}\n"
        )


def test_a_run_does_not_differ_from_itself(root):
    other = shutil.copytree(root / "mlp", root.parent / "others" / "mlp") / "1"
    comparison = ms_gan.compare(root / "mlp" / "1", other)
    assert comparison.settings == []
    assert comparison.names == (str(root / "mlp" / "1"), str(other)), "both would be mlp/1"


@pytest.mark.parametrize("place, told", [("bundle", "is a bundle"), ("mnist", "not a run"), ("absent", "not a run")])
def test_what_is_no_run_is_refused(place, told, root, capsys):
    assert told in refused_here(capsys, "compare", root / "mlp" / "1", KEPT / place)


def test_a_row_that_a_crash_cut_short_is_left_out(root):
    history = root / "mlp" / "1" / "history.csv"
    whole = Summary.read(root / "mlp" / "1").curves
    history.write_text(history.read_text() + "30,2.")
    assert Summary.read(root / "mlp" / "1").curves == whole and whole


def test_code_of_recipes_that_differs_is_told_in_one_row(root):
    first, second = root / "mlp" / "1", shutil.copytree(root / "mlp" / "1", root / "mlp" / "2")
    for run, text in ((first, "# one"), (second, "# another")):
        (run / "recipe.py").write_text(text)
    (row,) = ms_gan.compare(first, second).settings
    assert row[0] == "recipe.py" and row[1] != row[2]
    (second / "recipe.py").write_text("# one")
    assert ms_gan.compare(first, second).settings == []
    (second / "recipe_modules" / "parts").mkdir(parents=True)
    (second / "recipe_modules" / "parts" / "layers.py").write_text("# what the recipe imports")
    assert [name for name, *_ in ms_gan.compare(first, second).settings] == ["recipe.py"]


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"judge": {"sha256": "b"}}, "different judges"),
        ({"model": {"test_sha256": "d", "step": 24}}, "different test images"),
        ({"protocol": {"seed": 2}}, "latents of different seeds"),
        ({"model": {"test_sha256": "c", "step": 12}}, "was scored at step 12"),
        ({"judge": None}, ""),
        ({}, ""),
    ],
)
def test_scores_that_do_not_compare_are_said_so(changed, told, root):
    first, second = root / "mlp" / "1", shutil.copytree(root / "mlp" / "1", root / "mlp" / "2")
    record = {"generated": {"fd_200_test": 3.0}, "judge": {"sha256": "a"}, "protocol": {"seed": 1}}
    record["model"] = {"test_sha256": "c", "step": Summary.read(first).step}
    assert Summary.read(first).step == 24
    for run, of in ((first, record), (second, {**record, **changed})):
        (run / "eval").mkdir(exist_ok=True)
        (run / "eval" / "metrics.json").write_text(json.dumps(of))
    comparison = ms_gan.compare(first, second)
    assert [told in note for note in comparison.notes] == [True] * bool(told)
    assert ("fd_200_test", 3.0, 3.0) in comparison.scores and all(note in str(comparison) for note in comparison.notes)
