"""Names that are not UTF-8, and streams that lack a character: one line, or what was asked for, and no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from helpers.commands import HANGS, SMALL, environment, write_mnist

from ms_gan import cli
from ms_gan.cli import faults

BAD = os.fsdecode(b"b\xffd")  # as Python reads such a name
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

pytestmark = pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="the names here are those of UTF-8")


def command(*arguments, cwd=None, **more):
    return subprocess.run(
        [sys.executable, "-m", "ms_gan", *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        timeout=HANGS,
    )


@pytest.fixture
def bad(tmp_path):
    """A folder whose name is not UTF-8."""
    folder = tmp_path / BAD
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--data-path", "{}"),
        ("train", "--data-path={}"),
        ("train", "--output-dir", "x/{}"),
        ("train", "--resume", "{}"),
        ("train", "--warm-start", "{}"),
        ("train", "--recipe", "{}"),
        ("train", "--set", "{}=1"),
        ("eval", "{}"),
        ("eval", "{}/checkpoints/step_00000001"),
        ("eval", "--output-dir", "{}"),
        ("eval", "--judge", "{}"),
        ("eval", "--label", "{}"),
        ("export", "{}"),
        ("export", "--output-dir", "{}"),
        ("judge", "--output-dir", "{}"),
        ("judge", "--output-dir", "x", "--data-path", "{}"),
        ("infer", "{}", "--num", "1", "--output", "x.png"),
        ("infer", "x", "--num", "1", "--output", "{}.png"),
        ("infer", "x", "--num", "1", "--output", "{}/x.npy"),
        ("serve", "{}"),
        ("serve", "x", "--host", "{}"),
        ("recipes", "{}"),
        ("--debug", "recipes", "{}"),
    ],
    ids=" ".join,
)
def test_an_argument_that_is_not_utf8_is_named_in_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert cli.main([argument.format(BAD) for argument in arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"error: [^\n]*b\\xffd[^\n]*: a name that is not UTF-8; rename it", last)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_a_link_leads_to_is_looked_at(tmp_path, bad, monkeypatch, capsys):
    (bad / "run").mkdir()
    (tmp_path / "link").symlink_to(bad)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["eval", "link/run"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/b\\xffd/run: a name that is not UTF-8; rename it\n"
    (tmp_path / "runs").symlink_to(bad)
    assert cli.main(["export"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/b\\xffd: a name that is not UTF-8; rename it\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("train",),
        ("eval",),
        ("export",),
        ("judge", "--output-dir", "x"),
        ("serve", "x"),
        ("recipes",),
        ("infer", "x", "--num", "1", "--output", "x.png"),
    ],
    ids=" ".join,
)
def test_a_current_folder_that_is_not_utf8_is_named_in_one_line(bad, monkeypatch, capsys, arguments):
    monkeypatch.chdir(bad)
    assert cli.main([*arguments]) == 2
    assert re.fullmatch(
        r"error: the current folder, [^\n]*/b\\xffd: a name that is not UTF-8; rename it\n", capsys.readouterr().err
    )


def test_a_current_folder_that_is_gone_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["eval"]) == 2
    assert capsys.readouterr().err == "error: the current folder is gone; go to another\n"


@pytest.mark.parametrize("name", ["MS_GAN_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_a_cache_that_is_not_utf8_is_named_where_it_is_used(tmp_path, monkeypatch, capsys, name):
    for other in ("MS_GAN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(tmp_path / BAD))
    monkeypatch.chdir(tmp_path)
    for arguments in (["train"], ["eval"], ["judge", "--output-dir", "x"]):
        assert cli.main(arguments) == 2
        assert re.fullmatch(
            r"error: the cache, [^\n]*b\\xffd[^\n]*: a name that is not UTF-8; rename it, or set "
            r"MS_GAN_CACHE to another folder\n",
            capsys.readouterr().err,
        )
    assert cli.main(["recipes"]) == 0


def test_a_temporary_folder_and_a_home_that_are_not_utf8_do_no_harm(tmp_path, bad):
    write_mnist(tmp_path / "data", 40)
    elsewhere = {"TMPDIR": str(bad), "HOME": str(bad), "MS_GAN_CACHE": str(tmp_path / "cache")}
    for arguments in (
        ("train", "--data-path", "data", "--steps", "2", "--batch-size", "8", *SMALL),
        ("export",),
        ("infer", "runs/mlp/1/export", "--num", "1", "--output", "x.png"),
    ):
        done = command(*arguments, cwd=tmp_path, **elsewhere)
        assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    "text, said",
    [
        (f"/data/{BAD}/x", "/data/b\\xffd/x: a name that is not UTF-8; rename it"),
        ('{\n  "path": "/data/' + BAD + '",\n  "other": 1\n}', "/data/b\\xffd: a name that is not UTF-8; rename it"),
    ],
)
def test_a_name_that_is_met_later_is_one_line_too(text, said):
    with pytest.raises(UnicodeEncodeError) as met:
        text.encode()
    assert faults.told(met.value) == said


@pytest.mark.parametrize("arguments", [("eval", "café"), ("train", "--output-dir=café"), ("recipes", "猫")])
def test_a_locale_that_cannot_read_a_name_is_named(tmp_path, arguments):
    done = command(*arguments, cwd=tmp_path, **ASCII)
    assert done.returncode == 2
    assert re.fullmatch(
        rb"error: (caf\\xe9|\\u732b): this locale reads names as ascii; set LC_ALL=C.UTF-8, or "
        rb"PYTHONUTF8=1\n",
        done.stderr,
    )


def test_a_current_folder_that_the_locale_cannot_read_is_named(tmp_path):
    (tmp_path / "café").mkdir()
    done = command("eval", cwd=tmp_path / "café", **ASCII)
    assert done.returncode == 2 and done.stderr.startswith(b"error: the current folder, ")
    assert b"caf\\xe9: this locale reads names as ascii" in done.stderr and done.stderr.count(b"\n") == 1


STREAMS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "strict": {"PYTHONIOENCODING": "ascii:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": ASCII,
}


@pytest.mark.parametrize("streams", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize(
    "arguments",
    [("--help",), *((name, "--help") for name in cli.COMMANDS), ("recipes",), ("recipes", "rpgan")],
    ids=" ".join,
)
def test_what_is_printed_needs_no_character_that_a_stream_lacks(arguments, streams):
    done = command(*arguments, **streams)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout


def test_a_run_on_names_in_other_scripts_is_told_to_a_stream_in_ascii(tmp_path):
    write_mnist(tmp_path / "数据", 40)
    for streams in (STREAMS["strict"], STREAMS["latin-1"]):
        done = command(
            "train",
            "--data-path",
            "数据",
            "--steps",
            "2",
            "--batch-size",
            "8",
            "--output-dir",
            "跑",
            *SMALL,
            cwd=tmp_path,
            **streams,
        )
        assert (done.returncode, done.stderr) == (0, b"") and b"\\u8dd1/mlp/" in done.stdout
    missing = command("eval", "跑/缺", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert missing.returncode == 2 and missing.stderr.startswith(b"error: \\u8dd1/\\u7f3a: ")
    run = tmp_path / "跑" / "mlp" / "1"
    assert "跑" in (run / "train.log").read_text(encoding="utf-8")
    assert "数据" in json.dumps(json.loads((run / "provenance.json").read_text(encoding="utf-8")), ensure_ascii=False)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_do_no_harm(closed):
    for arguments, status in (("recipes", 0), ("recipes foo", 2), ("bogus", 2), ("--help", 0)):
        done = subprocess.run(
            ["bash", "-c", f"python -m ms_gan {arguments} {closed}"], env=environment(), capture_output=True
        )
        assert done.returncode == status and b"Traceback" not in done.stdout + done.stderr


def test_a_run_whose_streams_are_all_closed_is_whole(tmp_path):
    write_mnist(tmp_path / "data", 40)
    training = 'python -m ms_gan train --data-path data --steps 2 --batch-size 8 "$@" <&- >&- 2>&-'
    done = subprocess.run(
        ["bash", "-c", training, "bash", *SMALL], cwd=tmp_path, env=environment(), capture_output=True, timeout=HANGS
    )
    assert done.returncode == 0 and list((tmp_path / "runs" / "mlp" / "1").glob("checkpoints/step_*"))
