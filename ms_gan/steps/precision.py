"""Products in bfloat16: on Ascend its own, on CPU float32 whose numbers are rounded as bfloat16 would."""

from __future__ import annotations

from typing import Any

from mindspore import dtype as mstype
from mindspore import nn, ops

from ms_gan.nets.layers import cells_within

PRODUCTS = (ops.MatMul, ops.BatchMatMul, ops.Conv2D, ops.Conv2DTranspose)


class Rounded(nn.Cell):
    """An operator that multiplies: its inputs and its result rounded to bfloat16, and so their gradients.

    Sums within it are of float32, as they are on Ascend.
    """

    def __init__(self, operator: Any):
        super().__init__()
        self.operator = operator

    def construct(self, x, y, *size):
        return rounded(self.operator(rounded(x), rounded(y), *size))


def rounded(numbers):
    """Return float32 numbers rounded to those that bfloat16 has."""
    return ops.cast(ops.cast(numbers, mstype.bfloat16), mstype.float32)


def round_products(cell: nn.Cell) -> int:
    """Round the products of all layers within a Cell, before it is first called; return how many operators it has.

    Not those of cells that are `exact`, such as one that moves images. (On Ascend the compiler decides for all alike.)

    Parameters stay float32, and keep their names.
    """
    found = [
        (owner, name, operator)
        for owner in cells_within(cell, but=Rounded)
        if not getattr(owner, "exact", False)
        for name, operator in vars(owner).items()
        if isinstance(operator, PRODUCTS)
    ]
    for owner, name, operator in found:
        delattr(owner, name)
        setattr(owner, name, Rounded(operator))
    return len(found)
