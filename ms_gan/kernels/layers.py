"""Layers of networks by the compiled functions, in place of MindSpore's operators.

`use_own(cell)` puts them in. An exported graph can only hold MindSpore's own, so what is exported is built anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import mindspore as ms
from mindspore import dtype as mstype
from mindspore import nn, ops
from mindspore.ops import functional as F

from ms_gan.kernels.build import library
from ms_gan.kernels.operators import (
    SAME,
    Adam,
    Convolutions,
    Follow,
    MaxPool,
    Normalization,
    Padding,
    Products,
    Resampling,
    Squash,
)
from ms_gan.kernels.stack import LONGEST, Stack, Stage
from ms_gan.nets.averages import Averages
from ms_gan.nets.layers import BatchNorm1d, Chain, Downsample, LeakyReLU, Sigmoid, Tanh, Upsample, cells_within

BATCH_NORMS = (BatchNorm1d, nn.BatchNorm2d)


def _computable(x: Any) -> bool:
    """Return whether an input is float32, not empty, and of a size that is known: own operators are told no other."""
    return F.isconstant(ops.shape(x)) and x.dtype == mstype.float32 and 0 not in ops.shape(x)


class Own(nn.Cell):
    """A replacement for one of MindSpore's layers or operators; it calls the original for inputs that it cannot take.

    `after` is the LeakyReLU that is computed along, if any.
    """

    def __init__(self, stock: Any, after: nn.Cell | None = None):
        super().__init__(auto_prefix=False)
        self.stock, self.after = stock, after
        if isinstance(stock, nn.Cell):
            self.set_train(stock.training)

    def __getattr__(self, name: str) -> Any:
        """Return what the layer itself has, such as its weight."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("stock"), name)

    def by_stock(self, x):
        """Return what MindSpore computes."""
        y = self.stock(x)
        return y if self.after is None else self.after(y)


class OwnConvolution(Own):
    """In place of the operator `ops.Conv2D` in a Cell of some kind, or of `ops.Conv2DTranspose` in a layer."""

    def __init__(self, stock: Any, operators: Convolutions):
        super().__init__(stock)
        self.own = operators.transposed if isinstance(stock, ops.Conv2DTranspose) else operators.forward

    def construct(self, x, weight, *size):
        if _computable(x) and weight.dtype == mstype.float32:
            return self.own(x, weight)
        return self.stock(x, weight, *size)


class OwnBatchNorm(Own):
    """In place of BatchNorm over a batch's own statistics. By itself, in inference, MindSpore's stays."""

    def __init__(self, stock: nn.BatchNorm2d, path: str, after: nn.Cell | None):
        super().__init__(stock, after)
        # the last is the share of a batch's statistics in the moving ones
        self.own = Normalization(path, stock.eps, slope_of(after), stock.momentum).layer

    def construct(self, x):
        if not self.stock.training or not _computable(x):
            return self.by_stock(x)
        stock = self.stock
        y, mean, variance = self.own(x, stock.gamma, stock.beta, stock.moving_mean, stock.moving_variance)
        y = F.depend(y, ops.assign(stock.moving_mean, mean))
        return F.depend(y, ops.assign(stock.moving_variance, variance))

    def scale_and_shift(self):
        """Return what it does to each channel in inference."""
        scale = self.stock.gamma / ops.sqrt(self.stock.moving_variance + self.stock.eps)
        return scale, self.stock.beta - self.stock.moving_mean * scale


class OwnMaxPool(Own):
    """In place of max-pooling over 2×2."""

    def __init__(self, stock: nn.MaxPool2d, path: str):
        super().__init__(stock)
        self.own = MaxPool(path).layer

    def construct(self, x):
        return self.own(x) if self.stock.training and _computable(x) and x.ndim == 4 else self.stock(x)


class OwnResampling(Own):
    """In place of `Downsample` or `Upsample`."""

    def __init__(self, stock: nn.Cell, path: str):
        super().__init__(stock)
        operators = Resampling(path)
        self.divisor = 2 if isinstance(stock, Downsample) else 1
        self.own = operators.halved if isinstance(stock, Downsample) else operators.doubled

    def construct(self, x):
        fits = _computable(x) and x.ndim == 4 and x.shape[2] % self.divisor == x.shape[3] % self.divisor == 0
        return self.own(x) if fits else self.stock(x)


