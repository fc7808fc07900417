"""One training step on several devices at once: each takes its share of the batch, all end with the same numbers."""

from __future__ import annotations

import mindspore as ms
from mindspore import nn, ops

from ms_gan.steps.graph import CompiledOnce


class DataParallel(CompiledOnce):
    """A step whose scalars and BatchNorm statistics are averaged over the devices after each update.

    Weights and optimizers are equal on all devices, since they get the same gradients. The moving statistics come from
    each device's own share of the batch, and would drift apart. After this, what the first device saves is what all of
    them have, at any step.
    """

    def __init__(self, step: nn.Cell, devices: int):
        super().__init__(auto_prefix=False)
        self.step = step
        self.share = 1.0 / devices
        self.sum = ops.AllReduce()
        self.statistics = ms.ParameterTuple(
            parameter
            for parameter in step.get_parameters()
            if parameter.name.rsplit(".", 1)[-1] in ("moving_mean", "moving_variance")
        )

    def construct(self, batch, noise):
        """Do one update; return the means of the step's scalars over the devices."""
        scalars = self.sum(self.step(batch, noise)) * self.share
        for statistic in self.statistics:
            mean = self.sum(ops.depend(statistic.value(), scalars)) * self.share
            scalars = ops.depend(scalars, ops.assign(statistic, mean))
        return scalars
