"""What becomes of networks' optimizers in some steps: gradients of several devices, counters of several networks."""

from __future__ import annotations

from typing import Any

from mindspore import nn


class AllReduceOptimizer(nn.Cell):
    """An optimizer that is given the mean of all devices' gradients.

    The mean loss of a batch is the mean of its equal shares' mean losses, and so are the gradients, except for
    BatchNorm, which normalises each share by its own statistics.
    """

    def __init__(self, optimizer: nn.Optimizer, devices: int):
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer
        # without mean and degree it would sum: it takes them from a context that is not set here
        self.mean = nn.DistributedGradReducer(optimizer.parameters, mean=True, degree=devices)

    def construct(self, gradients: Any) -> Any:
        """Average the gradients over the devices, and update."""
        return self.optimizer(self.mean(gradients))


def share_counters(optimizer: nn.Cell, other: nn.Cell) -> None:
    """Let two Adams count each other's updates, as one optimizer object that trains two networks does.

    The powers of beta1 and beta2, and the step on which the learning rate depends, advance at both's updates. Either
    may stand in an AllReduceOptimizer.
    """
    ours, theirs = (each.optimizer if isinstance(each, AllReduceOptimizer) else each for each in (optimizer, other))
    for name in ("beta1_power", "beta2_power", "global_step"):
        setattr(ours, name, getattr(theirs, name))
