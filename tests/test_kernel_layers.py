"""Layers by the compiled functions, against MindSpore's own, in static graph mode."""

from __future__ import annotations

from collections import OrderedDict

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from ms_gan.kernels.layers import Own, OwnAdam, OwnAverages, OwnSquash, OwnStack, use_own
from ms_gan.nets.averages import Averages
from ms_gan.nets.layers import BatchNorm1d, Chain, Downsample, LeakyReLU, Sigmoid, Tanh, Upsample
from ms_gan.steps.graph import CompiledOnce, on_device

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


def with_an_activation_twice():
    activation = LeakyReLU(0.2)
    return Chain([activation, nn.Dense(4, 5), activation, nn.Dense(5, 3), activation])


USERS = {
    "looked into": (Features, 3),
    "a layer twice": (with_a_layer_twice, 4),
    "an activation twice": (with_an_activation_twice, 4),
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


def test_what_the_functions_cannot_compute_is_left_to_mindspore():
    half = nn.BatchNorm2d(2, dtype=ms.float16)
    assert use_own(nn.SequentialCell(half, nn.BatchNorm2d(2))) == 1
    dense, convolution = nn.SequentialCell(nn.Dense(5, 4)), nn.SequentialCell(nn.Conv2d(1, 2, 3))
    assert use_own(dense) == use_own(convolution) == 1
    assert dense(Tensor(np.zeros((0, 5), np.float32))).shape == (0, 4)
    assert convolution(Tensor(np.zeros((0, 1, 5, 5), np.float32))).shape == (0, 2, 5, 5)


@pytest.mark.parametrize("slope", [-0.5, 1.5])
def test_a_slope_that_the_gradients_would_not_follow_is_refused(slope):
    with pytest.raises(ValueError, match=f"from 0 to 1, not {slope}"):
        LeakyReLU(slope)


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


def norm(width):
    return lambda: BatchNorm1d(width, 1e-2, 0.8)


def owners(layer, kind):
    return [cell for _, cell in layer.cells_and_names() if isinstance(cell, kind)]


DENSE_STACKS = {
    "2": (dense(20, 33), leaky(0.2), dense(33, 7)),
    "2, LeakyReLU last": (dense(20, 3), leaky(0.0), dense(3, 17), leaky(0.3)),
    "3, one without LeakyReLU": (dense(20, 9), leaky(0.2), dense(9, 18), dense(18, 5), leaky(0.1)),
    "4, one column": (dense(20, 33), leaky(0.2), dense(33, 1), leaky(0.2), dense(1, 40), leaky(0.5), dense(40, 1)),
    "5": (dense(20, 9), leaky(0.2), dense(9, 8), leaky(0.2), dense(8, 7), leaky(0.0), dense(7, 6), dense(6, 5)),
    "without bias": (dense(20, 33, has_bias=False), leaky(0.2), dense(33, 7, has_bias=False), leaky(0.2), dense(7, 4)),
}


@pytest.mark.parametrize("layers", DENSE_STACKS.values(), ids=DENSE_STACKS.keys())
def test_dense_layers_as_one_are_those_of_mindspore(layers):
    make = sequence(*layers)
    layer = make()
    assert use_own(layer) == len(layers) and len(owners(layer, OwnStack)) == 1
    close(both(make, Gradients, (9, 20)))
    close(both(make, Slopes, (9, 20)), 1e-4)


NORMALISED_STACKS = {
    "before LeakyReLU": (dense(20, 33), norm(33), leaky(0.2), dense(33, 7)),
    "after LeakyReLU": (dense(20, 33), leaky(0.2), norm(33), dense(33, 18), leaky(0.1), norm(18), dense(18, 7)),
    "both": (
        dense(20, 9),
        leaky(0.2),
        norm(9),
        leaky(0.5),
        dense(9, 18),
        norm(18),
        leaky(0.0),
        dense(18, 7),
        leaky(0.2),
    ),
    "not after the first": (dense(20, 9), leaky(0.2), dense(9, 18), norm(18), leaky(0.2), dense(18, 17)),
    "last": (dense(20, 9, has_bias=False), leaky(0.2), dense(9, 18, has_bias=False), norm(18)),
    "5 layers": (
        *(dense(20, 9), norm(9), leaky(0.2), dense(9, 8), leaky(0.2), dense(8, 7), norm(7), leaky(0.2)),
        *(dense(7, 6), leaky(0.2), dense(6, 20), leaky(0.3)),
    ),
}


def trained(make, measure, x):
    """What a measure finds twice in training, moving statistics, and the output in inference: MindSpore's, and own."""
    stream, found, start = np.random.default_rng(19), [], None
    for own in (False, True):
        layer = make().set_train()
        parameters = list(layer.get_parameters())
        start = start or [0.1 + 0.3 * stream.standard_normal(p.shape).astype(np.float32) for p in parameters]
        for parameter, value in zip(parameters, start):
            parameter.set_data(Tensor(value if parameter.requires_grad else np.abs(value)))
        if own:
            assert use_own(layer) > 0 and len(owners(layer, OwnStack)) == 1
        measured = measure(layer)
        values = [value.asnumpy() for _ in range(2) for value in measured(x)]
        moving = [parameter.asnumpy() for parameter in parameters if not parameter.requires_grad]
        found.append([*values, *moving, layer.set_train(False)(x).asnumpy()])
    return found


def near(found, tolerance):
    """As `close`, but with room for what is rounding alone, as the gradient to a bias before BatchNorm is."""
    most = max(np.abs(stock).max() for stock in found[0])
    for stock, own in zip(*found):
        assert stock.shape == own.shape
        assert np.abs(stock - own).max() <= tolerance * max(np.abs(stock).max(), 1e-2 * most)


MEASURED = [
    ("both", Gradients, 5e-5),
    ("last", Slopes, 2e-4),
    *(pytest.param(name, Gradients, 5e-5, marks=pytest.mark.slow) for name in NORMALISED_STACKS if name != "both"),
    *(pytest.param(name, Slopes, 2e-4, marks=pytest.mark.slow) for name in ("before LeakyReLU", "not after the first")),
]


@pytest.mark.parametrize("name, measure, tolerance", MEASURED)
def test_normalised_layers_as_one_are_those_of_mindspore(name, measure, tolerance):
    x = Tensor(1 + 2 * np.random.default_rng(20).standard_normal((17, 20)).astype(np.float32))
    near(trained(sequence(*NORMALISED_STACKS[name]), measure, x), tolerance)


class SlopesOfSlopes(nn.Cell):
    """The squared gradient of `Slopes`' penalty at the input, and its gradients: third derivatives."""

    def __init__(self, layer):
        super().__init__(auto_prefix=False)
        self.slopes = ms.grad(Slopes(layer).penalty, 0)
        self.gradient = ms.value_and_grad(self.penalty, 0, ms.ParameterTuple(layer.trainable_params()))

    def penalty(self, x):
        slopes = self.slopes(x)
        return (slopes * slopes).sum()

    def construct(self, x):
        value, (dx, dweights) = self.gradient(x)
        return (value, dx, *dweights)


@pytest.mark.parametrize("name", ["3, one without LeakyReLU", "without bias"])
def test_third_derivatives_are_those_of_mindspore(name):
    near(both(sequence(*DENSE_STACKS[name]), SlopesOfSlopes, (9, 20)), 1e-3)


def test_a_long_chain_is_split():
    layers = [layer for width in range(20, 9, -1) for layer in (dense(width, width - 1), leaky(0.4))]
    layer = sequence(*layers)()
    assert use_own(layer) == 22
    assert [len(owner.layers) for owner in owners(layer, OwnStack)] == [8, 3]
    close(both(sequence(*layers), Gradients, (5, 20)), 5e-5)
    pairs = [layer for _ in range(5) for layer in (dense(20, 20), norm(20), leaky(0.2))]  # of two stages each
    layer = sequence(*pairs)()
    use_own(layer)
    assert [len(owner.layers) for owner in owners(layer, OwnStack)] == [4, 1]


BETWEEN = {
    "another layer": nn.ReLU,
    "another shape": lambda: nn.Flatten(),
    "another type": lambda: nn.Dense(6, 6, activation="relu"),
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN.keys())
def test_what_stands_between_is_not_joined(between):
    make = sequence(dense(4, 7), leaky(0.2), dense(7, 6), between, dense(6, 5), leaky(0.2), dense(5, 3))
    layer = make()
    use_own(layer)
    kinds = [type(cell) for cell in layer if not isinstance(cell, nn.Identity)]
    assert kinds == [OwnStack, type(between()), OwnStack]
    close(both(make, Gradients, (5, 4)))


def test_only_chains_have_layers_that_are_joined():
    layer = nn.SequentialCell([layer() for layer in DENSE_STACKS["2"]])
    assert use_own(layer) == 2 and not owners(layer, OwnStack)


@pytest.mark.parametrize("name", ["before LeakyReLU", "after LeakyReLU"])
def test_stacks_of_several_batch_sizes_and_one_that_is_not_known(name):
    found, x = [], np.random.default_rng(21).standard_normal((9, 20)).astype(np.float32)
    for own in (False, True):
        ms.set_seed(1)
        layer = sequence(*NORMALISED_STACKS[name])().set_train()
        for index, parameter in enumerate(layer.trainable_params()):
            parameter.set_data(Tensor(np.random.default_rng(index).standard_normal(parameter.shape).astype(np.float32)))
        assert not own or use_own(layer) > 0
        found.append([layer(Tensor(x[:count])).asnumpy() for count in (2, 5)])
        layer.set_inputs(Tensor(shape=[None, 20], dtype=ms.float32))
        found[-1] += [layer(Tensor(x[:count])).asnumpy() for count in (3, 9)]
        found[-1] += [parameter.asnumpy() for parameter in layer.get_parameters()]
    near(found, 2e-5)


def test_stacks_of_another_type_go_to_mindspore():
    layer = sequence(dense(3, 4, dtype=ms.float16), leaky(0.2), dense(4, 5, dtype=ms.float16))()
    assert use_own(layer) == 3 and len(owners(layer, OwnStack)) == 1
    assert layer(Tensor(np.ones((2, 3), np.float16))).dtype == ms.float16


def test_a_stack_of_wrong_channels_is_refused():
    layer = sequence(*DENSE_STACKS["2"])()
    use_own(layer)
    with pytest.raises(ValueError, match="a Dense layer of 20 channels was given 19"):
        layer(Tensor(np.ones((2, 19), np.float32)))


def test_a_stack_keeps_names_and_order_of_parameters():
    make = sequence(*NORMALISED_STACKS["5 layers"])
    layer = make()
    use_own(layer)
    assert [(p.name, p.shape) for p in layer.get_parameters()] == [(p.name, p.shape) for p in make().get_parameters()]


class Updates(nn.Cell):
    """An update by given gradients; returns the weights before and after."""

    def __init__(self, make, dtype=np.float32):
        super().__init__()
        stream = np.random.default_rng(22)
        shapes = ((20, 33), (33,), (1,), (2, 3, 4, 5))
        drawn = [Tensor(stream.standard_normal(shape).astype(dtype)) for shape in shapes]
        self.weights = ms.ParameterTuple([ms.Parameter(value, name=f"w{i}") for i, value in enumerate(drawn)])
        self.optimizer = make(self.weights)

    def construct(self, *gradients):
        before = [weight * 1.0 for weight in self.weights]
        self.optimizer(gradients)
        return before, [weight * 1.0 for weight in self.weights]

    def state(self):
        """Everything that an update changes, or does not."""
        return {parameter.name: parameter.asnumpy().copy() for parameter in self.get_parameters()}


def decaying():
    return nn.ExponentialDecayLR(0.01, 0.5, 3)


ADAMS = {
    "plain": lambda weights: nn.Adam(weights, 0.01),
    "decaying rate": lambda weights: nn.Adam(weights, decaying(), beta1=0.5, beta2=0.9, eps=1e-4),
    "beta1 near 0": lambda weights: nn.Adam(weights, 2e-4, beta1=1e-3, beta2=0.99),
}


@pytest.mark.parametrize("make", ADAMS.values(), ids=ADAMS.keys())
def test_adam_is_that_of_mindspore(make):
    """Weights, moments, powers and the count of updates; and what is read before and after an update in one graph."""
    stock, own = Updates(make), Updates(make)
    names = [parameter.name for parameter in own.get_parameters()]
    assert use_own(own) == 1 and isinstance(own.optimizer, OwnAdam)
    assert [parameter.name for parameter in own.get_parameters()] == names
    stream, start = np.random.default_rng(23), own.state()
    for _ in range(5):
        gradients = [Tensor(stream.standard_normal(weight.shape).astype(np.float32)) for weight in own.weights]
        kept = own.state()
        stock(*gradients)
        before, after = own(*gradients)
        for weight, old, new in zip(own.weights, before, after):
            assert np.array_equal(old.asnumpy(), kept[weight.name])
            assert np.array_equal(new.asnumpy(), weight.asnumpy())
    expected, found = stock.state(), own.state()
    assert list(expected) == list(found) and int(own.optimizer.global_step.asnumpy().item()) == 5
    for name, right in expected.items():
        assert np.abs(found[name] - right).max() <= 1e-6 * np.abs(right).max(), name
    still = {name.rpartition(".")[2] for name in found if np.array_equal(found[name], start[name])}
    assert still <= {"learning_rate"}


def grouped(weights):
    return nn.Adam([{"params": list(weights[:1]), "lr": 0.1}, {"params": list(weights[1:])}], 0.01)


OTHER_ADAMS = {
    "weight decay": lambda weights: nn.Adam(weights, 0.01, weight_decay=0.1),
    "amsgrad": lambda weights: nn.Adam(weights, 0.01, use_amsgrad=True),
    "nesterov": lambda weights: nn.Adam(weights, 0.01, use_nesterov=True),
    "lazy": lambda weights: nn.Adam(weights, 0.01, use_lazy=True),
    "loss scale": lambda weights: nn.Adam(weights, 0.01, loss_scale=8.0),
    "groups": grouped,
    "AdamWeightDecay": lambda weights: nn.AdamWeightDecay(weights, 0.01),
}


@pytest.mark.parametrize("make", OTHER_ADAMS.values(), ids=OTHER_ADAMS.keys())
def test_other_optimizers_stay(make):
    assert use_own(Updates(make)) == 0


def test_weights_of_another_type_keep_their_adam():
    assert use_own(Updates(ADAMS["plain"], np.float16)) == 0
    assert use_own(Updates(ADAMS["plain"])) == 1


def moving_averages(dtype=np.float32):
    stream = np.random.default_rng(24)
    drawn = [stream.standard_normal(shape).astype(dtype) for shape in 2 * [(20, 33), (33,), (1,)]]
    parameters = [ms.Parameter(Tensor(value), name=f"p{i}") for i, value in enumerate(drawn)]
    return nn.SequentialCell(Averages(parameters[:3], parameters[3:]))


class Moves(nn.Cell):
    """Averages that move; returns the first before and after, and what was handed through."""

    def __init__(self, averages):
        super().__init__(auto_prefix=False)
        self.averages = averages

    def construct(self, rate, after):
        first = self.averages.averages[0]
        before = first * 1.0
        return before, self.averages(rate, after), first * 1.0


def test_moving_averages_are_those_of_mindspore():
    found = []
    for own in (False, True):
        cell = Moves(moving_averages()[0])
        now = [parameter.asnumpy().copy() for parameter in cell.averages.now]
        averages, followed = list(cell.averages.averages), list(cell.averages.now)
        if own:
            assert use_own(cell) == 1 and isinstance(cell.averages, OwnAverages)
        for rate in (0.9, 1e-3, 0.1):
            kept = averages[0].asnumpy().copy()
            before, handed, after = cell(Tensor(np.float32(rate)), Tensor(np.float32(7.0)))
            assert float(handed) == 7.0 and np.array_equal(before.asnumpy(), kept)
            assert np.array_equal(after.asnumpy(), averages[0].asnumpy()) and not np.array_equal(after.asnumpy(), kept)
        found.append([average.asnumpy() for average in averages])
        assert all(np.array_equal(value.asnumpy(), old) for value, old in zip(followed, now))
    close(found, 1e-6)
    assert use_own(moving_averages(np.float16)) == 0


SQUASHES = {"tanh": Tanh, "sigmoid": Sigmoid}


@pytest.mark.parametrize("kind", SQUASHES.values(), ids=SQUASHES.keys())
def test_tanh_and_sigmoid_are_those_of_mindspore(kind):
    def make():
        return sequence(dense(20, 33), leaky(0.2), dense(33, 7), kind, dense(7, 3))().set_train()

    layer = make()
    assert use_own(layer) == 5 and len(owners(layer, OwnSquash)) == 1
    close(both(make, Gradients, (9, 20)))
    close(both(make, Slopes, (9, 20)), 1e-4)
    convolutions = [make() for make in (convolution(2, 3), kind)]
    assert use_own(nn.SequentialCell(convolutions)) == 2


@pytest.mark.parametrize("kind", SQUASHES.values(), ids=SQUASHES.keys())
def test_tanh_and_sigmoid_show_what_overflowed_in_inference(kind):
    x = np.array([[0.5, np.inf, -np.inf, np.nan, -100.0]], np.float32)
    layer = nn.SequentialCell(kind())
    assert use_own(layer) == 1
    least = -1.0 if kind is Tanh else 0.0
    middle = np.tanh(0.5) if kind is Tanh else 1 / (1 + np.exp(-0.5))
    for training, expected in ((True, [middle, 1, least, np.nan, least]), (False, [middle, *3 * [np.nan], least])):
        found = layer.set_train(training)(Tensor(x)).asnumpy()
        assert np.allclose(found, [expected], rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("layer", [Downsample, Upsample])
@pytest.mark.parametrize("shape", [(3, 5, 8, 6), (1, 1, 2, 2), (2, 3, 10, 34)])
@pytest.mark.parametrize("measure", [Gradients, Slopes])
def test_resampling_is_that_of_mindspore(layer, shape, measure):
    make = sequence(lambda: nn.Conv2d(shape[1], shape[1], 3, pad_mode="same"), layer, leaky(0.2))
    close(both(lambda: make().set_train(), measure, shape))


def test_odd_sizes_are_not_halved():
    cell = Downsample()
    chain = Chain([cell])
    assert use_own(chain) == 1
    with pytest.raises((ValueError, RuntimeError)):
        chain(Tensor(np.zeros((1, 1, 3, 4), np.float32)))


def test_a_step_is_compiled_once_for_inputs_of_one_kind(monkeypatch):
    compiled = []
    monkeypatch.setattr(
        nn.Cell, "compile", lambda self, *inputs, **named: compiled.append(inputs[0].shape), raising=True
    )

    class Twice(CompiledOnce):
        pass

    cell = Twice()
    for shape, kind in ((3, np.float32), (3, np.float32), (4, np.float32), (4, np.int32), (3, np.float32)):
        cell.compile(Tensor(np.zeros(shape, kind)))
    assert compiled == [(3,), (4,), (4,), (3,)]
    for training in (False, True):
        cell.set_train(training)
        cell.compile(Tensor(np.zeros(3, np.float32)))
    assert len(compiled) == 6


class Weighted(CompiledOnce):
    """x·w, of a tuple with x and one with w."""

    def construct(self, batch, noise):
        return batch[0] * noise[0]


def test_inputs_that_are_constants_of_a_graph_are_not_taken_for_the_ones_before():
    cell = Weighted()
    for x, w in ((1, 2), (3, 4), (5, 6)):
        tensors = [(Tensor(np.float32(number)),) for number in (x, w)]
        assert float(cell(*tensors)) == x * w
        assert float(cell(*map(on_device, tensors))) == x * w
