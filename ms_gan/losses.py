"""What each player wants: pure functions of tensors, each with its formula and source.

All take logits, never probabilities: D(x) = sigmoid(logit), −log D = softplus(−logit) and
−log(1 − D) = softplus(logit). Of MindSpore 2.8's ways to write this on CPU only Softplus
stays finite, in value and in gradient, for logits beyond ±88 (`ops.logsigmoid` and
`ops.binary_cross_entropy_with_logits` do not); the function `ops.softplus` puts a comparison
and a selection around it, which the primitive does not need.
"""

from __future__ import annotations

from mindspore import ops

_softplus = ops.Softplus()  # log(1 + exp(x))


def minimax_discriminator_loss(logits_real, logits_fake):
    """Return −mean log D(x) − mean log(1 − D(G(z))), a scalar (Goodfellow et al. 2014, equation 1).

    At equilibrium, D = 1/2 everywhere, it is 2 ln 2 = 1.386.
    """
    return _softplus(-logits_real).mean() + _softplus(logits_fake).mean()


def non_saturating_generator_loss(logits_fake):
    """Return −mean log D(G(z)), a scalar (Goodfellow et al. 2014, section 3).

    Its gradient stays large while D still rejects every fake. At equilibrium it is ln 2 = 0.693.
    """
    return _softplus(-logits_fake).mean()
