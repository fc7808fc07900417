"""Table `limit`: what the machine's cores and memory can do, and the least time that a step of mlp can take."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import ms_gan
from benchmarks.processes import ROOT, Progress, time_steps, wait_for_quiet

TITLE = "The physical limit"
NOTE = """Of all cores at once. A multiplication is one with its addition, in float32. Peak: in registers, without
memory, by a C program, where there is a compiler. Matrix product: NumPy's, 1024×1024. A step's least time is that of
its multiplications at the peak, or without one at the rate of the matrix product."""
COLUMNS = ("what", "value")
COMPILERS, TIMES = ("cc", "gcc", "clang"), 5


def compiled_rates(seconds):
    """Return the peak rates of all cores, a second, the best of several times, or None without a compiler."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "peak")
        source = str(ROOT / "benchmarks" / "peak.c")
        options = ["-O3", "-ffp-contract=fast", "-o", program, source]
        if subprocess.run([compiler, "-march=native", *options], capture_output=True).returncode:
            subprocess.run([compiler, *options], check=True, capture_output=True)
        rates = [rates_of_cores(program, seconds / TIMES) for _ in range(TIMES)]
    return max(rates, key=lambda each: each["multiplications"])


def rates_of_cores(program, seconds):
    """Return what the program measures on all cores at once, added up."""
    command = [program, str(seconds)]
    cores = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in os.sched_getaffinity(0)]
    found = [json.loads(core.communicate()[0]) for core in cores]
    sums = {key: sum(each[key] for each in found) for key in ("multiplications", "bytes")}
    return {"lanes": found[0]["lanes"], **sums}


def matrix_rate(seconds, size=1024):
    """Return how many multiplications NumPy's matrix product does in a second, at its best."""
    first, second = np.random.default_rng(1).random((2, size, size), np.float32)
    times, started = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        first @ second
        times.append(time.perf_counter() - before)
    return size**3 / min(times)


def multiplications_of_a_step(recipe):
    """Return how many multiplications a step of `mlp` takes: those of its matrix products.

    G runs forward once and back once; D forward and back on real and fake images, and on the fakes once more, without
    gradients of its weights. Nobody needs the gradient of latents, nor that of the images from D's own update.
    """
    pixels, batch = recipe.data.channels * recipe.data.size**2, recipe.schedule.batch_size
    sizes_g = (recipe.latent.size, *recipe.networks["generator"].widths, pixels)
    sizes_d = (pixels, *recipe.networks["discriminator"].widths, 1)
    (all_g, first_g), (all_d, first_d) = (
        (sum(before * after for before, after in zip(sizes, sizes[1:])), sizes[0] * sizes[1])
        for sizes in (sizes_g, sizes_d)
    )
    of_g = 3 * all_g - first_g
    of_d = 2 * (3 * all_d - first_d) + 2 * all_d
    return batch * (of_g + of_d)


def measure(options):
    """Return the rows of the table, and all that was measured."""
    progress = Progress("limit", 2 + 2 * options.rounds)
    progress.step("peak rates")
    wait_for_quiet(time.monotonic() + options.patience)
    peak, count = compiled_rates(options.seconds / 2), multiplications_of_a_step(ms_gan.recipe("mlp"))
    progress.step("matrix product")
    product = matrix_rate(options.seconds / 2)
    times = {"ms_gan": [], "PyTorch": []}
    for number in range(options.rounds):
        for contender, found in times.items():
            progress.step(f"a step of mlp: {contender}, round {number + 1}")
            found.append(time_steps("mlp", contender, options)["milliseconds"])
    fastest = peak["multiplications"] if peak else product
    rows = [("matrix product, 10⁹ multiplications a second", f"{product / 1e9:.0f}")]
    if peak:
        rows.insert(0, (f"peak with {peak['lanes']} lanes, 10⁹ multiplications a second", f"{fastest / 1e9:.0f}"))
        rows.append(("memory, 10⁹ bytes a second", f"{peak['bytes'] / 1e9:.1f}"))
    rows.append(("multiplications of a step of `mlp`, 10⁹", f"{count / 1e9:.3f}"))
    rows.append(("its least time, ms", f"{1000 * count / fastest:.1f}"))
    for contender, found in times.items():
        median = statistics.median(found)
        ratio = median / (1000 * count / fastest)
        rows.append((f"its time in {contender}, ms", f"{median:.1f}, {ratio:.1f} times the least"))
    return rows, {"peak": peak, "matrix_product": product, "multiplications": count, "milliseconds": times}
