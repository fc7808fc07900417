"""Losses: against numbers worked out by hand, against NumPy in double precision, and far out."""

from __future__ import annotations

import functools
import math

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, ops

from ms_gan.losses import (
    binary_cross_entropy,
    class_cross_entropy,
    critic_generator_loss,
    hinge_loss,
    least_squares_loss,
    non_saturating_generator_loss,
    relativistic_average_loss,
    relativistic_pairing_loss,
    saturating_generator_loss,
    wasserstein_loss,
)

NEAR = [[2.0], [-1.0], [3.0]]
OTHERS = [[-1.0], [0.0], [3.0]]
FAR = [[1000.0], [-1000.0], [0.0]]
REAL, FAKE, SOFT = [[1.0]] * 3, [[0.0]] * 3, [[1.0], [0.0], [0.25]]

CLASS_LOGITS = [[1.0, 2.0, 3.0], [0.5, -1.5, 0.0], [0.0, 0.0, 0.0], [-4.0, 4.0, 1.0]]
LABELS = [2, 1, 0, 0]


@pytest.fixture(params=["graph", "pynative"], autouse=True)
def mode(request, device):
    ms.set_context(mode=ms.GRAPH_MODE if request.param == "graph" else ms.PYNATIVE_MODE)
    yield request.param
    ms.set_context(mode=ms.GRAPH_MODE)


@functools.cache
def with_gradient(loss, mode):
    """The loss and its gradient with respect to its first argument; in graph mode compiled, once for each shape."""
    return ms.value_and_grad(loss, 0)


def value_and_gradient(loss, logits, *others):
    """Of a loss on lists; a list of whole numbers becomes int32. Both as NumPy arrays."""
    others = [np.asarray(each) for each in others]
    others = [each.astype(np.int32 if each.dtype.kind == "i" else np.float32) for each in others]
    value, gradient = with_gradient(loss, ms.get_context("mode"))(Tensor(np.float32(logits)), *map(Tensor, others))
    assert value.shape == ()
    return value.asnumpy(), gradient.asnumpy()


def softplus(x):
    return np.logaddexp(0.0, x)


def sigmoid(x):
    return np.exp(-softplus(-x))


def test_binary_cross_entropy_by_hand():
    # Logit 2, target 1:    softplus(-2)                              = 0.126928
    # logit -1, target 0:   softplus(-1)                              = 0.313262
    # logit 3, target 0.25: 0.25 softplus(-3) + 0.75 softplus(3)
    #                       = 0.25 * 0.048587 + 0.75 * 3.048587       = 2.298587
    # mean: 2.738777 / 3 = 0.912926
    # D is 0.880797, 0.268941, 0.952574; the gradient is D less the target, a third of it
    value, gradient = value_and_gradient(binary_cross_entropy, NEAR, SOFT)
    assert float(value) == pytest.approx(0.912926, abs=2e-6)
    np.testing.assert_allclose(gradient, [[-0.119203 / 3], [0.268941 / 3], [0.702574 / 3]], atol=1e-6)


@pytest.mark.parametrize("logits", [NEAR, OTHERS, FAR])
@pytest.mark.parametrize("targets", [REAL, FAKE, SOFT])
def test_binary_cross_entropy_and_gradient_are_the_formula(logits, targets):
    value, gradient = value_and_gradient(binary_cross_entropy, logits, targets)
    logits, targets = np.array(logits), np.array(targets)
    expected = (targets * softplus(-logits) + (1 - targets) * softplus(logits)).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, (sigmoid(logits) - targets) / len(logits), rtol=1e-5, atol=1e-7)


def test_binary_cross_entropy_is_half_the_minimax_loss():
    """With as many real as generated images, and targets of 1 and 0."""
    value, _ = value_and_gradient(binary_cross_entropy, NEAR + OTHERS, REAL + FAKE)
    of_real, of_fake = (1 / (1 + np.exp(-np.array(logits))) for logits in (NEAR, OTHERS))
    minimax = -np.log(of_real).mean() - np.log(1 - of_fake).mean()
    np.testing.assert_allclose(value, minimax / 2, rtol=1e-6)


