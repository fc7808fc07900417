"""One line and status 2 for what was foreseen; the stack and status 1 for the rest; with --debug every stack."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import NEEDED, ROOT, environment, python

from ms_gan import cli
from ms_gan.cli import launch
from ms_gan.errors import UserError
from ms_gan.files import new_file

STACK = "Traceback (most recent call last)"


def of(number, *named):
    return OSError(number, os.strerror(number), *named)


FORESEEN = {  # error: what the line says
    "user error of several lines": (
        UserError("a thing\nis wrong;\r\n\n  mend it\u2028now"),
        "a thing is wrong; mend it now",
    ),
    "memory": (MemoryError(), "not enough memory for that; ask for less"),
    "no space": (of(errno.ENOSPC, "/data/x"), "/data/x: No space left on device"),
    "no space, in a file that is open": (of(errno.ENOSPC), "No space left on device"),
    "input and output": (of(errno.EIO, b"/data/x"), f"/data/x: {os.strerror(errno.EIO)}"),
    "too many files": (of(errno.EMFILE, Path("/data/x")), "/data/x: Too many open files"),
    "permission": (of(errno.EACCES, "/data/x"), "/data/x: Permission denied"),
    "went away": (of(errno.ENOENT, "runs/x"), "runs/x: No such file or directory"),
    "several lines": (OSError(errno.EACCES, "denied\nby somebody", "/data/x"), "/data/x: denied by somebody"),
}
UNFORESEEN = {
    "own": ValueError("a bug"),
    "without number": OSError("a bug"),
    "without a name": of(errno.ENOENT),
    "by number": of(errno.EACCES, 7),
    "of the package": of(errno.ENOENT, str(ROOT / "ms_gan" / "delivery" / "absent.html")),
    "of another package": of(errno.ENOENT, str(Path(pytest.__file__).with_name("absent.py"))),
    "of Python": of(errno.EACCES, os.__file__),
    "wrongly used": of(errno.EINVAL, "/data/x"),
    "own module": ModuleNotFoundError("No module named 'ms_gan.absent'", name="ms_gan.absent"),
    "nobody's module": ModuleNotFoundError("No module named 'absent'", name="absent"),
    "part of a package": ModuleNotFoundError("No module named 'numpy.absent'", name="numpy.absent"),
    "name of a package": ImportError("cannot import name 'x' from 'numpy'", name="numpy"),
    "unencodable": UnicodeEncodeError("latin-1", "–", 0, 1, "ordinal not in range(256)"),
    "a lone half": UnicodeEncodeError("utf-8", "\ud83c", 0, 1, "surrogates not allowed"),
    "a pipe that is not stdout": BrokenPipeError(errno.EPIPE, "Broken pipe"),
}


@pytest.fixture
def failing(monkeypatch, capsys):
    """Run a command that raises an error; return its status, or what it raised, and what was printed."""

    def run(error, *arguments):
        def raising(_options):
            raise error

        monkeypatch.setattr("ms_gan.cli.recipes.run", raising)
        try:
            status = cli.main([*arguments] or ["recipes"])
        except Exception as raised:
            status = raised
        return status, "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize("error, line", FORESEEN.values(), ids=FORESEEN)
def test_what_was_foreseen_is_one_line_and_status_2_and_its_stack_is_shown_with_debug(failing, error, line):
    assert failing(error) == (2, f"error: {line}\n")
    status, said = failing(error, "recipes", "--debug")
    assert status == 2 and said.startswith(STACK) and "in raising" in said
    assert said.endswith(f"\nerror: {line}\n")


@pytest.mark.parametrize("error", UNFORESEEN.values(), ids=UNFORESEEN)
def test_what_was_not_foreseen_keeps_its_stack(failing, error):
    status, said = failing(error)
    assert status is error and said == "", "raised: Python prints the stack, and its status is 1"


def test_every_command_takes_debug_before_and_behind_its_name():
    for command in cli.COMMANDS:
        arguments = [command, *NEEDED.get(command, ())]
        assert not cli._parser()[0].parse_args(arguments).debug
        assert cli._parser()[0].parse_args(["--debug", *arguments]).debug
        assert cli._parser()[0].parse_args([*arguments, "--debug"]).debug


@pytest.mark.parametrize("value, shown", [("1", True), ("yes", True), ("0", False), ("false", False), ("", False)])
def test_debug_can_be_said_in_the_environment(failing, monkeypatch, value, shown):
    monkeypatch.setenv("MS_GAN_DEBUG", value)
    status, said = failing(UserError("wrong"))
    assert status == 2 and said.startswith(STACK) == shown and said.endswith("error: wrong\n")


def test_debug_changes_neither_how_ctrl_c_ends_nor_what_ends_well(failing, capsys, monkeypatch):
    for stop in (KeyboardInterrupt(), KeyboardInterrupt("as a library may say")):
        assert failing(stop, "recipes", "--debug") == (130, "stopped by Ctrl-C\n")
    monkeypatch.undo()
    assert cli.main(["recipes", "--debug"]) == 0 and capsys.readouterr().err == ""


def test_mistakes_of_typing_are_one_line_too(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["recipes", "mlp", "two\nlines"])
    assert ended.value.code == 2
    assert re.fullmatch(
        r"error: unrecognized arguments: two lines; put quotes around a name with spaces \(see [^\n]+\)\n",
        capsys.readouterr().err,
    )


@pytest.fixture
def with_packages(tmp_path):
    """Run a program in a Python that has no packages but the project and these, of files by name; return the result."""

    def run(files, program, *arguments):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        told = (
            "import sys; from ms_gan.cli import faults\n"
            f"try:\n    {program}\n"
            "except Exception as error:\n"
            "    text = faults.told(error)\n"
            "    faults.report(error, '--debug' in sys.argv) if text else print(text)"
        )
        return python("-c", told, *arguments, cwd=tmp_path, bare=True, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")

    return run


PACKAGE = "mindspore/__init__.py"


@pytest.mark.parametrize(
    "files, line",
    [
        ({}, "mindspore is not installed; "),
        ({PACKAGE: "import mindspore.x", "mindspore/x.py": "import numpy"}, "numpy is not installed; "),
        (
            {PACKAGE: "import mindspore.x", "mindspore/x.py": "import absent_one"},
            "mindspore cannot be imported (ModuleNotFoundError: No module named 'absent_one'); ",
        ),
        (
            {PACKAGE: "raise ImportError('libGL.so.1: cannot open shared object file')"},
            "mindspore cannot be imported (ImportError: libGL.so.1: cannot open shared object file); ",
        ),
        ({PACKAGE: "raise OSError('no libgomp')"}, "mindspore cannot be imported (OSError: no libgomp); "),
        (
            {PACKAGE: "import other", "other.py": "raise TypeError('Descriptors cannot\\nbe')"},
            "mindspore cannot be imported (TypeError: Descriptors cannot be); ",
        ),
        ({PACKAGE: "import mindspore.x", "mindspore/x.py": "def"}, "mindspore cannot be imported (SyntaxError: "),
    ],
    ids=["missing", "missing to another", "missing part", "library", "of the system", "do not fit", "cut off"],
)
def test_a_missing_or_broken_package_is_named_with_the_command_that_installs_it(with_packages, files, line):
    for debug in ((), ("--debug",)):
        said = with_packages(files, "import mindspore", *debug).stderr.splitlines()
        assert said[-1].startswith(f"error: {line}") and (debug or len(said) == 1)
        command = said[-1].partition(", or use ")[0]  # a clone's own .venv, which this process does not use
        assert command.endswith(f" -m pip install -r {ROOT / 'requirements.txt'}")
        assert said[0].startswith(STACK) == bool(debug)


@pytest.mark.parametrize(
    "text, program",
    [
        ("def use(): raise TypeError('a bug')", "import mindspore; mindspore.use()"),
        ("", "import mindspore.absent"),
        ("", "from mindspore import absent"),
        ("", "import ms_gan.absent"),
    ],
    ids=["used wrongly", "a part of it", "a name of it", "our own"],
)
def test_our_own_mistakes_with_packages_are_not_blamed_on_the_installation(with_packages, text, program):
    assert with_packages({PACKAGE: text}, program).stdout == "None\n"


def test_the_stack_of_a_bug_is_printed_with_status_1():
    program = (
        "import sys; from ms_gan import cli; from ms_gan.cli import recipes\n"
        "def run(options): raise ValueError('a bug')\nrecipes.run = run\nsys.exit(cli.main(['recipes']))"
    )
    done = python("-c", program)
    assert done.returncode == 1 and done.stderr.startswith(STACK) and done.stderr.endswith("ValueError: a bug\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this machine has no /dev/full")
def test_a_full_disk_behind_stdout_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ms_gan", "recipes"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_mistake(unbuffered):
    command, own = [sys.executable, "-m", "ms_gan", "recipes"], environment(PYTHONUNBUFFERED=unbuffered)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 0)
    process.stderr.close()


def test_recipes_that_cannot_be_read_show_their_stacks_with_debug(monkeypatch, capsys):
    monkeypatch.setattr("ms_gan.recipes.names", lambda: ["mlp", "broken"])
    assert cli.main(["recipes"]) == 2
    plain = capsys.readouterr()
    assert plain.out.startswith("mlp") and plain.err.startswith("error: ") and plain.err.count("\n") == 1
    assert cli.main(["recipes", "--debug"]) == 2
    assert capsys.readouterr().err.startswith(STACK)


@pytest.mark.parametrize(
    "said, status, returned, last",
    [
        ("error: wrong\n", 2, 2, "error: wrong"),
        (f"{STACK}:\n  File x\nerror: wrong\n", 2, 2, "error: wrong"),
        (f"{STACK}:\nValueError: a bug\n", 1, 1, "error: the process of device 1 ended with"),
        ("killed\n", -9, 1, "error: the process of device 1 ended with"),
    ],
)
def test_what_another_device_ended_with_is_told(tmp_path, capsys, said, status, returned, last):
    log = tmp_path / "rank_1.log"
    log.write_text(said, encoding="utf-8")
    end = launch.fault_of(1, status, log)
    told = capsys.readouterr().err
    assert (STACK in told) == (STACK in said) and ("ValueError: a bug" in told) == ("a bug" in said)
    assert end.status == returned and end.line.startswith(last)


@pytest.mark.parametrize(
    "arguments", [("--debug", "train", "--device-num", "2"), ("train", "--device-num", "2", "--debug")]
)
def test_debug_goes_on_to_the_processes_of_several_devices(monkeypatch, arguments):
    started = []
    monkeypatch.setattr(launch, "launch", lambda machines, passed: started.append((machines.devices, passed)) or 0)
    assert cli.main([*arguments]) == 0
    assert started == [(2, [*arguments])]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_as_ctrl_c_does_and_clears_away(tmp_path, number, capsys, monkeypatch):
    def draw(_options):
        with new_file(tmp_path / "images.npy") as file:
            file.write(b"some of it")
            os.kill(os.getpid(), number)
            raise AssertionError("it goes on")

    monkeypatch.setattr("ms_gan.cli.recipes.run", draw)
    before = signal.getsignal(number)
    assert cli.main(["recipes"]) == 128 + number and list(tmp_path.iterdir()) == []
    assert f"stopped by {number.name}" in capsys.readouterr().err and signal.getsignal(number) == before
