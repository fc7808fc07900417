"""What every training step is to the trainer, whatever it trains."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import nn


def average_of(network: str) -> str:
    """Return what the average of a network's weights is called."""
    return f"{network}_average"


class TrainingStep(nn.Cell):
    """A Cell whose `construct(batch, noise)` does one update and returns the values that `scalars` names, float32.

    `batch` is a tuple of tensors as the data Cell's `inputs` makes them; `noise` one of tensors as `draw_noise` draws
    them, with all that is random in the step: called again with the same two, on the same weights, a step does the
    same.

    A family holds its networks as attributes that are called as in `networks`, their optimizers as
    `optimizer_<network>`, the data Cell as `data`, and its `batch_size`. It has a network `generator`, which draws, and
    is built by `recipes.build.build_step`, which passes it those, and the recipe's `updates`, by their names.
    """

    networks: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    equilibrium: dict[str, tuple[float, str]] = {}  # of scalars, where players are equally strong: number and writing
    labels = "none"  # "class": each image must have a class; "any": a class, tags, or nothing
    discriminator_names_classes = False  # D is built with class logits, where there are classes
    discriminator_takes_labels = False  # D is built to see an image together with its label, where there are any
    takes_clusters = False  # it asks G for the labels of real images, for which clusters may stand
    averages: dict[str, nn.Cell] = {}  # of networks' weights, by the networks' names, where the recipe wants them
    average_decay = 0.0

    @staticmethod
    def threshold(updates: dict[str, Any]) -> float | None:
        """Return the logit above which D takes an image for real, of a recipe's `updates`.

        Where real and generated images are equally likely, D is right about half of each by it. None where only
        differences of logits mean anything, and for a family without D.
        """
        return 0.0

    @property
    def images_per_step(self) -> int:
        """How many real images one step takes."""
        return self.batch_size

    def draw_noise(self, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return all that is random in one step."""
        raise NotImplementedError

    def saved(self) -> dict[str, nn.Cell]:
        """Return what a checkpoint holds, by file name; of an optimizer only its own state is saved."""
        names = [*self.networks, *(f"optimizer_{name}" for name in self.networks)]
        averages = {average_of(name): average for name, average in self.averages.items()}
        return {**{name: getattr(self, name) for name in names}, **averages}

    def drawing(self) -> nn.Cell:
        """Return the generator that draws, and leaves: the average, where there is one."""
        return self.averages.get("generator", self.generator)

    def preparation(self) -> tuple[nn.Cell | None, int]:
        """Return a Cell of the same signature to run before the first step, on the first batches, and how often."""
        return None, 0

    def remark(self, means: dict[str, float]) -> str | None:
        """Say what the means of the scalars over an epoch mean, where they mean trouble."""
        return None
