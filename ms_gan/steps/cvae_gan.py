"""One update of a CVAE whose decoder is also the generator of a GAN (Larsen et al. 2016; Bao et al. 2017)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from mindspore import ops

from ms_gan.errors import UserError
from ms_gan.latents import draw_latents
from ms_gan.losses import binary_cross_entropy, non_saturating_generator_loss, squared_reconstruction_loss
from ms_gan.schema.updates import CVAEGANUpdates, CVAEUpdates
from ms_gan.steps.augmentation import AugmentedNoise, Augmenter
from ms_gan.steps.base import StepParts, TrainingStep, fraction_true
from ms_gan.steps.cvae import CVAEStep
from ms_gan.steps.gradient_penalty import GradientPenalty, require_one_answer, require_slopes
from ms_gan.steps.graph import gradient

PIXEL_KL_WEIGHT = 0.05  # of the KL beside the squared error of pixels while D waits: that of `cvae_early`


class CVAEGANNoise(NamedTuple):
    """All that is random in one step: ε and latents from the prior, float32, (B, latent_size) each."""

    epsilon: np.ndarray
    latents: np.ndarray


class CVAEGANStep(TrainingStep):
    """Update D; then, against the updated D, the encoder and the generator, each with its own loss and Adam.

    With x real, x̂ = G(E(x)) its reconstruction, x_p = G(z) drawn from the prior with the labels of x, f the maps that
    D's first `reconstruction_layer` convolutions make, and D(x) the probability of "real":

        D: mean(−log D(x)) + mean(−log(1 − D(x̂))) + mean(−log(1 − D(x_p)))     the document's loss
           + ½ gamma · mean ‖∇ logit(x)‖²                               R1 of Mescheder et al. 2018
        E: kl_weight · KL + reconstruction_weight · R                           after Larsen et al., algorithm 1
        G: reconstruction_weight · R + ½ (mean(−log D(x̂)) + mean(−log D(x_p)))

    R is (f(x) − f(x̂))², summed over all the maps of an image, and KL is summed over the latent's numbers; both are
    then averaged over the batch, as −log D is. Larsen et al. take ½ that sum, and the saturating form of G's loss; Bao
    et al. add losses of pixels and of mean features, and a classifier: not here.

    The penalty keeps D from growing steep. Without it, either D told every fake by its blur and G learned nothing, or
    G, with larger steps, ran to what this D did not know. It is measured at the first `penalised` real images of the
    batch alone; with a gamma of 0 not at all, and penalty_real is 0.

    D sees two fakes for each real image. At equilibrium, with fakes like real ones, it says 1/3 of each. So fool_rate
    and the accuracies go by 1/3: above it, D takes an image for real.

    With `updates.augmentation` D answers for changed images, each time anew, and its penalty is measured at them: see
    `Augmenter`. f compares images as they are: R asks for the same image, and no change is part of it.

    Before the first step come `pretraining_steps` updates of encoder and generator as an autoencoder of pixels; D
    waits.

    Args:
        parts: networks "encoder" and "generator" as for CVAEStep, and "discriminator", a `Discriminator` that sees no
            labels, without dropout, and without pooling where gamma is not 0.
        updates: the settings.
    """

    networks = ("encoder", "generator", "discriminator")
    # loss_g: the adversarial part of G's loss; penalty_real: the mean squared slope at real images; fool_rate: the part
    # of x̂ and x_p that D, updated, takes for real; accuracy_*: what D is right about in its own update
    scalars = (
        "loss_d",
        "penalty_real",
        "loss_g",
        "loss_reconstruction",
        "loss_kl",
        "fool_rate",
        "accuracy_real",
        "accuracy_reconstructed",
        "accuracy_sampled",
    )
    equilibrium = {"loss_d": (float(np.log(27 / 4)), "ln 27/4"), "loss_g": (float(np.log(3)), "ln 3")}

    def __init__(self, parts: StepParts, updates: CVAEGANUpdates):
        super().__init__(parts)
        self.require_discriminator(updates)
        self.reconstruction_layer = updates.reconstruction_layer
        self.reconstruction_weight, self.kl_weight = updates.reconstruction_weight, updates.kl_weight
        self.gamma, self.penalised = updates.gamma, min(updates.penalised, self.whole_batch) // parts.devices
        self.real_from = updates.threshold
        self.pretraining_steps = updates.pretraining_steps
        self.autoencoder = CVAEStep(parts, CVAEUpdates("squared", PIXEL_KL_WEIGHT))
        self.augmenter = Augmenter(updates.augmentation, (3 * self.whole_batch, 2 * self.whole_batch))
        self.penalty = GradientPenalty(self.discriminator)
        self.gradient_discriminator = gradient(self.discriminator_loss, self.discriminator)
        self.gradient_encoder = gradient(self.encoder_loss, self.encoder)
        self.gradient_generator = gradient(self.generator_loss, self.generator)
        self.set_train()

    def require_discriminator(self, updates: CVAEGANUpdates) -> None:
        """Raise UserError for a D that this cannot be computed with."""
        require_one_answer(self.discriminator, "the family cvae_gan")
        if updates.gamma:
            require_slopes(self.discriminator, "the family cvae_gan", "updates.gamma")
        count, layer = self.discriminator.convolution_count, updates.reconstruction_layer
        if layer > count:
            problem = f"updates.reconstruction_layer={layer}, but the number of D's convolutions is {count}"
            raise UserError(problem, "use a lower layer, or a discriminator with more convolutions")

    def draw_noise(self, stream: np.random.Generator) -> CVAEGANNoise | AugmentedNoise:
        epsilon, latents = (draw_latents("normal", self.whole_batch, self.latent.size, stream) for _ in range(2))
        return self.augmenter.with_changes(CVAEGANNoise(epsilon, latents), stream)

    def pretrain(self, batch, noise):
        """Do one update of the autoencoder of pixels, on the same networks and optimizers; return its losses."""
        return self.autoencoder(batch, self.augmenter.parted(noise)[0][:1])

    def maps(self, images):
        """Return what images, float32, N×C×H×W, are compared by: float32, N×C'×H'×W'."""
        return self.discriminator.maps(images, self.reconstruction_layer)

    def discriminator_loss(self, real, reconstructed, sampled):
        """Return D's loss on real, reconstructed and sampled images, its parts, and the part of each it is right about.

        All three float32, B×C×H×W.
        """
        count = real.shape[0]
        logits = self.discriminator(ops.concat((real, reconstructed, sampled)))
        logits_real, logits_reconstructed = logits[:count], logits[count : 2 * count]
        logits_sampled = logits[2 * count :]
        loss = (
            binary_cross_entropy(logits_real, 1.0)
            + binary_cross_entropy(logits_reconstructed, 0.0)
            + binary_cross_entropy(logits_sampled, 0.0)
        )
        penalty = ops.zeros_like(loss)
        if self.gamma > 0:
            penalty = self.penalty.zero_centred(real[: self.penalised], (), 1)[0]
        accuracies = ops.stack(
            (
                fraction_true(logits_real > self.real_from),
                fraction_true(logits_reconstructed < self.real_from),
                fraction_true(logits_sampled < self.real_from),
            )
        )
        return loss + 0.5 * self.gamma * penalty, ops.stack((loss, penalty)), accuracies

    def encoder_loss(self, real, label, epsilon, maps_real):
        """Return the encoder's loss, and the values to report: reconstruction and KL."""
        latent, kl = self.autoencoder.encode(real, label, epsilon)
        reconstruction = squared_reconstruction_loss(self.maps(self.generator(latent, *label)), maps_real)
        return self.kl_weight * kl + self.reconstruction_weight * reconstruction, ops.stack((reconstruction, kl))

    def generator_loss(self, encoded, latent, label, maps_real, changes):
        """Return the generator's loss, and the values to report: its adversarial part, and how often D is fooled."""
        reconstructed, sampled = self.generator(encoded, *label), self.generator(latent, *label)
        reconstruction = squared_reconstruction_loss(self.maps(reconstructed), maps_real)
        seen = self.augmenter.together((reconstructed, sampled), changes)
        logits = ops.concat((self.discriminator(seen[0]), self.discriminator(seen[1])))
        adversarial = non_saturating_generator_loss(logits)  # of as many of the one as of the other
        return (
            self.reconstruction_weight * reconstruction + adversarial,
            ops.stack((adversarial, fraction_true(logits > self.real_from))),
        )

    def construct(self, batch, noise):
        (epsilon, latent), changes = self.augmenter.parted(noise)
        real = self.data(*batch)
        label = self.labels_of(batch)
        encoded = ops.stop_gradient(self.autoencoder.encode(real, label, epsilon)[0])
        reconstructed = ops.stop_gradient(self.generator(encoded, *label))
        sampled = ops.stop_gradient(self.generator(latent, *label))
        seen = self.augmenter.together((real, reconstructed, sampled), changes[0])
        (_, loss_d, accuracies), gradients = self.gradient_discriminator(*seen)
        loss_d = ops.depend(loss_d, self.optimizer_discriminator(gradients))

        real = ops.depend(real, loss_d)  # E and G meet the updated D
        maps_real = self.maps(real)  # no number that E or G can change
        (_, parts), gradients_encoder = self.gradient_encoder(real, label, epsilon, maps_real)
        (_, values), gradients_generator = self.gradient_generator(
            ops.depend(encoded, loss_d), latent, label, maps_real, changes[1]
        )
        parts = ops.depend(parts, values)  # both are differentiated before either is updated
        parts = ops.depend(parts, self.optimizer_encoder(gradients_encoder))
        values = ops.depend(values, self.optimizer_generator(ops.depend(gradients_generator, parts)))
        return ops.concat((loss_d, values[:1], parts, values[1:], accuracies))
