"""Names that are not UTF-8, and streams that lack a character: one line, or what was asked for, and no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from helpers.commands import HANGS, SMALL, environment, run, write_mnist

from ms_gan import cli
from ms_gan.cli import faults

BAD = os.fsdecode(b"b\xffd")  # as Python reads such a name
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
TRAIN = ("train", "--steps", "2", "--batch-size", "8", *SMALL)

pytestmark = pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="the names here are those of UTF-8")


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
        ("train", "--set", "{}=1"),
        ("eval", "{}/checkpoints/step_00000001"),
        ("eval", "--label", "{}"),
        ("export", "{}"),
        ("judge", "--output-dir", "{}"),
        ("infer", "x", "--num", "1", "--output", "{}.png"),
        ("serve", "x", "--host", "{}"),
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


def test_folders_that_are_used_unasked_are_looked_at(tmp_path, bad, monkeypatch, capsys):
    (bad / "run").mkdir()
    (tmp_path / "link").symlink_to(bad)

    def refused(*arguments):
        assert cli.main([*arguments]) == 2
        return capsys.readouterr().err

    said = "a name that is not UTF-8; rename it\n"
    monkeypatch.chdir(tmp_path)
    assert refused("eval", "link/run") == f"error: {tmp_path}/b\\xffd/run: {said}"
    (tmp_path / "runs").symlink_to(bad)
    assert refused("export") == f"error: {tmp_path}/b\\xffd: {said}"
    monkeypatch.chdir(bad)
    for arguments in (("recipes",), ("infer", "x", "--num", "1", "--output", "x.png")):
        assert re.fullmatch(rf"error: {tmp_path}/b\\xffd/\w+: {said}", refused(*arguments))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert refused("eval") == "error: the current folder is gone; go to another\n"


@pytest.mark.parametrize("name", ["MS_GAN_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_a_cache_that_is_not_utf8_is_named_where_it_is_used(tmp_path, monkeypatch, capsys, name):
    for other in ("MS_GAN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(tmp_path / BAD))
    monkeypatch.chdir(tmp_path)
    for arguments in (["train"], ["eval"], ["judge", "--output-dir", "x"]):
        assert cli.main(arguments) == 2
        said = capsys.readouterr().err
        assert re.fullmatch(rf"error: {tmp_path}/b\\xffd[^\n]*: a name that is not UTF-8; rename it\n", said)
    assert cli.main(["recipes"]) == 0


def test_a_temporary_folder_and_a_home_that_are_not_utf8_do_no_harm(tmp_path, bad):
    write_mnist(tmp_path / "data", 40)
    elsewhere = {"TMPDIR": str(bad), "HOME": str(bad), "MS_GAN_CACHE": str(tmp_path / "cache")}
    for arguments in (
        (*TRAIN, "--data-path", "data"),
        ("export",),
        ("infer", "runs/mlp/1/export", "--num", "1", "--output", "x.png"),
    ):
        assert run(*arguments, cwd=tmp_path, **elsewhere).stderr == ""
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


@pytest.mark.parametrize("arguments", [("eval", "café"), ("train", "--output-dir=café"), ("recipes",)])
def test_a_locale_that_cannot_read_a_name_is_named(tmp_path, arguments):
    folder = tmp_path / ("café" if len(arguments) == 1 else "x")
    folder.mkdir()
    said = run(*arguments, cwd=folder, status=2, **ASCII).stderr
    mend = "this locale reads names as ascii; set LC_ALL=C.UTF-8, or PYTHONUTF8=1"
    assert re.fullmatch(rf"error: [^\n]*caf\\xe9[^\n]*: {mend}\n", said)


STREAMS = {"strict": {"PYTHONIOENCODING": "ascii:strict"}, "latin-1": {"PYTHONIOENCODING": "latin-1"}, "C": ASCII}


@pytest.mark.parametrize("streams", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize(
    "arguments", [("train", "--help"), ("infer", "--help"), ("recipes",), ("recipes", "rpgan")], ids=" ".join
)
def test_what_is_printed_needs_no_character_that_a_stream_lacks(arguments, streams):
    done = run(*arguments, **streams)
    assert done.stderr == "" and done.stdout


def test_a_run_on_names_in_other_scripts_is_told_to_a_stream_in_ascii(tmp_path):
    write_mnist(tmp_path / "数据", 40)
    done = run(*TRAIN, "--data-path", "数据", "--output-dir", "跑", cwd=tmp_path, **STREAMS["strict"])
    assert done.stderr == "" and "\\u8dd1/mlp/" in done.stdout
    missing = run("eval", "跑/缺", cwd=tmp_path, status=2, **STREAMS["strict"])
    assert missing.stderr.startswith("error: \\u8dd1/\\u7f3a: ")
    folder = tmp_path / "跑" / "mlp" / "1"
    assert "跑" in (folder / "train.log").read_text(encoding="utf-8")
    assert "数据" in json.dumps(
        json.loads((folder / "provenance.json").read_text(encoding="utf-8")), ensure_ascii=False
    )


def in_shell(command, cwd=None):
    return subprocess.run(["bash", "-c", command], cwd=cwd, env=environment(), capture_output=True, timeout=HANGS)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_do_no_harm(closed):
    for arguments, status in (("recipes", 0), ("recipes foo", 2), ("bogus", 2), ("--help", 0)):
        done = in_shell(f"python -m ms_gan {arguments} {closed}")
        assert done.returncode == status and b"Traceback" not in done.stdout + done.stderr


def test_a_run_whose_streams_are_all_closed_is_whole(tmp_path):
    write_mnist(tmp_path / "data", 40)
    arguments = " ".join(f"'{word}'" for word in (*TRAIN, "--data-path", "data"))
    done = in_shell(f"python -m ms_gan {arguments} <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0 and list((tmp_path / "runs" / "mlp" / "1").glob("checkpoints/step_*"))