class OwnSquash(Own):
    """In place of tanh or sigmoid, in training. In inference mode they make NaN of what is infinite."""

    def __init__(self, stock: nn.Cell, path: str):
        super().__init__(stock)
        self.own = Squash(path, isinstance(stock, Tanh)).layer

    def construct(self, x):
        return self.own(x) if self.stock.training and _computable(x) else self.stock(x)


class OwnAdam(Own):
    """In place of Adam, with all weights of a network updated at once."""

    def __init__(self, stock: nn.Adam, path: str):
        super().__init__(stock)
        self.own = Adam(path, len(stock.parameters)).update

    def construct(self, gradients):
        stock = self.stock
        rate = stock.get_lr()
        stock.assignadd(stock.global_step, stock.global_step_increase_tensor)
        powers = (stock.beta1_power, stock.beta2_power)
        return self.own(
            powers,
            (rate, stock.beta1, stock.beta2, stock.eps),
            stock.parameters,
            stock.moment1,
            stock.moment2,
            gradients,
        )


class OwnAverages(Own):
    """In place of moving averages, all moved at once."""

    def __init__(self, stock: Averages, path: str):
        super().__init__(stock)
        self.own = Follow(path, len(stock.now)).move

    def construct(self, rate, after):
        stock = self.stock
        return F.depend(after, self.own(F.depend(rate, after), stock.averages, stock.now))


class OwnLayer(Own):
    """In place of a Dense layer or a convolution, and of LeakyReLU or BatchNorm after it.

    In inference BatchNorm scales and shifts each channel, and so becomes a part of weight and bias.
    """

    def __init__(self, stock: nn.Cell, layer: Callable, after: nn.Cell | None, norm: OwnBatchNorm | None):
        super().__init__(stock, after)
        self.norm = norm
        self.own = layer(slope_of(after))
        self.own_in_inference = self.own if norm is None else layer(slope_of(norm.after))
        self.no_bias = ops.zeros(stock.out_channels, mstype.float32)
        shape = [1] * stock.weight.ndim
        shape[isinstance(stock, nn.Conv2dTranspose)] = -1  # where a weight has its outputs
        self.by_outputs = tuple(shape)

    def construct(self, x):
        bias = self.stock.bias if self.stock.has_bias else self.no_bias
        if not _computable(x) or x.ndim != self.stock.weight.ndim:
            y = self.by_stock(x)
            return y if self.norm is None else self.norm(y)
        if self.norm is None:
            return self.own(x, self.stock.weight, bias)
        if self.norm.stock.training:
            return self.norm(self.own(x, self.stock.weight, bias))
        scale, shift = self.norm.scale_and_shift()
        weight = self.stock.weight * scale.reshape(self.by_outputs)
        return self.own_in_inference(x, weight, bias * scale + shift)


class OwnStack(Own):
    """In place of layers that follow each other, Dense layers and batch normalisations, these in training: as one."""

    def __init__(self, layers: list[Any], path: str):
        super().__init__(layers[0])
        self.layers = nn.SequentialCell(layers)
        self.norms = nn.CellList()
        stages: list[Stage] = []
        parameters: list[Any] = []
        moving: list[ms.Parameter] = []
        for layer in layers:
            if isinstance(layer, OwnLayer):
                stages.append(Stage(False, slope_of(layer.after)))
                parameters += [layer.stock.weight, layer.stock.bias if layer.stock.has_bias else layer.no_bias]
            norm = layer if isinstance(layer, OwnBatchNorm) else layer.norm
            if norm is not None:
                stock = norm.stock
                stages.append(Stage(True, slope_of(norm.after), stock.eps, stock.momentum))
                parameters += [stock.gamma, stock.beta]
                moving += [stock.moving_mean, stock.moving_variance]
                self.norms.append(norm)
        self.parameters_of_all, self.moving = tuple(parameters), tuple(moving)
        lacks_bias = any(isinstance(layer, OwnLayer) and not layer.stock.has_bias for layer in layers)
        self.own = Stack(path, stages, lacks_bias).layer

    def construct(self, x):
        as_one = _computable(x) and x.ndim == 2
        for norm in self.norms:
            as_one = as_one and norm.stock.training
        return self.own(x, self.parameters_of_all, self.moving) if as_one else self.layers(x)


