"""Whether several processes that train together have the same data."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan.errors import Setting, UserError
from ms_gan.runtime import Device


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
    digits = np.array([int(sha256[start : start + 4], 16) for start in range(0, 64, 4)], np.float32)  # exact sums
    if not np.array_equal(_Sum()(Tensor(digits)).asnumpy(), digits * device.count):
        raise UserError(
            "the processes of this run do not have the same data", "give each the same ", Setting("data_path")
        )
