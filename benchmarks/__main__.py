"""Measure how fast ms_gan is, against PyTorch, onnxruntime and the machine's limit.

    python -m benchmarks [TABLE…] [--quick] [--data-path DIR] [--output FOLDER]
    python -m benchmarks check [RECIPE…]

Tables: steps, load, inference, start, growth, limit; all of them, where none is named. Each is printed, and written to
FOLDER as Markdown and as JSON, with all that was measured and the machine. `check` compares the PyTorch programs'
numbers with ms_gan's. It needs what requirements-bench.txt lists.

    python -m benchmarks few-images [--help]

measures no speed, but how good a GAN becomes with few images; it needs no more than the package.

    python -m benchmarks clients [--help]

serves a bundle to thousands of clients at once; it needs what requirements-serve.txt lists.
"""

import argparse
import importlib
import json
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks import processes
from ms_gan import signals

RECIPES = ("mlp", "rpgan", "acgan", "dcgan", "cvae_early", "cvae_gan")
TABLES = ("steps", "load", "inference", "start", "growth", "limit")


def markdown(table, rows, machine, seconds):
    """Return a table with the machine below, as Markdown."""
    lines = [f"## {table.TITLE}", "", " ".join(table.NOTE.split()), ""]
    for row in (table.COLUMNS, ["---"] * len(table.COLUMNS), *rows):
        lines.append(f"| {' | '.join(map(str, row))} |")
    about = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join([*lines, "", f"Machine: {about}. Measured in {seconds / 60:.0f} minutes.", ""])


def parsed():
    """Return the options, the recipes that are meant, and whether numbers are to be checked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)}, or check")
    parser.add_argument("--recipes", nargs="+", help="of `steps` (default: all six)")
    parser.add_argument("--rounds", type=int, help="in which contenders take turns (default: 5; of --quick 1)")
    parser.add_argument("--seconds", type=float, help="that each is timed in a round (default: 5; of --quick 1)")
    parser.add_argument("--busy", type=int, default=4, help="busy processes of `load` (default: 4)")
    patience = "seconds to wait at most, each time, until nothing else uses the cores (default: 0)"
    parser.add_argument("--patience", type=float, default=0.0, help=patience)
    parser.add_argument("--data-path", type=Path, help="folder with MNIST (default: drawn digits)")
    parser.add_argument("--output", type=Path, default=processes.ROOT / "benchmarks" / "results")
    parser.add_argument("--overwrite", action="store_true", help="replace tables that are in FOLDER")
    parser.add_argument("--quick", action="store_true", help="all of it small, in a few minutes")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 5.0)
    absent = [package for package in ("mindspore", "torch", "onnxruntime") if find_spec(package) is None]
    if absent:
        installed = f"{sys.executable} -m pip install -r requirements-bench.txt"
        parser.error(f"{' and '.join(absent)} cannot be imported; install: {installed}")
    if options.data_path and not options.data_path.is_dir():
        parser.error(f"--data-path {options.data_path}: no such folder")
    checks = options.tables[:1] == ["check"]
    there = [name for name in options.tables or TABLES if (options.output / f"{name}.json").exists()]
    if there and not checks and not options.overwrite:
        parser.error(f"{options.output}: holds {there[0]}.json; add --overwrite, or name another folder with --output")
    recipes = options.tables[1:] if checks else options.recipes or []
    for what, given, known in (("recipe", recipes, RECIPES), ("table", () if checks else options.tables, TABLES)):
        for name in set(given).difference(known):
            parser.error(f"there is no {what} {name!r} here; take some of {', '.join(known)}")
    return options, recipes or RECIPES, checks


def main():
    """Do what is asked; what a signal ends leaves no process and no temporary file."""
    with signals.handled(signal.default_int_handler, (signal.SIGTERM, signal.SIGHUP)):
        _main()


def _main():
    if sys.argv[1:2] == ["clients"]:
        from benchmarks import clients

        clients.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["few-images"]:
        from benchmarks import few_images

        few_images.main(sys.argv[2:])
        return
    options, recipes, checks = parsed()
    if checks:
        from benchmarks.check import check

        sys.exit(0 if check(recipes) else 1)
    options.recipes = recipes
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.tables or TABLES:
        table = importlib.import_module(f"benchmarks.tables.{name}")
        started, machine = time.monotonic(), processes.machine()
        rows, measured = table.measure(options)
        text = markdown(table, rows, machine, time.monotonic() - started)
        print(text, flush=True)
        (options.output / f"{name}.md").write_text(text)
        kept = {"machine": machine, "columns": table.COLUMNS, "rows": rows, "measured": measured}
        (options.output / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