@pytest.mark.parametrize("fake", [NEAR, OTHERS, FAR])
@pytest.mark.parametrize(
    "loss, formula, slope",
    [
        (non_saturating_generator_loss, lambda x: softplus(-x), lambda x: -sigmoid(-x)),
        (saturating_generator_loss, lambda x: -softplus(x), lambda x: -sigmoid(x)),
    ],
)
def test_generator_losses_and_gradients_are_the_formula(loss, formula, slope, fake):
    value, gradient = value_and_gradient(loss, fake)
    fake = np.array(fake)
    np.testing.assert_allclose(value, formula(fake).mean(), rtol=1e-6)
    np.testing.assert_allclose(gradient, slope(fake) / len(fake), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("targets", [REAL, FAKE, SOFT])
def test_at_equilibrium(targets):
    undecided = [[0.0]] * 3
    value, _ = value_and_gradient(binary_cross_entropy, undecided, targets)
    assert float(value) == pytest.approx(math.log(2), rel=1e-6)
    assert float(value_and_gradient(non_saturating_generator_loss, undecided)[0]) == pytest.approx(math.log(2))
    assert float(value_and_gradient(saturating_generator_loss, undecided)[0]) == pytest.approx(-math.log(2))


def test_least_squares_by_hand():
    # ½ ((2 − 1)² + (−1 − 0)² + (3 − ¼)²) / 3, slopes (l − t) / 3
    value, gradient = value_and_gradient(least_squares_loss, NEAR, SOFT)
    assert value == pytest.approx((1 + 1 + 2.75**2) / 6, rel=1e-6)
    np.testing.assert_allclose(gradient.ravel(), [1 / 3, -1 / 3, 2.75 / 3], rtol=1e-6)


def test_hinge_by_hand():
    # real at ½: 1 − ½; real at 3: far enough above 1; fake at −3: far enough below −1; fake at 2: 1 + 2
    value, gradient = value_and_gradient(hinge_loss, [[0.5], [3.0], [-3.0], [2.0]], [[1.0], [1.0], [0.0], [0.0]])
    assert value == pytest.approx((0.5 + 3) / 4, rel=1e-6)
    np.testing.assert_allclose(gradient.ravel(), [-0.25, 0, 0, 0.25], atol=1e-7)


def test_hinge_keeps_nan():
    assert np.isnan(value_and_gradient(hinge_loss, [[np.nan], [1.0]], [[1.0], [0.0]])[0])


def test_wasserstein_by_hand():
    # ½ (mean of fakes − mean of real) = ½ ((−1 + 3) / 2 − (2 + 5) / 2)
    value, gradient = value_and_gradient(wasserstein_loss, [[2.0], [5.0], [-1.0], [3.0]], [[1.0], [1.0], [0.0], [0.0]])
    assert value == pytest.approx(0.5 * (1 - 3.5), rel=1e-6)
    np.testing.assert_allclose(gradient.ravel(), [-0.25, -0.25, 0.25, 0.25], rtol=1e-6)
    value, gradient = value_and_gradient(critic_generator_loss, NEAR)
    assert value == pytest.approx(-4 / 3, rel=1e-6) and gradient.ravel() == pytest.approx([-1 / 3] * 3)


def test_relativistic_losses_by_hand():
    # Real 2 and 0, fake 1 and −1. In pairs, real is 1 above; from the other mean, real is 2 and 0, fake 0 and −2.
    value, _ = value_and_gradient(relativistic_pairing_loss, [[1.0], [1.0]])
    assert value == pytest.approx(softplus(-1.0), rel=3e-6)
    value, _ = value_and_gradient(relativistic_average_loss, [[2.0], [0.0]], [[1.0], [-1.0]])
    assert value == pytest.approx((softplus(-2.0) + softplus(0.0) + softplus(0.0) + softplus(-2.0)) / 4, rel=3e-6)


@pytest.mark.parametrize("scale", [1.0, 250.0])
def test_class_cross_entropy_and_gradient_are_the_formula(scale):
    """Also for logits of 1000, for the right class and for wrong ones."""
    logits = scale * np.array(CLASS_LOGITS)
    value, gradient = value_and_gradient(class_cross_entropy, logits, LABELS)
    log_softmax = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    one_hot = np.eye(3)[LABELS]
    np.testing.assert_allclose(value, -(one_hot * log_softmax).sum(axis=1).mean(), rtol=1e-6)
    np.testing.assert_allclose(gradient, (np.exp(log_softmax) - one_hot) / len(LABELS), rtol=1e-5, atol=1e-7)


# why the softplus is written out


OUT = np.array([20, 88, 89, 200, 1e4])
BOTH_WAYS = np.concatenate((-OUT, OUT))


@pytest.mark.parametrize("target", [0.0, 0.9, 1.0])
def test_binary_cross_entropy_is_right_far_out(target):
    for logit in BOTH_WAYS:
        value, gradient = value_and_gradient(binary_cross_entropy, [[logit]], [[target]])
        expected = target * softplus(-logit) + (1 - target) * softplus(logit)
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(gradient, [[sigmoid(logit) - target]], rtol=1e-6, atol=1e-7)


def of_mindspore(loss, logits, *others):
    """A loss of MindSpore's own and its gradient, number by number."""
    found, gradient = ms.value_and_grad(lambda *inputs: (loss(*inputs).sum(), loss(*inputs)), 0, has_aux=True)(
        Tensor(np.float32(logits)), *(Tensor(np.float32(other)) for other in others)
    )
    return found[1].asnumpy(), gradient.asnumpy()


@pytest.fixture
def of_the_pinned_version(mode):
    if not ms.__version__.startswith("2.8.") or mode == "graph":  # a graph takes no lambda; its kernels are the same
        pytest.skip("said of MindSpore 2.8's kernels")


def test_mindspores_logsigmoid_is_not_finite_far_out(of_the_pinned_version):
    value, gradient = of_mindspore(ops.logsigmoid, [-20.0, -87.0, -89.0, -1e4])
    np.testing.assert_allclose(value[:2], [-20, -87], rtol=1e-6)
    assert (value[2:] == -np.inf).all() and np.isnan(gradient[2:]).all()


def test_a_number_is_rounded_alike_wherever_it_lies(of_the_pinned_version):
    """Not so by MindSpore's own softplus."""
    logits = 3 * np.random.default_rng(0).standard_normal(64).astype(np.float32)

    def each(function):
        whole = function(Tensor(logits)).asnumpy()
        return [
            np.array_equal(function(Tensor(logits[:count].copy())).asnumpy(), whole[:count]) for count in range(1, 64)
        ]

    def written_out(x):
        size = ops.abs(x)
        return ops.log1p(ops.exp(-size)) + 0.5 * size + 0.5 * x

    assert all(each(written_out)) and not all(each(ops.softplus))


def test_mindspores_log_softmax_is_wrong_in_the_sixth_place(of_the_pinned_version):
    logits = np.random.default_rng(0).standard_normal((2000, 10)).astype(np.float32)
    expected = logits - np.logaddexp.reduce(logits.astype(np.float64), axis=1, keepdims=True)
    error = np.abs(ops.log_softmax(Tensor(logits), 1).asnumpy() - expected).max()
    assert 1e-6 < error < 1e-5
