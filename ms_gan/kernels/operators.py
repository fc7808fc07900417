"""The compiled functions as operators of MindSpore, each with its gradient, which is made of others of them.

A product of two tensors is linear in each, and its gradients are products again. These, and what LeakyReLU does to
gradients, can be differentiated any number of times; batch normalisation twice, max-pooling once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mindspore import Tensor, ops
from mindspore.ops.signature import make_sig, sig_rw

READ, WRITE = sig_rw.RW_READ, sig_rw.RW_WRITE
SAME = -1  # in place of padding: that of pad_mode "same", which follows from the sizes


def compiled_operator(
    path: str, function: str, shape: Callable, bprop: Callable | None, which: Any = "", results: int = 1
):
    """Return an operator. Two of one function that differ in gradients or shapes differ in `which`."""

    def types(first, *others):
        return first if results == 1 else (first,) * results

    made = ops.Custom(f"{path}:ms_gan_{function}", shape, types, func_type="aot", bprop=bprop)
    # without it MindSpore 2.8 gives two operators of one function the gradient of one of them
    made.add_prim_attr("which", f"{function} {which}")
    return made


def in_place(made: Any, *inputs: tuple[int, Any]) -> Any:
    """Return an operator that changes parameters in place: of so many inputs each in turn, READ or WRITE."""
    made.add_prim_attr("side_effect_mem", True)  # what reads the parameters stays before it, or after it
    accesses = [access for count, access in inputs for _ in range(count)]
    made.set_signatures(tuple(make_sig(f"input{index}", access) for index, access in enumerate(accesses)))
    return made


def _shape_of_last(*shapes):
    return shapes[-1]


def _require(given: int, taken: int, what: str) -> None:
    if given != taken:
        raise ValueError(f"{what} of {taken} channels was given {given}")


class Ending:
    """What ends a layer: a bias for each channel, then LeakyReLU of `slope`; 1 for none.

    Maps are N×C×H×W, or N×C. `back(dy, y)` returns the gradients before the ending, and to the bias.
    """

    def __init__(self, path: str, slope: float):
        def of_gate(dy, y, given, out, dout):
            found, _ = gate(ops.bias_add(dout[0], dout[1]), y, given)
            return found, ops.zeros_like(y), ops.zeros_like(given)

        def of_sum(dy, out, dout):
            return (ops.bias_add(ops.zeros_like(dy), dout),)

        def through(dy, y):
            return gate(dy, y, numbers)

        def past(dy, y):
            return dy, add_up(dy)

        gate = compiled_operator(path, "activation_gradient", lambda dy, y, given: (dy, (dy[1],)), of_gate, results=2)
        add_up = compiled_operator(path, "bias_gradient", lambda dy: (dy[1],), of_sum)
        self.slope = numbers = Tensor(np.array([slope], np.float32))
        self.back = past if slope == 1.0 else through


@dataclass(frozen=True)
class Padding:
    """Kernel size, stride and padding along one axis, and the sizes of the results that follow from them."""

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


class Convolutions:
    """A convolution, its two gradients, and its transpose; both ways also as layers, with a bias and LeakyReLU.

    `forward(x, weight)` and `transposed`; `layer(x, weight, bias)` and `transposed_layer`, for the given slope. The
    operators take int32 (stride_h, stride_w, top, left), too, and the gradients something of the shape of their result.
    """

    def __init__(self, path: str, height: Padding, width: Padding, slope: float = 1.0):
        def operator(name, shape, bprop, role=""):
            return compiled_operator(path, f"convolution{name}", shape, bprop, (role, height, width, slope))

        def of_forward(x, weight, geometry, y, dy):
            return to_input(dy, weight, geometry, x), to_weight(x, dy, geometry, weight), ops.zeros_like(geometry)

        def of_to_input(dy, weight, geometry, x, dx, ddx):
            to_dy, to_w = forward(ddx, weight, geometry), to_weight(ddx, dy, geometry, weight)
            return to_dy, to_w, ops.zeros_like(geometry), ops.zeros_like(x)

        def of_to_weight(x, dy, geometry, weight, dw, ddw):
            to_x, to_dy = to_input(dy, ddw, geometry, x), forward(x, ddw, geometry)
            return to_x, to_dy, ops.zeros_like(geometry), ops.zeros_like(weight)

        def of_transposed(x, weight, geometry, y, dy):
            return forward(dy, weight, geometry), to_weight(dy, x, geometry, weight), ops.zeros_like(geometry)

        def of_layer(x, weight, geometry, bias, given, y, dy):
            dz, db = ending.back(dy, y)
            return (*of_forward(x, weight, geometry, y, dz), db, ops.zeros_like(given))

        def of_transposed_layer(x, weight, geometry, bias, given, y, dy):
            dz, db = ending.back(dy, y)
            return (*of_transposed(x, weight, geometry, y, dz), db, ops.zeros_like(given))

        def forward_shape(x, weight, *others):
            _require(x[1], weight[1], "a convolution")
            return _require_size((x[0], weight[0], height.shrunk(x[2]), width.shrunk(x[3])), x)

        def transposed_shape(x, weight, *others):
            _require(x[1], weight[0], "a transposed convolution")
            return _require_size((x[0], weight[1], height.grown(x[2]), width.grown(x[3])), x)

        ending = Ending(path, slope)
        forward = operator("", forward_shape, of_forward)
        to_input = operator("_to_input", _shape_of_last, of_to_input)
        to_weight = operator("_to_weight", _shape_of_last, of_to_weight)
        transposed = operator("_to_input", transposed_shape, of_transposed, "transposed")
        layer = operator("", forward_shape, of_layer, "layer")
        transposed_layer = operator("_to_input", transposed_shape, of_transposed_layer, "transposed layer")
        numbers = Tensor(np.array([height.stride, width.stride, height.before, width.before], np.int32))
        self.forward = lambda x, weight: forward(x, weight, numbers)
        self.transposed = lambda x, weight: transposed(x, weight, numbers)
        self.layer = lambda x, weight, bias: layer(x, weight, numbers, bias, ending.slope)
        self.transposed_layer = lambda x, weight, bias: transposed_layer(x, weight, numbers, bias, ending.slope)


def _require_size(found: tuple[int, ...], given: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that was found for a given one. Raises ValueError where nothing is left; -1 is not known yet."""
    if any(size <= 0 <= least for size, least in zip(found[2:], given[2:])):
        raise ValueError(f"nothing is left of maps of {given[2]}x{given[3]}: the kernel is larger")
    return found


