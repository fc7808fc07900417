"""Networks: their sizes, names, shapes and weights, the layers they are made of, and the generator's twin."""

from __future__ import annotations

import functools

import mindspore as ms
import numpy as np
import pytest
from helpers.networks import ACGAN, BATCH, MLP, normal, step_of, weight_count
from mindspore import Tensor, nn, ops

from ms_gan import recipes
from ms_gan.nets import layers
from ms_gan.nets.autoencoder import MaxPool
from ms_gan.nets.conditioning import Conditioned
from ms_gan.nets.conv import ConvDiscriminator, ConvGenerator, upsampling_layer
from ms_gan.nets.heads import Heads
from ms_gan.nets.mlp import MLPGenerator
from ms_gan.nets.unit_range import UnitRangeGenerator
from ms_gan.recipes.build import build_generator
from ms_gan.schema import networks as settings_of
from ms_gan.schema.networks import BatchNorm, NetworkInputs

pytestmark = pytest.mark.usefixtures("device")

SMALL = {
    "mlp": (*MLP, BATCH),
    "keras_mlp": (*MLP, BATCH),
    "slim_mlp": ("generator.widths=[16]", "discriminator.widths=[16]", BATCH),
    "acgan": (*ACGAN, BATCH),
    "dcgan": (
        "generator.start_channels=8",
        "generator.widths=[6, 5, 4]",
        "discriminator.widths=[2, 3, 4]",
        "discriminator.dense_widths=[8]",
        BATCH,
        "data.size=28",
        "data.channels=1",
        "data.rotate_and_mirror=False",
    ),
}
COLOUR = ("data.size=64", "data.channels=3")


@functools.cache
def small_step(name, *settings):
    """The same for a recipe with small networks; one for all tests, which must not change its weights."""
    return step_of(name, *SMALL[name], *settings)


@pytest.fixture(params=["mlp", "acgan"])
def step(request):
    return small_step(request.param)


def layers_of(cell, *kinds):
    return [layer for _, layer in cell.cells_and_names() if isinstance(layer, kinds)]


def kinds_of(cell):
    return [type(layer).__name__ for layer in cell]


def copy_weights(source, target):
    for weight, same in zip(source.trainable_params(), target.trainable_params()):
        same.set_data(weight)


def inputs_of(step, count, scale=1.0):
    """Latents and, where the generator is conditional, labels."""
    latents = Tensor(scale * normal(count, step.latent.size))
    return (latents, Tensor(np.arange(count, dtype=np.int32) % step.classes)) if step.classes else (latents,)


def all_kept(discriminator, count):
    return [np.ones((count, *shape), bool) for shape in discriminator.dropout_shapes]


# sizes and names


@pytest.mark.parametrize(
    "name, settings, of_generator, of_discriminator",
    [
        ("mlp", (), 1_510_032, 533_505),
        ("keras_mlp", (), 1_489_936, 533_505),
        ("slim_mlp", (), 227_344, 402_433),
        ("acgan", (), 784_441, 579_213),  # together 1,363,654
        ("dcgan", (), 4_768_899, 20_887_809),
        # 256 more for BatchNorm's scales, and as many shifts
        ("slim_mlp_fixed", (), 227_344 + 2 * 256, 402_433),
        # grey: 2 of 3 channels fewer of 5x5 kernels at both ends; G starts at 4x4 as for 32x32, D ends there
        ("dcgan", ("data.size=28", "data.channels=1"), 4_768_899 - 2 * (64 * 25 + 1), 20_887_809 - 2 * 128 * 25),
        # G starts, and D ends, at 8x8 instead of 4x4
        ("dcgan", ("data.size=64",), 4_768_899 + 48 * 256 * 513, 20_887_809 + 48 * 512 * 2048),
    ],
)
def test_a_recipe_has_the_weights_of_its_document(name, settings, of_generator, of_discriminator):
    step = step_of(name, *settings)
    assert weight_count(step.generator) == of_generator
    assert weight_count(step.discriminator) == of_discriminator


