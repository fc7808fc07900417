"""Losses: against constants worked out by hand, against NumPy in double precision, and far out."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from ms_gan.losses import minimax_discriminator_loss, non_saturating_generator_loss

REAL = [[2.0], [-1.0], [0.5]]
FAKE = [[-1.0], [0.0], [3.0]]
FAR = [[1e4], [-1e4], [0.0]]


@pytest.fixture(params=["graph", "pynative"], autouse=True)
def mode(request, device):
    ms.set_context(mode=ms.GRAPH_MODE if request.param == "graph" else ms.PYNATIVE_MODE)
    yield request.param
    ms.set_context(mode=ms.GRAPH_MODE)


def softplus(x):
    return np.logaddexp(0.0, x)


def sigmoid(x):
    return np.exp(-softplus(-x))


def value_and_gradients(loss, *logits):
    """Of a loss on lists of logits, all as NumPy arrays."""
    positions = tuple(range(len(logits)))
    value, gradients = ms.value_and_grad(loss, positions)(*(Tensor(np.float32(values)) for values in logits))
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)  # MindSpore unpacks a single one
    return value.asnumpy(), [gradient.asnumpy() for gradient in gradients]


def test_discriminator_loss_by_hand():
    # softplus of -2, 1, -0.5 is 0.126928, 1.313262, 0.474077; of -1, 0, 3 it is 0.313262, 0.693147, 3.048587
    loss = minimax_discriminator_loss(Tensor(np.float32(REAL)), Tensor(np.float32(FAKE)))
    assert loss.shape == ()
    assert float(loss) == pytest.approx(0.638089 + 1.351665, abs=2e-6)


def test_generator_loss_by_hand():
    # softplus of 1, 0, -3 is 1.313262, 0.693147, 0.048587
    loss = non_saturating_generator_loss(Tensor(np.float32(FAKE)))
    assert loss.shape == ()
    assert float(loss) == pytest.approx(0.684999, abs=1e-6)


@pytest.mark.parametrize("real, fake", [(REAL, FAKE), (FAKE, REAL), (FAR, REAL), (REAL, FAR), (FAR, FAR)])
def test_discriminator_loss_and_gradients_are_the_formula(real, fake):
    value, (of_real, of_fake) = value_and_gradients(minimax_discriminator_loss, real, fake)
    real, fake = np.array(real), np.array(fake)
    assert np.isfinite(value)
    np.testing.assert_allclose(value, softplus(-real).mean() + softplus(fake).mean(), rtol=1e-6)
    np.testing.assert_allclose(of_real, -sigmoid(-real) / len(real), rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(of_fake, sigmoid(fake) / len(fake), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("fake", [REAL, FAKE, FAR])
def test_generator_loss_and_gradient_are_the_formula(fake):
    value, (of_fake,) = value_and_gradients(non_saturating_generator_loss, fake)
    fake = np.array(fake)
    assert np.isfinite(value)
    np.testing.assert_allclose(value, softplus(-fake).mean(), rtol=1e-6)
    np.testing.assert_allclose(of_fake, -sigmoid(-fake) / len(fake), rtol=1e-5, atol=1e-12)


def test_at_equilibrium():
    undecided = Tensor(np.zeros((4, 1), np.float32))
    assert float(minimax_discriminator_loss(undecided, undecided)) == pytest.approx(2 * math.log(2), rel=1e-6)
    assert float(non_saturating_generator_loss(undecided)) == pytest.approx(math.log(2), rel=1e-6)
