"""Table `inference`: images a second of exported generators, beside onnxruntime on the same network."""

import json
import statistics
import tempfile

from benchmarks.processes import Progress, run, spread
from benchmarks.tables.start import timed

TITLE = "Images a second"
NOTE = """Of an exported generator, hardly trained, in batches one after the other; latents are given. `infer` is the
format that this command chooses. The part of onnxruntime's rate is taken within a round: median, lowest and highest.
`infer --num N` is the command itself, from its start to its end, with N images written to a file. All have the
environment of the project's scripts: huge pages."""
COLUMNS = ("generator", "batch", "way", "images a second", "of onnxruntime's", "seconds", "peak MB")
RECIPES, BATCHES = ("mlp", "acgan"), (1, 16, 128)
WAYS = ("onnxruntime", "infer", "MindIR, GraphCell")


def export(recipe, place):
    """Train one step, and export; return the bundle's folder."""
    train = ["-m", "ms_gan", "train", "--recipe", recipe, "--dataset", "digits", "--steps", "1", "--output-dir", place]
    run(train)
    run(["-m", "ms_gan", "export", f"{place}/{recipe}/1"])
    return f"{place}/{recipe}/1/export"


def measure(options):
    """Return the rows of the table, and all that was measured."""
    rows, measured, batches = [], [], BATCHES[::2] if options.quick else BATCHES
    count = 2_000 if options.quick else 100_000
    total = len(RECIPES) * (1 + len(batches) * len(WAYS) * options.rounds) + options.rounds
    progress = Progress("inference", total)
    with tempfile.TemporaryDirectory() as place:
        for recipe in RECIPES:
            progress.step(f"exporting {recipe}")
            bundle = export(recipe, place)
            for batch in batches:
                rates = {way: [] for way in WAYS}
                for number in range(options.rounds):
                    for way in WAYS:
                        progress.step(f"{recipe}: {way}, batch {batch}, round {number + 1}")
                        command = ["-m", "benchmarks.inferring", bundle, way, str(batch)]
                        said = run([*command, "--seconds", str(options.seconds / 2)])
                        rates[way].append(json.loads(said.splitlines()[-1])["images_a_second"])
                measured.append({"recipe": recipe, "batch": batch, "images_a_second": rates})
                for way in WAYS:
                    ratios = [own / other for own, other in zip(rates[way], rates["onnxruntime"])]
                    part = "" if way == "onnxruntime" else spread(ratios)
                    rows.append([recipe, batch, way, f"{statistics.median(rates[way]):,.0f}", part, "", ""])
            if recipe == "mlp":
                command = ["infer", bundle, "--num", str(count), "--output", f"{place}/images.npy", "--overwrite"]
                drawn = []
                for number in range(options.rounds):
                    progress.step(f"{recipe}: infer --num {count}, round {number + 1}")
                    drawn.append(timed(command))
                measured.append({"recipe": recipe, "images": count, "infer": drawn})
                ranges = (spread([each[key] for each in drawn]) for key in ("seconds", "peak_megabytes"))
                rows.append([recipe, "", f"`infer --num {count}`", "", "", *ranges])
    return rows, measured