def slope_of(after: nn.Cell | None) -> float:
    """Return the slope of a LeakyReLU; 1 of anything else, which stands for none."""
    return after.slope if isinstance(after, LeakyReLU) else 1.0


def use_own(cell: nn.Cell) -> int:
    """Let layers within a Cell be computed by the compiled functions, before it is first called.

    Names and shapes of parameters stay as they are. Where there is no library, or no way to compute a layer by it, it
    stays as it is, too.

    Returns:
        How many were replaced.
    """
    path = library().path
    if path is None or ms.get_context("device_target") != "CPU" or ms.get_context("mode") != ms.GRAPH_MODE:
        return 0
    names = [(parameter, parameter.name) for parameter in cell.get_parameters()]
    count = sum(_put_into(owner, str(path)) for owner in cells_within(cell, but=Own))
    for parameter, name in names:  # putting a Cell into another one gives its parameters new names
        parameter.name = name
    return count


def has_layers(cell: nn.Cell) -> bool:
    """Return whether there are layers in a Cell that may be computed by compiled functions."""
    kinds = (nn.Dense, nn.Conv2d, nn.Conv2dTranspose, nn.BatchNorm2d)
    return any(isinstance(found, kinds) for _, found in cell.cells_and_names())


def _put_into(owner: nn.Cell, path: str) -> int:
    """Replace the layers of one Cell itself, and the operators in it; return how many."""
    count, children, done = 0, list(owner._cells.items()), 0  # not name_cells(), which gives a Cell once
    for index, (_, cell) in enumerate(children):
        if index < done:
            continue
        following = [child for _, child in children[index + 1 : index + 3]] if isinstance(owner, Chain) else []
        own, taken = _own_layer(cell, following, path)
        if own is not None:
            for (other, _), new in zip(children[index:], [own] + [nn.Identity() for _ in range(taken)]):
                _put(owner, other, new)
            count, done = count + 1 + taken, index + 1 + taken
    if isinstance(owner, Chain):
        _join(owner, path)
    for name, found in list(vars(owner).items()):
        in_layer = isinstance(found, ops.Conv2DTranspose) and isinstance(owner, nn.Conv2dTranspose)
        sides = _sides(found) if isinstance(found, ops.Conv2D) or in_layer else None
        if sides is not None:
            delattr(owner, name)
            setattr(owner, name, OwnConvolution(found, Convolutions(path, *sides)))
            count += 1
    return count


def _join(chain: Chain, path: str) -> None:
    """Put one Cell in the place of layers of a Chain that can be computed as one."""
    runs: list[list[tuple[str, Any]]] = []
    for name, cell in chain._cells.items():
        if isinstance(cell, nn.Identity):
            continue
        if runs and _continues([layer for _, layer in runs[-1]], cell):
            runs[-1].append((name, cell))
        else:
            runs.append([(name, cell)])
    for run in runs:
        layers = [layer for _, layer in run]
        if _is_dense(layers[0]) and sum(map(_stages, layers)) > 1:
            for (name, _), new in zip(run, [OwnStack(layers, path), *(nn.Identity() for _ in layers[1:])]):
                _put(chain, name, new)


def _continues(run: list[nn.Cell], cell: nn.Cell) -> bool:
    """Return whether a Cell can be computed as one with a run of others before it."""
    normalized = isinstance(run[-1], OwnBatchNorm) or getattr(run[-1], "norm", None) is not None
    follows = _is_dense(cell) or (isinstance(cell, OwnBatchNorm) and not normalized)
    return _is_dense(run[0]) and follows and sum(map(_stages, (*run, cell))) <= LONGEST


def _is_dense(cell: nn.Cell) -> bool:
    return isinstance(cell, OwnLayer) and type(cell.stock) is nn.Dense


def _stages(layer: Any) -> int:
    return 1 if isinstance(layer, OwnBatchNorm) else 1 + (layer.norm is not None)