def test_every_parameter_is_named_after_its_owner_and_trained_by_its_optimizer(step):
    trained = {"optimizer_generator": step.generator, "optimizer_discriminator": step.discriminator}
    for owner, cell in {**step.saved(), "data": step.data}.items():
        guests = trained[owner].trainable_params() if owner in trained else []
        assert list(map(id, getattr(cell, "parameters", guests))) == list(map(id, guests))
        names = {parameter.name for parameter in cell.get_parameters()} - {weight.name for weight in guests}
        assert names and all(name.startswith(f"{owner}.") for name in names), names


def test_no_two_parameters_share_a_name(step):
    names = {id(parameter): parameter.name for parameter in step.get_parameters()}
    for cell in step.saved().values():
        names.update({id(parameter): parameter.name for parameter in cell.get_parameters()})
    assert len(names) > 40
    assert len(set(names.values())) == len(names)


# shapes and ranges


@pytest.mark.parametrize(
    "name, settings", [("mlp", ()), ("mlp", COLOUR), ("acgan", ()), ("acgan", COLOUR), ("dcgan", ()), ("dcgan", COLOUR)]
)
def test_networks_have_the_shapes_of_the_data_and_the_range_of_their_output(name, settings, request):
    if name != "acgan":  # what is conditional runs in graph mode only
        request.getfixturevalue("pynative")
    step = small_step(name, *settings)
    shape = (3, 64, 64) if settings else (1, 28, 28)
    generator, discriminator = step.generator.set_train(False), step.discriminator
    images = generator(*inputs_of(step, 5, scale=100.0))
    assert images.shape == (5, *shape) and images.dtype == ms.float32
    low, high = generator.pixel_range
    assert (low, high) == ((0.0, 1.0) if name == "acgan" else (-1.0, 1.0))
    pixels = images.asnumpy()
    assert low <= pixels.min() < low + 0.1
    assert high - 0.1 < pixels.max() <= high
    logits = discriminator(images, *map(Tensor, all_kept(discriminator, 5)))
    if name == "acgan":
        logits, class_logits = logits
        assert class_logits.shape == (5, 10)
    assert logits.shape == (5, 1)
    assert logits.asnumpy().std() > 0


def small_conv_generator(size):
    settings = settings_of.ConvGenerator(3, (4, 3, 2), (2, 2, 2, 1), slope=0.0, batch_norm=BatchNorm(place="none"))
    return ConvGenerator(settings, NetworkInputs((1, size, size), 6))


@pytest.mark.parametrize("size, start", [(28, 2), (25, 3), (31, 0)])
def test_images_of_a_size_that_strides_do_not_divide_are_cropped_centrally(size, start, pynative):
    """From 32 pixels; of an odd margin the smaller half is above and to the left."""
    whole, cropped = small_conv_generator(32), small_conv_generator(size)
    copy_weights(whole, cropped)
    latents = Tensor(normal(3, 6))
    expected = whole(latents).asnumpy()[:, :, start : start + size, start : start + size]
    np.testing.assert_array_equal(cropped(latents).asnumpy(), expected)


def test_tanh_is_exact_and_stays_within_its_range(device):
    """MindSpore's own on CPU is not, which an exported file in another runtime would show."""
    values = np.concatenate([np.linspace(-10, 10, 20001), [-1e30, -100, 0, 100, 1e30]]).astype(np.float32)
    found = layers.Tanh()(Tensor(values)).asnumpy()
    np.testing.assert_allclose(found, np.tanh(values.astype(np.float64)), atol=2e-6, rtol=0)
    assert found.min() >= -1 and found.max() <= 1


# what networks are made of


@pytest.mark.parametrize(
    "place, first_layer, expected",
    [
        ("before", False, "Dense LeakyReLU Dense BatchNorm1d LeakyReLU Dense Tanh"),
        ("before", True, "Dense BatchNorm1d LeakyReLU Dense BatchNorm1d LeakyReLU Dense Tanh"),
        ("after", False, "Dense LeakyReLU Dense LeakyReLU BatchNorm1d Dense Tanh"),
        ("after", True, "Dense LeakyReLU BatchNorm1d Dense LeakyReLU BatchNorm1d Dense Tanh"),
        ("none", True, "Dense LeakyReLU Dense LeakyReLU Dense Tanh"),
    ],
)
def test_an_mlp_generator_has_batch_norm_where_its_recipe_says(place, first_layer, expected):
    settings = settings_of.MLPGenerator((8, 8), batch_norm=BatchNorm(place, first_layer))
    generator = MLPGenerator(settings, NetworkInputs((1, 4, 4), 10))
    assert kinds_of(generator.layers) == expected.split()


