"""How much of the generator is still as it was before the first step: its EMA, and BatchNorm's statistics."""

from __future__ import annotations

from dataclasses import dataclass

from ms_gan.recipes import Recipe
from ms_gan.recipes.build import EXPORTED_NETWORKS
from ms_gan.steps.ema import rate_of, warm_up_steps

WORTH_A_WORD = 0.1  # a larger share of initial values is worth a note


@dataclass(frozen=True)
class Maturity:
    """What is left of the initial values after `step` steps, as shares from 0 to 1.

    Attributes:
        step: how many steps are done.
        weights: the share in the EMA of the weights; 0 without an EMA.
        statistics: the share in BatchNorm's moving statistics; 0 without BatchNorm.
        warm_up: how many steps it takes until the EMA moves as slowly as the recipe says; 0 without an EMA.
        warm_start: whether the initial values were those of trained networks.
    """

    step: int
    weights: float
    statistics: float
    warm_up: int
    warm_start: bool = False

    def note(self) -> str | None:
        """Return a sentence about the generator if too much of it is initial, or if its EMA is young."""
        if self.step == 0 and self.warm_start:
            return None
        if self.step == 0:
            return "nothing is trained yet: this is step 0"
        if self.weights > WORTH_A_WORD:
            return f"samples come from the EMA of the weights, which is still {self.weights:.0%} initial; train longer"
        if self.statistics > WORTH_A_WORD:
            return (
                f"BatchNorm's statistics are still {self.statistics:.0%} initial after {self.step:,} steps: colours "
                f"and contrast are off; train longer"
            )
        if self.step < self.warm_up:
            steps = self.step // 10 or 1
            return (
                f"samples are drawn by averaged weights (EMA), so far over about {steps:,} step{'s' * (steps > 1)}; "
                f"the average grows to about {(self.warm_up + 10) // 9:,} at step {self.warm_up:,}"
            )
        return None

    @property
    def mostly_initial(self) -> bool:
        """Whether most of the generator is as it was before the first step."""
        return max(self.weights, self.statistics) > 0.5


def left_of(share: float, decay: float, start: int, end: int) -> float:
    """Return the share of initial weights in the EMA at step `end`, if it was `share` at `start`; 0 without an EMA."""
    for number in range(start, end):
        share *= 1.0 - rate_of(decay, number)
        if share < 1e-9:
            return 0.0
    return share if decay else 0.0


def maturity(recipe: Recipe, step: int, weights: float, warm_start: bool = False) -> Maturity:
    """Return what is left of the initial values after `step` steps of the recipe.

    `weights` is the share in the EMA that its checkpoint recorded. With several BatchNorms the slowest counts. It is
    taken to update once a step, the fewest there can be. After a warm start nothing is left: all was trained before.
    """
    decay, settings = recipe.ema.decay, recipe.settings()
    warm_up = warm_up_steps(decay) if decay else 0
    if warm_start:
        return Maturity(step, 0.0, 0.0, warm_up, warm_start=True)
    norms = [f"{network}.batch_norm" for network in EXPORTED_NETWORKS]
    momenta = [settings[f"{norm}.momentum"] for norm in norms if settings.get(f"{norm}.place", "none") != "none"]
    momentum = max(momenta, default=0.0)
    statistics = now = 1.0 if momentum else 0.0
    for number in range(step if momentum else 0):
        now *= momentum
        statistics += rate_of(decay, number) * (now - statistics) if decay else now - statistics
        if statistics < 1e-6:  # and falls further
            break
    return Maturity(step, weights, statistics, warm_up)
