"""Autoencoders: their networks against NumPy, their losses by hand, and the images turned on their way to them."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
import pytest
from helpers.networks import normal, step_of, weight_count
from mindspore import Tensor, nn

from ms_gan import recipes
from ms_gan.data.resident import TurnedImages, turn
from ms_gan.losses import bernoulli_reconstruction_loss, kl_to_standard_normal, squared_reconstruction_loss
from ms_gan.nets.autoencoder import ConvDecoder, ConvEncoder, DoublingConv2d
from ms_gan.nets.conditioning import OneHotLabel
from ms_gan.nets.conv import ConvDiscriminator
from ms_gan.nets.unit_range import UnitRangeEncoder
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import build_encoder, build_generator
from ms_gan.schema import networks as settings_of
from ms_gan.schema.networks import NetworkInputs
from ms_gan.steps.graph import on_device

pytestmark = pytest.mark.usefixtures("device")

SMALL = (
    "latent.size=5",
    "encoder.widths=[3, 4]",
    "encoder.dense_width=8",
    "generator.dense_width=7",
    "generator.start_channels=3",
    "generator.widths=[4, 3]",
    "schedule.batch_size=4",
)
SMALL_DISCRIMINATOR = ("discriminator.widths=[2, 3, 4]", "discriminator.dense_widths=[6]")
TAGS = np.int32([[1, 4, 9], [2, 0, 0], [0, 0, 0], [28, 1, 3]])


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def randomize(cell):
    """Give each weight, biases too, other numbers."""
    for number, parameter in enumerate(cell.trainable_params()):
        fan_in = max(1, math.prod(parameter.shape[1:]))
        parameter.set_data(Tensor(normal(*parameter.shape, seed=number) / np.float32(fan_in**0.5)))
    return cell


def labels_for(classes, max_tags, count):
    """Labels as a network takes them: a tuple of one tensor, or of none."""
    stream = np.random.default_rng(3)
    if max_tags:
        return (Tensor(stream.integers(0, classes + 1, (count, max_tags)).astype(np.int32)),)
    return (Tensor(stream.integers(0, classes, count).astype(np.int32)),) if classes else ()


# sizes, shapes and ranges


@pytest.mark.parametrize("name, expected", [("cvae_late", 4_221_987), ("cvae_early", 3_954_867)])
def test_a_recipe_has_the_weights_of_its_document(name, expected):
    recipe = recipes.load(name)
    assert weight_count(build_encoder(recipe), build_generator(recipe)) == expected


def test_the_gan_has_the_autoencoder_and_discriminator_of_the_documents():
    step = step_of("cvae_gan")
    assert weight_count(step.encoder, step.generator) == 3_954_867
    assert weight_count(step.discriminator) == 20_887_809
    for name in step.networks:
        own = [parameter.name for parameter in getattr(step, name).trainable_params()]
        assert own and all(parameter.startswith(f"{name}.") for parameter in own)
        assert [parameter.name for parameter in getattr(step, f"optimizer_{name}").parameters] == own


@pytest.mark.parametrize("size, channels", [(28, 1), (64, 3)])
@pytest.mark.parametrize("classes, max_tags", [(28, 9), (10, 0), (0, 0)])
@pytest.mark.parametrize("name", ["cvae_late", "cvae_early"])
def test_networks_have_the_shapes_of_the_data(name, size, channels, classes, max_tags, pynative):
    of_data = {"size": size, "channels": channels, "classes": classes, "max_tags": max_tags}
    settings = [*SMALL, *(f"data.{key}={value}" for key, value in of_data.items())]
    recipe = recipes.override(recipes.load(name), settings)
    label = labels_for(classes, max_tags, 3)
    outputs = randomize(build_encoder(recipe))(Tensor(uniform(3, channels, size, size)), *label)
    assert [(each.shape, each.dtype) for each in outputs] == [((3, 5), ms.float32)] * 2
    assert np.abs(outputs[0].asnumpy() - outputs[1].asnumpy()).max() > 1e-3
    generator = randomize(build_generator(recipe))
    pixels = generator(Tensor(200 * normal(3, 5)), *label).asnumpy()
    assert pixels.shape == (3, channels, size, size) and pixels.dtype == np.float32
    assert generator.pixel_range == (0.0, 1.0) and 0 <= pixels.min() < 0.1 and 0.9 < pixels.max() <= 1


# labels


def test_one_hot_labels_by_hand(pynative):
    found = OneHotLabel(3, 0)(Tensor(np.int32([2, 0]))).asnumpy()
    assert found.tolist() == [[0, 0, 1], [1, 0, 0]] and found.dtype == np.float32
    found = OneHotLabel(2, 3)(Tensor(np.int32([[1, 2, 0], [0, 0, 0]]))).asnumpy()
    assert found.tolist() == [[0, 1, 0, 0, 0, 1, 1, 0, 0], [1, 0, 0] * 3]
    assert not OneHotLabel(3, 0)(Tensor(np.int32([-1, 3]))).asnumpy().any(), "of labels that there are not"
    assert [OneHotLabel(*each).size for each in ((28, 9), (10, 0), (0, 0), (0, 9))] == [261, 10, 0, 0]


def one_hot(label, classes):
    """A label's code, in NumPy."""
    depth = classes + (label.ndim > 1)
    return np.eye(depth)[label].reshape(len(label), -1)


