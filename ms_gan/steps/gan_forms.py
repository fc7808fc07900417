"""The forms of a GAN's update that differ from the tutorial's, and which settings take which form."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import ops

from ms_gan.schema.updates import GANUpdates
from ms_gan.steps.base import StepParts
from ms_gan.steps.gan import GANStep, rows
from ms_gan.steps.gan_noise import GANNoise, GeneratorNoise, draw_inputs


class TwoForwards(GANStep):
    """G runs forward again for its own update: from new latents, or because D's fakes are drawn in inference mode.

    The form of Keras' listings. There D's fakes are predicted: a twin of G, of the same weights, stays in inference
    mode and draws them.
    """

    def __init__(self, parts: StepParts, updates: GANUpdates):
        super().__init__(parts, updates)
        self.new_latents = updates.generator_latents == "new"

    def draw_plain_noise(self, stream: np.random.Generator) -> GANNoise:
        """Return all that is random in one step without augmentation."""
        count = self.whole_count if self.new_latents else self.whole_batch
        turns = tuple(self.draw_for_discriminator(count, stream) for _ in range(self.turns))
        inputs = draw_inputs(self.latent, self.classes, self.whole_batch, stream) if self.new_latents else ()
        return GANNoise(turns, GeneratorNoise(inputs, self.draw_masks(self.whole_batch, stream)))

    def construct(self, batch, noise):
        (turns, (new, masks)), changes = self.augmenter.parted(noise)
        inputs, _, real, reported, accuracies = self.train_discriminator(batch, turns, changes)
        if self.new_latents:
            inputs = new[:]  # a tuple made in the graph: see OneForward
        fake = ops.depend(ops.stop_gradient(self.generator(*inputs)), reported)  # G meets the updated D
        values = self.update_generator(inputs, fake, ops.depend(real, reported), masks, changes)
        return ops.stack((*reported, *values, *accuracies))


class SeparateUpdates(GANStep):
    """D is updated twice: on real images, and then on fakes; losses are reported as the mean of both."""

    def update_discriminator(self, real, labels, fake, turn):
        """Update D twice; return its losses, and its accuracies before each update."""
        _, targets, masks, _ = turn
        count = self.count
        (_, logits_real, of_real), gradients = self.gradient_discriminator(
            real, count, labels, targets[:count], rows(0, count, masks), ()
        )
        fake = ops.depend(fake, self.optimizer_discriminator(gradients))
        (_, logits_fake, of_fake), gradients = self.gradient_discriminator(
            fake, 0, labels, targets[count:], rows(count, 2 * count, masks), ()
        )
        means: tuple = ()
        for value_real, value_fake in zip(of_real, of_fake):
            means += (0.5 * (value_real + value_fake),)
        reported = ops.depend(means, self.optimizer_discriminator(gradients))
        return reported, self.adversary.accuracies(logits_real, logits_fake)


class SeparateUpdatesAndTwoForwards(SeparateUpdates, TwoForwards):
    """Both of these: the form of the Keras lecture."""


def gan_step(parts: StepParts, updates: GANUpdates) -> GANStep:
    """Return the step of a GAN, or, with class logits of D, of an AC-GAN, in the form that its settings ask for.

    Raises UserError for a discriminator that the loss or the penalty cannot be computed with.
    """
    two_forwards = updates.generator_latents == "new" or updates.needs_twin
    separate = updates.discriminator_update == "separate"
    form: Any = {
        (False, False): GANStep,
        (False, True): SeparateUpdates,
        (True, False): TwoForwards,
        (True, True): SeparateUpdatesAndTwoForwards,
    }[two_forwards, separate]
    return form(parts, updates)
