"""Few images: how good a GAN becomes with 100, 500 and 2,000 of them, with and without augmentation.

    python -m benchmarks few-images [--datasets pizza mnist] [--counts 100 500 2000] [--seeds 1 2 3] [--steps 6000]
        [--augmentations none all] [--quick] [--data-path DIR] [--output FOLDER]

"all" is the five changes of `updates.augmentation`; "turns" is `data.quarter_turns`, for what has no top, like pizzas;
"held" is gamma that does not fall, as that of digits never does; names joined by "+" go together.

Every run is a training of the command line, in FOLDER/runs; its scores are in FOLDER/scores. The table is written to
FOLDER as Markdown and as JSON, of all runs there that are as long. What has been trained or scored there is not done
again, and a training that was interrupted goes on. Two of these commands may share FOLDER, if their seeds differ.

The seed chooses the images that are trained on; the others are held out. All that a run decays with is stretched over
--steps. Scores are those of `benchmarks.few_images_scores`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes
from ms_gan import recipes
from ms_gan.signals import handled

BATCH = 32  # images; fewer than the fewest that are trained on
COUNT = 1_500  # images of each kind that are compared, if there are as many
LOOKS = 8  # checkpoints of a run that are scored
PAPER = {"brightness": 0.5, "saturation": 1, "contrast": 0.5, "translation": 0.125, "cutout": 0.5}
ALL = {f"updates.augmentation.{name}": value for name, value in PAPER.items()}
TURNS = {"data.quarter_turns": True}
HELD = {"updates.gamma_decay_rate": 1}
AUGMENTATIONS = {
    "none": {},
    "all": ALL,
    "turns": TURNS,
    "turns+all": {**TURNS, **ALL},
    "held": HELD,
    "turns+all+held": {**TURNS, **ALL, **HELD},
}
TITLE = "Few images"
NOTE = """Scores of each run's last checkpoint, medians of the seeds (lowest to highest): 1,500 samples against 1,500
test images, which neither the run nor the judge saw. "nearer": the share of samples whose nearest image, among those
trained on and as many held-out ones, is one trained on: a half if nothing is copied, 1 for copies; it means little
where samples look alike. "distance": the median distance of samples to the nearest image trained on, divided by that
of test images. "best": the distance of the checkpoint, one of eight, that comes nearest to held-out images. Real
images are held-out ones in place of samples."""
COLUMNS = (
    "data",
    "images",
    "augmentation",
    "seeds",
    "Fréchet distance",
    "precision",
    "recall",
    "nearer",
    "distance",
    "best: Fréchet distance",
    "best: step",
)


class DataSet(NamedTuple):
    """A recipe for a data set, and how many training images that has."""

    recipe: str
    images: int


DATA_SETS = {
    "pizza": DataSet("rpgan_residual", 6_000),
    "mnist": DataSet("rpgan", 60_000),
    "digits": DataSet("rpgan", 60_000),
}


@dataclass(frozen=True)
class Cell:
    """One run of the study."""

    dataset: str
    count: int
    augmentation: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.dataset}-{self.count}-{self.augmentation}-{self.steps}-steps-seed-{self.seed}"

    def scores(self, output: Path) -> Path:
        """Return the file of its scores."""
        return output / "scores" / f"{self.name}.json"

    def command(self, output: Path, data_path: Path | None) -> list[str]:
        """Return the command that trains it, or that goes on with it; nothing if its training has ended."""
        recipe, images = DATA_SETS[self.dataset]
        home = output / "runs" / self.name
        run = home / recipe / "1"
        saved = max((int(folder.name[5:]) for folder in run.glob("checkpoints/step_*")), default=None)
        if saved is not None:
            return ["train", "--resume", str(run)] if saved < self.steps else []
        if home.exists():
            shutil.rmtree(home)  # it ended before there was a checkpoint
        settings = {
            "schedule.sampling": "continuous",
            "schedule.steps_per_epoch": max(1, self.steps // LOOKS),
            "scores.every_epochs": 0,
            "scores.held_out": images - self.count,
            "data.rotate_and_mirror": False,
            "data.quarter_turns": False,
            "data.clusters": recipes.clusters_for(recipes.load(recipe), self.count),
            "updates.gamma_decay_steps": self.steps,
            **{f"optimizer_{role}.decay_steps": self.steps for role in ("generator", "discriminator")},
            **AUGMENTATIONS[self.augmentation],
        }
        length = ["--steps", str(self.steps), "--batch-size", str(BATCH), "--seed", str(self.seed)]
        place = ["--data-path", str(data_path)] if data_path and self.dataset == "mnist" else []
        changed = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        what = ["train", "--recipe", recipe, "--dataset", self.dataset, *place, "--output-dir", str(home)]
        return [*what, *length, *changed]


def train_and_score(cell: Cell, output: Path, data_path: Path | None) -> None:
    """Train a cell, if it is not yet trained, and write its scores."""
    command = cell.command(output, data_path)
    if command:
        run(["-m", "ms_gan", *command])
    (folder,) = (output / "runs" / cell.name).glob("*/1")
    kept = cell.scores(output)
    kept.parent.mkdir(exist_ok=True)
    run(["-m", "benchmarks.few_images_scores", str(folder), str(kept)])


def scored(output: Path, steps: int) -> list[Cell]:
    """Return the cells of this length whose scores are in a folder, by any command, in the order of the table."""
    found = [
        Cell(dataset, int(count), augmentation, int(seed), steps)
        for file in (output / "scores").glob("*.json")
        for dataset, count, augmentation, seed in re.findall(rf"^(\w+)-(\d+)-(.+)-{steps}-steps-seed-(\d+)$", file.stem)
    ]
    ranks = list(DATA_SETS), list(AUGMENTATIONS)
    return sorted(
        found, key=lambda cell: (ranks[0].index(cell.dataset), cell.count, ranks[1].index(cell.augmentation), cell.seed)
    )


def run(command: list[str]) -> None:
    """Run a Python command as the scripts do, which says itself how far it is. A failure, or a signal, ends all."""
    go_on = "the same command as before goes on from there"
    process = subprocess.Popen(processes.as_the_scripts_do(command), cwd=processes.ROOT)

    def asked(number: int, _frame: object) -> None:
        process.send_signal(number)  # unlike Ctrl-C it comes to this process alone
        raise KeyboardInterrupt

    try:
        with handled(asked, (signal.SIGTERM, signal.SIGHUP)):
            status = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it got the signal, too, and saves
        sys.exit(f"stopped; {go_on}")
    if status:
        sys.exit(f"error: python {' '.join(command)} failed, see above; {go_on}")


def rows_of(cells: Sequence[Cell], scores: Sequence[dict]) -> list[list[str]]:
    """Return the table's rows: of each data set real images, then each number of images, by augmentation."""
    rows = []
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        of_dataset = [(cell, score) for cell, score in zip(cells, scores) if cell.dataset == dataset]
        real = [score["real"] for _, score in of_dataset]
        rows.append([dataset, "real", "–", "–", *described(real), "–", "–"])
        for count, kind in dict.fromkeys((cell.count, cell.augmentation) for cell, _ in of_dataset):
            chosen = [score for cell, score in of_dataset if (cell.count, cell.augmentation) == (count, kind)]
            looks = [score["checkpoints"] for score in chosen]
            best = [min(each, key=lambda look: look["fd_held_out"]) for each in looks]
            step = statistics.median_low(look["step"] for look in best)
            last = described([each[-1] for each in looks])
            fd = processes.spread([look["fd_test"] for look in best])
            rows.append([dataset, f"{count:,}", kind, str(len(chosen)), *last, fd, f"{step:,}"])
    return rows


