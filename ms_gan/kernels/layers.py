"""Convolutions of networks by the compiled functions, in place of MindSpore's operators.

`use_own(cell)` puts them in. They can be differentiated any number of times. An exported graph can only hold
MindSpore's own, so what is exported is built anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.ops import functional as F

from ms_gan.kernels.build import library

SAME = -1  # in place of padding: that of pad_mode "same", which follows from the sizes


@dataclass(frozen=True)
class Padding:
    """Sizes of a convolution's result, and of a transposed one's, along one side."""

    kernel_size: int
    stride: int
    before: int  # SAME for pad_mode "same"
    after: int

    def shrunk(self, size: int) -> int:
        """Return how many results a convolution has; -1, as everywhere here, stands for a size that is not known."""
        if size < 0:
            return -1
        if self.before == SAME:
            return -(-size // self.stride)
        return (size + self.before + self.after - self.kernel_size) // self.stride + 1

    def grown(self, size: int) -> int:
        """Return how many a transposed one has, as `nn.Conv2dTranspose` counts."""
        if size < 0:
            return -1
        if self.before == SAME:
            return size * self.stride
        return size * self.stride - self.before - self.after + self.kernel_size - self.stride


class Operators:
    """A convolution, its two gradients, and its transpose, as operators, each the gradient of the others.

    All are linear in each of their two tensors, so that a gradient of any of them is two others of them. They also take
    the geometry, int32 (stride_h, stride_w, top, left), and the gradients something that has the shape of the result.
    """

    def __init__(self, path: str, height: Padding, width: Padding):
        def operator(name, shape, bprop, role=""):
            made = ops.Custom(f"{path}:ms_gan_convolution{name}", shape, _type_of_first, func_type="aot", bprop=bprop)
            # without it MindSpore 2.8 gives two operators of one function the gradient of one of them
            made.add_prim_attr("which", f"{role}{name} {height} {width}")
            return made

        def of_forward(x, weight, geometry, y, dy):
            return to_input(dy, weight, geometry, x), to_weight(x, dy, geometry, weight), ops.zeros_like(geometry)

        def of_to_input(dy, weight, geometry, x, dx, ddx):
            return (
                forward(ddx, weight, geometry),
                to_weight(ddx, dy, geometry, weight),
                ops.zeros_like(geometry),
                ops.zeros_like(x),
            )

        def of_to_weight(x, dy, geometry, weight, dw, ddw):
            return (
                to_input(dy, ddw, geometry, x),
                forward(x, ddw, geometry),
                ops.zeros_like(geometry),
                ops.zeros_like(weight),
            )

        def of_transposed(x, weight, geometry, y, dy):
            return forward(dy, weight, geometry), to_weight(dy, x, geometry, weight), ops.zeros_like(geometry)

        def forward_shape(x, weight, geometry):
            _require_channels(x[1], weight[1])
            return _require_size((x[0], weight[0], height.shrunk(x[2]), width.shrunk(x[3])), x)

        def transposed_shape(x, weight, geometry):
            _require_channels(x[1], weight[0])
            return _require_size((x[0], weight[1], height.grown(x[2]), width.grown(x[3])), x)

        forward = operator("", forward_shape, of_forward)
        to_input = operator("_to_input", _shape_of_last, of_to_input)
        to_weight = operator("_to_weight", _shape_of_last, of_to_weight)
        self.forward = forward
        self.transposed = operator("_to_input", transposed_shape, of_transposed, role="transposed")
        self.geometry = Tensor(np.array([height.stride, width.stride, height.before, width.before], np.int32))


def _require_channels(given: int, taken: int) -> None:
    if given != taken:
        raise ValueError(f"a convolution of {taken} channels was given {given}")


def _require_size(found: tuple[int, ...], given: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that was found for a given one. Raises ValueError where nothing is left; -1 is not known yet."""
    if any(size <= 0 <= least for size, least in zip(found, given)):
        raise ValueError(f"nothing is left of maps of {given[2]}x{given[3]}: the kernel is larger")
    return found


def _type_of_first(*types):
    return types[0]


def _shape_of_last(*shapes):
    return shapes[-1]


class Convolution(nn.Cell):
    """What stands in place of `ops.Conv2D` (`transposed`: of `ops.Conv2DTranspose`), and calls it for other types."""

    def __init__(self, stock: Any, operators: Operators, transposed: bool):
        super().__init__(auto_prefix=False)
        self.stock = stock
        self.own = operators.transposed if transposed else operators.forward
        self.geometry = operators.geometry

    def construct(self, x, weight, *size):
        known = F.isconstant(ops.shape(x))  # MindSpore cannot run own operators on sizes that it learns late
        if not known or x.dtype != mstype.float32 or weight.dtype != mstype.float32:
            return self.stock(x, weight, *size)
        return self.own(x, weight, self.geometry)


def use_own(cell: nn.Cell) -> int:
    """Let all convolutions in a Cell be computed by the compiled functions, before it is first called.

    Names and shapes of parameters stay as they are. Where there is no library, or no way to compute one of them by it,
    it stays as it is, too: `_operators_for` decides.

    Returns:
        How many were replaced.
    """
    count = 0
    for owner, name, found in _convolutions(cell):
        operators = None if isinstance(found, Convolution) else _operators_for(found)
        if operators is not None:
            delattr(owner, name)
            setattr(owner, name, Convolution(found, operators, isinstance(found, ops.Conv2DTranspose)))
            count += 1
    return count


def has_convolutions(cell: nn.Cell) -> bool:
    """Return whether there are convolutions in a Cell."""
    return next(_convolutions(cell), None) is not None


def _convolutions(cell: nn.Cell) -> Iterator[tuple[nn.Cell, str, Any]]:
    """Return each convolution within a Cell, own or MindSpore's: the Cell that has it, its name there, and itself."""
    for _, owner in list(cell.cells_and_names()):
        if not isinstance(owner, Convolution):
            named = {**vars(owner), **owner.name_cells()}
            for name, found in named.items():
                if isinstance(found, (Convolution, ops.Conv2D, ops.Conv2DTranspose)):
                    yield owner, name, found


def _operators_for(stock: Any) -> Operators | None:
    """Return what computes an operator of MindSpore, or None where nothing but itself does."""
    covered = (
        ms.get_context("device_target") == "CPU"
        and ms.get_context("mode") == ms.GRAPH_MODE
        and stock.group == 1
        and set(stock.dilation) == {1}
        and stock.format == "NCHW"
        and stock.mode == 1
    )
    path = library().path if covered else None
    if path is None:
        return None
    sides = []
    for which, (kernel_size, stride) in enumerate(zip(_pair(stock.kernel_size), stock.stride[-2:])):
        before, after = stock.padding[2 * which : 2 * which + 2]
        if stock.pad_mode.lower() == "same":
            before = after = SAME
        elif stock.pad_mode.lower() == "valid" and isinstance(stock, ops.Conv2DTranspose):
            after = min(kernel_size - stride, 0)  # as many results as inputs, times the stride, are the least
        sides.append(Padding(kernel_size, stride, before, after))
    return Operators(str(path), *sides)


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)
