"""Parameters that follow others."""

from __future__ import annotations

from collections.abc import Sequence

from mindspore import Parameter, ParameterTuple, nn, ops


class Averages(nn.Cell):
    """Moving averages of parameters, one for each: average ← average + rate · (now − average)."""

    def __init__(self, averages: Sequence[Parameter], now: Sequence[Parameter]):
        super().__init__(auto_prefix=False)
        self.averages, self.now = ParameterTuple(averages), ParameterTuple(now)

    def construct(self, rate, after):
        """Move all by `rate`, float32, a scalar, once `after` is there; return `after`."""
        done = after
        for average, now in zip(self.averages, self.now):
            moved = average + rate * (ops.depend(now.value(), after) - average)
            done = ops.depend(done, ops.assign(average, moved))
        return done
