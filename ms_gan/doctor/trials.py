"""A few updates of each family, held against what a CPU computed: the same weights, images and noise.

They are in golden.json, as `write_golden` wrote them with MindSpore's kernels on an x86-64 CPU:

    python -c "from ms_gan.doctor import trials; trials.write_golden()"
"""

from __future__ import annotations

import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor, nn

from ms_gan import recipes, runtime
from ms_gan.data.description import ImageData
from ms_gan.delivery.export import Exported, ParityError, export_bundle
from ms_gan.delivery.formats import require_packages
from ms_gan.doctor import machine
from ms_gan.errors import UserError
from ms_gan.files import write_file
from ms_gan.labels import LabelNames
from ms_gan.nets.unit_range import UnitRangeGenerator
from ms_gan.randomness import random_stream
from ms_gan.recipes import Recipe
from ms_gan.recipes.build import build_batches, build_step
from ms_gan.runtime import Device
from ms_gan.steps.base import TrainingStep
from ms_gan.steps.ema import with_ema
from ms_gan.training.kernels import RECORD, as_chosen, choose_kernels
from ms_gan.training.loop import run_cell

GOLDEN = Path(__file__).with_name("golden.json")
UPDATES = 3
IMAGES = 64
FAR = 1e-2  # of a scalar, or of SMALLEST where it is smaller: more than float32 rounds, even in HF32
SMALLEST = 1e-3
ROUNDING = 1e-3  # so far apart are processors that compute in float32
SMALL_CONV = {"generator.start_channels": 4, "generator.widths": (4, 4, 4, 4), "discriminator.widths": (4, 4, 4, 4, 4)}
TRIALS: Mapping[str, Mapping[str, Any]] = {  # each family, as small as it can be
    "mlp": {"generator.widths": (16, 32), "discriminator.widths": (16,)},
    "acgan": SMALL_CONV,
    "cvae_late": {},
    "cvae_gan": {"updates.pretraining_steps": 0},
    "rpgan_residual_mnist": {
        "generator.widths": (16, 8, 8),
        "discriminator.widths": (4, 8, 8),
        "data.clusters": 0,
        "data.classes": 10,
    },
}
TIMED, STEPS_BEFORE, STEPS_TIMED = "mlp", 10, 40


@dataclass(frozen=True)
class Finding:
    """What was found: "ok", "note", "wrong" or "", where there is nothing to judge, and a line about it."""

    verdict: str
    line: str


class Trial:
    """A recipe's step with weights that follow from nothing but their names, on images of noise."""

    def __init__(self, recipe: Recipe, device: Device, own_kernels: bool = True):
        data = recipe.data
        shape = (IMAGES, data.channels, data.size, data.size)
        images = random_stream(1, "doctor images").integers(0, 256, shape, np.uint8)
        labels = np.arange(IMAGES, dtype=np.int32) % max(data.classes, 1)
        found = ImageData("mnist", "train", "noise", images, labels, tuple(map(str, range(data.classes))))
        self.recipe, self.device = recipe, device
        self.step: TrainingStep = build_step(recipe, found.with_tags(data.max_tags), seed=1)
        self.batches = build_batches(recipe, self.step.data.count, self.step.images_per_step, seed=1)[0]
        self.kernels = choose_kernels(self.step, device) if own_kernels else {}
        self.cell: nn.Cell = as_chosen(with_ema(self.step, self.step, 0), self.kernels)
        for network in self.step.networks:
            for parameter in getattr(self.step, network).trainable_params():
                parameter.set_data(Tensor(_weights(parameter.name, parameter.shape)))
        self.start = [(parameter, parameter.asnumpy().copy()) for parameter in self.cell.get_parameters()]

    def update(self, number: int) -> np.ndarray:
        """Do an update; return its scalars."""
        return run_cell(self.cell, self.step, self.batches, self.device, 1, "doctor", number).asnumpy()

    def run(self) -> tuple[np.ndarray, str]:
        """Do all updates from the start; return their scalars, (UPDATES, K), and a checksum of what they lead to."""
        for parameter, numbers in self.start:
            parameter.set_data(Tensor(numbers))
        scalars = np.stack([self.update(number) for number in range(UPDATES)])
        digest = hashlib.sha256(scalars.tobytes())
        for parameter, _ in self.start:
            digest.update(parameter.asnumpy().tobytes())
        return scalars, digest.hexdigest()


def _weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("gamma"):
        return np.ones(shape, np.float32)
    scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1  # so that no layer's numbers vanish
    return np.float32(scale) * random_stream(1, name).standard_normal(shape).astype(np.float32)


