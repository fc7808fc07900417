"""What each player wants: pure functions of tensors, each with its formula and source.

All take logits, never probabilities: D(x) = sigmoid(logit), −log D = softplus(−logit) and −log(1 − D) =
softplus(logit). The softplus is written out, from operators that round a number the same wherever it lies in an array.
MindSpore 2.8 has three ways of its own on CPU. `ops.logsigmoid` is wrong at a logit of −88, and below it −inf with the
gradient NaN. `ops.Softplus` and `ops.binary_cross_entropy_with_logits` are right to 1e-6, value and gradient, up to
±10,000, but round some numbers differently by where they lie: `ops.Softplus` the last of each thread's share, and
MindSpore changes the number of threads while it runs; the other one where there are fewer than 40 numbers.
`ops.log_softmax` is wrong by up to 4e-6.
"""

from __future__ import annotations

from mindspore import ops


def binary_cross_entropy(logits, targets):
    """Return mean(−t log D − (1 − t) log(1 − D)), a scalar, for targets t in [0, 1], of the logits' shape or a number.

    With t = 1 for real and t = 0 for generated images, one as many as the other, it is half the
    discriminator's minimax loss, −mean log D(x) − mean log(1 − D(G(z))) (Goodfellow et al. 2014,
    equation 1): at equilibrium, D = 1/2 everywhere, it is ln 2 = 0.693. Targets between 0 and 1 are label smoothing
    (Salimans et al. 2016, section 3.4); D is then the middle of both mean targets, m, and the loss −m ln m − (1 − m)
    ln(1 − m). The gradient is right to 6e-8: where D is as sure as that, it is 0.
    """
    # t·softplus(−l) + (1 − t)·softplus(l), where softplus(x) = (x + |x|)/2 + log(1 + exp(−|x|))
    size = ops.abs(logits)
    return (ops.log1p(ops.exp(-size)) + 0.5 * size + (0.5 - targets) * logits).mean()


def non_saturating_generator_loss(logits_fake):
    """Return −mean log D(G(z)), a scalar (Goodfellow et al. 2014, section 3).

    Its gradient stays large while D still rejects every fake. At equilibrium it is ln 2 = 0.693.
    """
    return binary_cross_entropy(logits_fake, 1.0)


def saturating_generator_loss(logits_fake):
    """Return mean log(1 − D(G(z))), a scalar (Goodfellow et al. 2014, equation 1).

    Its gradient vanishes while D rejects every fake. At equilibrium it is −ln 2 = −0.693.
    """
    return -binary_cross_entropy(logits_fake, 0.0)


def least_squares_loss(logits, targets):
    """Return ½ mean((D(x) − t)²), a scalar, where D(x) is the logit itself (Mao et al. 2017, "LSGAN", equation 2).

    targets: of the logits' shape, or a number; their code is t = 1 for real images and 0 for generated ones. At
    equilibrium D says the middle of both, and the loss is 1/8 with this code.
    """
    errors = logits - targets
    return 0.5 * (errors * errors).mean()


def hinge_loss(logits, targets):
    """Return half of mean(max(0, 1 − D(x))) + mean(max(0, 1 + D(G(z)))), a scalar (Lim and Ye 2017, "Geometric GAN").

    targets: of the logits' shape, 1 for real and 0 for generated images, one as many as the other. At equilibrium it is
    1; D may then say any number from −1 to 1.
    """
    rest = 1.0 - (2.0 * targets - 1.0) * logits
    return 0.5 * (rest + ops.abs(rest)).mean()  # max(0, rest), which leaves NaN as it is


def wasserstein_loss(logits, targets):
    """Return half of mean D(G(z)) − mean D(x), a scalar (Arjovsky et al. 2017, "WGAN").

    targets: of the logits' shape, 1 for real and 0 for generated images, one as many as the other. Twice this is minus
    an estimate of the Wasserstein distance, for a D whose slope is at most 1; at equilibrium it is 0.
    """
    return ((1.0 - 2.0 * targets) * logits).mean()