def with_channel(maps, label, classes):
    """Keras: RepeatVector, Flatten, cut to height × width, as the last channel."""
    size = maps.shape[2]
    rows = [
        np.repeat(code[None], size**2 // len(code) + 1, axis=0).ravel()[: size**2] for code in one_hot(label, classes)
    ]
    return np.concatenate([maps, np.reshape(rows, (-1, 1, size, size))], 1)


# networks, in NumPy and double precision


def dense(layer, x):
    return x @ layer.weight.asnumpy().T.astype(np.float64) + layer.bias.asnumpy()


def convolved(layer, x):
    """As Keras and MindSpore pad "same": of an even kernel the larger half is below and to the right."""
    kernel = layer.weight.asnumpy().astype(np.float64)
    size = kernel.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), *[((size - 1) // 2, size // 2)] * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, kernel) + layer.bias.asnumpy()[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def pooled(x):
    """The largest of 2×2, of fewer at the border of odd sizes."""
    odd = x.shape[2] % 2
    x = np.pad(x, ((0, 0), (0, 0), (0, odd), (0, odd)), constant_values=-np.inf)
    return x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))


def doubled(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


LABELLED = [(28, TAGS), (5, np.int32([4, 0, 1, 4])), (0, None)]


@pytest.mark.parametrize("size", [8, 5])
@pytest.mark.parametrize("classes, label", LABELLED)
@pytest.mark.parametrize("place, widths", [("late", [3, 4]), ("early", [3, 4]), ("early", [3])])
def test_the_encoder_is_that_of_the_document(place, widths, classes, label, size, pynative):
    max_tags = 3 if label is TAGS else 0
    inputs = NetworkInputs((2, size, size), 5, classes, max_tags)
    encoder = randomize(ConvEncoder(settings_of.ConvEncoder(widths, place, dense_width=8), inputs))
    images = normal(4, 2, size, size)
    x = images.astype(np.float64)
    for number, convolution in enumerate(encoder.convolutions):
        x = relu(convolved(convolution, x))
        if number == 0 and classes and place == "early":
            x = with_channel(x, label, classes)
        x = pooled(x)
    x = x.reshape(4, -1)
    if classes and place == "late":
        x = np.concatenate((x, one_hot(label, classes)), 1)
    x = relu(dense(encoder.dense, x))
    found = encoder(Tensor(images), *([] if label is None else [Tensor(label)]))
    for output, layer in zip(found, (encoder.mean, encoder.log_variance)):
        np.testing.assert_allclose(output.asnumpy(), dense(layer, x), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("size, start", [(8, 0), (7, 0), (5, 1)])
@pytest.mark.parametrize("classes, label", LABELLED)
def test_the_decoder_is_that_of_the_document_and_crops_centrally(classes, label, size, start, pynative):
    """From 8 pixels; of an odd margin the smaller half is above and to the left."""
    max_tags = 3 if label is TAGS else 0
    settings = settings_of.ConvDecoder((4, 3), dense_width=7, start_channels=3)
    decoder = randomize(ConvDecoder(settings, NetworkInputs((2, size, size), 5, classes, max_tags)))
    latents, given = normal(4, 5), [] if label is None else [Tensor(label)]
    x = latents.astype(np.float64)
    if classes:
        x = np.concatenate((x, one_hot(label, classes)), 1)
    x = dense(decoder.dense[1], dense(decoder.dense[0], x)).reshape(4, 3, 2, 2)
    first, _, second, _, third = decoder.layers
    x = relu(convolved(first, x))
    x = relu(convolved(second, doubled(x)))
    expected = convolved(third, doubled(x))[:, :, start : start + size, start : start + size]
    logits = decoder.logits(Tensor(latents), *given).asnumpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=2e-5)
    images = decoder(Tensor(latents), *given).asnumpy()
    np.testing.assert_allclose(images, 1 / (1 + np.exp(-logits.astype(np.float64))), atol=1e-6)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_the_doubling_convolution_doubles_and_convolves(kernel_size, pynative):
    """Also its gradients: of the weights, the bias and the maps."""
    ours = randomize(DoublingConv2d(3, 2, kernel_size))
    theirs = nn.Conv2d(3, 2, kernel_size, pad_mode="same", has_bias=True)
    for parameter, same in zip(ours.trainable_params(), theirs.trainable_params()):
        assert parameter.shape == same.shape
        same.set_data(parameter.value())
    maps, upstream = normal(2, 3, 4, 5), Tensor(normal(2, 2, 8, 10, seed=1))

    def outcomes(cell, x):
        def forward(x):
            y = cell(x)
            return (y * upstream).sum(), y

        (_, y), (dx, (weight, bias)) = ms.value_and_grad(
            forward, 0, ms.ParameterTuple(cell.trainable_params()), has_aux=True
        )(Tensor(x))
        return [each.asnumpy() for each in (y, weight, bias, dx)]

    *found, of_maps = outcomes(ours, maps)
    *expected, of_doubled = outcomes(theirs, doubled(maps))
    expected.append(of_doubled.reshape(2, 3, 4, 2, 5, 2).sum((3, 5)))
    for each, other in zip((*found, of_maps), expected):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(each, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_images_are_compared_by_the_maps_of_the_first_convolutions(count, pynative):
    settings = settings_of.ConvDiscriminator((3, 4, 2), (1, 1, 1), slope=0.3, pooling="max", dense_widths=(6,))
    discriminator = randomize(ConvDiscriminator(settings, NetworkInputs((2, 9, 9))))
    images = normal(4, 2, 9, 9)
    x = images.astype(np.float64)
    for convolution in list(discriminator.convolutions)[:count]:
        x = convolved(convolution[0], x)
        x = pooled(np.where(x > 0, x, 0.3 * x))
    found = discriminator.maps(Tensor(images), count).asnumpy()
    assert found.shape == x.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=2e-5)


def test_an_exported_encoder_takes_images_from_zero_to_one(pynative):
    class Encoder(nn.Cell):
        def construct(self, image, label):
            return image, label

    encoder = Encoder().set_train()
    exported = UnitRangeEncoder(encoder, (-1.0, 3.0))
    image, label = exported(Tensor(np.float32([0, 0.25, 0.5, 1])), Tensor(np.int32([7])))
    assert image.asnumpy().tolist() == [-1, 0, 1, 3] and label.asnumpy().tolist() == [7]
    assert not encoder.training


# losses


def value_and_gradient(loss, x, other):
    value, gradients = ms.value_and_grad(loss, (0, 1))(Tensor(np.float32(x)), Tensor(np.float32(other)))
    assert value.shape == ()
    return float(value), [gradient.asnumpy() for gradient in gradients]


def test_kl_by_hand():
    # ½ (1 + 1 − 1 − 0) + ½ (4 + 4 − 1 − ln 4), and 0 + ½ (0 + ¼ − 1 + ln 4); the mean of two images
    mean, log_variance = [[1.0, 2.0], [0.0, 0.0]], [[0.0, math.log(4)], [0.0, -math.log(4)]]
    value, gradients = value_and_gradient(kl_to_standard_normal, mean, log_variance)
    assert value == pytest.approx((0.5 + 3.5 - 0.375) / 2, rel=1e-6)
    np.testing.assert_allclose(gradients[0], np.array(mean) / 2, atol=1e-7)
    np.testing.assert_allclose(gradients[1], (np.exp(log_variance) - 1) / 4, atol=1e-6)


def test_kl_is_the_mean_of_the_difference_of_log_densities():
    mean, log_variance, samples = normal(3, 2), normal(3, 2, seed=1), 100_000
    epsilon = np.random.default_rng(2).standard_normal((samples, 3, 2))
    z = mean + np.exp(0.5 * log_variance) * epsilon
    differences = (0.5 * (z**2 - epsilon**2 - log_variance)).sum(2).mean(1)  # log q(z) − log p(z)
    value, _ = value_and_gradient(kl_to_standard_normal, mean, log_variance)
    assert differences.std() / samples**0.5 < 0.01
    assert value == pytest.approx(differences.mean(), abs=3 * differences.std() / samples**0.5)


def test_reconstruction_losses_by_hand():
    # softplus(−2) = 0.126928; softplus(−1) = 0.313262; 0.25 softplus(−3) + 0.75 softplus(3) = 2.298587; ln 2
    logits = np.reshape([2.0, -1.0, 3.0, 0.0], (2, 1, 1, 2))
    images = np.reshape([1.0, 0.0, 0.25, 0.7], (2, 1, 1, 2))
    value, (gradient, _) = value_and_gradient(bernoulli_reconstruction_loss, logits, images)
    assert value == pytest.approx((0.126928 + 0.313262 + 2.298587 + 0.693147) / 2, abs=3e-6)
    np.testing.assert_allclose(gradient, (1 / (1 + np.exp(-logits)) - images) / 2, atol=1e-6)
    # 1 + 1, and 2.75² + 0.7²
    value, (gradient, _) = value_and_gradient(squared_reconstruction_loss, logits, images)
    assert value == pytest.approx((1 + 1 + 7.5625 + 0.49) / 2, rel=1e-6)
    np.testing.assert_allclose(gradient, logits - images, atol=1e-6)


def test_reconstruction_losses_sum_over_all_pixels_and_stay_finite_far_out():
    logits, images = np.zeros((2, 3, 4, 5)), np.full((2, 3, 4, 5), 0.5)
    logits[0, 0, 0, :4], images[0, 0, 0, :4] = [1000, 1000, -1000, -1000], [1, 0.25, 0, 1]  # 0, 750, 0, 1000
    value, (gradient, _) = value_and_gradient(bernoulli_reconstruction_loss, logits, images)
    assert value == pytest.approx((116 * math.log(2) + 1750) / 2, rel=1e-6)
    assert gradient[0, 0, 0] == pytest.approx(np.array([0, 0.75, 0, -1, 0]) / 2, abs=1e-6)
    assert np.count_nonzero(gradient) == 2
    value, (gradient, _) = value_and_gradient(squared_reconstruction_loss, logits, images)
    assert value == pytest.approx(((logits - images) ** 2).sum() / 2, rel=1e-6) and np.isfinite(gradient).all()


# turned images


def smooth(size, channels=3):
    """An image with slow waves in all directions, none of them symmetric."""
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin(3 * x + 2 * y + number) + np.cos(5 * y - 2 * x * number + 1) for number in range(channels)]
    return np.rint(127.5 + 60 * np.stack(waves, 2)).astype(np.uint8)


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_quarter_turns_are_exact(quarter, mirrored, size):
    stream = np.random.default_rng(quarter)
    for channels in (1, 3):
        image = stream.integers(0, 256, (size, size, channels), dtype=np.uint8)
        expected = np.rot90(np.fliplr(image) if mirrored else image, quarter)
        assert np.array_equal(turn(image, 90 * quarter, mirrored, size), expected)
        fine = stream.integers(0, 256, (2 * size, 2 * size, channels), dtype=np.uint8)
        means = fine.reshape(size, 2, size, 2, channels).mean((1, 3))
        expected = np.rot90(np.fliplr(means) if mirrored else means, quarter)
        assert np.abs(turn(fine, 90 * quarter, mirrored, size) - expected).max() <= 1


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [1, 45, 137, 200, 315])
@pytest.mark.parametrize("ratio", [1, 2])
def test_turning_is_about_the_centre_counter_clockwise_and_continues_the_border(degrees, mirrored, ratio):
    """Against interpolation between the four nearest pixels, in double precision; the image's border is continued."""
    size, angle = 33, math.radians(degrees)
    image = smooth(size * ratio)
    margin = size * ratio
    padded = np.pad(
        (image[:, ::-1] if mirrored else image).astype(float), ((margin, margin), (margin, margin), (0, 0)), mode="edge"
    )
    up, right = np.mgrid[:size, :size] - (size - 1) / 2
    up = -up
    # what is now up and right was turned by the angle: turned back, it shows where it came from
    old_right = ratio * (math.cos(angle) * right + math.sin(angle) * up)
    old_up = ratio * (-math.sin(angle) * right + math.cos(angle) * up)
    middle = margin + (size * ratio - 1) / 2
    rows, columns = middle - old_up, middle + old_right
    row, column = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, along = (rows - row)[..., None], (columns - column)[..., None]
    expected = (1 - down) * ((1 - along) * padded[row, column] + along * padded[row, column + 1]) + down * (
        (1 - along) * padded[row + 1, column] + along * padded[row + 1, column + 1]
    )
    assert np.abs(turn(image, degrees, mirrored, size) - expected).max() <= 1.5


