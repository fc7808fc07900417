"""Run by tests/test_parallel.py in two processes: three updates of the tiny step, each process with half the batch.

The same updates follow without graph mode, by `ms.jit`: MindSpore may give graph mode up for several devices.
"""

import json
import os
import sys
import time
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from ms_gan import runtime

device = runtime.set_up("CPU", together=True)

from helpers.procedures import STEPS, make_step  # noqa: E402

from ms_gan.files import write_file  # noqa: E402
from ms_gan.randomness import random_stream  # noqa: E402
from ms_gan.steps.base import shard  # noqa: E402
from ms_gan.steps.graph import on_device  # noqa: E402
from ms_gan.steps.parallel import DataParallel  # noqa: E402
from ms_gan.training.loop import _same_everywhere, same_weights  # noqa: E402


class Statistics(nn.Cell):
    """A moving statistic that each device would leave at another value."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, momentum=0.0)


def train(jit=False):
    """Do the updates; return the step, and the scalars of each."""
    step, _ = make_step("mlp", devices=device.count)
    step.extra = Statistics()
    step.extra.norm.moving_mean.set_data(step.extra.norm.moving_mean + float(device.rank))
    cell = DataParallel(step, device.count)

    def call(batch, noise):
        return cell(batch, noise)

    update = ms.jit(call) if jit else cell
    values = []
    for number in range(STEPS):
        whole = step.draw_noise(random_stream(3, "step", number)), np.arange(12, dtype=np.int32)
        noise, indices = shard(whole, device.rank, device.count)
        values.append(update(on_device((indices,)), on_device(noise)).asnumpy().tolist())
    return step, values


step, values = train()
own = f"{device.rank}" * 64  # a checksum that differs
same = [same_weights(device, [step.generator]), _same_everywhere(device, "ab" * 32), _same_everywhere(device, own)]
ms.set_context(mode=ms.PYNATIVE_MODE)
mode, (other, other_values) = ms.get_context("mode"), train(jit=True)
numbers, other_numbers = ([p.asnumpy().tobytes() for p in each.get_parameters()] for each in (step, other))
found = json.dumps(
    {
        "same_by_jit": [mode == ms.PYNATIVE_MODE, other_values == values, other_numbers == numbers],
        "same": same,
        "values": values,
        "moving_mean": float(step.extra.norm.moving_mean),
        "g": {p.name.split(".")[1]: float(p) for p in step.generator.get_parameters()},
        "d": {p.name.split(".")[1]: float(p) for p in step.discriminator.get_parameters()},
    }
)
files = [Path(sys.argv[1] + str(rank)) for rank in range(device.count)]
write_file(files[device.rank], found.encode())
while not all(file.exists() for file in files):  # the other one may still wait for this one's numbers
    time.sleep(0.05)
os._exit(0)  # MindSpore takes its cluster down when Python ends, which brought a process down by SIGSEGV once
