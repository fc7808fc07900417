"""`doctor`: does this machine compute what a CPU computes, twice the same, and export it?"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from ms_gan.cli.options import add_device
from ms_gan.errors import Setting, UserError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.epilog = "exit status: 0 where nothing is wrong, else 1. Nothing in the report tells whose machine it is."
    command.add_argument("--output", metavar="FILE", help="write the report into this file, too")
    command.add_argument("--overwrite", action="store_true", help="replace the file, if there is one")
    command.add_argument("--write-golden", metavar="FILE", help="write what the updates give here, and do nothing else")
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Look at the machine, line by line; return the exit status."""
    from ms_gan import runtime
    from ms_gan.files import write_file

    file = Path(options.output) if options.output else None
    if file is not None and file.exists() and not options.overwrite:
        raise UserError(f"{file} exists", "give another --output, or ", Setting("overwrite"))
    device = runtime.set_up(options.device_target or "auto", options.device_id or 0)
    if options.write_golden:
        from ms_gan.doctor import trials

        trials.write_golden(Path(options.write_golden), device)
        return 0
    lines: list[str] = []
    wrong = 0
    for verdict, line in _report(device):
        wrong += verdict == "wrong"
        lines.append(f"{verdict:5}  {line}")
        print(lines[-1], flush=True)
    lines.append("nothing is wrong" if not wrong else f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong")
    print(lines[-1])
    if file is not None:
        write_file(file, "\n".join([*lines, ""]).encode())
        print(f"the report is in {file}")
    return 1 if wrong else 0


def _report(device) -> Iterator[tuple[str, str]]:
    """Give the report: a verdict, "ok", "note", "wrong" or none, and a line."""
    from ms_gan.doctor import machine

    start = time.monotonic()
    yield "", f"device: {device}"
    for name, value in machine.software():
        yield "", f"{name}: {value}"
    if device.target == "Ascend":
        for name, value in machine.ascend():
            yield "", f"{name}: {value}"
    from ms_gan.doctor import trials

    for finding in trials.families(device):
        yield finding.verdict, finding.line
    for finding in (trials.export(device), trials.speed(device)):
        yield finding.verdict, finding.line
    yield "", f"it took {time.monotonic() - start:.0f} seconds"
