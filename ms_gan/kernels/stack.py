"""Dense layers and batch normalisations, one after the other, as one operator, with its gradients.

What lies between operators, in MindSpore's runtime, takes as long as a small layer itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mindspore import Tensor, ops

from ms_gan.kernels.operators import READ, WRITE, Products, compiled_operator, in_place

MOST = 24  # inputs of each operator here, of which the last may be nothing
LONGEST = 8  # stages


class Stage(NamedTuple):
    """A Dense layer, or a batch normalisation by the batch's statistics, and LeakyReLU of `slope` (1 for none).

    Of batch normalisation, moving statistics go the part `share` of the way to a batch's.
    """

    normalizes: bool
    slope: float
    epsilon: float = 0.0
    share: float = 0.0


class Stack:
    """Stages, one after the other: at most `LONGEST`, the first and the one before each that normalises a Dense layer.

    `layer(x, parameters, moving)`: x is N×inputs. The parameters are a tuple, two of each stage: weight and bias, or
    gamma and beta; `moving` is one, too: mean and variance of each stage that normalises, which change in place. It can
    be differentiated any number of times: twice by functions of its own where nothing normalises, else by MindSpore's.
    `lacks_bias` tells whether any bias is a constant.
    """

    def __init__(self, path: str, stages: Sequence[Stage], lacks_bias: bool = False):
        def made(function: str, shape: Callable, bprop: Callable, results: int):
            def gradient(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, out, dout):  # noqa: E741
                # MindSpore counts a gradient's arguments, so it cannot have *inputs
                inputs = (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x)
                found = bprop(inputs, out, dout)
                return found + (nothing,) * (MOST - len(found))

            return compiled_operator(path, function, shape, gradient, tuple(stages), results)

        def filled(*inputs):
            return inputs + (nothing,) * (MOST - len(inputs))

        def of_forward(inputs, out, dout):
            x, parameters = inputs[0], inputs[2 : 2 + count]
            (y, hidden), dy = out, dout[0]
            dz, rest = backward(*filled(dy, y, x, numbers, hidden, *parameters))
            found = to_parameters(*filled(dy, x, numbers, hidden, dz, rest, *parameters))
            return (products.plain(dz, parameters[0]), no_numbers, *found)

        def of_backward(inputs, out, dout):
            dy, y, x, _, hidden = inputs[:5]
            parameters = inputs[5 : 5 + count]
            if normalizes:
                to_dy, to_x, *found = in_all(dz_by_operators)(dy, x, *parameters, dout[0])
            else:
                to_dy, *weights = twice(*filled(dout[0], dy, y, x, numbers, hidden, out[1], *parameters))
                to_x, found = ops.zeros_like(x), ()
                for index, weight in enumerate((ops.zeros_like(parameters[0]), *weights)):
                    found += (weight, ops.zeros_like(parameters[2 * index + 1]))
            return (to_dy, ops.zeros_like(y), to_x, no_numbers, ops.zeros_like(hidden), *found)

        def of_to_parameters(inputs, out, dout):
            dy, x, _, hidden, dz, rest = inputs[:6]
            parameters = inputs[6 : 6 + count]
            to_dy, to_x, *found = in_all(parameters_by_operators)(dy, x, *parameters, dout)
            none = ops.zeros_like(hidden), ops.zeros_like(dz), ops.zeros_like(rest)
            return (to_dy, to_x, no_numbers, *none, *found)

        def of_twice(inputs, out, dout):
            change, dy, y, x, _, hidden, rest = inputs[:7]
            parameters = inputs[7 : 7 + count]
            to_change, to_dy, to_x, *found = in_all(twice_by_operators)(change, dy, x, *parameters, dout)
            none = no_numbers, ops.zeros_like(hidden), ops.zeros_like(rest)
            return (to_change, to_dy, ops.zeros_like(y), to_x, *none, *found)

        def of_statistics(inputs, out, dout):
            return (ops.zeros_like(inputs[0]),)

        def by_operators(z, *parameters):
            """Return what comes out, from the first z without its bias."""
            for index, stage in enumerate(stages):
                first, second = parameters[2 * index], parameters[2 * index + 1]
                if stage.normalizes:
                    centred = z - z.mean(0)
                    z = centred / ops.sqrt((centred * centred).mean(0) + stage.epsilon) * first + second
                else:
                    z = (z if index == 0 else ops.matmul(z, first.T)) + second
                z = ops.select(z > 0.0, z, stage.slope * z)
            return z

        def dz_by_operators(dy, x, *parameters):
            return in_all(by_operators)(ops.matmul(x, parameters[0].T), *parameters, dy)[0]

        def parameters_by_operators(dy, x, *parameters):
            dz, _, *others = in_all(by_operators)(ops.matmul(x, parameters[0].T), *parameters, dy)
            return (ops.matmul(dz.T, x), *others)

        def twice_by_operators(change, dy, x, *parameters):
            to_dy, _, *found = in_all(dz_by_operators)(dy, x, *parameters, change)
            return (to_dy, *found[2::2])

        def widths(parameters):
            return [shape[0] for shape in parameters[:count:2]]

        def forward_shape(x, given, *parameters):
            if x[1] != parameters[0][1]:
                raise ValueError(f"a Dense layer of {parameters[0][1]} channels was given {x[1]}")
            of = widths(parameters)
            statistics = sum(2 * width for width, stage in zip(of, stages) if stage.normalizes)
            return (x[0], of[-1]), (statistics + x[0] * sum(of[:-1]),)

        def backward_shape(dy, y, x, given, hidden, *parameters):
            rest, of = 0, widths(parameters)
            for index, (width, stage) in enumerate(zip(of, stages)):
                if stage.normalizes:
                    rest += 2 * width
                elif index > 0 and (index < len(of) - 1 or stage.slope != 1.0):
                    rest += x[0] * width
            return (x[0], of[0]), (max(rest, 1),)

        count, normalizes = 2 * len(stages), any(stage.normalizes for stage in stages)
        in_all = ops.GradOperation(get_all=True, sens_param=True)
        numbers = Tensor(np.array(stages, np.float32).reshape(-1))
        no_numbers, nothing = ops.zeros_like(numbers), Tensor(np.zeros(1, np.float32))
        products = Products(path, 1.0)
        forward = made("stack", forward_shape, of_forward, 2)
        backward = made("stack_gradient", backward_shape, of_backward, 2)
        to_parameters = made("stack_to_parameters", lambda *shapes: shapes[6 : 6 + count], of_to_parameters, count)
        twice = made("stack_twice", lambda *shapes: (shapes[1], *shapes[9 : 7 + count : 2]), of_twice, len(stages))
        statistics = made("stack_statistics", lambda *shapes: (1,), of_statistics, 1)
        in_place(statistics, (3, READ), (MOST - 3, WRITE))

        def layer(x, parameters, moving):
            if lacks_bias:  # what stands for one is a constant, to which GradOperation gives no gradient: one less
                parameters = [ops.depend(each, x) for each in parameters]
            y, hidden = forward(*filled(x, numbers, *parameters))
            if not moving:
                return y
            images = Tensor(np.array([x.shape[0]], np.float32))
            return ops.depend(y, statistics(*filled(hidden, numbers, images, *moving)))

        self.layer: Any = layer
