"""How much of what draws is still as it was before the first step: averaged weights, and BatchNorm's statistics."""

from __future__ import annotations

from dataclasses import dataclass

from ms_gan.recipes import Recipe
from ms_gan.recipes.build import LEAVING
from ms_gan.steps.average import rate_of, warm_up_steps

WORTH_A_WORD = 0.1  # share of the initial values from which on it is told


@dataclass(frozen=True)
class Maturity:
    """What is left of the initial values after `step` steps, as shares from 0 to 1."""

    step: int
    weights: float
    statistics: float
    warm_up: int  # steps until the average moves as slowly as the recipe says; 0 for no average

    def note(self) -> str | None:
        """Return a sentence about what draws, where too much of it is initial, or where its average is young."""
        if self.step == 0:
            return "nothing is trained yet: this is step 0"
        if self.weights > WORTH_A_WORD:
            return (
                f"the averaged weights, which draw, are still {self.weights:.0%} those from before the first step; "
                f"train longer"
            )
        if self.statistics > WORTH_A_WORD:
            return (
                f"BatchNorm's moving statistics, by which it draws, still hold {self.statistics:.0%} of their "
                f"initial values after {self.step:,} steps, so colours and contrast are off; train longer"
            )
        if self.step < self.warm_up:
            return (
                f"the average of the weights, which draws, is young: it reaches back about {self.step // 10 or 1:,}"
                f" steps; from step {self.warm_up:,} on, about {(self.warm_up + 10) // 9:,}"
            )
        return None

    @property
    def mostly_initial(self) -> bool:
        """Whether what draws is more its beginning than its training."""
        return max(self.weights, self.statistics) > 0.5


def left_of(share: float, decay: float, start: int, end: int) -> float:
    """Return what is left at step `end` of a share of the average at step `start`; 0 where nothing is averaged."""
    for number in range(start, end if decay else start):
        share *= 1.0 - rate_of(decay, number)
        if share < 1e-9:
            return 0.0
    return share if decay else 0.0


def maturity(recipe: Recipe, step: int, weights: float | None = None) -> Maturity:
    """Return what is left of the initial values after `step` steps of the recipe.

    `weights` is the share in the average that its checkpoint recorded; None for one of the time when averages had no
    warm-up. Of several BatchNorms the slowest counts, with one update a step, the fewest there are.
    """
    decay = recipe["average"]["decay"]
    momentum = max(
        (
            recipe[network]["batch_norm"]["momentum"]
            for network in LEAVING
            if recipe.get(network, {}).get("batch_norm", {}).get("place", "none") != "none"
        ),
        default=0.0,
    )
    statistics = now = 1.0 if momentum else 0.0
    for number in range(step if momentum else 0):
        now *= momentum
        statistics += rate_of(decay, number) * (now - statistics) if decay else now - statistics
        if statistics < 1e-6:  # and falls further
            break
    if decay and weights is None:
        return Maturity(step, decay**step, statistics, 0)
    return Maturity(step, weights or 0.0, statistics, warm_up_steps(decay) if decay else 0)