class Products:
    """Products of matrices, `plain(a, b)`; and `layer(x, weight, bias)`, a Dense layer with LeakyReLU of a slope.

    x is N×inputs, weight outputs×inputs, as in `nn.Dense`. The operators take int32 numbers, too, that tell which of
    the two is transposed.
    """

    def __init__(self, path: str, slope: float):
        def operator(role, shape, bprop):
            return compiled_operator(path, "product", shape, bprop, (role, slope))

        def of_plain(a, b, turned, c, dc):
            return second_turned(dc, b, second), first_turned(a, dc, first), ops.zeros_like(turned)

        def of_second(a, b, turned, c, dc):
            return plain(dc, b, neither), first_turned(dc, a, first), ops.zeros_like(turned)

        def of_first(a, b, turned, c, dc):
            return second_turned(b, dc, second), plain(a, dc, neither), ops.zeros_like(turned)

        def of_layer(x, weight, turned, bias, given, y, dy):
            dz, db = ending.back(dy, y)
            return (*of_second(x, weight, turned, y, dz), db, ops.zeros_like(given))

        def layer_shape(x, weight, *others):
            _require(x[1], weight[1], "a Dense layer")
            return x[0], weight[0]

        neither, first, second = (Tensor(np.array(turned, np.int32)) for turned in ((0, 0), (1, 0), (0, 1)))
        ending = Ending(path, slope)
        plain = operator("plain", lambda a, b, turned: (a[0], b[1]), of_plain)
        first_turned = operator("first turned", lambda a, b, turned: (a[1], b[1]), of_first)
        second_turned = operator("second turned", lambda a, b, turned: (a[0], b[0]), of_second)
        layer = operator("layer", layer_shape, of_layer)
        self.plain = lambda a, b: plain(a, b, neither)
        self.layer = lambda x, weight, bias: layer(x, weight, second, bias, ending.slope)


class Normalization:
    """Batch normalisation by the batch's statistics, and LeakyReLU of `slope`.

    `layer(x, gamma, beta, moving_mean, moving_variance)` returns y and the new moving statistics, which have gone the
    part `share` of the way to the batch's, its variance counted as that of a sample. x is N×C×H×W or N×C.
    """

    def __init__(self, path: str, epsilon: float, slope: float, share: float):
        def gradients(dy, x, gamma, beta):
            axes = (0,) if x.ndim == 2 else (0, 2, 3)
            by_channel = (1, -1) + (1,) * (x.ndim - 2)
            centred = x - x.mean(axes, True)
            inverse = 1.0 / ops.sqrt((centred * centred).mean(axes, True) + epsilon)
            normal, scale = centred * inverse, gamma.reshape(by_channel)
            dz = ops.select(scale * normal + beta.reshape(by_channel) > 0.0, dy, slope * dy)
            dx = scale * inverse * (dz - dz.mean(axes, True) - normal * (dz * normal).mean(axes, True))
            return dx, (dz * normal).sum(axes), dz.sum(axes)

        def of_gradient(dy, x, gamma, beta, numbers, mean, variance, out, dout):
            zeros = ops.zeros_like(numbers), ops.zeros_like(mean), ops.zeros_like(variance)
            return (*twice(gradients)(dy, x, gamma, beta, dout), *zeros)

        def of_layer(x, gamma, beta, numbers, moving_mean, moving_variance, out, dout):
            dx, dgamma, dbeta = gradient(dout[0], x, gamma, beta, numbers, out[1], out[2])
            return dx, dgamma, dbeta, ops.zeros_like(numbers), ops.zeros_like(gamma), ops.zeros_like(gamma)

        def normalized(x, gamma, beta, moving_mean, moving_variance):
            y, _, _, new_mean, new_variance = layer(x, gamma, beta, all_three, moving_mean, moving_variance)
            return y, new_mean, new_variance

        twice = ops.GradOperation(get_all=True, sens_param=True)  # rarely asked for, so by MindSpore's operators
        which = (epsilon, slope)
        gradient = compiled_operator(
            path, "normalize_gradient", lambda dy, x, gamma, *others: (x, gamma, gamma), of_gradient, which, 3
        )
        layer = compiled_operator(path, "normalize", lambda x, gamma, *others: (x, *4 * (gamma,)), of_layer, which, 5)
        all_three = Tensor(np.array([epsilon, slope, share], np.float32))
        self.layer = normalized


