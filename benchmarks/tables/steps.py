"""Table `steps`: a training step of each recipe against the same in PyTorch, in turns."""

import statistics

from benchmarks.contender import contenders_of
from benchmarks.processes import Progress, spread, time_steps

TITLE = "A training step"
NOTE = """Milliseconds of a step and peak memory, medians of the rounds. What ms_gan takes of a contender's is a ratio
within a round: its median, lowest and highest; below 1, ms_gan is ahead. A step is all that training takes: batch,
noise, updates, scalars read. Other work is the largest part of the cores that anything else had meanwhile, in any
round: above a few percent, measure again. All contenders have the environment of the project's scripts: huge pages."""
COLUMNS = (
    *("recipe", "contender", "ms a step", "ms_gan takes of its time"),
    *("peak MB", "ms_gan takes of its memory", "other work"),
)


def measure(options):
    """Return the rows of the table, and all that was measured."""
    plan = [(recipe, contenders_of(recipe, options.quick)) for recipe in options.recipes]
    progress = Progress("steps", options.rounds * sum(len(contenders) for _, contenders in plan))
    rows, measured = [], {}
    for recipe, contenders in plan:
        rounds = measured[recipe] = []
        for number in range(options.rounds):
            rounds.append({})
            for contender in contenders:
                progress.step(f"{recipe}: {contender}, round {number + 1}")
                rounds[-1][contender] = time_steps(recipe, contender, options)
        rows += rows_of(recipe, contenders, rounds)
    return rows, measured


def rows_of(recipe, contenders, rounds):
    rows = []
    for contender in contenders:
        row = [recipe, contender]
        for key, digits in (("milliseconds", 1), ("peak_megabytes", 0)):
            row.append(f"{statistics.median(found[contender][key] for found in rounds):.{digits}f}")
            ratios = [found["ms_gan"][key] / found[contender][key] for found in rounds]
            row.append("" if contender == "ms_gan" else spread(ratios))
        rows.append([*row, f"{100 * max(found[contender]['others'] for found in rounds):.0f}%"])
    return rows
