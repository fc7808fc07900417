"""`doctor`: does this machine compute what a CPU computes, twice the same, and export it?"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from ms_gan.cli.options import add_device
from ms_gan.errors import UserError
from ms_gan.files import require_free


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.epilog = (
        "exit status: 0 where nothing is wrong, else 1. The report leaves out paths, addresses, names and other "
        "processes, as far as they can be recognised: read it before you send it."
    )
    command.add_argument("--output", metavar="FILE", help="write the report into this file, too, line by line")
    command.add_argument("--overwrite", action="store_true", help="replace the file, if there is one")
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Look at the machine, line by line; return the exit status."""
    file = Path(options.output) if options.output else None
    if file is not None:
        require_free(file, options.overwrite)
    wrong = 0
    with contextlib.ExitStack() as open_files:
        report = open_files.enter_context(file.open("w", encoding="utf-8")) if file is not None else None

        def say(line: str) -> None:
            print(line, flush=True)
            if report is not None:
                print(line, file=report, flush=True)  # at once: what comes next may bring this process down

        for verdict, line in look(options.device_target or "auto", options.device_id or 0):
            wrong += verdict == "wrong"
            say(f"{verdict:5}  {line}")
        say("nothing is wrong" if not wrong else f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong")
    if file is not None:
        print(f"the report is in {file}")
    return 1 if wrong else 0


def look(target: str, device_id: int) -> Iterator[tuple[str, str]]:
    """Give the report: a verdict, "ok", "note", "wrong" or none, and a line. It goes on after what fails."""
    from ms_gan import runtime
    from ms_gan.doctor import machine

    start = time.monotonic()
    for name, value in machine.software():
        yield "", f"{name}: {value}"
    if machine.has_ascend():
        for name, value in machine.ascend():
            yield "", f"{name}: {value}"
    try:
        runtime.import_mindspore()
        yield "", "devices: " + ", ".join(f"{count} × {kind}" for kind, count in runtime.devices().items())
        device = runtime.set_up(target, device_id)
    except ModuleNotFoundError:
        raise  # the command line says how to install it
    except UserError as error:
        yield "wrong", machine.without_names(error.problem)
        return
    except Exception as error:  # such as a library of CANN's that is not found, or a device that is busy
        yield "wrong", f"MindSpore: {machine.told(error)}"
        return
    yield "", f"device: {device}"
    if machine.has_ascend() and device.target != "Ascend":
        yield "note", "something of Ascend's is installed here, but the device is none: look at the lines above"
    from ms_gan.doctor import trials

    for finding in trials.families(device):
        yield finding.verdict, finding.line
    for called, tried in (("export", trials.export), ("speed", trials.speed)):
        try:
            finding = tried(device)
        except Exception as error:  # whatever it is, the rest is still of interest
            finding = trials.failed(called, error)
        yield finding.verdict, finding.line
    yield "", f"it took {time.monotonic() - start:.0f} seconds"