def test_a_conv_generator_has_batch_norm_where_its_recipe_says():
    """The transposed convolutions of stride 1 are plain ones."""
    generator = small_step("acgan").generator
    norm = "BatchNorm2d LeakyReLU "
    assert kinds_of(generator.start) == ["Dense", "BatchNorm1d", "LeakyReLU"]
    assert (
        kinds_of(generator.layers)
        == (f"Conv2dTranspose {norm}" + 3 * f"Conv2d {norm}" + "Conv2dTranspose Sigmoid").split()
    )
    assert layers_of(small_step("dcgan").generator, nn.BatchNorm2d) == []


@pytest.mark.parametrize("name, count", [("mlp", 1), ("keras_mlp", 2), ("acgan", 5)])
def test_every_batch_norm_has_the_constants_of_the_recipe(name, count):
    settings = ("generator.batch_norm.momentum=0.75", "generator.batch_norm.epsilon=0.125")
    generator = build_generator(recipes.override(recipes.load(name), [*SMALL[name], *settings]))
    found = [(layer.eps, layer.momentum) for layer in layers_of(generator, nn.BatchNorm2d)]
    assert found == [(0.125, 0.25)] * count  # MindSpore keeps what a step adds, 1 - 0.75


def test_conditioned_puts_the_one_hot_label_behind_the_latent(pynative):
    latent = Tensor(np.float32([[5, -6], [7, 8]]))
    found = Conditioned(3, 0)(latent, Tensor(np.int32([2, 0]))).asnumpy()
    assert found.dtype == np.float32
    assert found.tolist() == [[5, -6, 0, 0, 1], [7, 8, 1, 0, 0]]
    assert Conditioned(0, 0)(latent).asnumpy().tolist() == [[5, -6], [7, 8]]


@pytest.mark.parametrize("classes", [0, 3])
def test_heads_are_linear_in_the_features(classes, pynative):
    heads = Heads(4, NetworkInputs((1, 2, 2), class_logits=classes), {})
    features = normal(5, 4)
    found = heads(Tensor(features))
    assert weight_count(heads) == 5 * (1 + classes)
    for logits, head in zip(found if classes else (found,), filter(None, (heads.real, heads.classes))):
        expected = features @ head.weight.asnumpy().T + head.bias.asnumpy()
        np.testing.assert_allclose(logits.asnumpy(), expected, rtol=1e-5, atol=1e-6)


# convolutions


