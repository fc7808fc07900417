"""One update of a GAN: what the document prescribes, though the generator runs forward only once."""

from __future__ import annotations

from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from ms_gan import recipes
from ms_gan.data.resident import ResidentImages
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import build_step
from ms_gan.steps.graph import on_device

pytestmark = pytest.mark.usefixtures("device")

STEPS, BATCH, SEED = 10, 8, 1
SMALL = ["generator.widths=[16, 32]", "discriminator.widths=[16]", f"schedule.batch_size={BATCH}"]
MOMENTUM = 0.9  # of MindSpore's BatchNorm: moving = 0.9 · moving + 0.1 · batch
BIAS_BEFORE_BATCHNORM = "generator.layers.2.bias"


def inputs(step, number):
    """The indices and the noise of one step: latents, and D's targets."""
    indices = np.random.default_rng(number).permutation(64)[:BATCH].astype(np.int32)
    return indices, step.draw_noise(random_stream(SEED, "step", number))


def update(step, number):
    indices, noise = inputs(step, number)
    return step(on_device((indices,)), on_device(noise)).asnumpy()


def weights(*cells):
    return {weight.name: weight.asnumpy().copy() for cell in cells for weight in cell.trainable_params()}


def parameters(cell):
    return {parameter.name: parameter.asnumpy().copy() for parameter in cell.get_parameters()}


def mean_before_batchnorm(generator, latents):
    """The batch mean that the only BatchNorm of the small generator sees, in double precision."""
    of = {name: value.astype(np.float64) for name, value in weights(generator).items()}
    hidden = np.maximum(latents @ of["generator.layers.0.weight"].T + of["generator.layers.0.bias"], 0)
    return (hidden @ of["generator.layers.2.weight"].T + of[BIAS_BEFORE_BATCHNORM]).mean(axis=0)


class TwoPasses:
    """The tutorial's procedure: G runs forward for D's update and again for its own; D sees them apart."""

    def __init__(self, step, images):
        self.generator, self.discriminator = generator, discriminator = step.generator, step.discriminator
        self.images = images
        adam = {"learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}
        self.adam_d = nn.Adam(discriminator.trainable_params(), **adam)
        self.adam_g = nn.Adam(generator.trainable_params(), **adam)
        cross_entropy = nn.BCELoss(reduction="mean")
        valid, invalid = ops.ones((BATCH, 1)), ops.zeros((BATCH, 1))

        def loss_d(real, latents):
            logits_fake = discriminator(ops.stop_gradient(generator(latents)))
            logits_real = discriminator(real)
            real_loss = cross_entropy(ops.sigmoid(logits_real), valid)
            fake_loss = cross_entropy(ops.sigmoid(logits_fake), invalid)
            return real_loss + fake_loss, logits_real, logits_fake

        def loss_g(latents):
            logits = discriminator(generator(latents))
            return cross_entropy(ops.sigmoid(logits), valid), logits

        weights_d = ms.ParameterTuple(discriminator.trainable_params())
        weights_g = ms.ParameterTuple(generator.trainable_params())
        self.gradient_d = ms.value_and_grad(loss_d, None, weights_d, has_aux=True)
        self.gradient_g = ms.value_and_grad(loss_g, None, weights_g, has_aux=True)

    def __call__(self, indices, latents):
        """Do one update; return what it measured, by name."""
        real = Tensor(np.float32(self.images[indices]) / 255 * 2 - 1)
        (loss_d, logits_real, logits_fake), gradients = self.gradient_d(real, Tensor(latents))
        self.adam_d(gradients)
        (loss_g, discriminator_logits), gradients = self.gradient_g(Tensor(latents))
        self.adam_g(gradients)
        fooled = ops.sigmoid(discriminator_logits).asnumpy() > 0.5
        return {
            "loss_d": float(loss_d),
            "loss_g": float(loss_g),
            "fool_rate": np.mean(fooled),
            "accuracy_real": np.mean(logits_real.asnumpy() > 0),
            "accuracy_fake": np.mean(logits_fake.asnumpy() < 0),
        }


@pytest.fixture(scope="module")
def duel(device, random_data):
    """Ten steps of the step and of the two passes, from the same weights on the same data."""
    recipe = recipes.override(recipes.load("mlp"), SMALL)
    step = build_step(recipe, random_data, SEED)
    twin = build_step(recipe, random_data, SEED)
    start = weights(step.generator, step.discriminator)
    names = [parameter.name for parameter in step.get_parameters()]
    two_passes = TwoPasses(twin, random_data.images)
    once = twice = np.zeros(32)
    ours, theirs = [], []
    for number in range(STEPS):
        indices, noise = inputs(step, number)
        latents = noise.discriminator[0].inputs[0]
        once = MOMENTUM * once + (1 - MOMENTUM) * mean_before_batchnorm(step.generator, latents)
        for _ in range(2):
            twice = MOMENTUM * twice + (1 - MOMENTUM) * mean_before_batchnorm(twin.generator, latents)
        ours.append(update(step, number))
        theirs.append(two_passes(indices, latents))
    return SimpleNamespace(**locals())


def test_the_scalars_are_those_of_two_passes(duel):
    for ours, theirs in zip(duel.ours, duel.theirs):
        assert ours.dtype == np.float32
        assert list(theirs) == list(duel.step.scalars)
        # seen over several seeds: up to 4e-7, a few units in the last place
        np.testing.assert_allclose(ours, list(theirs.values()), rtol=1e-6)
    assert len({tuple(values) for values in duel.ours}) == STEPS
    assert len({values["accuracy_fake"] for values in duel.theirs}) > 1


def test_the_weights_are_those_of_two_passes(duel):
    ours = weights(duel.step.generator, duel.step.discriminator)
    theirs = weights(duel.twin.generator, duel.twin.discriminator)
    assert ours.keys() == theirs.keys() and len(ours) == 12
    assert [parameter.name for parameter in duel.step.get_parameters()] == duel.names, "running renames nothing"
    for name in sorted(ours.keys() - {BIAS_BEFORE_BATCHNORM}):
        assert not np.array_equal(ours[name], duel.start[name]), f"{name} was trained"
        # seen over several seeds: up to 1e-7, where ten steps of Adam move a weight by up to 2e-3
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-6, err_msg=name)
    # BatchNorm takes this bias away again: its gradient is rounding error, which Adam turns into steps
    # of any size up to the learning rate.
    difference = ours[BIAS_BEFORE_BATCHNORM] - theirs[BIAS_BEFORE_BATCHNORM]
    assert np.abs(difference).max() <= STEPS * 2e-4