class Adam:
    """One update of Adam for all weights of a network at once, in place (Kingma and Ba 2015).

    `update(powers, numbers, weights, moments1, moments2, gradients)`, each a tuple. The powers are those of beta1 and
    beta2, the numbers the learning rate, beta1, beta2 and epsilon. Powers, weights and moments are parameters; the
    gradients have the weights' shapes.
    """

    def __init__(self, path: str, arrays: int):
        made = in_place(
            compiled_operator(path, "adam", lambda *shapes: (1,), None, arrays),
            *((2, WRITE), (4, READ), (3 * arrays, WRITE), (arrays, READ)),
        )
        self.update = lambda powers, numbers, weights, first, second, gradients: made(
            *powers, *numbers, *weights, *first, *second, *gradients
        )


class Squash:
    """tanh, or else 1/(1 + exp(−x)), `layer(x)`, element-wise."""

    def __init__(self, path: str, to_both_sides: bool):
        def of_gradient(dy, y, given, dx, ddx):
            slope, bend = (1.0 - y * y, -2.0 * y) if to_both_sides else (y * (1.0 - y), 1.0 - 2.0 * y)
            return ddx * slope, ddx * dy * bend, ops.zeros_like(given)

        def of_layer(x, given, y, dy):
            return gradient(dy, y, given), ops.zeros_like(given)

        numbers = Tensor(np.array([to_both_sides], np.float32))
        gradient = compiled_operator(path, "squash_gradient", lambda dy, y, given: y, of_gradient, to_both_sides)
        layer = compiled_operator(path, "squash", lambda x, given: x, of_layer, to_both_sides)
        self.layer = lambda x: layer(x, numbers)


class Follow:
    """`move(rate, averages, now)`: moving averages of parameters, all at once, in place."""

    def __init__(self, path: str, arrays: int):
        made = in_place(
            compiled_operator(path, "follow", lambda *shapes: (1,), None, arrays),
            *((1, READ), (arrays, WRITE), (arrays, READ)),
        )
        self.move = lambda rate, averages, now: made(rate, *averages, *now)


class Resampling:
    """`halved(x)`, the mean of each 2×2 pixels of N×C×H×W of even sizes, and `doubled(x)`, each pixel as 2×2."""

    def __init__(self, path: str):
        def of_shrink(x, factor, y, dy):
            return grow(dy, factor), ops.zeros_like(factor)

        def of_grow(x, factor, y, dy):
            return shrink(dy, factor), ops.zeros_like(factor)

        def half(x, factor):
            return (x[0], x[1], x[2] // 2, x[3] // 2)

        def twice(x, factor):
            return (x[0], x[1], 2 * x[2], 2 * x[3])

        shrink = compiled_operator(path, "shrink", half, of_shrink)
        grow = compiled_operator(path, "grow", twice, of_grow)
        quarter, one = (Tensor(np.array([factor], np.float32)) for factor in (0.25, 1.0))
        self.halved = lambda x: shrink(x, quarter)
        self.doubled = lambda x: grow(x, one)


class MaxPool:
    """Max-pooling over 2×2, `layer(x)`: N×C×H×W to N×C×⌈H/2⌉×⌈W/2⌉."""

    def __init__(self, path: str):
        def of_layer(x, y, dy):
            return (gradient(dy, x, y),)

        gradient = compiled_operator(path, "max_pool_gradient", lambda dy, x, y: x, None)
        half = Padding(2, 2, SAME, SAME).shrunk
        self.layer = compiled_operator(path, "max_pool", lambda x: (*x[:2], half(x[2]), half(x[3])), of_layer)
