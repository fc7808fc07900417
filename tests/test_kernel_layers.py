"""Layers by the compiled functions, against MindSpore's own, in static graph mode."""

from __future__ import annotations

from collections import OrderedDict

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from ms_gan.kernels.layers import Own, use_own
from ms_gan.nets.layers import BatchNorm1d, Chain, LeakyReLU

pytestmark = pytest.mark.usefixtures("device", "own_kernels")


class Gradients(nn.Cell):
    """Output, and the gradients of a penalty of it with respect to the input and the weights."""

    def __init__(self, layer):
        super().__init__(auto_prefix=False)
        self.layer = layer
        weights = ms.ParameterTuple(layer.trainable_params())
        self.gradient = ms.value_and_grad(self.loss, 0, weights)

    def loss(self, x):
        y = self.layer(x)
        return (y * y * y).mean() + ops.sin(y).mean()

    def construct(self, x):
        loss, (dx, dweights) = self.gradient(x)
        return (self.layer(x), loss, dx, *dweights)


class Slopes(nn.Cell):
    """The squared slopes at the input, as R1 and R2 penalise them, and their gradients."""

    def __init__(self, layer):
        super().__init__(auto_prefix=False)
        self.layer = layer
        self.slopes = ms.grad(self.total, 0)
        self.gradient = ms.value_and_grad(self.penalty, 0, ms.ParameterTuple(layer.trainable_params()))

    def total(self, x):
        y = self.layer(x)
        return (ops.sin(y) + 0.1 * y * y).sum()

    def penalty(self, x):
        slopes = self.slopes(x)
        return (slopes * slopes).mean()

    def construct(self, x):
        value, (dx, dweights) = self.gradient(x)
        return (value, dx, *dweights)


def both(make, measure, shape, seed=0):
    """What a measure finds with MindSpore's operators and with the own ones, from the same weights."""
    stream = np.random.default_rng(seed)
    x = Tensor(stream.standard_normal(shape).astype(np.float32))
    found, weights = [], None
    for own in (False, True):
        layer = make()
        weights = weights or [
            stream.standard_normal(p.shape).astype(np.float32) * 0.2 for p in layer.trainable_params()
        ]
        for parameter, weight in zip(layer.trainable_params(), weights):
            parameter.set_data(Tensor(weight))
        if own:
            assert use_own(layer) > 0
        found.append([value.asnumpy() for value in measure(layer)(x)])
    return found


def close(found, tolerance=2e-5):
    for stock, own in zip(*found):
        assert stock.shape == own.shape
        assert np.abs(stock - own).max() <= tolerance * np.abs(stock).max()


LAYERS = {
    "same 5": (lambda: nn.Conv2d(3, 9, 5, pad_mode="same", has_bias=True), (3, 3, 9, 10)),
    "same 5, stride 2, even": (lambda: nn.Conv2d(3, 9, 5, 2, pad_mode="same", has_bias=True), (3, 3, 14, 12)),
    "same 5, stride 2, odd": (lambda: nn.Conv2d(8, 9, 5, 2, pad_mode="same", has_bias=True), (5, 8, 7, 9)),
    "same 3": (lambda: nn.Conv2d(17, 20, 3, pad_mode="same"), (8, 17, 8, 7)),
    "same 4, stride 3": (lambda: nn.Conv2d(2, 3, 4, 3, pad_mode="same"), (2, 2, 11, 10)),
    "same 1, stride 2": (lambda: nn.Conv2d(4, 8, 1, 2, pad_mode="same"), (2, 4, 7, 8)),
    "valid 4, stride 2": (lambda: nn.Conv2d(4, 6, 4, 2, pad_mode="valid", has_bias=True), (3, 4, 11, 12)),
    "valid 2 x 3": (lambda: nn.Conv2d(4, 6, (2, 3), (1, 2), pad_mode="valid"), (3, 4, 6, 9)),
    "pad 4, stride 2": (lambda: nn.Conv2d(4, 6, 4, 2, pad_mode="pad", padding=1), (3, 4, 16, 16)),
    "pad uneven": (lambda: nn.Conv2d(4, 6, 3, pad_mode="pad", padding=(0, 1, 2, 3)), (3, 4, 6, 5)),
    "transposed same 5, stride 2": (
        lambda: nn.Conv2dTranspose(8, 5, 5, 2, pad_mode="same", has_bias=True),
        (5, 8, 7, 7),
    ),
    "transposed same 4, stride 2": (lambda: nn.Conv2dTranspose(4, 6, 4, 2, pad_mode="same"), (3, 4, 3, 5)),
    "transposed same 3, stride 1": (lambda: nn.Conv2dTranspose(4, 6, 3, 1, pad_mode="same"), (3, 4, 5, 5)),
    "transposed valid 3, stride 2": (lambda: nn.Conv2dTranspose(4, 6, 3, 2, pad_mode="valid"), (3, 4, 5, 4)),
    "transposed valid 2, stride 3": (lambda: nn.Conv2dTranspose(4, 6, 2, 3, pad_mode="valid"), (3, 4, 5, 4)),
    "transposed pad 4, stride 2": (lambda: nn.Conv2dTranspose(4, 6, 4, 2, pad_mode="pad", padding=1), (3, 4, 5, 6)),
    "transposed pad 2, stride 3": (lambda: nn.Conv2dTranspose(4, 6, 2, 3, pad_mode="pad", padding=0), (3, 4, 5, 4)),
    "transposed pad, one row more": (
        lambda: nn.Conv2dTranspose(4, 6, 5, 2, pad_mode="pad", padding=2, output_padding=1),
        (3, 4, 5, 6),
    ),
}


@pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS.keys())
def test_output_and_gradients_are_those_of_mindspore(make, shape):
    close(both(make, Gradients, shape))


@pytest.mark.parametrize(
    "name", ["same 5", "same 5, stride 2, odd", "transposed same 5, stride 2", "transposed pad 4, stride 2"]
)
def test_second_derivatives_are_those_of_mindspore(name):
    make, shape = LAYERS[name]
    close(both(make, Slopes, shape), 1e-4)


def sequence(*layers):
    return lambda: Chain([layer() for layer in layers])


def dense(before, after, **settings):
    return lambda: nn.Dense(before, after, **settings)


def leaky(slope):
    return lambda: LeakyReLU(slope)


def convolution(before, after, kind=nn.Conv2d, **settings):
    return lambda: kind(before, after, 5, 2, pad_mode="same", has_bias=True, **settings)


# How many layers are replaced, those that join another one counted, too.
SEQUENCES = {
    "Dense": (sequence(dense(20, 33)), (5, 20), 1),
    "Dense without bias": (sequence(dense(20, 33, has_bias=False), leaky(0.2)), (5, 20), 2),
    "Dense, LeakyReLU": (sequence(dense(20, 33), leaky(0.2), dense(33, 1)), (5, 20), 3),
    "Dense of one column": (sequence(dense(1, 3), leaky(0.0), dense(3, 1)), (1, 1), 3),
    "convolution, LeakyReLU": (sequence(convolution(3, 9), leaky(0.3), convolution(9, 2)), (3, 3, 9, 10), 3),
    "transposed, LeakyReLU": (
        sequence(convolution(3, 9, nn.Conv2dTranspose), leaky(0.3), convolution(9, 2)),
        (3, 3, 4, 5),
        3,
    ),
}
NORMALISED = {
    "Dense, BatchNorm, LeakyReLU": (
        sequence(dense(20, 33), lambda: BatchNorm1d(33, 1e-3, 0.99), leaky(0.2), dense(33, 7)),
        (9, 20),
        4,
    ),
    "Dense, LeakyReLU, BatchNorm": (
        sequence(dense(20, 33), leaky(0.1), lambda: BatchNorm1d(33), dense(33, 7)),
        (9, 20),
        4,
    ),
    "Dense, BatchNorm": (sequence(dense(20, 33), lambda: BatchNorm1d(33)), (9, 20), 2),
    "BatchNorm, LeakyReLU": (sequence(lambda: nn.BatchNorm2d(3), leaky(0.1), convolution(3, 4)), (4, 3, 5, 6), 3),
    "convolution, BatchNorm, LeakyReLU": (
        sequence(convolution(3, 9), lambda: nn.BatchNorm2d(9), leaky(0.2), convolution(9, 4, nn.Conv2dTranspose)),
        (3, 3, 9, 10),
        4,
    ),
    "transposed, BatchNorm, LeakyReLU": (
        sequence(convolution(3, 9, nn.Conv2dTranspose), lambda: nn.BatchNorm2d(9), leaky(0.0), convolution(9, 4)),
        (3, 3, 4, 5),
        4,
    ),
}


