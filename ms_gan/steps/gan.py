"""One update of a plain GAN (Goodfellow et al. 2014, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import dtype as mstype
from mindspore import nn, ops

from ms_gan.errors import UserError
from ms_gan.latents import draw_latents
from ms_gan.losses import binary_cross_entropy, non_saturating_generator_loss, saturating_generator_loss
from ms_gan.steps.base import TrainingStep

GENERATOR_LOSSES = {"non_saturating": non_saturating_generator_loss, "saturating": saturating_generator_loss}
DISCRIMINATOR_UPDATES = {
    "sum": "one update on real and fake images, on the sum of the two mean losses",
    "mean": "one update on real and fake images, on their mean loss",
    "separate": "two updates, on real images first, then on fakes; the losses are reported as their mean",
}


class GANStep(TrainingStep):
    """Update D on real and fake images, once or more, then G against the updated D.

    The generator's loss is differentiated first with respect to its images, through the updated D,
    and from there with respect to G's weights. Where D and G see the same latents, and D's fakes are
    drawn in training mode, the compiler merges the two forward passes of G into one; losses and weights are
    those of running it twice, only BatchNorm's moving statistics advance once a step instead of twice.

    In a joint update D sees real and fake images in one batch, which for a D without BatchNorm is the
    same as two batches, and faster.

    Args:
        data: Cell from a batch to real images, float32, B×C×H×W; its `labels` to labels.
        generator: Cell from latents, float32, (B, latent_size), and with classes labels, to such images.
        generator_in_inference: the same generator, of the same weights, that stays in inference mode; used only
            where `fakes` says so.
        discriminator: Cell from images and dropout masks to logits, (B, 1), and with classes class logits.
        optimizer_generator, optimizer_discriminator: one optimizer for each one's weights.
        latent: `size` and `distribution` of what `draw_noise` draws.
        classes: how many classes G is conditioned on, 0 for none.
        batch_size: images that G draws in a step, and D sees of each kind in one of its updates.
        discriminator_steps: D's updates for each one of G (k).
        discriminator_update: one of DISCRIMINATOR_UPDATES.
        half_batches: D sees half as many images of each kind.
        fakes: D's fakes come from G in "training" or "inference" mode.
        generator_latents: those of D's last update ("shared") or "new" ones.
        generator_loss: one of GENERATOR_LOSSES.
        target_real, target_fake: D's targets are drawn from the uniform distribution between the two numbers.
        shared_counters: both optimizers count each other's updates, as one optimizer object does that trains two
            networks: the powers of beta1 and beta2, and the step on which the learning rate depends.
        pretraining_steps: updates of D alone, against the untrained G, before the first step.
    """

    networks = ("generator", "discriminator")
    # accuracy_*: the part of the real, and of the generated, images that D judges rightly in its own update;
    # fool_rate: the part of G's images that D, updated, takes for real
    scalars: tuple[str, ...] = ("loss_d", "loss_g", "fool_rate", "accuracy_real", "accuracy_fake")

    def __init__(
        self,
        data,
        generator,
        generator_in_inference,
        discriminator,
        optimizer_generator,
        optimizer_discriminator,
        latent: dict[str, Any],
        classes: int,
        batch_size: int,
        discriminator_steps: int,
        discriminator_update: str,
        half_batches: bool,
        fakes: str,
        generator_latents: str,
        generator_loss: str,
        target_real: Sequence[float],
        target_fake: Sequence[float],
        shared_counters: bool,
        pretraining_steps: int,
    ):
        super().__init__(auto_prefix=False)  # the networks have their prefixes; nothing may rename them
        if shared_counters:
            share_counters(optimizer_discriminator, optimizer_generator)
        if sum(target_real) <= sum(target_fake):
            raise UserError(
                f"updates.target_real {list(target_real)} must be greater in the mean than "
                f"updates.target_fake {list(target_fake)}: G learns to be taken for real, and "
                f"real is above"
            )
        self.data = data
        self.generator = generator
        self.generator_for_discriminator = generator_in_inference if fakes == "inference" else generator
        self.discriminator = discriminator
        self.optimizer_generator = optimizer_generator
        self.optimizer_discriminator = optimizer_discriminator

        self.latent = latent
        self.classes = classes
        self.batch_size = batch_size
        self.count = batch_size // 2 if half_batches else batch_size  # images of each kind in one update of D
        self.discriminator_steps = discriminator_steps
        if discriminator_update not in DISCRIMINATOR_UPDATES:
            raise ValueError(f"discriminator_update must be one of {', '.join(DISCRIMINATOR_UPDATES)}")
        self.separate = discriminator_update == "separate"
        self.scale = 2.0 if discriminator_update == "sum" else 1.0
        self.shared = generator_latents == "shared"
        self.half_of_shared = self.shared and half_batches
        self.adversarial_loss = GENERATOR_LOSSES[generator_loss]
        self.targets = (target_real, target_fake)
        self.real_from = self.threshold({"target_real": target_real, "target_fake": target_fake})
        self.pretraining_steps = pretraining_steps
        ln_2 = math.log(2)
        self.equilibrium = {  # of the losses, were D everywhere at 1/2
            "loss_d": (self.scale * ln_2, "2 ln 2" if self.scale == 2 else "ln 2"),
            "loss_g": (-ln_2, "-ln 2") if generator_loss == "saturating" else (ln_2, "ln 2"),
        }

        # The tuple of noise: for each update of D its inputs of G, targets and masks; then for G inputs and masks.
        self.input_count = 2 if classes else 1
        self.mask_count = len(discriminator.dropout_shapes)
        self.stride = self.input_count + 1 + self.mask_count
        self.start_of_generator = self.stride * discriminator_steps
        self.draws_anew = not self.shared or fakes == "inference"

        self.weights_generator = ms.ParameterTuple(generator.trainable_params())
        self.gradient_discriminator = ms.value_and_grad(
            self.discriminator_loss, None, ms.ParameterTuple(discriminator.trainable_params()), has_aux=True
        )
        self.gradient_images = ms.value_and_grad(self.generator_loss, 0, None, has_aux=True)
        self.gradient_generator = ops.GradOperation(get_by_list=True, sens_param=True)
        self.set_train()

    @staticmethod
    def threshold(updates: dict[str, Any]) -> float:
        """Return the logit of the mean of both mean targets: what D says where both kinds are equally likely."""
        middle = sum((*updates["target_real"], *updates["target_fake"])) / 4
        middle = min(max(middle, 1e-6), 1 - 1e-6)
        return math.log(middle / (1 - middle))

    def set_train(self, mode: bool = True) -> GANStep:
        """Set training or inference mode; the generator in inference keeps its own."""
        super().set_train(mode)
        if self.generator_for_discriminator is not self.generator:
            self.generator_for_discriminator.set_train(False)
        return self

    @property
    def images_per_step(self) -> int:
        """How many real images one step takes."""
        return self.count * self.discriminator_steps

    def preparation(self) -> tuple[nn.Cell, int]:
        """Return a Cell of the same signature to run before the first step, on the first batches, and how often."""
        return Pretraining(self), self.pretraining_steps

    def remark(self, means: dict[str, float]) -> str | None:
        """Say what the means of the scalars over an epoch mean, when one player has overpowered the other."""
        if means["accuracy_real"] > 0.99 and means["accuracy_fake"] > 0.99 and means["fool_rate"] < 0.01:
            return "D tells nearly every image apart and overpowers G, which learns little from such a D"
        if means["fool_rate"] > 0.99:
            return "D takes nearly every image of G for real: G overpowers D, and learns little from such a D"
        return None

    def draw_noise(self, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return all that is random in one step.

        For each update of D: latents, float32, (B, latent_size); with classes labels, int32, (B,); targets of real
        and of fake images, float32, (2B', 1), B' being the images of each kind; dropout masks, bool, 2B' long each.
        Then for G: latents and labels, unless they are those of D's last update, and masks, B long each.
        """
        noise = []
        for _ in range(self.discriminator_steps):
            noise += self._draw_inputs(stream, self.batch_size if self.shared else self.count)
            noise.append(self._draw_targets(stream))
            noise += self._draw_masks(stream, 2 * self.count)
        if not self.shared:
            noise += self._draw_inputs(stream, self.batch_size)
        return tuple(noise + self._draw_masks(stream, self.batch_size))

    def discriminator_loss(self, images, real_count: int, labels, targets, kept):
        """Return D's loss on images of which the first `real_count` are real, its logits, and the losses to report."""
        logits = self.discriminator(images, *kept)
        loss = self.scale * binary_cross_entropy(logits, targets)
        return loss, logits, ops.stack((loss,))

    def generator_loss(self, fake, labels, kept):
        """Return G's loss on its images, and the values to report: the loss, and how often D is fooled."""
        logits = self.discriminator(fake, *kept)
        loss = self.adversarial_loss(logits)
        return loss, ops.stack((loss, share(logits > self.real_from)))

    def update_discriminator(self, batch, noise, number: int, drawn):
        """Do the update of D that has this number in the step, against what G has drawn for it.

        Returns its losses, and its accuracies on real and on fake images, float32, (2,).
        """
        start, count = self.stride * number, self.count
        if self.discriminator_steps > 1:
            batch = between(count * number, count * (number + 1), batch)
        real = self.data(*batch)
        labels = self.data.labels(*batch) if self.classes else None
        fake = drawn[:count] if self.half_of_shared else drawn
        targets = noise[start + self.input_count]
        kept = noise[start + self.input_count + 1 : start + self.stride]

        if self.separate:
            (_, logits_real, losses_real), gradients = self.gradient_discriminator(
                real, count, labels, targets[:count], between(0, count, kept)
            )
            fake = ops.depend(fake, self.optimizer_discriminator(gradients))
            (_, logits_fake, losses_fake), gradients = self.gradient_discriminator(
                fake, 0, labels, targets[count:], between(count, 2 * count, kept)
            )
            losses = 0.5 * (losses_real + losses_fake)
        else:
            (_, logits, losses), gradients = self.gradient_discriminator(
                ops.concat((real, fake)), count, labels, targets, kept
            )
            logits_real, logits_fake = logits[:count], logits[count:]
        losses = ops.depend(losses, self.optimizer_discriminator(gradients))
        return losses, ops.stack((share(logits_real > self.real_from), share(logits_fake < self.real_from)))

    def construct(self, batch, noise):
        """Do one update.

        Args:
            batch: tuple of tensors, what the data Cell takes for `images_per_step` real images.
            noise: tuple of tensors as `draw_noise` draws them.

        Returns:
            float32, (len(scalars),): the values that `scalars` names, each measured before the update that
            follows from it; of several updates of D, those of the last.
        """
        # G's inputs keep one name, and G is called here and not in a method: else the compiler no longer sees that the
        # two forward passes are one, G runs twice, and its moving statistics advance twice.
        inputs = fake = losses = accuracies = None
        for number in range(self.discriminator_steps):
            inputs = noise[self.stride * number : self.stride * number + self.input_count]
            fake = ops.stop_gradient(self.generator_for_discriminator(*inputs))
            losses, accuracies = self.update_discriminator(batch, noise, number, fake)

        if not self.shared:
            inputs = noise[self.start_of_generator : self.start_of_generator + self.input_count]
        kept = noise[len(noise) - self.mask_count :]
        labels = inputs[1] if self.classes else None
        if self.draws_anew:
            fake = ops.stop_gradient(self.generator(*inputs))
        fake = ops.depend(fake, losses)  # G is judged by the updated D
        (_, values), gradient_of_images = self.gradient_images(fake, labels, kept)
        gradients = self.gradient_generator(self.generator, self.weights_generator)(*inputs, gradient_of_images)
        values = ops.depend(values, self.optimizer_generator(gradients))
        return ops.concat((losses, values, accuracies))

    def _draw_inputs(self, stream: np.random.Generator, count: int):
        inputs = [draw_latents(self.latent["distribution"], count, self.latent["size"], stream)]
        if self.classes:
            inputs.append(stream.integers(0, self.classes, count, dtype=np.int32))
        return inputs

    def _draw_targets(self, stream: np.random.Generator) -> np.ndarray:
        targets = np.empty((2 * self.count, 1), np.float32)
        for (low, high), part in zip(self.targets, (targets[: self.count], targets[self.count :])):
            part[:] = low if low == high else stream.uniform(low, high, part.shape)
        return targets

    def _draw_masks(self, stream: np.random.Generator, count: int):
        dropped = round(self.discriminator.dropout_rate * 2**16)  # 16 random bits an element are quick, and enough
        return [
            stream.integers(0, 2**16, (count, *shape), dtype=np.uint16) >= dropped
            for shape in self.discriminator.dropout_shapes
        ]