def small(name: str) -> Recipe:
    """Return the recipe of a trial."""
    return recipes.load(name).but({"schedule.batch_size": 8, **TRIALS[name]})


def write_golden(file: Path = GOLDEN) -> None:
    """Write the scalars of each trial as MindSpore's kernels compute them on this CPU, seven digits of each."""
    device, trials = runtime.set_up("CPU"), []
    for name in TRIALS:
        scalars, _ = Trial(small(name), device, own_kernels=False).run()
        rows = [[float(f"{value:.7g}") for value in row] for row in scalars]
        trials.append(f'"{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]")
    write_file(file, ("{\n " + ",\n ".join(trials) + "\n}\n").encode())


def families(device: Device) -> Iterator[Finding]:
    """Give how far each family's updates are from a CPU's, and whether they are the same a second time."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name in TRIALS:
        recipe = small(name)
        called = f"family {recipe.family} ({name})"
        try:
            trial = Trial(recipe, device)
            (scalars, first), (_, second) = trial.run(), trial.run()
        except Exception as error:  # whatever it is, the others are still of interest
            yield failed(called, error)
            continue
        if name == TIMED and trial.kernels:
            yield Finding("", f"kernels: {trial.kernels[RECORD]}")
        yield judged(called, trial.step.scalars, scalars, np.array(golden[name]))
        same = "the same" if first == second else "other"
        yield Finding("ok" if first == second else "wrong", f"{called}: {same} bytes a second time")


def failed(called: str, error: Exception) -> Finding:
    """Return that something did not run, and why."""
    return Finding("wrong", f"{called}: does not run: {machine.told(error)}")


def judged(called: str, names: tuple[str, ...], found: np.ndarray, golden: np.ndarray) -> Finding:
    """Return what is to be thought of scalars, (UPDATES, K) each.

    What counts images, such as `accuracy_real`, is left out: rounding may move one of eight over a threshold.
    """
    continuous = [number for number, name in enumerate(names) if not name.startswith(("accuracy", "fool"))]
    names, found, golden = tuple(names[number] for number in continuous), found[:, continuous], golden[:, continuous]
    apart = np.nan_to_num(np.abs(found - golden) / np.maximum(np.abs(golden), SMALLEST), nan=np.inf)
    update, which = np.unravel_index(int(apart.argmax()), apart.shape)
    most = float(apart.max())
    where = f"{called}: {most:.1g} from a CPU's numbers at most, in {names[which]} of update {update + 1}"
    if most > FAR:
        return Finding("wrong", f"{where}: {found[update, which]:.6g}, not {golden[update, which]:.6g}")
    return Finding("ok" if most <= ROUNDING else "note", where if most <= ROUNDING else f"{where}: more than rounding")


def export(device: Device) -> Finding:
    """Return whether an exported generator draws what the network draws."""
    trial = Trial(small("rpgan_residual_mnist"), device)
    trial.run()
    recipe = trial.recipe
    drawing = UnitRangeGenerator(trial.step.drawing(), recipe.data.pixel_range)
    names = LabelNames(tuple(map(str, range(recipe.data.classes))), recipe.data.max_tags)
    origin = {"step": UPDATES, "seed": 1, "dataset": "noise", "data_sha256": ""}
    try:
        require_packages(("mindir", "onnx"))
        formats: tuple[str, ...] = ("mindir", "onnx")
        left_out = ""
    except UserError as error:
        formats, left_out = ("mindir",), f"; the ONNX was not tried: {error.problem}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            exported = Exported(drawing, None, recipe, names, device, origin, None)
            contract = export_bundle(Path(folder) / "bundle", exported, formats)
        except ParityError as error:
            return Finding("wrong", f"export: {error}")
    proofs = ", ".join(f"{file} to {proof.greatest_difference:.1g}" for file, proof in contract.parity.items())
    return Finding("note" if left_out else "ok", f"export: equal to the network: {proofs}{left_out}")


def speed(device: Device) -> Finding:
    """Return how long an update takes, and how much that varies."""
    recipe = recipes.load(TIMED).but({"schedule.batch_size": IMAGES})
    trial = Trial(recipe, device)
    for number in range(STEPS_BEFORE):
        trial.update(number)
    seconds = []
    for number in range(STEPS_TIMED):
        start = time.perf_counter()
        trial.update(STEPS_BEFORE + number)
        seconds.append(time.perf_counter() - start)
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    figures = " to ".join(f"{1e3 * value:.3g}" for value in (low, high))
    return Finding("ok", f"speed: a step of {TIMED}, {IMAGES} images: {1e3 * middle:.3g} ms ({figures})")
