"""What a person types. Importing this imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import List, Optional

from ms_gan import __version__
from ms_gan.errors import UserError

COMMANDS = {
    "train": "train a recipe, or go on with a run",
    "eval": "draw samples of a trained generator, and score it",
    "export": "write a bundle that is proved equal to its checkpoint",
    "judge": "train the classifiers by which generated images are scored",
    "infer": "draw images from an exported bundle alone",
    "serve": "answer requests for images, and show a page",
    "recipes": "list the recipes, or show one as it would run",
}


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, as every other error of this program is."""

    def error(self, message: str):
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m ms_gan", description="Generative adversarial networks on MindSpore.",
                     epilog="exit status: 0 success, which for serve is to have been stopped; 2 something you can "
                            "mend, said in one line; 130 or 143 stopped by Ctrl-C or a signal, training saved once it "
                            "has begun; 1 anything else")
    parser.add_argument("--version", action="version", version=f"ms_gan {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        importlib.import_module(f"ms_gan.cli.{name}").add_arguments(command)
    return parser


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; return the exit status, with any foreseeable mistake as one line on stderr."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return importlib.import_module(f"ms_gan.cli.{options.command}").run(options) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written, a file that went away
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"error: {error}; install requirements.txt", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: not enough memory for that; ask for less", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