class Pretraining(nn.Cell):
    """The updates of D in a step, without that of G: D gets a lead over the untrained G."""

    def __init__(self, step: GANStep):
        super().__init__(auto_prefix=False)
        self.step = step

    def construct(self, batch, noise):
        """Do the updates of D; return their losses and accuracies."""
        step = self.step
        losses = accuracies = None
        for number in range(step.discriminator_steps):
            start = step.stride * number
            fake = ops.stop_gradient(step.generator_for_discriminator(*noise[start : start + step.input_count]))
            losses, accuracies = step.update_discriminator(batch, noise, number, fake)
        return ops.concat((losses, accuracies))


def share_counters(optimizer: nn.Adam, other: nn.Adam) -> None:
    """Let two Adams count each other's updates, as one optimizer object that trains two networks does.

    The powers of beta1 and beta2, and the step on which the learning rate depends, advance at both's updates.
    """
    for name in ("beta1_power", "beta2_power", "global_step"):
        setattr(optimizer, name, getattr(other, name))


def share(judgements):
    """Return which part of the booleans is true, float32, a scalar."""
    return judgements.astype(mstype.float32).mean()


def between(start: int, end: int, tensors):
    """Return the rows from `start` to before `end` of each tensor of a tuple."""
    parts = ()
    for tensor in tensors:
        parts += (tensor[start:end],)
    return parts
