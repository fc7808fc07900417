"""The settings of each family's updates, and what follows from them for accuracies and the picture of losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ms_gan.errors import Setting
from ms_gan.schema.fields import Settings, WrongSetting, choice, flag, interval, number, section, whole

LN_2 = math.log(2)
AT_ONCE = Setting("updates.discriminator_update", "sum")
CROSS_ENTROPIES = ("non_saturating", "saturating")
RELATIVE = ("relativistic", "relativistic_average")
LOSSES = (*CROSS_ENTROPIES, "least_squares", "hinge", "wasserstein", *RELATIVE)
COUNT: dict[str, Any] = {"least": 1, "below": 2**31}
FROM_ZERO: dict[str, Any] = {"least": 0, "below": 2**31}
CHANGED = "random changes of all images that D sees"


@dataclass(frozen=True)
class Augmentation(Settings):
    """How strongly all images that D sees are changed at random (Zhao et al. 2020, "DiffAugment"); 0: not at all.

    The paper's are brightness 0.5, for pixels from -1 to 1, saturation 1, contrast 0.5, translation 0.125, cutout 0.5,
    and each image gets them all: probability 1.
    """

    brightness: float = number(0.0, "the most that is added to all pixels, or taken, as networks see them", least=0)
    saturation: float = number(0.0, "the distance from grey is multiplied by 1 more or less this", least=0, most=1)
    contrast: float = number(
        0.0, "the distance from an image's mean is multiplied by 1 more or less this", least=0, most=1
    )
    translation: float = number(0.0, "part of its size that an image is moved at most, each way", least=0, below=1)
    cutout: float = number(0.0, "part of its size that the square has which is cut out", least=0, below=1)
    probability: float = number(1.0, "probability with which an image gets each of these changes", above=0, most=1)


@dataclass(frozen=True)
class GANUpdates(Settings):
    """How a plain GAN is updated: D once or more, then G against the updated D."""

    discriminator_steps: int = whole(1, "updates of D for each one of G", **COUNT)
    discriminator_update: str = choice(
        "sum",
        ("sum", "mean", "separate"),
        "D's update: on real and fake images at once, by the sum or the mean of both losses, or on one after the other",
    )
    half_batches: bool = flag(False, "D sees half as many images of each kind")
    fakes: str = choice("training", ("training", "inference"), "mode of G's BatchNorm where it draws for D's update")
    generator_latents: str = choice("new", ("shared", "new"), "G's update takes the latents of D's, or new ones")
    loss: str = choice("non_saturating", LOSSES, "what D and G are trained on (ms_gan/losses.py has the formulas)")
    gradient_penalty: float = number(
        0.0,
        "weight of WGAN-GP's gradient penalty beside the sum of D's losses; beside their mean it is halved as they are",
        least=0,
    )
    target_real: tuple[float, float] = interval(
        (1.0, 1.0), "D's targets for real images are drawn from this range", least=0, most=1
    )
    target_fake: tuple[float, float] = interval(
        (0.0, 0.0), "D's targets for generated images are drawn from this range", least=0, most=1
    )
    shared_counters: bool = flag(False, "both optimizers count each other's updates, as one optimizer for both does")
    pretraining_steps: int = whole(0, "times that D alone is updated, as in a step, before the first step", **FROM_ZERO)
    augmentation: Augmentation = section(Augmentation, CHANGED)

    def check(self) -> None:
        real, fake = sum(self.target_real), sum(self.target_fake)
        separate = self.discriminator_update == "separate"
        has_targets = self.loss in (*CROSS_ENTROPIES, "least_squares")
        if real <= fake:
            raise WrongSetting(
                "target_real",
                f"{self.target_real} must be greater in the mean than target_fake {self.target_fake}: "
                "G learns to be taken for real, and real is above",
            )
        if not has_targets and (real, fake) != (2.0, 0.0):
            targets = ("use ", Setting("updates.target_real", "1,1"), " and ", Setting("updates.target_fake", "0,0"))
            fault = f"and target_fake must be (1.0, 1.0) and (0.0, 0.0): the loss {self.loss} has no targets"
            raise WrongSetting("target_real", fault, *targets)
        if self.loss in RELATIVE and (separate or self.half_batches):
            at_once = ("use ", AT_ONCE, " and ", Setting("updates.half_batches", "False"))
            raise WrongSetting("loss", f"{self.loss} compares each real image with generated ones", *at_once)
        if self.gradient_penalty and separate:
            fault = "is measured between real and generated images"
            raise WrongSetting("gradient_penalty", fault, "use ", AT_ONCE, " or mean")
        if self.loss == "wasserstein" and not self.gradient_penalty:
            fault = "must be above 0 with the loss wasserstein, which has no least value otherwise"
            raise WrongSetting("gradient_penalty", fault, "10 is that of Gulrajani et al. 2017")

    @property
    def needs_twin(self) -> bool:  # type: ignore[override]
        """Whether D's fakes come from a twin of G in inference mode, which shares G's weights."""
        return self.fakes == "inference"

    @property
    def threshold(self) -> float | None:  # type: ignore[override]
        """The logit above which D takes an image for real; None where only differences of logits mean anything.

        It is what D says where real and generated images are equally likely: for the cross-entropies the logit of the
        mean of both mean targets, for least squares this mean itself, and for hinge 0.
        """
        middle = sum((*self.target_real, *self.target_fake)) / 4
        if self.loss in CROSS_ENTROPIES:
            middle = min(max(middle, 1e-6), 1 - 1e-6)
            return math.log(middle / (1 - middle))
        return {"least_squares": middle, "hinge": 0.0}.get(self.loss)

    @property
    def equilibrium(self) -> dict[str, tuple[float, str]]:
        """Return what each loss is where G's images are like real ones: the number, and how it is written.

        A loss that may be any number there is left out. The cross-entropies take D to be 1/2 everywhere, or what the
        targets make of that.
        """
        both = self.discriminator_update == "sum"
        ln_2, two_ln_2 = (LN_2, "ln 2"), (2 * LN_2, "2 ln 2")
        of_d = two_ln_2 if both else ln_2
        logit = self.threshold or 0.0
        if self.loss in CROSS_ENTROPIES and abs(logit) > 1e-9:  # D is not 1/2
            middle = 1 / (1 + math.exp(-logit))
            of_real, of_fake = -math.log(middle), -math.log(1 - middle)
            entropy = (1 + both) * (middle * of_real + (1 - middle) * of_fake)
            of_g = of_real if self.loss == "non_saturating" else -of_fake
            return {"loss_d": (entropy, f"{entropy:.3g}"), "loss_g": (of_g, f"{of_g:.3g}")}
        distance = (sum(self.target_real) - sum(self.target_fake)) / 4  # of each mean target from the middle of both
        variance = sum((high - low) ** 2 / 12 for low, high in (self.target_real, self.target_fake)) / 2
        squares_d, squares_g = (0.5 + 0.5 * both) * (distance**2 + variance), 0.5 * distance**2
        return {
            "non_saturating": {"loss_d": of_d, "loss_g": ln_2},
            "saturating": {"loss_d": of_d, "loss_g": (-LN_2, "-ln 2")},
            "least_squares": {"loss_d": (squares_d, f"{squares_d:.3g}"), "loss_g": (squares_g, f"{squares_g:.3g}")},
            "hinge": {"loss_d": (2.0, "2") if both else (1.0, "1")},
            "wasserstein": {"loss_d": (0.0, "0")},
            "relativistic": {"loss_d": ln_2, "loss_g": ln_2},
            "relativistic_average": {"loss_d": of_d, "loss_g": two_ln_2},
        }[self.loss]


@dataclass(frozen=True)
class ACGANUpdates(GANUpdates):
    """As GANUpdates, where D also names the class; the classes' losses have the weight 1."""