def critic_generator_loss(logits_fake):
    """Return −mean D(G(z)), a scalar: G's loss of the hinge and of the Wasserstein GAN (sources as there)."""
    return -logits_fake.mean()


def relativistic_pairing_loss(advantages):
    """Return −mean log sigmoid(advantages), a scalar (Jolicoeur-Martineau 2018, "RSGAN"; "RpGAN" in 2019).

    `advantages` are, pair by pair, the logits of the images that are to have the higher ones minus those of the others:
    for D those of real images minus those of generated ones, for G the other way round. At equilibrium it is
    ln 2 = 0.693.
    """
    return binary_cross_entropy(advantages, 1.0)


def relativistic_average_loss(logits_above, logits_below):
    """Return half of the loss of Jolicoeur-Martineau 2018, "RaSGAN", a scalar.

    ½ (−mean log sigmoid(above − mean(below)) − mean log(1 − sigmoid(below − mean(above)))). For D the logits that are
    to be above are those of real images, for G those of generated ones. At equilibrium it is ln 2 = 0.693.
    """
    above = binary_cross_entropy(logits_above - logits_below.mean(), 1.0)
    below = binary_cross_entropy(logits_below - logits_above.mean(), 0.0)
    return 0.5 * (above + below)


def class_cross_entropy(class_logits, labels):
    """Return −mean log softmax(class_logits)[label], a scalar (the auxiliary classifier of Odena et al. 2017).

    class_logits: float32, (N, classes). labels: int32, (N,), from 0. Here an error of 4e-6 does no harm: no
    player lives on the last digits of a class loss.
    """
    log_probabilities = ops.log_softmax(class_logits, 1)
    return -(ops.one_hot(labels, class_logits.shape[1]) * log_probabilities).sum(1).mean()


def kl_of_each(mean, log_variance):
    """Return the KL of `kl_to_standard_normal` of each image, float32, (N,)."""
    return 0.5 * (mean * mean + ops.exp(log_variance) - 1.0 - log_variance).sum(1)


def kl_to_standard_normal(mean, log_variance):
    """Return KL(N(mean, exp(log_variance)) ‖ N(0, 1)) in nats, a scalar.

    Both float32, (N, latent_size); summed over the latent's numbers, mean over images.
    Σ ½ (mean² + variance − 1 − log variance) (Kingma and Welling 2014, appendix B).
    """
    return kl_of_each(mean, log_variance).mean()


def bernoulli_reconstruction_loss(logits, images):
    """Return −log p(x | z) in nats for Bernoulli pixels, a scalar: summed over an image's pixels, mean over images."""
    return bernoulli_reconstruction_of_each(logits, images).mean()


def bernoulli_reconstruction_of_each(logits, images):
    """Return −log p(x | z) in nats for Bernoulli pixels of each image, float32, (N,): summed over its pixels.

    logits: float32, N×C×H×W, the log-odds of white; images: in [0, 1]. For pixels that are not 0 or 1 this is a
    cross-entropy, not the likelihood of a distribution, and its least value, at pixel = mean, is not 0.
    """
    size = ops.abs(logits)
    # softplus(l) − x·l, as in binary_cross_entropy
    losses = ops.log1p(ops.exp(-size)) + 0.5 * size + (0.5 - images) * logits
    return losses.reshape((losses.shape[0], -1)).sum(1)


def squared_reconstruction_loss(reconstructed, images):
    """Return Σ (x − x̂)², summed over an image's numbers, mean over images, a scalar.

    Any equal shapes, N×…; up to a constant it is −log p(x | z) in nats for normal pixels of variance ½.
    """
    return squared_error_of_each(reconstructed, images).mean()


def squared_error_of_each(reconstructed, images):
    """Return Σ (x − x̂)² of each image, float32, (N,), of any equal shapes, N×…."""
    errors = reconstructed - images
    return (errors * errors).reshape((errors.shape[0], -1)).sum(1)
