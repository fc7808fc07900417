"""A slowly moving average of the weights that leave a run (Yazıcı et al. 2019): its images are steadier."""

from __future__ import annotations

from typing import Any, Dict

import mindspore as ms
from mindspore import nn, ops


class AveragedWeights(nn.Cell):
    """A step, after which averages of its networks follow them: average ← average + (1 − decay) · (now − average).

    The averages are networks of the same form as those that they follow, in inference mode. BatchNorm's moving
    statistics are averaged as weights are: the statistics of an average of weights are not those of any one moment.
    Half of what an average holds is younger than ln 2 / (1 − decay) steps; it begins as the untrained network.

    Args:
        cell: a Cell with a step's signature.
        networks: those whose averages are kept.
        averages: the average of each, by the same names.
        decay: from 0, the newest weights alone, to below 1.
    """

    def __init__(self, cell: nn.Cell, networks: Dict[str, nn.Cell], averages: Dict[str, nn.Cell], decay: float):
        super().__init__(auto_prefix=False)
        self.cell = cell
        self.rate = 1.0 - decay
        self.now = ms.ParameterTuple([parameter for name in averages for parameter in networks[name].get_parameters()])
        self.averages = ms.ParameterTuple([parameter for average in averages.values()
                                           for parameter in average.get_parameters()])

    def construct(self, batch, noise):
        """Do one update of the step, and one of the averages; return the step's scalars."""
        scalars = self.cell(batch, noise)
        for average, now in zip(self.averages, self.now):
            updated = average + self.rate * (ops.depend(now.value(), scalars) - average)
            scalars = ops.depend(scalars, ops.assign(average, updated))
        return scalars


def begin_average(network: nn.Cell, average: nn.Cell) -> None:
    """Give an average the numbers of the network that it is to follow."""
    for to, now in zip(average.get_parameters(), network.get_parameters()):
        to.set_data(ms.Tensor(now.asnumpy()))


def with_averages(cell: nn.Cell, step: Any) -> nn.Cell:
    """Return the Cell with the averages that the step keeps, if any."""
    if not step.averages:
        return cell
    networks = {name: getattr(step, name) for name in step.averages}
    return AveragedWeights(cell, networks, step.averages, step.average_decay)
