"""One line and status 2 for what was foreseen; the stack and status 1 for the rest; with --debug every stack."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers.commands import ROOT, environment

from ms_gan import cli
from ms_gan.cli import launch
from ms_gan.errors import UserError

STACK = "Traceback (most recent call last)"


def of(number, *named):
    return OSError(number, os.strerror(number), *named)


FORESEEN = {  # error: what the line says
    "user error": (UserError("a thing is wrong; mend it"), "a thing is wrong; mend it"),
    "user error of several lines": (
        UserError("a thing\nis wrong;\r\n\n  mend it\u2028now"),
        "a thing is wrong; mend it now",
    ),
    "memory": (MemoryError(), "not enough memory for that; ask for less"),
    "no space": (of(errno.ENOSPC, "/data/x"), "/data/x: No space left on device"),
    "no space, in a file that is open": (of(errno.ENOSPC), "No space left on device"),
    "quota": (of(errno.EDQUOT), os.strerror(errno.EDQUOT)),
    "input and output": (of(errno.EIO, b"/data/x"), f"/data/x: {os.strerror(errno.EIO)}"),
    "too many files": (of(errno.EMFILE, Path("/data/x")), "/data/x: Too many open files"),
    "too many files of all": (of(errno.ENFILE), os.strerror(errno.ENFILE)),
    "permission": (of(errno.EACCES, "/data/x"), "/data/x: Permission denied"),
    "not permitted": (of(errno.EPERM, "/data/x"), "/data/x: Operation not permitted"),
    "read-only": (of(errno.EROFS, "/data/x"), "/data/x: Read-only file system"),
    "too long": (of(errno.ENAMETOOLONG, "x" * 300), f"{'x' * 300}: File name too long"),
    "went away": (of(errno.ENOENT, "runs/x"), "runs/x: No such file or directory"),
    "stale": (of(errno.ESTALE, "/net/x"), f"/net/x: {os.strerror(errno.ESTALE)}"),
    "not a folder": (of(errno.ENOTDIR, "/data/x"), "/data/x: Not a directory"),
    "a folder": (of(errno.EISDIR, "/data/x"), "/data/x: Is a directory"),
    "loop of links": (of(errno.ELOOP, "/data/x"), f"/data/x: {os.strerror(errno.ELOOP)}"),
    "several lines": (OSError(errno.EACCES, "denied\nby somebody", "/data/x"), "/data/x: denied by somebody"),
}
UNFORESEEN = {
    "own": ValueError("a bug"),
    "assertion": AssertionError(),
    "type": TypeError("x"),
    "key": KeyError("x"),
    "without number": OSError("a bug"),
    "without a name": of(errno.ENOENT),
    "denied what": of(errno.EACCES),
    "by number": of(errno.EACCES, 7),
    "bad descriptor": of(errno.EBADF, "/data/x"),
    "invalid": of(errno.EINVAL, "/data/x"),
    "of the package": of(errno.ENOENT, str(ROOT / "ms_gan" / "delivery" / "absent.html")),
    "of an installed package": of(errno.EACCES, os.path.join(sysconfig.get_paths()["purelib"], "numpy", "x.py")),
    "of Python": of(errno.ENOENT, os.path.join(sysconfig.get_paths()["stdlib"], "absent.py")),
    "own module": ModuleNotFoundError("No module named 'ms_gan.absent'", name="ms_gan.absent"),
    "nobody's module": ModuleNotFoundError("No module named 'absent'", name="absent"),
    "part of a package": ModuleNotFoundError("No module named 'numpy.absent'", name="numpy.absent"),
    "nameless module": ModuleNotFoundError("No module"),
    "standard module": ModuleNotFoundError("x", name="lzma"),
    "name of a package": ImportError("cannot import name 'x' from 'numpy'", name="numpy"),
    "unencodable": UnicodeEncodeError("latin-1", "–", 0, 1, "ordinal not in range(256)"),
    "a lone half": UnicodeEncodeError("utf-8", "\ud83c", 0, 1, "surrogates not allowed"),
}


@pytest.fixture
def failing(monkeypatch, capsys):
    """Run a command that raises an error; return its status, or what it raised, and what is on stderr."""

    def run(error, *arguments):
        def raising(_options):
            raise error

        monkeypatch.setattr("ms_gan.cli.recipes.run", raising)
        try:
            status = cli.main([*arguments] or ["recipes"])
        except Exception as raised:
            status = raised
        return status, capsys.readouterr().err

    return run


@pytest.mark.parametrize("error, line", FORESEEN.values(), ids=FORESEEN)
def test_what_was_foreseen_is_one_line_and_status_2(failing, error, line):
    assert failing(error) == (2, f"error: {line}\n")


@pytest.mark.parametrize("error", UNFORESEEN.values(), ids=UNFORESEEN)
def test_what_was_not_foreseen_keeps_its_stack(failing, error):
    status, said = failing(error)
    assert status is error and said == "", "raised: Python prints the stack, and its status is 1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--debug", "recipes"),
        ("recipes", "--debug"),
        ("--debug", "recipes", "mlp"),
        ("recipes", "mlp", "--debug"),
        ("--debug", "recipes", "--debug"),
    ],
)
@pytest.mark.parametrize("error, line", FORESEEN.values(), ids=FORESEEN)
def test_debug_shows_the_stack_of_what_was_foreseen(failing, error, line, arguments):
    status, said = failing(error, *arguments)
    assert status == 2 and said.startswith(STACK) and "in raising" in said
    assert said.endswith(f"\nerror: {line}\n")


@pytest.mark.parametrize("value, shown", [("1", True), ("yes", True), ("", False), ("0", False)])
def test_debug_can_be_said_in_the_environment(failing, monkeypatch, value, shown):
    monkeypatch.setenv("MS_GAN_DEBUG", value)
    status, said = failing(UserError("wrong"))
    assert status == 2 and said.startswith(STACK) == shown and said.endswith("error: wrong\n")


def test_every_command_takes_debug_before_and_behind_its_name():
    needed = {
        "judge": ["--output-dir", "x"],
        "infer": ["x", "--num", "1", "--output", "x.png"],
        "serve": ["x"],
        "compare": ["x", "y"],
    }
    for command in cli.COMMANDS:
        arguments = [command, *needed.get(command, ())]
        assert not cli._parser().parse_args(arguments).debug
        assert cli._parser().parse_args(["--debug", *arguments]).debug
        assert cli._parser().parse_args([*arguments, "--debug"]).debug


def test_debug_does_not_change_how_ctrl_c_ends(failing):
    assert failing(KeyboardInterrupt(), "recipes", "--debug") == (130, "stopped by Ctrl-C\n")


def test_debug_does_not_change_what_ends_well(capsys):
    assert cli.main(["recipes", "--debug"]) == 0 and capsys.readouterr().err == ""


def test_mistakes_of_typing_are_one_line_too(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["recipes", "mlp", "two\nlines"])
    assert ended.value.code == 2
    assert re.fullmatch(r"error: unrecognized arguments: two lines \(see [^\n]+\)\n", capsys.readouterr().err)


def module(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def python(place, program, *arguments):
    """Run a program in a process that has no packages but those in a folder, and the project."""
    return subprocess.run(
        [sys.executable, "-S", "-c", program, *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=os.pathsep.join([str(place / "packages"), str(ROOT)])),
    )


BROKEN = {  # files of made-up packages: what the line says
    "missing": ({}, "mindspore is not installed; "),
    "needs what is missing": (
        {"mindspore/__init__.py": "import mindspore.x", "mindspore/x.py": "import absent_one"},
        "absent_one, which mindspore needs, is not installed; ",
    ),
    "needs a part of what is missing": (
        {"mindspore/__init__.py": "import google.protobuf", "google/other/x.py": ""},
        "google.protobuf, which mindspore needs, is not installed; ",
    ),
    "library missing": (
        {"mindspore/__init__.py": "raise ImportError('libGL.so.1: cannot open shared object file')"},
        "mindspore cannot be imported (ImportError: libGL.so.1: cannot open shared object file); ",
    ),
    "others do not fit": (
        {"mindspore/__init__.py": "import other", "other.py": "raise TypeError('Descriptors cannot\\nbe')"},
        "mindspore cannot be imported (TypeError: Descriptors cannot be); ",
    ),
    "of another version": (
        {"mindspore/__init__.py": "from other import name", "other.py": ""},
        "mindspore cannot be imported (ImportError: cannot import name 'name' from 'other' (",
    ),
    "cut off": (
        {"mindspore/__init__.py": "import mindspore.x", "mindspore/x.py": "def"},
        "mindspore cannot be imported (SyntaxError: ",
    ),
}


@pytest.mark.parametrize("files, line", BROKEN.values(), ids=BROKEN)
def test_a_missing_or_broken_package_is_named_with_the_command_that_installs_it(tmp_path, files, line):
    for name, text in files.items():
        module(tmp_path / "packages" / name, text)
    program = (
        "import sys; from ms_gan.cli import faults\ntry:\n    import mindspore\nexcept Exception as error:\n"
        "    faults.report(error, str(faults.told(error)), '--debug' in sys.argv)"
    )
    for debug in ((), ("--debug",)):
        said = python(tmp_path, program, *debug).stderr.splitlines()
        assert said[-1].startswith(f"error: {line}") and (debug or len(said) == 1)
        command = said[-1].partition(", or use ")[0]  # a clone's own .venv, which this process does not use
        assert command.endswith(f" -m pip install -r {ROOT / 'requirements.txt'}")
        assert said[0].startswith(STACK) == bool(debug)


@pytest.mark.parametrize(
    "files",
    [
        {
            "mindspore/__init__.py": "def use(): raise TypeError('a bug')",
            "program": "import mindspore; mindspore.use()",
        },
        {"mindspore/__init__.py": "", "program": "import mindspore.absent"},
        {"mindspore/__init__.py": "", "program": "from mindspore import absent"},
        {"mindspore/__init__.py": "import lzma_absent", "program": "import ms_gan.absent"},
        {"mindspore/__init__.py": "import ms_gan.absent", "program": "import mindspore"},
    ],
    ids=["used wrongly", "a part of it", "a name of it", "our own", "our own, by a package"],
)
def test_our_own_mistakes_with_packages_are_not_blamed_on_the_installation(tmp_path, files):
    module(tmp_path / "packages" / "mindspore" / "__init__.py", files["mindspore/__init__.py"])
    program = (
        "from ms_gan.cli import faults\ntry:\n    "
        + files["program"]
        + "\nexcept Exception as error:\n    print(faults.told(error))"
    )
    assert python(tmp_path, program).stdout == "None\n"


def test_the_stack_of_a_bug_is_printed_with_status_1():
    program = (
        "import sys; from ms_gan import cli; from ms_gan.cli import recipes\n"
        "def run(options): raise ValueError('a bug')\nrecipes.run = run\nsys.exit(cli.main(['recipes']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert done.returncode == 1 and done.stderr.startswith(STACK) and done.stderr.endswith("ValueError: a bug\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this machine has no /dev/full")
def test_a_full_disk_behind_stdout_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ms_gan", "recipes"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_a_reader_that_has_seen_enough_is_no_mistake():
    process = subprocess.Popen(
        [sys.executable, "-m", "ms_gan", "recipes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
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


class Worker:
    """A process that has ended, or waits."""

    def __init__(self, status=None):
        self.returncode = status

    def poll(self):
        return self.returncode

    def wait(self, seconds):
        raise subprocess.TimeoutExpired("worker", seconds)


@pytest.mark.parametrize(
    "said, status, returned, stack",
    [
        ("error: wrong\n", 2, 2, False),
        (f"{STACK}:\n  File x\nerror: wrong\n", 2, 2, True),
        (f"{STACK}:\nValueError: a bug\n", 1, 1, True),
        ("killed\n", -9, 1, False),
    ],
)
def test_what_another_device_ended_with_is_told(tmp_path, capsys, said, status, returned, stack):
    with open(tmp_path / "said", "w+", encoding="utf-8") as file:
        file.write(said)
        file.flush()
        assert launch._wait([Worker(), Worker(status)], file) == returned
    told = capsys.readouterr().err
    assert (STACK in told) == stack and (status != 1 or "ValueError: a bug" in told)
    last = "error: wrong" if status == 2 else "error: the process of device 1 ended with"
    assert told.splitlines()[-1].startswith(last)


@pytest.mark.parametrize(
    "arguments", [("--debug", "train", "--device-num", "2"), ("train", "--device-num", "2", "--debug")]
)
def test_debug_goes_on_to_the_processes_of_several_devices(monkeypatch, arguments):
    started = []
    monkeypatch.setattr(launch, "launch", lambda devices, passed: started.append((devices, passed)) or 0)
    assert cli.main([*arguments]) == 0
    assert started == [(2, [*arguments])]


@pytest.mark.parametrize("value, shown", [("1", True), ("yes", True), ("0", False), ("false", False), ("", False)])
def test_the_environment_turns_debugging_on_and_off(monkeypatch, capsys, value, shown):
    monkeypatch.setenv("MS_GAN_DEBUG", value)
    assert cli.main(["recipes", "nothing"]) == 2
    assert (STACK in capsys.readouterr().err) == shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_as_ctrl_c_does_and_clears_away(tmp_path, number, capsys, monkeypatch):
    from ms_gan.files import new_file

    def draw(_options):
        with new_file(tmp_path / "images.npy") as file:
            file.write(b"some of it")
            os.kill(os.getpid(), number)
            raise AssertionError("it goes on")

    monkeypatch.setattr("ms_gan.cli.recipes.run", draw)
    before = signal.getsignal(number)
    assert cli.main(["recipes"]) == 128 + number and list(tmp_path.iterdir()) == []
    assert f"stopped by {number.name}" in capsys.readouterr().err and signal.getsignal(number) == before


def test_a_broken_pipe_that_is_not_stdouts_is_a_bug(monkeypatch):
    def fail(_options):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("ms_gan.cli.recipes.run", fail)
    with pytest.raises(BrokenPipeError):
        cli.main(["recipes"])