@dataclass(frozen=True)
class CVAEUpdates(Settings):
    """How a conditional variational autoencoder is updated."""

    reconstruction: str = choice(
        "squared", ("bernoulli", "squared"), "loss of each pixel: its cross-entropy, or its squared error"
    )
    kl_weight: float = number(0.05, "weight of the KL in nats, beside the reconstruction's sum over pixels", least=0)

    normal_latents = True


@dataclass(frozen=True)
class CVAEGANUpdates(Settings):
    """How a CVAE whose decoder is a GAN's generator is updated."""

    reconstruction_layer: int = whole(2, "convolution of D by whose maps images are compared, from 1", **COUNT)
    reconstruction_weight: float = number(15.0, "weight of the reconstruction beside what D says", least=0)
    kl_weight: float = number(0.03, "weight of the KL in nats", least=0)
    gamma: float = number(1.0, "weight of D's gradient penalty at real images (R1)", least=0)
    penalised: int = whole(8, "at how many images of a batch the penalty is measured", **COUNT)
    pretraining_steps: int = whole(0, "updates of the autoencoder alone, without D, before the first step", **FROM_ZERO)
    augmentation: Augmentation = section(Augmentation, CHANGED)

    normal_latents = True
    threshold = -LN_2  # the logit of 1/3: D sees two fakes for each real image


@dataclass(frozen=True)
class RpGANUpdates(Settings):
    """How a relativistic pairing GAN with gradient penalties is updated."""

    gamma: float = number(10.0, "weight of D's gradient penalties at real and at generated images", least=0)
    gamma_decay_rate: float = number(1.0, "what gamma is multiplied by, once, over gamma_decay_steps", above=0)
    gamma_decay_steps: int = whole(1, "updates in which it is multiplied, in equal parts; then it stays", **COUNT)
    penalised: int = whole(32, "at how many pairs of a batch the penalties are measured", **COUNT)
    class_weight: float = number(0.02, "weight of naming classes in both losses", least=0)
    tag_weight: float = number(0.0, "weight of naming tags in both losses; at 0 D has no logits for them", least=0)
    augmentation: Augmentation = section(Augmentation, CHANGED)
