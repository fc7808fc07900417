"""Table `growth`: how a step's cost grows with batch, width, size and number of images."""

import statistics

import ms_gan
from benchmarks.processes import Progress, spread, time_steps

TITLE = "How the cost grows"
NOTE = """Milliseconds of a step, medians of the rounds, and what ms_gan takes of PyTorch's time within a round: median,
lowest and highest. One thing is changed at a time: of the recipe, but for images of other sizes, which are enlarged,
the first 2,000, and in batches of 32."""
COLUMNS = ("recipe", "what", "value", "ms_gan, ms", "PyTorch, ms", "ms_gan takes of PyTorch's time")
CONTENDERS = ("ms_gan", "PyTorch")
MOST_ROUNDS, IN_QUICK = 3, 4  # of --quick every fourth case


def cases():
    """Return recipe, what changes, its value, the number of images and the changed settings, one after the other."""
    for recipe, sizes in (("mlp", (16, 32, 64, 128, 256, 512)), ("acgan", (16, 32, 64, 128))):
        for size in sizes:
            yield recipe, "batch", size, 0, {"schedule.batch_size": size}
    widths = {f"{name}.widths": settings.widths for name, settings in ms_gan.recipe("mlp").networks.items()}
    for factor in (0.5, 1, 2):
        changed = {name: [int(width * factor) for width in each] for name, each in widths.items()}
        yield "mlp", "width", f"{factor:g} times", 0, changed
    for recipe in ("mlp", "acgan"):
        for size in (28, 56):
            yield recipe, "image size", size, 2000, {"data.size": size, "schedule.batch_size": 32}
    for count in (1000, 10_000, 60_000):
        yield "mlp", "images", f"{count:,}", count, {}


def measure(options):
    """Return the rows of the table, and all that was measured."""
    plan, rows, measured = list(cases())[:: IN_QUICK if options.quick else 1], [], []
    count = min(options.rounds, MOST_ROUNDS)
    progress = Progress("growth", len(plan) * len(CONTENDERS) * count)
    for recipe, what, value, images, changes in plan:
        rounds = []
        for number in range(count):
            rounds.append({})
            for contender in CONTENDERS:
                progress.step(f"{recipe}, {what} {value}: {contender}, round {number + 1}")
                rounds[-1][contender] = time_steps(recipe, contender, options, images, **changes)["milliseconds"]
        times = [f"{statistics.median(found[contender] for found in rounds):.1f}" for contender in CONTENDERS]
        ratios = [found["ms_gan"] / found["PyTorch"] for found in rounds]
        rows.append([recipe, what, value, *times, spread(ratios)])
        measured.append({"recipe": recipe, "what": what, "value": value, "milliseconds": rounds})
    return rows, measured
