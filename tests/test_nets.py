"""Networks: their sizes, their names, and the two blocks that replace MindSpore's own."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from ms_gan import recipes
from ms_gan.nets import blocks
from ms_gan.nets.mlp import MLPDiscriminator, MLPGenerator
from ms_gan.recipes.build import build_step, build_unit_range_generator

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def step(small_recipe, random_images):
    return build_step(small_recipe, random_images, seed=1)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weights(cell):
    return sum(parameter.size for parameter in cell.trainable_params())


def test_mlp_has_the_weights_of_its_document(random_images):
    step = build_step(recipes.load("mlp"), random_images, seed=1)
    assert weights(step.generator) == 1_510_032
    assert weights(step.discriminator) == 533_505


def test_every_parameter_is_named_after_its_owner(step):
    owners = {**step.saved(), "data": step.images}
    owned = {"optimizer_generator": step.generator, "optimizer_discriminator": step.discriminator}
    for owner, cell in owners.items():
        guests = {id(weight) for weight in owned[owner].trainable_params()} if owner in owned else set()
        names = [parameter.name for parameter in cell.get_parameters() if id(parameter) not in guests]
        assert names and all(name.startswith(f"{owner}.") for name in names), names


def test_an_optimizer_leaves_the_names_of_the_weights_alone(step):
    for optimizer, network in ((step.optimizer_generator, step.generator),
                               (step.optimizer_discriminator, step.discriminator)):
        assert list(map(id, optimizer.parameters)) == list(map(id, network.trainable_params()))
    assert all(weight.name.startswith("generator.") for weight in step.optimizer_generator.parameters)
    assert all(weight.name.startswith("discriminator.") for weight in step.optimizer_discriminator.parameters)


def test_no_two_parameters_share_a_name(step):
    cells = step.saved().values()
    names = {id(parameter): parameter.name for cell in cells for parameter in cell.get_parameters()}
    assert len(names) > 40
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8)])
def test_mlp_networks_keep_their_shapes_and_range(shape):
    images = MLPGenerator(10, shape, [16, 32])(Tensor(100 * normal(5, 10)))
    assert images.shape == (5, *shape)
    pixels = images.asnumpy()
    assert pixels.dtype == np.float32
    assert -1.00001 <= pixels.min() < -0.9 and 0.9 < pixels.max() <= 1.00001  # MindSpore's tanh on CPU
    assert MLPDiscriminator(shape, [16], 0.2)(images).shape == (5, 1)


def test_a_generator_of_a_recipe_draws_from_zero_to_one(small_recipe):
    pixels = build_unit_range_generator(small_recipe)(Tensor(100 * normal(5, 100))).asnumpy()
    assert pixels.shape == (5, 1, 28, 28) and pixels.dtype == np.float32
    assert 0.0 <= pixels.min() < 0.1 and 0.9 < pixels.max() <= 1.0


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.2, 1.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_leaky_relu_is_that_of_mindspore(slope, scale):
    x = Tensor(scale * normal(1000))
    upstream = Tensor(normal(1000, seed=1))

    def value_and_gradient(cell):
        return [array.asnumpy() for array in (cell(x), ops.GradOperation(sens_param=True)(cell)(x, upstream))]

    found, found_gradient = value_and_gradient(blocks.LeakyReLU(slope))
    expected, expected_gradient = value_and_gradient(nn.LeakyReLU(slope))
    x, upstream = x.asnumpy(), upstream.asnumpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7 * np.abs(x).max())
    np.testing.assert_allclose(found_gradient, expected_gradient, rtol=0, atol=2e-7 * np.abs(upstream).max())
    np.testing.assert_allclose(expected, np.where(x > 0, x, slope * x), rtol=1e-6)


class TestBatchNorm1d:
    """Against MindSpore's own, with the same weights on the same batches."""

    FEATURES = 12

    def pair(self):
        both = blocks.BatchNorm1d(self.FEATURES), nn.BatchNorm1d(self.FEATURES)
        for cell in both:
            cell.gamma.set_data(Tensor(1 + 0.1 * normal(self.FEATURES, seed=2)))
            cell.beta.set_data(Tensor(normal(self.FEATURES, seed=3)))
            cell.moving_mean.set_data(Tensor(normal(self.FEATURES, seed=4)))
            cell.moving_variance.set_data(Tensor(0.5 + normal(self.FEATURES, seed=5) ** 2))
        return both

    def outcome(self, cell, x):
        """The output, the gradients of x, gamma and beta, and the moving statistics afterwards."""
        upstream = Tensor(normal(*x.shape, seed=9))

        def forward(x):
            y = cell(x)
            return (y * upstream).sum(), y

        gradient = ms.value_and_grad(forward, 0, ms.ParameterTuple([cell.gamma, cell.beta]), has_aux=True)
        (_, y), (dx, (dgamma, dbeta)) = gradient(Tensor(x))
        return [array.asnumpy() for array in (y, dx, dgamma, dbeta, cell.moving_mean, cell.moving_variance)]

    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize("batch", [2, 33])
    def test_equals_that_of_mindspore(self, training, batch):
        ours, theirs = self.pair()
        before = theirs.moving_mean.asnumpy().copy()  # else it is a view
        for cell in (ours, theirs):
            cell.set_train(training)
        for round_ in range(2):
            x = 3 * normal(batch, self.FEATURES, seed=10 + round_) + 1
            for found, expected in zip(self.outcome(ours, x), self.outcome(theirs, x)):
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-5)
        assert np.array_equal(theirs.moving_mean.asnumpy(), before) != training

    def test_training_normalises_each_feature_over_the_batch(self):
        ours, _ = self.pair()
        x = 3 * normal(33, self.FEATURES) + 1
        y = ours.set_train(True)(Tensor(x)).asnumpy()
        x = x.astype(np.float64)
        expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * ours.gamma.asnumpy() + ours.beta.asnumpy()
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)

    def test_has_the_same_parameters(self):
        ours, theirs = self.pair()
        assert [(p.name, p.shape, p.requires_grad) for p in ours.get_parameters()] == \
            [(p.name, p.shape, p.requires_grad) for p in theirs.get_parameters()]


@pytest.mark.parametrize("pixel_range, pixels, expected", [
    ((-1.0, 1.0), [-1.0, -0.5, 0.0, 1.0], [0.0, 0.25, 0.5, 1.0]),
    ((-1.0, 1.0), [-1.5, -1.00001, 1.00001, 9.0], [0.0, 0.0, 1.0, 1.0]),
    ((0.0, 1.0), [-0.1, 0.0, 0.75, 1.1], [0.0, 0.0, 0.75, 1.0]),
    ((0.0, 256.0), [-1.0, 64.0, 256.0, 300.0], [0.0, 0.25, 1.0, 1.0]),
])
def test_unit_range_maps_the_pixel_range_and_clamps(pixel_range, pixels, expected):
    found = blocks.UnitRange(nn.Identity(), pixel_range)(Tensor(np.float32(pixels))).asnumpy()
    assert found.tolist() == expected


def test_unit_range_is_in_inference_mode():
    generator = MLPGenerator(10, (1, 4, 4), [8, 8]).set_train(True)
    blocks.UnitRange(generator, (-1.0, 1.0))
    assert not any(cell.training for _, cell in generator.cells_and_names())
