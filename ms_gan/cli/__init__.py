"""What a person types. Importing this imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import os
import select
import signal
import sys
from collections.abc import Mapping
from typing import Any

from ms_gan import __version__
from ms_gan.cli import faults
from ms_gan.runtime import silence

COMMANDS = {
    "train": "train a recipe, or go on with a run",
    "eval": "draw samples of a trained model, and score it",
    "export": "write a bundle that is proved equal to its checkpoint",
    "judge": "train the classifiers by which generated images are scored",
    "check": "hold a bundle against its golden images, in any runtime or on a server",
    "infer": "draw images from an exported bundle alone",
    "serve": "answer requests for images, and show a page",
    "recipes": "list the recipes, or show one as it would run",
    "runs": "list what was trained, with its scores",
    "doctor": "say whether this machine computes what a CPU computes",
    "compare": "say what differs between two runs, and draw both runs' curves",
}


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, as every other error of this program is, and takes whole options only."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)

    def meant(self, typed: str) -> str:
        """Return the option that was probably meant by a wrong one, as a question; "" where that is not clear."""
        near = difflib.get_close_matches(typed.partition("=")[0], self._option_string_actions, n=1)
        return f"; did you mean {near[0]}?" if near else ""

    def error(self, message: str):
        self.exit(2, f"error: {faults.one_line(message)} (see {self.prog} --help)\n")


def _parser() -> tuple[_Parser, Mapping[str, _Parser]]:
    """Return the parser, and that of each command."""
    parser = _Parser(
        prog="python -m ms_gan",
        description="Generative adversarial networks on MindSpore.",
        epilog="exit status: 0 success (serve: stopped cleanly); 2 user error, explained in one line; 129, 130 or 143 "
        "interrupted by a signal (training is saved once it has begun); 1 internal error (check, doctor: something "
        "differs)",
    )
    parser.add_argument("--version", action="version", version=f"ms_gan {__version__}")
    debug: dict[str, Any] = {"action": "store_true", "help": "print the stack of any error (also: MS_GAN_DEBUG=1)"}
    parser.add_argument("--debug", **debug)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        importlib.import_module(f"ms_gan.cli.{name}").add_arguments(command)
        command.add_argument("--debug", default=argparse.SUPPRESS, **debug)  # keeps one before the command's name
    return parser, commands.choices


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status, with any foreseeable mistake as one line on stderr.

    With --debug, or MS_GAN_DEBUG in the environment, the stack comes first. What is not foreseen is raised.
    """
    _open_streams()
    parser, commands = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.prog = f"{parser.prog} {options.command}"  # whose help has the right ones
        wrong = next((each for each in unknown if each.startswith("-")), "")
        meant = commands[options.command].meant(wrong) if wrong else "; put quotes around a name with spaces"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
    options.arguments = sys.argv[1:] if arguments is None else arguments
    options.debug |= os.environ.get("MS_GAN_DEBUG", "").lower() not in ("", "0", "false", "no", "off")
    try:
        faults.refuse_names(options.command, options.arguments)
        with faults.ending(options.command):
            status = importlib.import_module(f"ms_gan.cli.{options.command}").run(options) or 0
        sys.stdout.flush()  # while what it raises can still be told
        return status
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        _flush_output()
        return 0  # whoever read our output has seen enough
    except KeyboardInterrupt as stop:
        number = stop.signal if isinstance(stop, faults.Ended) else signal.SIGINT
        print(f"stopped by {'Ctrl-C' if number == signal.SIGINT else number.name}", file=sys.stderr)
        return 128 + number
    except Exception as error:
        if faults.told(error) is None:
            raise
        with contextlib.suppress(OSError):  # stderr may be what is full
            faults.report(error, options.debug)
        _flush_output()
        return 2


def _open_streams() -> None:
    """Let printing never fail for a character that an encoding lacks, nor for a stream that whoever started us closed.

    Closed ones are opened in the order of their numbers: each takes the lowest that is free, which is its own.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))
        if name != "stdin" and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def _output_is_closed() -> bool:
    """Tell whether stdout is a pipe that nobody reads any more."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):  # it is none of the system's
        return False


def _flush_output() -> None:
    """Print all that waits. Where that fails, let it vanish, and not fail again when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)