def as_laid_out_by_keras(kernel, stride, size, position):
    """Where Keras' "same" convolution puts an impulse: {output: index into the kernel}, in one dimension.

    Padding is what the last window lacks, the smaller half of it at the left.
    """
    count = -(-size // stride)
    left = max((count - 1) * stride + kernel - size, 0) // 2
    return {
        output: position - (output * stride - left)
        for output in range(count)
        if 0 <= position - (output * stride - left) < kernel
    }


def test_the_layout_of_keras_by_hand():
    # 28 -> 14, kernel 5: the last window lacks 13 * 2 + 5 - 28 = 3 pixels, 1 at the left and 2 at the right.
    # Output o sees the pixels 2o - 1 to 2o + 3: pixel 0 is the second that output 0 sees; pixel 27 the fifth
    # of output 12 (23 to 27) and the third of output 13 (25 to 29).
    assert as_laid_out_by_keras(5, 2, 28, 0) == {0: 1}
    assert as_laid_out_by_keras(5, 2, 28, 27) == {12: 4, 13: 2}


@pytest.mark.parametrize("size, stride", [(28, 2), (14, 2), (7, 2), (28, 1)])
def test_a_discriminator_pads_as_keras_does(size, stride, pynative):
    """An impulse in each corner of the image leaves the weights of the kernel that Keras would put there."""
    settings = settings_of.ConvDiscriminator((1,), (stride,), slope=1.0)
    discriminator = ConvDiscriminator(settings, NetworkInputs((1, size, size)))
    (convolution,) = layers_of(discriminator, nn.Conv2d)
    kernel = np.arange(1, 26, dtype=np.float32).reshape(5, 5)  # no two weights alike
    convolution.weight.set_data(Tensor(kernel[None, None]))
    corners = [(row, column) for row in (0, size - 1) for column in (0, size - 1)]
    images = np.zeros((4, 1, size, size), np.float32)
    expected = np.zeros((4, 1, -(-size // stride), -(-size // stride)), np.float32)
    for image, result, (row, column) in zip(images, expected, corners):
        image[0, row, column] = 1
        for down, index_down in as_laid_out_by_keras(5, stride, size, row).items():
            for right, index_right in as_laid_out_by_keras(5, stride, size, column).items():
                result[0, down, right] = kernel[index_down, index_right]
    found = discriminator.convolutions[0](Tensor(images)).asnumpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("size", [4, 7, 14])
def test_upsampling_is_the_transpose_of_the_discriminators_convolution(size, pynative):
    """<convolution(x), y> = <x, upsampling(y)>, both with the same weights and no bias."""
    upsampling = upsampling_layer(2, 3, 5, 2, "glorot_uniform")
    convolution = nn.Conv2d(3, 2, 5, 2, pad_mode="same")
    convolution.weight.set_data(upsampling.weight)
    x, y = normal(2, 3, 2 * size, 2 * size), normal(2, 2, size, size, seed=1)
    down, up = convolution(Tensor(x)).asnumpy(), upsampling(Tensor(y)).asnumpy()
    assert down.shape == y.shape and up.shape == x.shape
    assert np.sum(down * y, dtype=np.float64) == pytest.approx(np.sum(x * up, dtype=np.float64), abs=1e-3)
    assert abs(np.sum(down * y, dtype=np.float64)) > 1


@pytest.mark.parametrize("stride, size", [(1, 7), (2, 14), (3, 21)])
def test_upsampling_multiplies_the_size_by_its_stride(stride, size, pynative):
    layer = upsampling_layer(2, 3, 5, stride, "glorot_uniform")
    assert layer(Tensor(normal(1, 2, 7, 7))).shape == (1, 3, size, size)


@pytest.mark.parametrize("pooling, combine", [("max", np.max), ("average", np.mean)])
def test_a_discriminator_pools_what_leaves_the_activation(pooling, combine, pynative):
    settings = settings_of.ConvDiscriminator((3,), (1,), slope=0.25, pooling=pooling, initializer="mindspore")
    discriminator = ConvDiscriminator(settings, NetworkInputs((1, 8, 8)))
    images = Tensor(normal(2, 1, 8, 8))
    (convolution,) = layers_of(discriminator, nn.Conv2d)
    before = convolution(images).asnumpy()
    active = np.where(before > 0, before, 0.25 * before).reshape(2, 3, 4, 2, 4, 2)
    np.testing.assert_allclose(
        discriminator.convolutions[0](images).asnumpy(), combine(active, axis=(3, 5)), rtol=1e-5, atol=1e-6
    )


# dropout


@pytest.mark.parametrize(
    "name, settings, expected",
    [
        ("acgan", (), ((4, 14, 14), (4, 7, 7), (4, 4, 4), (4, 4, 4), (4, 4, 4))),
        ("acgan", COLOUR, ((4, 32, 32), (4, 16, 16), (4, 8, 8), (4, 8, 8), (4, 8, 8))),
        ("dcgan", ("discriminator.dropout_rate=0.2",), ((2, 14, 14), (3, 7, 7), (4, 4, 4))),
        ("dcgan", (), ()),
        ("mlp", (), ()),
    ],
)
def test_dropout_has_a_mask_for_what_each_convolution_yields(name, settings, expected):
    assert small_step(name, *settings).discriminator.dropout_shapes == expected


def test_dropout_scales_what_is_kept_and_zeroes_the_rest(pynative):
    x, kept = normal(2, 3, 4, 4), np.random.default_rng(1).random((2, 3, 4, 4)) < 0.6
    found = layers.Dropout(0.2)(Tensor(x), Tensor(kept)).asnumpy()
    np.testing.assert_allclose(found, np.where(kept, x / 0.8, 0.0), rtol=1e-6)


def test_each_mask_works_on_the_convolution_that_it_was_drawn_for(pynative):
    discriminator = small_step("acgan").discriminator
    images = normal(3, 1, 28, 28)
    stream = np.random.default_rng(1)
    masks = [stream.random((3, *shape)) < 0.8 for shape in discriminator.dropout_shapes]
    x = Tensor(images)
    for convolution, kept in zip(discriminator.convolutions, masks):
        x = Tensor(np.where(kept, convolution(x).asnumpy() / 0.8, 0).astype(np.float32))
    features = x.asnumpy().reshape(3, -1)
    found = discriminator(Tensor(images), *map(Tensor, masks))
    for logits, head in zip(found, (discriminator.heads.real, discriminator.heads.classes)):
        np.testing.assert_allclose(logits.asnumpy(), features @ head.weight.asnumpy().T, rtol=1e-4, atol=1e-5)


# how weights start


@pytest.mark.parametrize("layer, fan_in, fan_out", [(nn.Dense, 30, 50), (nn.Conv2d, 30 * 9, 50 * 9)])
@pytest.mark.parametrize("initializer", layers.INITIALIZERS)
def test_weights_start_as_their_initializer_says(layer, fan_in, fan_out, initializer):
    more = {} if layer is nn.Dense else {"kernel_size": 3, "has_bias": True}
    built = layer(30, 50, **more, **layers.initialized(initializer))
    weight, bias = built.weight.asnumpy().ravel(), built.bias.asnumpy()
    assert abs(weight.mean()) < 0.1 * weight.std()
    if initializer == "normal_0.02":
        assert weight.std() == pytest.approx(0.02, rel=0.05)
        assert 3 * 0.02 < np.abs(weight).max() < 6 * 0.02  # not cut off
    else:
        bound = {"mindspore": fan_in**-0.5, "glorot_uniform": (6 / (fan_in + fan_out)) ** 0.5}[initializer]
        assert 0.99 * bound < np.abs(weight).max() <= bound * (1 + 1e-6)
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.05)
    if initializer == "mindspore":
        assert 0 < np.abs(bias).max() <= fan_in**-0.5
    else:
        assert not bias.any()


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_the_first_layer_has_an_initializer_of_its_own(player):
    """The document's: N(0, 0.02) for the first, Glorot for all others, and no bias to begin with."""
    layers = layers_of(getattr(small_step("acgan"), player), nn.Dense, nn.Conv2d, nn.Conv2dTranspose)
    assert len(layers) == {"generator": 6, "discriminator": 7}[player]
    for index, layer in enumerate(layers):
        weight = layer.weight.asnumpy()
        fans = (weight.shape[0] + weight.shape[1]) * int(np.prod(weight.shape[2:]))
        expected = 0.02 if index == 0 else (2 / fans) ** 0.5
        assert weight.std() == pytest.approx(expected, rel=0.2)
        assert not layer.bias.asnumpy().any()


@pytest.mark.parametrize("initializer", layers.INITIALIZERS)
def test_no_two_layers_of_one_shape_start_alike(initializer):
    settings = [*SMALL["acgan"], f"generator.initializer={initializer}"]
    layers = layers_of(
        build_generator(recipes.override(recipes.load("acgan"), settings)), nn.Conv2d, nn.Conv2dTranspose
    )
    started = [layer.weight.asnumpy().ravel() for layer in layers if layer.weight.shape == (4, 4, 5, 5)]
    assert len(started) == 4
    assert len(np.unique(started, axis=0)) == 4


# the generator that stays in inference mode


def modes(cell):
    return {layer.training for _, layer in cell.cells_and_names()}


@pytest.mark.parametrize("name", ["acgan", "keras_mlp", "dcgan", "mlp"])
def test_fakes_of_inference_mode_come_from_a_twin_with_the_very_parameters(name):
    step = small_step(name)
    generator, twin = step.generator, step.generator_for_discriminator
    if name == "mlp":  # whose fakes are those of training mode
        assert twin is generator
        return
    assert len(list(generator.get_parameters())) > 5
    assert list(map(id, twin.get_parameters())) == list(map(id, generator.get_parameters()))
    assert not {*map(id, layers_of(generator, nn.Cell))} & {*map(id, layers_of(twin, nn.Cell))}
    for training in (True, False, True):
        step.set_train(training)
        assert modes(generator) == {training} and modes(twin) == {False}


def test_the_twin_draws_with_what_the_generator_has_learned(pynative):
    step = step_of("keras_mlp", *SMALL["keras_mlp"])
    twin, inputs = step.generator_for_discriminator, inputs_of(step, 4)
    before = twin(*inputs).asnumpy().copy()  # else it may be a view
    for parameter in step.generator.get_parameters():  # moving statistics included
        parameter.set_data(Tensor(0.5 * parameter.asnumpy() + 0.1))
    after = twin(*inputs).asnumpy()
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, step.generator.set_train(False)(*inputs).asnumpy(), atol=1e-6)


# the blocks that replace MindSpore's own


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.2, 1.0])
def test_leaky_relu_is_that_of_mindspore(slope):
    x = Tensor(np.concatenate([scale * normal(1000) for scale in (1e-3, 1.0, 1e3)]).astype(np.float32))
    upstream = Tensor(normal(3000, seed=1))

    def value_and_gradient(cell):
        return [array.asnumpy() for array in (cell(x), ops.GradOperation(sens_param=True)(cell)(x, upstream))]

    found, found_gradient = value_and_gradient(layers.LeakyReLU(slope))
    expected, expected_gradient = value_and_gradient(nn.LeakyReLU(slope))
    x, upstream = x.asnumpy(), upstream.asnumpy()
    assert (np.abs(found - expected) <= 2e-7 * np.abs(x)).all()
    assert (np.abs(found_gradient - expected_gradient) <= 2e-7 * np.abs(upstream)).all()
    np.testing.assert_allclose(expected, np.where(x > 0, x, slope * x), rtol=1e-6)


