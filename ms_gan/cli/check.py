"""`check`: does a bundle give the right images in this runtime, on this machine, from that server?"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ms_gan.cli import faults
from ms_gan.cli.faults import one_line
from ms_gan.cli.options import add_device
from ms_gan.errors import UserError

if TYPE_CHECKING:
    from ms_gan.delivery.elsewhere import Outcome

RUNTIMES = ("mindspore", "onnxruntime", "openvino", "lite")
ADDRESS = re.compile(r"https?://(\[[0-9a-f:.]+\]|[^\s/:@?#\[\]]+)(:[0-9]{1,5})?(/\S*)?", re.I)


def runtime(text: str) -> str:
    """Return the name of a runtime, or a server's address."""
    address = ADDRESS.fullmatch(text)
    if text not in RUNTIMES and not (address and 0 < int((address[2] or ":80")[1:]) < 65536):
        raise argparse.ArgumentTypeError(f"must be {', '.join(RUNTIMES)} or http://HOST:PORT, not {text!r}")
    return text


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.epilog = "exit status: 0 where all images are right, 1 where some differ by more than is allowed"
    command.add_argument("bundle", metavar="BUNDLE", help="a folder that `export` wrote")
    command.add_argument(
        "--with",
        dest="runtimes",
        type=runtime,
        action="append",
        metavar="RUNTIME",
        help=f"{', '.join(RUNTIMES)}, or the address of a server of the Open Inference Protocol V2, such as "
        "http://127.0.0.1:8080; can be repeated (default: each that is installed here, and has its file)",
    )
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Compare, and say how far each is off; return the exit status."""
    from ms_gan.delivery.contract import read_contract
    from ms_gan.delivery.elsewhere import RUNTIMES as KNOWN
    from ms_gan.delivery.elsewhere import outcomes
    from ms_gan.delivery.golden import read_golden

    folder = Path(options.bundle)
    contract = read_contract(folder)
    models = contract.models.values()
    read_golden(folder, contract)  # what can be refused at once is
    chosen = []
    for name in options.runtimes or RUNTIMES:
        left_out = ""
        if not options.runtimes and not all(KNOWN[name].file_format in model.files for model in models):
            left_out = f"the bundle holds no {KNOWN[name].file_format}"
        elif not options.runtimes and not KNOWN[name].installed:
            left_out = f"not installed here; {KNOWN[name].how_to_install}"
        if left_out:
            print(f"{name}: {left_out}")
        else:
            chosen.append(name)
    if not chosen:
        raise UserError(
            f"{folder}: nothing that is installed here runs it", "name what is to, or a server, with --with"
        )
    if "mindspore" in chosen:  # it comes first: it needs the device before anything of it runs
        from ms_gan import runtime as machine

        machine.set_up(options.device_target, options.device_id)
    wrong, failed = 0, None
    for name in chosen:
        try:
            for outcome in outcomes(folder, name):
                print(_told(outcome))
                wrong += not outcome.right
        except UserError as error:  # the others are tried all the same
            if len(chosen) == 1:
                raise
            print(f"{name}: {faults.told(error)}")
            failed = error
    if wrong:
        print(one_line(f"error: {folder} gives other images there than it should"), file=sys.stderr)
        return 1
    if failed is not None:
        raise failed
    return 0


def _told(outcome: Outcome) -> str:
    verdict = "right" if outcome.right else "wrong"
    more = f"; {outcome.advice}" if outcome.advice else ""
    differs = f"differs by {outcome.difference:.2g}, {outcome.tolerance:g} is allowed"
    return f"{verdict}: {outcome.model} in {outcome.runtime}: {differs}{more}"
