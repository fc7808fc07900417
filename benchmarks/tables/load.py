"""Table `load`: a step of mlp beside busy processes, and which part of the fair share of the cores it makes use of."""

import os
import statistics
import subprocess
import sys

from benchmarks.processes import Progress, spread, time_steps

TITLE = "A step of `mlp` beside busy processes"
NOTE = """Mean milliseconds of a step: median of the rounds, lowest and highest. A fair share of the cores is one part
for each runnable thread: as many as there are cores for the contender, and one for each busy process. With it a step
takes the quiet time, times the runnable threads, divided by the cores. Reached is that time divided by the measured
one. The first 20 steps are not counted: in ten of them MindSpore tries its threads."""
COLUMNS = ("contender", "busy processes", "quiet, ms", "beside them, ms", "with the fair share, ms", "reached")
CONTENDERS = ("ms_gan", "PyTorch")
WARM_UP = 20  # steps, in some of which MindSpore tries whether one thread or several are faster
BUSY = """import os, sys
while os.getppid() == int(sys.argv[1]):  # it ends with what started it, however that ends
    sum(range(1_000_000))
"""


def beside(count, measured):
    """Return what a function measures beside so many busy processes, which end with it."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(count)]
    try:
        return measured()
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(options):
    """Return the rows of the table, and all that was measured."""
    cores, rounds = len(os.sched_getaffinity(0)), []
    progress = Progress("load", 2 * len(CONTENDERS) * options.rounds)
    for number in range(options.rounds):
        rounds.append({})
        for contender in CONTENDERS:
            progress.step(f"{contender}, quiet, round {number + 1}")
            quiet = time_steps("mlp", contender, options, warm_up=WARM_UP)
            progress.step(f"{contender}, beside {options.busy} busy processes, round {number + 1}")
            loaded = beside(
                options.busy, lambda who=contender: time_steps("mlp", who, options, patience=0, warm_up=WARM_UP)
            )
            fair = quiet["mean_milliseconds"] * (cores + options.busy) / cores
            reached = fair / loaded["mean_milliseconds"]
            rounds[-1][contender] = {"quiet": quiet, "loaded": loaded, "fair_milliseconds": fair, "reached": reached}
    rows = []
    for contender in CONTENDERS:
        of_rounds = [found[contender] for found in rounds]
        quiet, loaded = (
            spread([found[state]["mean_milliseconds"] for found in of_rounds], 1) for state in ("quiet", "loaded")
        )
        fair = statistics.median(found["fair_milliseconds"] for found in of_rounds)
        rows.append(
            [contender, options.busy, quiet, loaded, f"{fair:.1f}", spread([found["reached"] for found in of_rounds])]
        )
    return rows, rounds
