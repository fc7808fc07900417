"""One update of a CVAE whose decoder is also the generator of a GAN (Larsen et al. 2016; Bao et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from ms_gan.errors import UserError
from ms_gan.latents import draw_latents
from ms_gan.losses import (
    binary_cross_entropy,
    kl_to_standard_normal,
    non_saturating_generator_loss,
    squared_reconstruction_loss,
)
from ms_gan.steps.base import TrainingStep
from ms_gan.steps.cvae import CVAEStep
from ms_gan.steps.gan import share
from ms_gan.steps.penalty import require_slopes

REAL_FROM = -math.log(2)  # the logit of 1/3
PIXEL_KL_WEIGHT = 0.05  # of the KL beside the squared error of pixels while D waits: that of `cvae_early`


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

    Without the penalty, which keeps D's judgement from growing steep, either D told every fake by its blur and G
    learned nothing, or G, with larger steps, ran to what this D did not know. It is measured at the first `penalised`
    real images of the batch alone; with a gamma of 0 not at all, and penalty_real is 0.

    D sees two fakes for each real image: at equilibrium, fakes like real ones, it says 1/3 of each. So fool_rate and
    the accuracies go by 1/3: above it, D takes an image for real.

    Args:
        data, encoder, generator, latent, classes, batch_size, kl_weight: as for CVAEStep.
        discriminator: Cell from images to logits, (B, 1), without dropout, and without pooling where gamma is not 0;
            its `maps` from images and how many convolutions to f.
        optimizer_encoder, optimizer_generator, optimizer_discriminator: one optimizer for each one's weights.
        reconstruction_layer: by the maps of which of D's convolutions images are compared, from 1.
        reconstruction_weight: how much R weighs beside what D says.
        gamma: the weight of the penalty.
        penalised: at how many real images it is measured, at all where it is more than batch_size.
        pretraining_steps: updates of encoder and generator as an autoencoder of pixels, without D, before the first
            step.
    """

    networks = ("encoder", "generator", "discriminator")
    # loss_g: the adversarial part of G's loss; penalty_real: the mean squared slope at real images; fool_rate: the part
    # of x̂ and x_p that D, updated, takes for real; accuracy_*: what D judges rightly in its own update
    scalars: tuple[str, ...] = (
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
    labels = "any"

    def __init__(
        self,
        data,
        encoder,
        generator,
        discriminator,
        optimizer_encoder,
        optimizer_generator,
        optimizer_discriminator,
        latent: dict[str, Any],
        classes: int,
        batch_size: int,
        reconstruction_layer: int,
        reconstruction_weight: float,
        kl_weight: float,
        gamma: float,
        penalised: int,
        pretraining_steps: int,
    ):
        super().__init__(auto_prefix=False)
        if latent["distribution"] != "normal":
            raise UserError("the latents of a variational autoencoder are normal; set latent.distribution=normal")
        require_slopes(discriminator, "cvae_gan", gamma)
        convolutions = len(getattr(discriminator, "convolutions", ()))
        if reconstruction_layer > convolutions:
            raise UserError(
                f"a CVAE-GAN compares images by the maps of a convolution of D, which has {convolutions}; "
                f"updates.reconstruction_layer={reconstruction_layer} is none of them"
            )
        self.data, self.encoder, self.generator, self.discriminator = data, encoder, generator, discriminator
        self.optimizer_encoder, self.optimizer_generator = optimizer_encoder, optimizer_generator
        self.optimizer_discriminator = optimizer_discriminator
        self.latent, self.classes, self.batch_size = latent, classes, batch_size
        self.reconstruction_layer, self.reconstruction_weight = reconstruction_layer, reconstruction_weight
        self.kl_weight, self.gamma, self.penalised = kl_weight, gamma, min(penalised, batch_size)
        self.pretraining_steps = pretraining_steps
        self.slopes = ms.grad(self.total_logit, 0)
        self.gradient_discriminator, self.gradient_encoder, self.gradient_generator = (
            ms.value_and_grad(loss, None, ms.ParameterTuple(network.trainable_params()), has_aux=True)
            for loss, network in (
                (self.discriminator_loss, discriminator),
                (self.encoder_loss, encoder),
                (self.generator_loss, generator),
            )
        )
        self.set_train()

    @staticmethod
    def threshold(updates: dict[str, Any]) -> float:
        """Return the logit of 1/3, which D says at equilibrium: it sees two fakes for each real image."""
        return REAL_FROM

    def draw_noise(self, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return all that is random in one step: ε and latents from the prior, float32, (B, latent_size) each."""
        return tuple(draw_latents("normal", self.batch_size, self.latent["size"], stream) for _ in range(2))

    def preparation(self) -> tuple[nn.Cell, int]:
        """Return a Cell of the same signature to run before the first step, on the first batches, and how often."""
        return Pretraining(self), self.pretraining_steps

    def remark(self, means: dict[str, float]) -> str | None:
        """Say what the means of the scalars over an epoch mean, when one player has overpowered the other."""
        if min(means["accuracy_real"], means["accuracy_reconstructed"], means["accuracy_sampled"]) > 0.99:
            return "D tells nearly every image apart and overpowers G, which learns little from such a D"
        if means["fool_rate"] > 0.99:
            return "D takes nearly every image of G for real: G overpowers D, and learns little from such a D"
        return None

    def encode(self, images, label, epsilon):
        """Return latents drawn from q(z | x, label), (B, latent_size), and the KL of q to the prior."""
        mean, log_variance = self.encoder(images, *label)
        return mean + ops.exp(0.5 * log_variance) * epsilon, kl_to_standard_normal(mean, log_variance)

    def maps(self, images):
        """Return what images are compared by."""
        return self.discriminator.maps(images, self.reconstruction_layer)

    def total_logit(self, images):
        """Return the sum of D's logits, whose gradient is each image's slope."""
        return self.discriminator(images).sum()

    def penalty(self, images):
        """Return the mean squared slope of D's logit at the images."""
        slopes = self.slopes(images)
        return (slopes * slopes).sum() / self.penalised

    def discriminator_loss(self, real, reconstructed, sampled):
        """Return D's loss on real, reconstructed and sampled images, its parts, and what D judges rightly of each."""
        count = real.shape[0]
        logits = self.discriminator(ops.concat((real, reconstructed, sampled)))
        logits_real, logits_reconstructed, logits_sampled = (
            logits[:count],
            logits[count : 2 * count],
            logits[2 * count :],
        )
        loss = (
            binary_cross_entropy(logits_real, 1.0)
            + binary_cross_entropy(logits_reconstructed, 0.0)
            + binary_cross_entropy(logits_sampled, 0.0)
        )
        penalty = self.penalty(real[: self.penalised]) if self.gamma else ops.zeros_like(loss)
        judged = ops.stack(
            (share(logits_real > REAL_FROM), share(logits_reconstructed < REAL_FROM), share(logits_sampled < REAL_FROM))
        )
        return loss + 0.5 * self.gamma * penalty, ops.stack((loss, penalty)), judged

    def encoder_loss(self, real, label, epsilon, maps_real):
        """Return the encoder's loss, and the values to report: reconstruction and KL."""
        latent, kl = self.encode(real, label, epsilon)
        reconstruction = squared_reconstruction_loss(self.maps(self.generator(latent, *label)), maps_real)
        return self.kl_weight * kl + self.reconstruction_weight * reconstruction, ops.stack((reconstruction, kl))

    def generator_loss(self, encoded, latent, label, maps_real):
        """Return the generator's loss, and the values to report: its adversarial part, and how often D is fooled."""
        reconstructed, sampled = self.generator(encoded, *label), self.generator(latent, *label)
        reconstruction = squared_reconstruction_loss(self.maps(reconstructed), maps_real)
        logits = ops.concat((self.discriminator(reconstructed), self.discriminator(sampled)))
        adversarial = non_saturating_generator_loss(logits)  # of as many of the one as of the other
        return (
            self.reconstruction_weight * reconstruction + adversarial,
            ops.stack((adversarial, share(logits > REAL_FROM))),
        )

    def construct(self, batch, noise):
        """Do one update.

        Args:
            batch: tuple of tensors, what the data Cell takes for `images_per_step` real images.
            noise: tuple of tensors as `draw_noise` draws them.

        Returns:
            float32, (len(scalars),): the values that `scalars` names, each measured before the update that
            follows from it.
        """
        epsilon, latent = noise
        real = self.data(*batch)
        label = (self.data.labels(*batch),) if self.classes else ()
        encoded = ops.stop_gradient(self.encode(real, label, epsilon)[0])
        reconstructed = ops.stop_gradient(self.generator(encoded, *label))
        sampled = ops.stop_gradient(self.generator(latent, *label))
        (_, loss_d, accuracies), gradients = self.gradient_discriminator(real, reconstructed, sampled)
        loss_d = ops.depend(loss_d, self.optimizer_discriminator(gradients))

        real = ops.depend(real, loss_d)  # E and G are judged by the updated D
        maps_real = self.maps(real)  # no number that E or G can change
        (_, parts), gradients_encoder = self.gradient_encoder(real, label, epsilon, maps_real)
        (_, values), gradients_generator = self.gradient_generator(
            ops.depend(encoded, loss_d), latent, label, maps_real
        )
        parts = ops.depend(parts, values)  # both are differentiated before either is updated
        parts = ops.depend(parts, self.optimizer_encoder(gradients_encoder))
        values = ops.depend(values, self.optimizer_generator(ops.depend(gradients_generator, parts)))
        return ops.concat((loss_d, values[:1], parts, values[1:], accuracies))


class Pretraining(nn.Cell):
    """The update of a CVAE with the squared error of pixels, on the same networks and optimizers: D waits."""

    def __init__(self, step: CVAEGANStep):
        super().__init__(auto_prefix=False)
        self.autoencoder = CVAEStep(
            step.data,
            step.encoder,
            step.generator,
            step.optimizer_encoder,
            step.optimizer_generator,
            step.latent,
            step.classes,
            step.batch_size,
            "squared",
            PIXEL_KL_WEIGHT,
        )

    def construct(self, batch, noise):
        """Do one update of the autoencoder; return its losses."""
        return self.autoencoder(batch, noise[:1])
