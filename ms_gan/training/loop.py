"""The training loop. It knows a step, its batches and its scalars, and no family of networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Callable

import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan.data.batches import BatchOrder
from ms_gan.errors import Setting, UserError
from ms_gan.randomness import random_stream
from ms_gan.runs.settings import RunSettings
from ms_gan.runtime import Device, give_back_memory
from ms_gan.steps.base import TrainingStep, shard
from ms_gan.steps.graph import on_device
from ms_gan.steps.parallel import DataParallel


class Observer:
    """Something that looks at a run while it trains. It changes nothing of the training."""

    def at_start(self) -> None:
        """Before the first step of a new run."""

    def begin(self, start: int, stop: int) -> None:
        """Before the steps that follow: step number `start` is done, and `stop` will be."""

    def after_step(self, done: int, scalars: Tensor) -> None:
        """After step number `done`; `scalars`, float32, are still on the device: reading them waits for it."""

    def at_end(self, done: int) -> None:
        """After the last step of the schedule, or after step number `done`, when a signal stopped the run."""


@dataclass(frozen=True)
class Loop:
    """Runs a step, or its pretraining, on one batch after another.

    Attributes:
        step: draws the noise, and holds the data.
        batches: which images each step sees.
        device: the device, and which share of a batch it takes.
        seed: of the noise.
        stopped: whether a signal asked the run to stop; asked before each step.
    """

    step: TrainingStep
    batches: BatchOrder
    device: Device
    seed: int
    stopped: Callable[[], bool] = lambda: False

    def run(self, cell: nn.Cell, purpose: str, start: int, stop: int, observers: Sequence[Observer]) -> int:
        """Run the Cell from step `start`, those done before, to step `stop`; return how many are done then.

        Args:
            cell: has the step's signature.
            purpose: "step", or "preparation" for the pretraining: each has noise of its own, by these very words.
            start, stop: numbers of steps.
            observers: look on after each step, in this order. Without any, each step is waited for.
        """
        for observer in observers:
            observer.begin(start, stop)
        give_back_memory()
        done = start
        while done < stop and not self.stopped():
            scalars = run_cell(cell, self.step, self.batches, self.device, self.seed, purpose, done)
            if done == start:  # before and after it was compiled, which takes more memory than all that follows
                give_back_memory()
            done += 1
            for observer in observers:
                observer.after_step(done, scalars)
            if not observers:
                scalars.asnumpy()
        return done


def run_cell(
    cell: nn.Cell, step: TrainingStep, batches: BatchOrder, device: Device, seed: int, purpose: str, number: int
) -> Tensor:
    """Run a Cell with the step's signature on this device's share of the batch, and of the noise, of this number."""
    noise, indices = step.draw_noise(random_stream(seed, purpose, number)), batches.indices(number)
    if device.count > 1:
        noise, indices = shard((noise, indices), device.rank, device.count)
    return cell(on_device(step.data.inputs(indices)), on_device(noise))


def require_same_run(device: Device, settings: RunSettings, step: int) -> None:
    """Raise UserError unless all devices that train together have the same data, settings and step."""
    if device.count == 1:
        return
    if not _same_everywhere(device, settings.data_sha256):
        problem = "the processes of this run do not have the same data"
        raise UserError(problem, "give each the same ", Setting("data_path"))
    if not _same_everywhere(device, hashlib.sha256(repr((settings.flat(), step)).encode()).hexdigest()):
        problem = "the processes of this run have not the same settings, or do not go on from the same step"
        raise UserError(problem, "start each by the same command, with the run in a folder that all machines share")


def same_weights(device: Device, cells: Iterable[nn.Cell]) -> bool:
    """Return whether all devices that train together hold the same numbers in these Cells, byte for byte."""
    digest = hashlib.sha256()
    for cell in cells:
        for parameter in cell.get_parameters():
            digest.update(parameter.asnumpy().tobytes())
    return _same_everywhere(device, digest.hexdigest())


def _same_everywhere(device: Device, sha256: str) -> bool:
    """Return whether all devices have this checksum. All learn it: a sum that is right on one may be so by chance."""
    digits = np.array([int(digit, 16) for digit in sha256], np.float32)  # small, so that sums of them are exact
    same = np.array_equal(ops.AllReduce()(Tensor(digits)).asnumpy(), digits * device.count)
    wrong = ops.AllReduce()(Tensor(np.array([not same], np.float32))).asnumpy()
    return not wrong.any()


def across_devices(cell: nn.Cell, device: Device) -> nn.Cell:
    """Return the Cell as it runs on one of several devices."""
    return cell if device.count == 1 else DataParallel(cell, device.count)
