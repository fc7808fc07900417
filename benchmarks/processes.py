"""Contenders in processes of their own, in turns; how far a command is; the machine that it runs on."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks.contender import busy_seconds

ROOT = Path(__file__).resolve().parent.parent
QUIET = 0.05  # of the cores: what others may use of them meanwhile


class Progress:
    """Says on standard error how much is done of what is to be done, and how long the rest will take."""

    def __init__(self, table, total):
        self.table, self.total, self.done, self.started = table, total, 0, time.monotonic()

    def step(self, what):
        """Say that another part begins."""
        told = f"{self.table}: {self.done + 1} of {self.total}, {what}"
        if self.done:
            left = (time.monotonic() - self.started) / self.done * (self.total - self.done)
            told += f"; {left / 60:.0f} minutes left" if left >= 90 else f"; {left:.0f} seconds left"
        print(told, file=sys.stderr, flush=True)
        self.done += 1


def as_the_scripts_do(command):
    """Return the command that runs a Python command in the scripts' environment."""
    return ["bash", "-c", 'source "$0" && exec "$@"', ROOT / "scripts" / "environment.sh", sys.executable, *command]


def run(command):
    """Run a Python command as the scripts do; return what it printed. A failure ends all, with what it said."""
    done = subprocess.run(as_the_scripts_do(command), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = "".join(done.stderr.splitlines()[-1:])
        whole = f"error: {' '.join([sys.executable, *command])} failed:\n{done.stderr[-3000:]}"
        sys.exit(last if last.startswith("error: ") else whole)
    return done.stdout


def wait_for_quiet(deadline):
    """Wait until nobody uses the cores for a second, but no longer than to a moment of the monotonic clock."""
    while time.monotonic() < deadline:
        before = busy_seconds()
        time.sleep(1)
        if busy_seconds() - before < QUIET * os.cpu_count():
            return


def time_steps(recipe, contender, options, images=0, patience=None, warm_up=0, **changes):
    """Return what `benchmarks.contender` reports of one contender, with changed settings of the recipe.

    With patience, in seconds, it begins when the machine is quiet, and again where other work came between; the time
    with the least of that counts.
    """
    command = ["-m", "benchmarks.contender", recipe, contender, "--seconds", str(options.seconds)]
    command += ["--images", str(images), "--set", json.dumps(changes)]
    command += ["--warm-up", str(warm_up)] if warm_up else []
    command += ["--data-path", str(Path(options.data_path).resolve())] if options.data_path else []
    deadline = time.monotonic() + (options.patience if patience is None else patience)
    reports = []
    while True:
        wait_for_quiet(deadline)
        reports.append(json.loads(run(command).splitlines()[-1]))
        if reports[-1]["others"] < QUIET or time.monotonic() >= deadline:
            return min(reports, key=lambda report: report["others"])


def spread(values, digits=2):
    """Return the median, the lowest and the highest, as text."""
    middle, low, high = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def machine():
    """Return what the numbers depend on, by name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    flags = about.get("flags", about.get("Features", "")).split()
    widest = [name for name in ("avx512f", "avx2", "avx", "asimd") if name in flags]
    found = {
        "processor": about.get("model name", platform.processor() or "unknown"),
        "model": " ".join(about.get(key, "") for key in ("vendor_id", "cpu family", "model")).strip(),
        "cores": str(len(os.sched_getaffinity(0))),
        "instructions": f"{platform.machine()} {widest[0] if widest else ''}".strip(),
        "system": platform.platform(),
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }
    for package in ("mindspore", "torch", "onnxruntime", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
