"""One training step on several devices at once: each takes its share of the batch, all end with the same numbers."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan.errors import UserError
from ms_gan.runtime import Device


class AveragedGradients(nn.Cell):
    """An optimizer that is given the mean of all devices' gradients.

    The mean loss of a batch is the mean of its equal shares' mean losses, and so are the gradients, but for
    BatchNorm, which normalises each share by its own statistics.
    """

    def __init__(self, optimizer: nn.Optimizer, devices: int):
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer
        # without mean and degree it would sum: it takes them from a context that is not set here
        self.average = nn.DistributedGradReducer(optimizer.parameters, mean=True, degree=devices)

    def construct(self, gradients):
        """Average the gradients over the devices, and update."""
        return self.optimizer(self.average(gradients))


class DataParallel(nn.Cell):
    """A step whose scalars and BatchNorm statistics are averaged over the devices after each update.

    Weights and optimizers are equal on all devices, since they get the same gradients; the moving statistics come
    from each one's own share of the batch, and would drift apart. After this, what the first device saves is
    what all of them have, at any step.
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


class _Sum(nn.Cell):
    def __init__(self):
        super().__init__()
        self.sum = ops.AllReduce()

    def construct(self, x):
        return self.sum(x)


def require_same(device: Device, sha256: str) -> None:
    """Raise UserError unless all devices that train together have data of this checksum."""
    if device.count == 1:
        return
    digits = np.float32([int(sha256[start : start + 4], 16) for start in range(0, 64, 4)])  # sums of these are exact
    if not np.array_equal(_Sum()(Tensor(digits)).asnumpy(), digits * device.count):
        raise UserError("the processes of this run do not have the same data; give each the same with --data-path")
