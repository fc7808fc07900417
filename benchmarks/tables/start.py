"""Table `start`: how long commands take to their first step, or to their end, and their peak memory."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import ROOT, Progress, as_the_scripts_do, spread

TITLE = "Starting"
NOTE = """Seconds from the command to the line about its first step, or to its end, and the peak memory of its process:
median of the rounds, lowest and highest. Each is a command of its own, as the scripts start it. The project's kernels,
and drawn data, are in the cache, unless this was the first command to want them."""
COLUMNS = ("recipe", "command", "seconds", "peak MB")
LONGER = 100  # steps, for the peak memory of a training
FIRST_STEP = " steps/s"  # what a line about steps has


def timed(command, until=None):
    """Return the seconds to a command's first line with `until`, or to its end, and its peak memory in MB."""
    command = as_the_scripts_do(["-m", "ms_gan", *command])
    started, seconds, said = time.monotonic(), None, []
    with open(os.devnull) as nothing:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=nothing, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    try:
        for line in process.stdout:
            said.append(line)
            if until and until in line and seconds is None:
                seconds = time.monotonic() - started
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or (until and seconds is None):
        sys.exit(f"error: {' '.join(map(str, command[4:]))} failed:\n{''.join(said[-30:])}")
    return {"seconds": seconds or time.monotonic() - started, "peak_megabytes": used.ru_maxrss / 1024}


def commands(recipe, folder, data):
    """Return the commands of a round, which follow each other, by what they are called, each with its arguments."""
    run = str(Path(folder) / recipe / "1")
    train = ["train", "--recipe", recipe, *data, "--output-dir", folder]
    return {
        "train, to the first step": ([*train, "--steps", "1"], FIRST_STEP),
        "train --resume, to its first step": (["train", "--resume", run, "--steps", "2"], FIRST_STEP),
        "eval": (["eval", run], None),
        "export": (["export", run], None),
        "export --format mindir": (["export", run, "--format", "mindir", "--overwrite"], None),
        f"train --steps {LONGER}, to its end": ([*train, "--steps", str(LONGER)], None),
    }


def measure(options):
    """Return the rows of the table, and all that was measured."""
    data = ["--data-path", str(Path(options.data_path).resolve())] if options.data_path else ["--dataset", "digits"]
    recipes, measured, rows = ("mlp",) if options.quick else ("mlp", "acgan"), {}, []
    progress = Progress("start", options.rounds * sum(len(commands(recipe, "", ())) for recipe in recipes))
    for recipe in recipes:
        found = measured[recipe] = {name: [] for name in commands(recipe, "", ())}
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                for name, (command, until) in commands(recipe, folder, data).items():
                    progress.step(f"{recipe}: {name}, round {number + 1}")
                    found[name].append(timed(command, until))
        for name, times in found.items():
            columns = [[each[key] for each in times] for key in ("seconds", "peak_megabytes")]
            rows.append([recipe, name, spread(columns[0], 1), spread(columns[1], 0)])
    return rows, measured
