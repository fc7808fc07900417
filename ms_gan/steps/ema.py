"""The exponential moving average (EMA) of the weights that leave a run (Yazıcı et al. 2019): steadier images."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from ms_gan.nets.averages import Averages
from ms_gan.steps.base import TrainingStep
from ms_gan.steps.graph import CompiledOnce

WARM_UP = 10  # the first update keeps a tenth of what was there before


def rate_of(decay: float, updates: int) -> float:
    """Return how much of the EMA an update replaces, when `updates` were done before it.

    1 − min(decay, (1 + updates) / (10 + updates)), the warm-up of TensorFlow's ExponentialMovingAverage. Without it the
    EMA would be mostly the untrained weights for about 1 / (1 − decay) updates.
    """
    return max(1.0 - decay, (WARM_UP - 1) / (WARM_UP + updates))


def warm_up_steps(decay: float) -> int:
    """Return after how many updates the EMA moves as slowly as `decay` says."""
    return max(0, round((WARM_UP - 1) / (1.0 - decay)) - WARM_UP)


class StepWithEMA(CompiledOnce):
    """A step, after which the EMAs of its networks follow them: EMA ← EMA + rate · (now − EMA).

    The rate is that of `rate_of`: 1 − decay after a warm-up. EMAs are networks of the same form as those that they
    follow, in inference mode. BatchNorm's moving statistics are averaged as weights are, because the statistics of an
    average of weights are not those of any one moment.

    Args:
        cell: a Cell with a step's signature.
        networks: those whose EMAs are kept.
        ema: the EMA of each, by the same names.
        decay: from 0, the newest weights alone, to below 1.
        updates: how many updates the EMAs have had.
    """

    def __init__(
        self, cell: nn.Cell, networks: Mapping[str, nn.Cell], ema: Mapping[str, nn.Cell], decay: float, updates: int
    ):
        super().__init__(auto_prefix=False)
        self.cell = cell
        self.least_rate = 1.0 - decay
        # float32 counts no further than 2^24; long before, the rate no longer depends on the count
        self.updates = Parameter(Tensor(np.float32(min(updates, 2**24))), name="average_updates", requires_grad=False)
        now = [parameter for name in ema for parameter in networks[name].get_parameters()]
        self.ema = Averages([parameter for average in ema.values() for parameter in average.get_parameters()], now)

    def construct(self, batch, noise):
        """Do one update of the step, and one of the EMAs; return the step's scalars."""
        scalars = self.cell(batch, noise)
        updates = self.updates.value()
        rate = ops.maximum(self.least_rate, (WARM_UP - 1.0) / (WARM_UP + updates))
        return ops.depend(self.ema(rate, scalars), ops.assign(self.updates, updates + 1.0))


def begin_ema(network: nn.Cell, average: nn.Cell) -> None:
    """Give an EMA the numbers of the network that it is to follow."""
    for to, now in zip(average.get_parameters(), network.get_parameters()):
        to.set_data(ms.Tensor(now.asnumpy()))


def with_ema(cell: nn.Cell, step: TrainingStep, updates: int) -> nn.Cell:
    """Return the Cell, which does the step's updates, with the EMAs that the step keeps, after so many updates."""
    if not step.ema:
        return cell
    networks = {name: getattr(step, name) for name in step.ema}
    return StepWithEMA(cell, networks, step.ema, step.ema_decay, updates)