def _put(owner: nn.Cell, name: str, new: nn.Cell) -> None:
    """Put a Cell in another's place. A SequentialCell holds its Cells twice, by name and in order."""
    if isinstance(owner, nn.SequentialCell):
        order = tuple(owner.cell_list)
        place = list(owner._cells).index(name)  # the same Cell may stand at several
        owner._cells[name] = new
        owner.cell_list = (*order[:place], new, *order[place + 1 :])
    elif isinstance(owner, nn.CellList):
        owner._cells[name] = new
    else:
        setattr(owner, name, new)


def _own_layer(stock: nn.Cell, following: list[nn.Cell], path: str) -> tuple[nn.Cell | None, int]:
    """Return what computes a layer, or None where nothing but itself does; and how many of those that follow it."""
    if any(stock.get_flags().get(of_type) for of_type in ("fp16", "fp32", "bf16")):  # to_float was asked for
        return None, 0
    first, second = (*following, None, None)[:2]
    after = first if type(first) is LeakyReLU else None
    if type(stock) in BATCH_NORMS and stock.use_batch_statistics is None and _are_float32(stock.get_parameters()):
        return OwnBatchNorm(stock, path, after), int(after is not None)
    if type(stock) in (Downsample, Upsample):
        return OwnResampling(stock, path), 0
    if type(stock) in (Tanh, Sigmoid):
        return OwnSquash(stock, path), 0
    if type(stock) is Averages and _are_float32((*stock.averages, *stock.now)):
        return OwnAverages(stock, path), 0
    if type(stock) is nn.Adam and _is_plain(stock):
        return OwnAdam(stock, path), 0
    if type(stock) is nn.MaxPool2d and (stock.kernel_size, stock.stride, stock.pad_mode.lower()) == (2, 2, "same"):
        return OwnMaxPool(stock, path), 0
    layer = _layer_of(stock, path)
    if layer is None:
        return None, 0
    norm, taken = _own_layer(first, [second], path) if type(first) in BATCH_NORMS else (None, 0)
    return OwnLayer(stock, layer, after, norm), int(after is not None or norm is not None) + taken


def _is_plain(adam: nn.Adam) -> bool:
    """Return whether an Adam is that of its paper, with one learning rate, for weights of float32."""
    variant = adam.use_nesterov or adam.use_amsgrad or adam.use_lazy or adam.use_offload
    changed = adam.is_group or adam.exec_weight_decay or adam.grad_centralization or adam.need_scale
    return not variant and not changed and _are_float32(adam.parameters)


def _are_float32(parameters: Iterable[ms.Parameter]) -> bool:
    return all(parameter.dtype == mstype.float32 for parameter in parameters)


def _layer_of(stock: nn.Cell, path: str) -> Callable[[float], Callable] | None:
    """Return what computes a Dense layer or a convolution, given the slope of LeakyReLU after it; or None."""
    if type(stock) is nn.Dense and not stock.activation_flag:
        return lambda slope: Products(path, slope).layer
    if type(stock) not in (nn.Conv2d, nn.Conv2dTranspose) or getattr(stock, "output_padding", 0) != 0:
        return None
    transposed = type(stock) is nn.Conv2dTranspose
    sides = _sides(stock.conv2d_transpose if transposed else stock.conv2d)
    if sides is None:
        return None
    if transposed:
        return lambda slope: Convolutions(path, *sides, slope).transposed_layer
    return lambda slope: Convolutions(path, *sides, slope).layer


def _sides(stock: Any) -> tuple[Padding, Padding] | None:
    """Return the sizes of an operator of MindSpore, or None where nothing but itself computes it."""
    if stock.group != 1 or set(stock.dilation) != {1} or stock.format != "NCHW" or stock.mode != 1:
        return None
    sides = []
    for which, (kernel_size, stride) in enumerate(zip(_pair(stock.kernel_size), stock.stride[-2:])):
        before, after = stock.padding[2 * which : 2 * which + 2]
        if stock.pad_mode.lower() == "same":
            before = after = SAME
        elif stock.pad_mode.lower() == "valid" and isinstance(stock, ops.Conv2DTranspose):
            after = min(kernel_size - stride, 0)  # as many results as inputs, times the stride, are the least
        sides.append(Padding(kernel_size, stride, before, after))
    return sides[0], sides[1]


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)
