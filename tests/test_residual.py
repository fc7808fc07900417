"""Residual networks, and the penalties' weight that falls while they train."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.networks import normal, step_of
from mindspore import Tensor

from ms_gan.nets.conditioning import Present
from ms_gan.nets.residual import Block, ResidualDiscriminator, ResidualGenerator
from ms_gan.runtime import Device
from ms_gan.schema import networks as settings_of
from ms_gan.schema.networks import NetworkInputs
from ms_gan.training.loop import run_cell

pytestmark = pytest.mark.usefixtures("device")

SMALL = ("generator.widths=[6,5,4]", "discriminator.widths=[4,5,6]", "schedule.batch_size=8", "data.size=12")
BATCHES = type("Batches", (), {"indices": staticmethod(lambda number: np.arange(8, dtype=np.int32) + number)})


def networks(size, channels=3, **inputs):
    """A generator and a discriminator of three sizes."""
    shape = (channels, size, size)
    generator = ResidualGenerator(settings_of.ResidualGenerator((6, 5, 4)), NetworkInputs(shape, 7, **inputs))
    discriminator = ResidualDiscriminator(settings_of.ResidualDiscriminator((4, 5, 6)), NetworkInputs(shape))
    return generator, discriminator


@pytest.mark.parametrize("size", [8, 12, 13, 28])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_colour(size, channels):
    generator, discriminator = networks(size, channels)
    images = generator(Tensor(normal(2, 7)))
    assert images.shape == (2, channels, size, size)
    assert discriminator(images).shape == (2, 1)


def test_a_block_does_nothing_at_the_start():
    block = Block(5, 0.2, 4)
    x = Tensor(normal(2, 5, 6, 6))
    assert np.array_equal(block(x).asnumpy(), x.asnumpy())
    first, last = block.layers[0], block.layers[2]
    assert first.weight.asnumpy().std() == pytest.approx(math.sqrt(2 / 1.04 / 4 / 45), rel=0.15)
    last.weight.set_data(Tensor(0.1 * normal(*last.weight.shape)))
    assert np.abs(block(x).asnumpy() - x.asnumpy()).max() > 0.01


def test_numbers_start_at_a_size_that_does_not_depend_on_the_width():
    for widths in ((4, 4), (64, 32)):
        made = ResidualGenerator(settings_of.ResidualGenerator(widths), NetworkInputs((3, 8, 8), 64))
        assert 0.2 < made(Tensor(normal(200, 64))).asnumpy().std() < 3


def test_tags_are_the_same_in_any_place():
    present = Present(4, 3)
    labels = Tensor(np.array([[1, 4, 0], [4, 0, 1], [0, 0, 0]], np.int32))
    assert present(labels).asnumpy().tolist() == [[1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0]]
    assert Present(3, 0)(Tensor(np.array([2, 0], np.int32))).asnumpy().tolist() == [[0, 0, 1], [1, 0, 0]]


def test_pixels_may_leave_the_range_in_training_and_are_nan_where_they_overflow():
    generator, _ = networks(8)
    generator.set_train(True)
    latents = Tensor(1e4 * normal(1, 7))
    assert np.abs(generator(latents).asnumpy()).max() > 1
    generator.set_train(False)
    assert np.isnan(generator(Tensor(np.full((1, 7), np.inf, np.float32))).asnumpy()).all()


def test_each_tag_is_a_question_of_its_own():
    """Both losses: tag_weight · Σ over tags −log σ(±logit), for D at real images, for G at its own."""
    step = step_of("rpgan_residual", *SMALL, "updates.gamma=0", "updates.gamma_decay_rate=1", "updates.tag_weight=0.5")
    labels = np.zeros((8, 9), np.int32)
    labels[0, :2], labels[5, 0] = (3, 28), 1
    present = np.zeros((8, 28), bool)
    present[0, [2, 27]] = present[5, 0] = True
    images = Tensor(normal(16, 3, 12, 12))
    logits = step.discriminator(images, Tensor(np.concatenate((labels, labels))))[1].asnumpy().astype(np.float64)
    nats = np.logaddexp(0, np.where(np.tile(present, (2, 1)), -logits, logits))

    label = (Tensor(labels),)
    loss, (pairing, *_, of_tags) = step.discriminator_loss(images, (Tensor(np.concatenate((labels, labels))),), 0.0)
    assert float(of_tags) == pytest.approx(nats[:8].mean(), rel=1e-5)
    assert float(loss - pairing) == pytest.approx(0.5 * nats[:8].sum(1).mean(), rel=1e-5)

    logits_real = step.logits_of(images[:8], label)[0]
    loss, (pairing, of_tags, right) = step.generator_loss(images[8:], logits_real, label, ())
    assert float(of_tags) == pytest.approx(nats[8:].mean(), rel=1e-5)
    assert float(loss - pairing) == pytest.approx(0.5 * nats[8:].sum(1).mean(), rel=1e-5)
    assert float(right) == pytest.approx(((logits[8:] > 0) == present).mean())


def test_gamma_falls_by_the_decay_and_then_stays():
    step = step_of(
        "rpgan_residual", *SMALL, "updates.gamma=2", "updates.gamma_decay_rate=0.25", "updates.gamma_decay_steps=2"
    )
    found = []
    for number in range(4):
        found.append(2 * 0.25 ** (min(number, 2) / 2))
        assert step.updates_done.asnumpy() == number
        assert float(step.gamma_now().asnumpy()) == pytest.approx(found[-1])
        run_cell(step, step, BATCHES, Device("CPU", 0), 1, "step", number).asnumpy()
    assert found == [2, 1, 0.5, 0.5]
    assert "step" in step.saved()  # so that a resumed run goes on with it


def test_gamma_that_does_not_fall_needs_no_counter():
    step = step_of("rpgan_residual", *SMALL, "updates.gamma_decay_rate=1")
    assert not hasattr(step, "updates_done") and "step" not in step.saved()


def test_the_loss_of_d_holds_the_penalties_times_gamma():
    """D's update is that of a step with the constant gamma that the decay has come to."""
    weights = []
    for settings in (
        ("updates.gamma=4", "updates.gamma_decay_rate=0.25", "updates.gamma_decay_steps=1"),
        ("updates.gamma=1", "updates.gamma_decay_rate=1"),
    ):
        step = step_of("rpgan_residual", *SMALL, *settings)
        if hasattr(step, "updates_done"):
            step.updates_done.set_data(Tensor(np.float32(5)))
        run_cell(step, step, BATCHES, Device("CPU", 0), 1, "step", 0).asnumpy()
        weights.append([weight.asnumpy() for weight in step.discriminator.trainable_params()])
    for first, second in zip(*weights):
        assert first == pytest.approx(second, rel=1e-4, abs=1e-6)