def test_moving_statistics_advance_once_a_step(duel):
    def moving_mean(step):
        return parameters(step.generator)["generator.layers.3.moving_mean"]

    np.testing.assert_allclose(moving_mean(duel.step), duel.once, rtol=0, atol=1e-6)
    np.testing.assert_allclose(moving_mean(duel.twin), duel.twice, rtol=0, atol=1e-6)
    assert np.abs(moving_mean(duel.step) - moving_mean(duel.twin)).max() > 0.05


def test_the_same_seed_gives_the_same_bytes(small_recipe, random_data, duel):
    def train(seed):
        step = build_step(small_recipe, random_data, seed)
        scalars = [update(step, number).tobytes() for number in range(STEPS)]
        return scalars, {name: value.tobytes() for name, value in parameters(step).items()}

    scalars, trained = train(SEED)
    assert scalars == [values.tobytes() for values in duel.ours]
    assert trained == {name: value.tobytes() for name, value in parameters(duel.step).items()}
    other = build_step(small_recipe, random_data, SEED + 1)
    for name, value in weights(other.generator, other.discriminator).items():
        assert not (name.endswith(".weight") and np.array_equal(value, duel.start[name])), name


def test_noise_is_latents_and_targets(small_recipe, random_data):
    step = build_step(small_recipe, random_data, SEED)
    ((((latents,), targets, masks, places),), of_g) = step.draw_noise(random_stream(1, "step"))
    assert masks == places == () and of_g == ((), ())
    assert latents.shape == (BATCH, 100) and latents.dtype == np.float32
    assert 0.9 < latents.std() < 1.1 and abs(latents.mean()) < 0.15
    assert np.array_equal(targets, [[1.0]] * BATCH + [[0.0]] * BATCH)
    assert np.array_equal(latents, step.draw_noise(random_stream(1, "step")).discriminator[0].inputs[0])


@pytest.mark.parametrize("pixel_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_resident_images_are_gathered_and_scaled(random_data, pixel_range):
    indices = np.int32([3, 3, 0, 63])
    low, high = pixel_range
    resident = ResidentImages(random_data.images, random_data.labels, pixel_range)
    found = resident(Tensor(indices)).asnumpy()
    np.testing.assert_allclose(found, random_data.images[indices] / 255.0 * (high - low) + low, rtol=0, atol=1e-6)
    assert np.array_equal(resident.labels(Tensor(indices)).asnumpy(), random_data.labels[indices])


@pytest.mark.parametrize("name, batch_norm", [("keras_mlp", 2), ("acgan", 2)])
def test_moving_statistics_advance_by_the_update_of_g_alone(name, batch_norm, small_conditional_recipe, random_data):
    """Where D's fakes are drawn in inference mode, its update leaves G's statistics alone."""
    recipe = small_conditional_recipe
    if name == "keras_mlp":
        recipe = recipes.override(recipes.load(name), SMALL)
    step = build_step(recipe, random_data, SEED)
    twin = build_step(recipe, random_data, SEED).generator
    noise = step.draw_noise(random_stream(SEED, "step"))
    twin.set_train(True)
    twin(*map(Tensor, noise.generator.inputs))
    step(on_device((np.arange(step.images_per_step, dtype=np.int32),)), on_device(noise))
    ours, theirs = parameters(step.generator), parameters(twin)
    moving = [key for key in ours if "moving" in key]
    assert len(moving) >= 2 * batch_norm
    for key in moving:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=0, atol=1e-6, err_msg=key)
        assert not np.all(theirs[key] == theirs[key][0]), "statistics that did not move would prove nothing"