def test_each_index_of_turned_images_is_another_picture_with_its_label():
    images = (256 * uniform(3, 2, 16, 16)).astype(np.uint8)
    labels = TAGS[[0, 1, 3]]
    data = TurnedImages(images, labels, (-1.0, 1.0), 8)
    assert data.count == 720 * 3
    pixels, tags = data.inputs(np.arange(720, 1440, dtype=np.int32))
    assert pixels.shape == (720, 2, 8, 8) and pixels.dtype == np.uint8 and tags.dtype == np.int32
    assert len({picture.tobytes() for picture in pixels}) == 720
    assert (tags == labels[1]).all()
    for variant in (0, 1, 2, 361, 719):
        expected = turn(images[1].transpose(1, 2, 0), variant // 2, variant % 2 == 1, 8)
        assert np.array_equal(pixels[variant], expected.transpose(2, 0, 1))


def test_a_batch_of_turned_images_is_a_function_of_its_indices(pynative):
    images = (256 * uniform(3, 2, 8, 8)).astype(np.uint8)
    data = TurnedImages(images, np.int32([5, 6, 7]), (-1.0, 1.0), 8)
    indices = np.int32([2159, 0, 1439, 4, 720, 4])
    pixels, labels = batch = data.inputs(indices)
    assert labels.tolist() == [7, 5, 6, 5, 6, 5]
    assert all(np.array_equal(*pair) for pair in zip(batch, data.inputs(indices)))
    assert np.array_equal(pixels[1], images[0]) and np.array_equal(pixels[4], images[1])
    assert np.array_equal(pixels[3], pixels[5])
    tensors = tuple(map(Tensor, batch))
    np.testing.assert_allclose(data(*tensors).asnumpy(), pixels / 127.5 - 1, atol=1e-6)
    assert data(*tensors).dtype == ms.float32 and data.labels(*tensors).asnumpy().tolist() == labels.tolist()
    without = TurnedImages(images, None, (0.0, 1.0), 8).inputs(indices)
    assert len(without) == 1 and np.array_equal(without[0], pixels)


def test_a_recipe_turns_by_any_degrees_or_by_quarters_or_mirrors_but_one_of_these(pynative):
    from ms_gan.data.description import ImageData
    from ms_gan.errors import UserError
    from ms_gan.recipes.build import build_step

    images = (256 * uniform(6, 3, 8, 8)).astype(np.uint8)
    data = ImageData("folder", "train", "a test", images, TAGS[[0, 1, 3, 0, 1, 3]], ("a", "b", "c", "d"), max_tags=3)
    settings = (*SMALL, "data.size=8", "data.classes=4", "data.max_tags=3")
    quarters = ("data.rotate_and_mirror=False", "data.quarter_turns=True")
    recipe = recipes.override(recipes.load("cvae_late"), [*settings, *quarters])
    step = build_step(recipe, data, seed=1)
    assert step.data.count == 8 * 6 and recipe.data.changed == "turned and mirrored"
    pixels, labels = step.data.inputs(np.arange(8, 16, dtype=np.int32))
    assert sorted(pixels.ravel()) == sorted(np.tile(images[1].ravel(), 8)) and (labels == TAGS[1]).all()
    with pytest.raises(UserError, match="data.quarter_turns must be False where data.rotate_and_mirror is True"):
        recipes.override(recipe, ["data.rotate_and_mirror=True"])
    with pytest.raises(UserError, match="data.mirror must be False where images are turned"):
        recipes.override(recipe, ["data.mirror=True"])
    mirrored = recipes.override(recipe, ["data.quarter_turns=False", "data.mirror=True"])
    step = build_step(mirrored, data, seed=1)
    assert step.data.count == 2 * 6 and mirrored.data.changed == "mirrored"
    pixels, labels = step.data.inputs(np.int32([2, 3]))
    assert np.array_equal(pixels[0], images[1]) and np.array_equal(pixels[1], images[1][..., ::-1])
    assert (labels == TAGS[1]).all()


# the recipes' updates


@pytest.mark.parametrize("name", ["cvae_late", "cvae_early", "cvae_gan"])
def test_an_update_is_a_function_of_weights_batch_and_noise(name):
    step = step_of(name, *SMALL, *(SMALL_DISCRIMINATOR if name == "cvae_gan" else ()), "data.size=8", count=6)
    batch = on_device(step.data.inputs(np.int32([0, 721, 2000, 4319])))
    start = {parameter.name: parameter.asnumpy().copy() for parameter in step.get_parameters()}

    def outcome(number):
        for parameter in step.get_parameters():
            parameter.set_data(Tensor(start[parameter.name]))
        scalars = step(batch, on_device(step.draw_noise(random_stream(1, "step", number)))).asnumpy()
        assert scalars.shape == (len(step.scalars),) and np.isfinite(scalars).all()
        return {"scalars": scalars, **{each.name: each.asnumpy().copy() for each in step.get_parameters()}}

    first, other, again = outcome(0), outcome(1), outcome(0)
    assert all(first[key].tobytes() == again[key].tobytes() for key in first)
    assert first["scalars"].tobytes() != other["scalars"].tobytes()
    for network in step.networks:
        names = [parameter.name for parameter in getattr(step, network).trainable_params()]
        assert all(np.abs(first[key] - start[key]).max() > 1e-6 for key in names if key.endswith("weight"))
        assert any(not np.array_equal(first[key], other[key]) for key in names)