NOT_FINITE = (np.nan, np.inf, -np.inf)


@pytest.fixture
def inference_and_training():
    """Run a Cell on values in graph mode, in inference mode and in training mode; return both outputs."""

    def run(cell, values):
        return [cell.set_train(training)(Tensor(values)).asnumpy() for training in (False, True)]

    return run


@pytest.mark.parametrize(
    "cell",
    [layers.LeakyReLU(0.0), layers.LeakyReLU(0.2), layers.Tanh(), layers.Sigmoid(), MaxPool()],
    ids=lambda cell: type(cell).__name__,
)
def test_finite_numbers_are_the_same_to_the_last_bit_in_inference_and_in_training(cell, inference_and_training):
    values = np.concatenate([scale * normal(2, 2, 7, 9) for scale in (1e-30, 1e-3, 1, 30, 1e30)]).astype(np.float32)
    values[0, 0, 0, 0] = np.finfo(np.float32).max
    found, trained = inference_and_training(cell, values)
    assert found.tobytes() == trained.tobytes() and np.isfinite(found).all()


@pytest.mark.parametrize(
    "cell, kept",
    [(layers.Tanh(), 0), (layers.Sigmoid(), 0), (layers.LeakyReLU(0.0), 2), (layers.LeakyReLU(0.2), 2)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_finite_is_nan_in_inference_mode(cell, kept, inference_and_training):
    """As a pixel; an activation keeps infinities."""
    found, _ = inference_and_training(cell, np.float32([*NOT_FINITE, 0, 1e30, -1e30, 1]))
    np.testing.assert_array_equal(np.isnan(found), [True] * (3 - kept) + [False] * (4 + kept))


@pytest.mark.parametrize("bad", NOT_FINITE)
@pytest.mark.parametrize("place", [(0, 0), (3, 4), (6, 8)])
def test_pooling_keeps_what_is_not_finite_in_inference_mode(bad, place, inference_and_training):
    values = normal(2, 3, 7, 9)
    expected, _ = inference_and_training(MaxPool(), values)
    assert expected.shape == (2, 3, 4, 5)
    values[1, 2][place] = bad
    found, _ = inference_and_training(MaxPool(), values)
    where = np.zeros(found.shape, bool)
    where[1] = True  # the image, and no other
    np.testing.assert_array_equal(np.isnan(found), where)
    np.testing.assert_array_equal(found[~where], expected[~where])


def test_batch_norm_keeps_what_is_not_finite_in_inference_mode(inference_and_training):
    values = normal(5, 4)
    values[[1, 2, 3], [0, 1, 3]] = NOT_FINITE
    found, _ = inference_and_training(layers.BatchNorm1d(4), values)
    np.testing.assert_array_equal(~np.isfinite(found), ~np.isfinite(values))


class TestBatchNorm1d:
    """Against MindSpore's own, with the same weights on the same batches."""

    FEATURES = 12

    def pair(self):
        both = layers.BatchNorm1d(self.FEATURES), nn.BatchNorm1d(self.FEATURES)
        ours, theirs = ([(p.name, p.shape, p.requires_grad) for p in cell.get_parameters()] for cell in both)
        assert ours == theirs
        for cell in both:
            cell.gamma.set_data(Tensor(1 + 0.1 * normal(self.FEATURES, seed=2)))
            cell.beta.set_data(Tensor(normal(self.FEATURES, seed=3)))
            cell.moving_mean.set_data(Tensor(normal(self.FEATURES, seed=4)))
            cell.moving_variance.set_data(Tensor(0.5 + normal(self.FEATURES, seed=5) ** 2))
        return both

    def outcomes(self, cell, batches):
        """After each batch: the output, the gradients of x, gamma and beta, and the moving statistics."""
        upstream = Tensor(normal(*batches[0].shape, seed=9))

        def forward(x):
            y = cell(x)
            return (y * upstream).sum(), y

        gradient = ms.value_and_grad(forward, 0, ms.ParameterTuple([cell.gamma, cell.beta]), has_aux=True)
        found = []
        for x in batches:
            (_, y), (dx, (dgamma, dbeta)) = gradient(Tensor(x))
            found += [
                array.asnumpy().copy() for array in (y, dx, dgamma, dbeta, cell.moving_mean, cell.moving_variance)
            ]
        return found

    @pytest.mark.parametrize("training, batch", [(True, 2), (True, 33), (False, 33)])
    def test_equals_that_of_mindspore(self, training, batch):
        ours, theirs = self.pair()
        before = theirs.moving_mean.asnumpy().copy()  # else it is a view
        for cell in (ours, theirs):
            cell.set_train(training)
        batches = [3 * normal(batch, self.FEATURES, seed=10 + number) + 1 for number in range(2)]
        for found, expected in zip(self.outcomes(ours, batches), self.outcomes(theirs, batches)):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-5)
        assert np.array_equal(theirs.moving_mean.asnumpy(), before) != training

    def test_momentum_is_what_stays_and_epsilon_is_added_to_the_variance(self, pynative):
        ours = layers.BatchNorm1d(self.FEATURES, 0.5, 0.75).set_train(True)
        x = normal(33, self.FEATURES) + 1
        y = ours(Tensor(x)).asnumpy()
        np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 0.5), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.moving_mean.asnumpy(), 0.25 * x.mean(0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(ours.moving_variance.asnumpy(), 0.75 + 0.25 * x.var(0, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (0.0, 1.0), (-0.5, 2.0), (0.0, 256.0)])
def test_unit_range_maps_the_pixel_range_clamps_to_the_last_bit_and_keeps_nan(low, high):
    values = np.concatenate([np.linspace(-3, 3, 999), [low, high, 300, np.nan, 1e30, -1e30, -0.0]]).astype(np.float32)
    found = UnitRangeGenerator(nn.Identity(), (low, high))(Tensor(values)).asnumpy()
    assert found[999:1002].tolist() == [0, 1, 1]
    scaled = values * np.float32(1 / (high - low)) + np.float32(-low / (high - low))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    finite = ~np.isnan(values)
    assert (found[finite] + np.float32(0)).tobytes() == np.clip(scaled[finite], 0, 1).tobytes()


def test_unit_range_is_in_inference_mode():
    generator = small_conv_generator(8).set_train(True)
    UnitRangeGenerator(generator, (-1.0, 1.0))
    assert modes(generator) == {False}