@pytest.mark.parametrize("make, shape, count", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_layers_that_join_are_those_of_mindspore(make, shape, count):
    assert use_own(make()) == count
    close(both(make, Gradients, shape))
    close(both(make, Slopes, shape), 1e-4)


@pytest.mark.parametrize("make, shape, count", NORMALISED.values(), ids=NORMALISED.keys())
def test_batch_normalisation_is_that_of_mindspore(make, shape, count):
    """In training, with its moving statistics; and then in inference, where it becomes a part of the layer before."""
    stream, found, weights = np.random.default_rng(5), [], None
    x = Tensor(3 + 2 * stream.standard_normal(shape).astype(np.float32))
    for own in (False, True):
        layer = make()
        layer.set_train()
        parameters = list(layer.get_parameters())
        weights = weights or [0.1 + 0.3 * stream.random(p.shape).astype(np.float32) for p in parameters]
        for parameter, weight in zip(parameters, weights):
            parameter.set_data(Tensor(weight))
        assert not own or use_own(layer) == count
        trained = [value.asnumpy() for value in Gradients(layer)(x)]
        moving = [parameter.asnumpy() for parameter in layer.get_parameters() if not parameter.requires_grad]
        layer.set_train(False)
        found.append([*trained, *moving, layer(x).asnumpy()])
    for stock, own in zip(*found):
        largest = np.abs(stock).max()
        is_rounding = largest < 1e-3  # as is the gradient to a bias before BatchNorm
        assert np.abs(stock - own).max() <= (1e-3 if is_rounding else 5e-5 * largest)


@pytest.mark.parametrize("name", ["Dense, BatchNorm, LeakyReLU", "convolution, BatchNorm, LeakyReLU"])
def test_batch_normalisation_can_be_differentiated_twice(name):
    make, shape, _ = NORMALISED[name]
    stock, own = both(lambda: make().set_train(), Slopes, shape)
    largest = max(np.abs(value).max() for value in stock)
    for one, other in zip(stock, own):
        assert np.abs(one - other).max() <= 1e-4 * max(np.abs(one).max(), 1e-2 * largest)


class Features(nn.Cell):
    """Looks into a SequentialCell, as feature matching does."""

    def __init__(self):
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(4, 5), LeakyReLU(0.2), nn.Dense(5, 3))
        self.output = nn.SequentialCell(OrderedDict(end=nn.Dense(3, 2)))

    def construct(self, x):
        return self.output(self.layers(x)) + self.layers[0](x).sum() + (self.layers[0].weight ** 2).sum()


