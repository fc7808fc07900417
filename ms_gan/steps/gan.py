"""One update of a plain GAN (Goodfellow et al. 2014, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import ops

from ms_gan.schema.updates import RELATIVE, GANUpdates
from ms_gan.steps.adversary import Adversary
from ms_gan.steps.augmentation import AugmentedNoise, Augmenter
from ms_gan.steps.base import StepParts, TrainingStep
from ms_gan.steps.gan_noise import DiscriminatorNoise, GANNoise, GeneratorNoise, draw_inputs, draw_masks, draw_targets
from ms_gan.steps.graph import gradient
from ms_gan.steps.one_forward import OneForward
from ms_gan.steps.optimizers import share_counters


class GANStep(TrainingStep):
    """Update D on real and fake images, then G, on the same latents, against the updated D.

    With z the latents and logits instead of probabilities, the loss "non_saturating" is

        D: mean(−log D(x)) + mean(−log(1 − D(G(z))))        its mean over all images with the update "mean"
        G: mean(−log D(G(z)))

    `adversary` knows this loss and the others. G runs forward once a step: see `OneForward`. D sees real and fake
    images in one batch, which for a D without BatchNorm is the same as two batches, and faster. With
    `updates.augmentation` it sees both changed, each time anew: see `Augmenter`.

    This is the tutorial's form. The other forms are in `gan_forms`, and `gan_step` there chooses among them.

    Args:
        parts: networks "generator" and "discriminator", a `Discriminator`.
        updates: the settings.
    """

    networks = ("generator", "discriminator")
    scalars: tuple[str, ...] = ("loss_d", "loss_g", "fool_rate", "accuracy_real", "accuracy_fake")

    def __init__(self, parts: StepParts, updates: GANUpdates):
        super().__init__(parts)
        if updates.shared_counters:
            share_counters(self.optimizer_discriminator, self.optimizer_generator)
        self.updates, self.pretraining_steps = updates, updates.pretraining_steps
        self.generator_for_discriminator: Any = self.generator_in_inference if updates.needs_twin else self.generator
        self.turns = updates.discriminator_steps
        self.count = self.batch_size // 2 if updates.half_batches else self.batch_size  # of each kind, for D
        self.adversary = Adversary(self.discriminator, updates)
        self.whole_count = self.count * parts.devices
        real_for_generator = self.whole_batch if updates.loss in RELATIVE else 0
        seen = (*self.turns * (2 * self.whole_count,), self.whole_batch, real_for_generator)
        self.augmenter = Augmenter(updates.augmentation, seen)
        self.scalars, self.equilibrium = self.adversary.scalars, updates.equilibrium
        self.gradient_discriminator = gradient(self.adversary.discriminator_loss, self.discriminator)
        self.gradient_images = ms.value_and_grad(self.generator_loss, 0, None, has_aux=True)
        self.one_forward = OneForward(self.generator)
        self.set_train()

    @property
    def images_per_step(self) -> int:
        """How many real images one step takes on this device."""
        return self.count * self.turns

    def draw_noise(self, stream: np.random.Generator) -> GANNoise | AugmentedNoise:
        return self.augmenter.with_changes(self.draw_plain_noise(stream), stream)

    def draw_plain_noise(self, stream: np.random.Generator) -> GANNoise:
        """Return all that is random in one step without augmentation."""
        turns = tuple(self.draw_for_discriminator(self.whole_batch, stream) for _ in range(self.turns))
        return GANNoise(turns, GeneratorNoise((), self.draw_masks(self.whole_batch, stream)))

    def construct(self, batch, noise):
        (turns, (_, masks)), changes = self.augmenter.parted(noise)
        inputs, fake, real, reported, accuracies = self.train_discriminator(batch, turns, changes)
        fake, real = ops.depend(fake, reported), ops.depend(real, reported)  # G meets the updated D
        return ops.stack((*reported, *self.update_generator(inputs, fake, real, masks, changes), *accuracies))

    def pretrain(self, batch, noise):
        """Do the updates of D alone: it gets a lead over the untrained G."""
        plain, changes = self.augmenter.parted(noise)
        *_, reported, accuracies = self.train_discriminator(batch, plain[0], changes)
        return ops.stack((*reported, *accuracies))

    def train_discriminator(self, batch, turns, changes):
        """Do the updates of D. Return the last one's inputs of G, its fake and real images, losses and accuracies."""
        inputs = fake = real = reported = accuracies = None
        for number, turn in enumerate(turns):
            inputs = turn[0][:]  # a tuple made in the graph: see OneForward
            fake = ops.stop_gradient(self.generator_for_discriminator(*inputs))
            real, labels = self.real(batch, number)
            shown = fake if fake.shape[0] == self.count else fake[: self.count]
            seen = self.augmenter.together((real, shown), changes[number])
            reported, accuracies = self.update_discriminator(seen[0], labels, seen[1], turn)
        return inputs, fake, real, reported, accuracies

    def real(self, batch, number: int):
        """Return the real images of the update of D that has this number in the step, and their labels."""
        if self.turns > 1:
            batch = rows(self.count * number, self.count * (number + 1), batch)
        return self.data(*batch), self.labels_of(batch)

    def update_discriminator(self, real, labels, fake, turn):
        """Update D once; return its losses, and its accuracies before."""
        _, targets, masks, epsilon = turn
        (_, logits, reported), gradients = self.gradient_discriminator(
            ops.concat((real, fake)), self.count, labels, targets, masks, epsilon
        )
        reported = ops.depend(reported, self.optimizer_discriminator(gradients))
        return reported, self.adversary.accuracies(logits[: self.count], logits[self.count :])

    def update_generator(self, inputs, fake, real, masks, changes):
        """Update G, whose images from `inputs` are `fake`; return what is reported."""
        real = self.augmenter(real, changes[-1])
        (_, reported), gradient_of_images = self.gradient_images(fake, real, inputs[1:], masks, changes[-2])
        return ops.depend(reported, self.optimizer_generator(self.one_forward(inputs, gradient_of_images)))

    def generator_loss(self, fake, real, labels, masks, changes):
        """Return the adversary's loss of G on its images as D sees them, and the values to report."""
        return self.adversary.generator_loss(self.augmenter(fake, changes), real, labels, masks)

    def remark(self, means: Mapping[str, float]) -> str | None:
        """Return what the means of the scalars over an epoch mean, where they mean trouble."""
        if self.updates.loss != "wasserstein":
            return super().remark(means)
        if means["loss_d"] > 0:  # that D ranks every pair rightly is what its G needs
            return "D ranks G's images above real ones and does not keep up: more updates of D a step may help"
        return None

    def draw_for_discriminator(self, count: int, stream: np.random.Generator) -> DiscriminatorNoise:
        """Return what is random in one update of D, for which G draws `count` images."""
        inputs = draw_inputs(self.latent, self.classes, count, stream)
        targets = draw_targets((self.updates.target_real, self.updates.target_fake), self.whole_count, stream)
        masks = self.draw_masks(2 * self.whole_count, stream)
        penalised = self.updates.gradient_penalty > 0
        epsilon = (stream.random((self.whole_count, 1, 1, 1), dtype=np.float32),) if penalised else ()
        return DiscriminatorNoise(inputs, targets, masks, epsilon)

    def draw_masks(self, count: int, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return D's dropout masks for `count` images."""
        return draw_masks(self.discriminator.dropout_rate, self.discriminator.dropout_shapes, count, stream)


def rows(start: int, end: int, tensors):
    """Return the rows from `start` to before `end` of each tensor of a tuple."""
    parts: tuple = ()
    for tensor in tensors:
        parts += (tensor[start:end],)
    return parts