def described(found: Sequence[dict]) -> list[str]:
    """Return distance, precision, recall, nearer and memorisation over several runs, as text."""
    return [
        processes.spread([one[name] for one in found]) for name in ("fd_test", "precision", "recall", "nearer", "far")
    ]


def markdown(rows: Sequence[Sequence[str]], steps: int) -> str:
    """Return the table as Markdown."""
    note = f"{' '.join(NOTE.split())} Each run has {steps:,} steps of {BATCH} images."
    lines = [f"## {TITLE}", "", note, ""]
    lines += [f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows)]
    return "\n".join([*lines, ""])


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks few-images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--datasets", nargs="+", choices=list(DATA_SETS), default=["pizza", "mnist"])
    parser.add_argument("--counts", nargs="+", type=int, help="images to train on (default: 100 500 2000)")
    parser.add_argument(
        "--augmentations", nargs="+", choices=list(AUGMENTATIONS), default=["none", "all"], help="(default: none all)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, help="(default: 1 2 3)")
    parser.add_argument("--steps", type=int, help="of each run (default: 6000)")
    parser.add_argument("--quick", action="store_true", help="100 images, seed 1, 200 steps, to see that all works")
    parser.add_argument("--data-path", type=Path, help="folder with MNIST (default: the cache, else a download)")
    parser.add_argument("--output", type=Path, default=processes.ROOT / "benchmarks" / "results" / "few-images")
    options = parser.parse_args(arguments)
    usual = ([100], [1], 200) if options.quick else ([100, 500, 2000], [1, 2, 3], 6000)
    for name, value in zip(("counts", "seeds", "steps"), usual):
        if getattr(options, name) is None:
            setattr(options, name, value)
    most = (min(DATA_SETS[name].images for name in options.datasets) - COUNT) // 2
    if not BATCH <= min(options.counts) <= max(options.counts) <= most:
        parser.error(
            f"--counts: takes {BATCH} to {most:,}: a batch, and so few that as many, and {COUNT:,} more, are held out"
        )
    if options.steps < 1:
        parser.error("--steps: takes 1 or more")
    if options.data_path and not options.data_path.is_dir():
        parser.error(f"--data-path {options.data_path}: no such folder")
    return options


def main(arguments: Sequence[str]) -> None:
    options = parsed(arguments)
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    wanted = [
        Cell(dataset, count, augmentation, seed, options.steps)
        for seed in options.seeds
        for count in options.counts
        for dataset in options.datasets
        for augmentation in options.augmentations
    ]
    missing = [cell for cell in dict.fromkeys(wanted) if not cell.scores(output).exists()]
    progress = processes.Progress("few-images", len(missing))
    for cell in missing:
        progress.step(cell.name)
        train_and_score(cell, output, options.data_path and options.data_path.resolve())
    cells = scored(output, options.steps)
    scores = [json.loads(cell.scores(output).read_text(encoding="utf-8")) for cell in cells]
    rows = rows_of(cells, scores)
    text = markdown(rows, options.steps)
    print(text, flush=True)
    (output / "few-images.md").write_text(text, encoding="utf-8")
    measured = [{"cell": cell.name, **score} for cell, score in zip(cells, scores)]
    kept = {"machine": processes.machine(), "columns": COLUMNS, "rows": rows, "measured": measured}
    (output / "few-images.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