class WithEnd(nn.SequentialCell):
    """One with another child."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.end = nn.Softmax()

    def construct(self, x):
        return self.end(super().construct(x))


def with_a_layer_twice():
    activation = LeakyReLU(0.3)
    return nn.SequentialCell(nn.Dense(4, 4), activation, nn.Dense(4, 4), activation, BatchNorm1d(4), nn.Dense(4, 2))


USERS = {
    "looked into": (Features, 3),
    "a layer twice": (with_a_layer_twice, 4),
    "a slice": (lambda: nn.SequentialCell(nn.ReLU(), nn.Dense(4, 3), LeakyReLU(0.1), nn.Dense(3, 2))[1:], 2),
    "a further child": (lambda: WithEnd(nn.Dense(4, 3), nn.Dense(3, 2)), 2),
}


@pytest.mark.parametrize("make, count", USERS.values(), ids=USERS.keys())
def test_networks_of_users_stay_what_they_are(make, count):
    names = [parameter.name for parameter in make().get_parameters()]
    layer = make()
    assert use_own(layer) == count
    assert [parameter.name for parameter in layer.get_parameters()] == names
    close(both(lambda: make().set_train(), Gradients, (6, 4)), 1e-3)  # of which rounding in small gradients is a part


def test_batch_normalisation_can_be_frozen_before_and_after():
    make, shape, _ = NORMALISED["Dense, BatchNorm, LeakyReLU"]
    x = Tensor(np.random.default_rng(6).standard_normal(shape).astype(np.float32))
    for freeze_first in (True, False):
        found = []
        for own in (False, True):
            layer = make().set_train()
            for parameter in layer.get_parameters():
                parameter.set_data(Tensor(np.full(parameter.shape, 0.3, np.float32)))
            norm = layer[1]
            if freeze_first:
                norm.set_train(False)
            if own:
                use_own(layer)
            norm.set_train(False)
            found.append([layer(x).asnumpy()])
        close(found)


def test_max_pooling_is_that_of_mindspore():
    make = sequence(convolution(3, 4), lambda: nn.MaxPool2d(2, 2, pad_mode="same"), leaky(0.2))
    found = both(lambda: make().set_train(), Gradients, (3, 3, 13, 10))
    close(found)
    assert use_own(make()) == 2 and use_own(nn.SequentialCell(nn.MaxPool2d(3, 2, pad_mode="same"))) == 0


def discriminator():
    return nn.SequentialCell(
        nn.Conv2d(2, 8, 5, 2, pad_mode="same", has_bias=True),
        nn.Tanh(),
        nn.Conv2d(8, 9, 3, pad_mode="same", has_bias=True),
        nn.Tanh(),
        nn.Conv2dTranspose(9, 3, 4, 2, pad_mode="same", has_bias=True),
    )


def test_second_derivatives_through_several_layers():
    close(both(discriminator, Slopes, (5, 2, 9, 9)), 1e-4)


def test_a_convolution_and_a_transposed_one_of_the_same_sizes_keep_their_own_gradients():
    def both_kinds():
        up = nn.Conv2dTranspose(4, 3, 5, 2, pad_mode="same", has_bias=True)
        return nn.SequentialCell(up, nn.Tanh(), nn.Conv2d(3, 6, 5, 2, pad_mode="same", has_bias=True))

    for measure, tolerance in ((Gradients, 2e-5), (Slopes, 1e-4)):
        close(both(both_kinds, measure, (3, 4, 5, 5)), tolerance)


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_a_kernel_that_is_larger_than_the_map_is_refused(kernel_size):
    layer = nn.Conv2d(2, 4, kernel_size, pad_mode="valid")
    use_own(layer)
    with pytest.raises(ValueError, match="nothing is left of maps of 3x3"):
        layer(Tensor(np.ones((2, 2, 3, 3), np.float32)))


def test_second_derivatives_are_what_small_steps_show():
    stream = np.random.default_rng(3)
    layer = discriminator()
    for parameter in layer.trainable_params():
        parameter.set_data(Tensor(stream.standard_normal(parameter.shape).astype(np.float32) * 0.2))
    assert use_own(layer) == 3
    measure = Slopes(layer)
    x = ms.Parameter(Tensor(stream.standard_normal((4, 2, 8, 8)).astype(np.float32)), name="x")
    _, *gradients = (value.asnumpy() for value in measure(x))
    for moved, gradient in zip([x, *layer.trainable_params()], gradients):
        start, steepness = moved.asnumpy().copy(), np.sqrt((gradient.astype(np.float64) ** 2).sum())
        values = []
        for step in (0.02, -0.02):
            moved.set_data(Tensor((start + step * gradient / (steepness + 1e-9)).astype(np.float32)))
            values.append(float(measure(x)[0]))
        moved.set_data(Tensor(start))
        assert (values[0] - values[1]) / 0.04 == pytest.approx(steepness, rel=5e-3, abs=1e-4)


def test_parameters_keep_their_names_and_order():
    before, after = discriminator(), discriminator()
    use_own(after)
    names = [[(p.name, p.shape) for p in layer.get_parameters()] for layer in (before, after)]
    assert names[0] == names[1]


def test_what_is_not_covered_stays():
    for layer in (
        nn.Conv2d(4, 4, 3, group=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2dTranspose(4, 4, 3, dilation=2),
        nn.Dense(4, 4, activation="relu"),
        nn.Dense(4, 4).to_float(ms.float16),
        nn.BatchNorm2d(4, use_batch_statistics=True),
    ):
        assert use_own(nn.SequentialCell(layer)) == 0


def test_other_types_go_to_mindspore():
    layer = nn.Conv2d(3, 4, 3, has_bias=True, dtype=ms.float16)
    assert use_own(layer) == 1
    assert layer(Tensor(np.ones((1, 3, 4, 4), np.float16))).dtype == ms.float16


def test_wrong_channels_are_refused():
    layer = nn.Conv2d(3, 4, 3)
    use_own(layer)
    with pytest.raises(ValueError, match="a convolution of 3 channels was given 2"):
        layer(Tensor(np.ones((1, 2, 4, 4), np.float32)))


def test_each_is_replaced_once():
    layer = discriminator()
    assert (use_own(layer), use_own(layer)) == (3, 0)
    assert isinstance(layer[0], Own)


def test_several_batch_sizes_and_one_that_is_not_known():
    layer = discriminator()
    use_own(layer)
    x = np.random.default_rng(0).standard_normal((7, 2, 8, 8)).astype(np.float32)
    whole = layer(Tensor(x)).asnumpy()
    for count in (1, 3):
        assert np.abs(layer(Tensor(x[:count])).asnumpy() - whole[:count]).max() < 1e-5
    layer.set_inputs(Tensor(shape=[None, 2, 8, 8], dtype=ms.float32))
    for count in (2, 5):
        assert np.abs(layer(Tensor(x[:count])).asnumpy() - whole[:count]).max() < 1e-5


def test_layers_that_double_sizes():
    from ms_gan.nets.autoencoder import DoublingConv2d

    close(both(lambda: DoublingConv2d(8, 6, 3), Gradients, (3, 8, 6, 6)))
