"""Run by tests/test_parallel.py in two processes: three updates of the tiny step, each process with half the batch."""

import json
import sys

import numpy as np
from mindspore import nn

from ms_gan import runtime

device = runtime.set_up("CPU", together=True)

from test_procedures import STEPS, make_step  # noqa: E402

from ms_gan.runtime import random_stream  # noqa: E402
from ms_gan.steps.parallel import AveragedGradients, DataParallel  # noqa: E402
from ms_gan.training.loop import on_device  # noqa: E402


class Statistics(nn.Cell):
    """A moving statistic that each device would leave at another value."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, momentum=0.0)


step, _ = make_step("mlp")
step.optimizer_generator = AveragedGradients(step.optimizer_generator, device.count)
step.optimizer_discriminator = AveragedGradients(step.optimizer_discriminator, device.count)
step.extra = Statistics()
step.extra.norm.moving_mean.set_data(step.extra.norm.moving_mean + float(device.rank))
cell = DataParallel(step, device.count)
values = []
for number in range(STEPS):
    noise = step.draw_noise(random_stream(3, "step", number * device.count + device.rank))
    indices = np.arange(12, dtype=np.int32)[6 * device.rank : 6 * device.rank + 6]
    values.append(cell(on_device((indices,)), on_device(noise)).asnumpy().tolist())
json.dump(
    {
        "values": values,
        "moving_mean": float(step.extra.norm.moving_mean),
        "g": {p.name.split(".")[1]: float(p) for p in step.generator.get_parameters()},
        "d": {p.name.split(".")[1]: float(p) for p in step.discriminator.get_parameters()},
    },
    open(sys.argv[1] + str(device.rank), "w"),
)
