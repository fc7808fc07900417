"""What every training step is to the trainer, whatever it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mindspore import Parameter, ParameterTuple, nn
from mindspore import dtype as mstype

from ms_gan.errors import UserError
from ms_gan.schema.recipe import Latent
from ms_gan.steps.graph import CompiledOnce


@dataclass(frozen=True)
class StepParts:
    """What a step is built from.

    Args:
        data: Cell from a batch to real images, float32, B×C×H×W; its `labels` to labels, int32, (B,) or (B, max_tags).
        networks: by their names, such as "generator", which draws. Their parameters have their prefixes, such as
            `generator.`.
        optimizers: for each network one Cell that takes the gradients of its weights, and updates them.
        latent: how latents are drawn.
        classes: number of classes or tags that networks are conditioned on; 0 for none.
        batch_size: images of a batch that this device takes.
        devices: how many take as many, of the same batch.
        max_tags: most tags of an image; 0 where labels are classes.
        generator_in_inference: the generator once more, of the same weights, always in inference mode; for updates
            whose `needs_twin` is True.
        ema: moving averages of networks' weights, by the networks' names.
        ema_decay: how much of an average each update keeps; 0 without averages.
    """

    data: nn.Cell
    networks: Mapping[str, nn.Cell]
    optimizers: Mapping[str, nn.Cell]
    latent: Latent
    classes: int
    batch_size: int
    devices: int = 1
    max_tags: int = 0
    generator_in_inference: nn.Cell | None = None
    ema: Mapping[str, nn.Cell] = field(default_factory=dict)
    ema_decay: float = 0.0


class TrainingStep(CompiledOnce):
    """A Cell whose `construct(batch, noise)` does one update of everything it trains.

    With the same batch, noise and weights it does the same each time. A family is a subclass, built by
    `Family(parts, updates)`; `updates` are the family's settings. After `__init__` nothing has to be set on it.

    Attributes:
        networks: names of those that it trains; each is an attribute, and its optimizer is `optimizer_<name>`.
        scalars: names of what `construct` returns.
        batch_size: images of a batch that this device takes.
        whole_batch: images of a batch, over all devices.
        equilibrium: of scalars, their value where players are equally strong, and how it is written.
        ema, ema_decay: as in StepParts.
        pretraining_steps: how many updates of `pretrain` come before the first step.
    """

    networks: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    equilibrium: Mapping[str, tuple[float, str]] = {}
    pretraining_steps = 0

    def __init__(self, parts: StepParts):
        super().__init__(auto_prefix=False)  # networks have their prefixes; nothing may rename them
        self.data = parts.data
        for name in self.networks:
            setattr(self, name, parts.networks[name])
            setattr(self, f"optimizer_{name}", parts.optimizers[name])
        self.generator_in_inference = parts.generator_in_inference
        self.latent, self.classes, self.batch_size = parts.latent, parts.classes, parts.batch_size
        self.whole_batch = parts.batch_size * parts.devices
        self.ema, self.ema_decay = dict(parts.ema), parts.ema_decay

    def set_train(self, mode: bool = True) -> TrainingStep:
        """Set training or inference mode; the generator in inference keeps its own."""
        super().set_train(mode)
        if self.generator_in_inference is not None:
            self.generator_in_inference.set_train(False)
        return self

    def construct(self, batch: Any, noise: Any) -> Any:
        """Do one update.

        Args:
            batch: tuple of tensors, what the data Cell takes for `images_per_step` real images.
            noise: tuple of tensors, or of such tuples, as `draw_noise` draws them.

        Returns:
            float32, (len(scalars),): the values that `scalars` names, each measured before the update that follows
            from it; of several updates of one network, those of the last.
        """
        raise NotImplementedError

    def pretrain(self, batch: Any, noise: Any) -> Any:
        """Do one update of the pretraining; arguments are those of `construct`. Return what to log, float32, (K,)."""
        raise NotImplementedError

    def draw_noise(self, stream: np.random.Generator) -> tuple:
        """Return all that is random in one step: a NamedTuple of arrays, or of such tuples.

        It is for the whole batch, whatever this device takes of it: see `shard`.
        """
        raise NotImplementedError

    @property
    def images_per_step(self) -> int:
        """How many real images one step takes on this device."""
        return self.batch_size

    def labels_of(self, batch: Any) -> Any:
        """Return a tuple: the labels of a batch where there are classes, else nothing."""
        return (self.data.labels(*batch),) if self.classes else ()

    def saved(self) -> dict[str, nn.Cell]:
        """Return what a checkpoint holds, by file name; of an optimizer only its own state is saved.

        Parameters of the step that belong to none of its networks and optimizers are in "step".
        """
        names = [*self.networks, *(f"optimizer_{name}" for name in self.networks)]
        cells = {name: getattr(self, name) for name in names}
        cells.update((ema_of(name), average) for name, average in self.ema.items())
        elsewhere = [*cells.values(), self.data, *filter(None, [self.generator_in_inference])]
        known = {id(parameter) for cell in elsewhere for parameter in cell.get_parameters()}
        own = [parameter for parameter in self.get_parameters() if id(parameter) not in known]
        return {**cells, "step": OwnState(own)} if own else cells

    def drawing(self) -> nn.Cell:
        """Return the generator that draws samples and is exported: its EMA where there is one, else itself."""
        return self.ema.get("generator", self.generator)

    def pretraining(self) -> nn.Cell:
        """Return `pretrain` as a Cell, to run `pretraining_steps` times before the first step, on the first batches."""
        return Pretraining(self)

    def remark(self, means: Mapping[str, float]) -> str | None:
        """Return what the means of the scalars over an epoch mean, where they mean trouble.

        By `accuracy_pairs`, or by `fool_rate` and what D is right about, one player may have overpowered the other.
        """
        if means.get("accuracy_pairs", 0) > 0.99:
            return "D ranks nearly every real image above its pair and overpowers G, which learns little from it"
        if means.get("fool_rate", 0) > 0.99:
            return "D takes nearly every image of G for real: G overpowers D, and learns little from such a D"
        right = [means[name] for name in means if name.startswith("accuracy_") and name != "accuracy_class"]
        if "fool_rate" in means and min(right, default=0) > 0.99:
            return "D tells nearly every image apart and overpowers G, which learns little from such a D"
        return None


class OwnState(nn.Cell):
    """Parameters of a step itself, such as a balance between two losses, to be saved and loaded."""

    def __init__(self, parameters: list[Parameter]):
        super().__init__(auto_prefix=False)
        self.own = ParameterTuple(parameters)


class Pretraining(CompiledOnce):
    """A step's `pretrain` as a Cell of its own."""

    def __init__(self, step: TrainingStep):
        super().__init__(auto_prefix=False)
        self.step = step

    def construct(self, batch, noise):
        """Do one update of the pretraining."""
        return self.step.pretrain(batch, noise)


def ema_of(network: str) -> str:
    """Return what the EMA of a network's weights is called."""
    return f"{network}_average"


def shard(arrays: Any, device: int, devices: int) -> Any:
    """Return one device's shard of an array, or of tuples of arrays: rows `device`, `device + devices`, and so on.

    Rows may be of several kinds, one kind after the other, such as real and then fake. If the devices can share each
    kind equally, each gets its share of each kind, in the same order. Raises UserError for an array without rows, or
    with a number of rows that is no multiple of `devices`.
    """
    if isinstance(arrays, tuple):
        return tuple(shard(array, device, devices) for array in arrays)
    if arrays.ndim == 0 or len(arrays) % devices:
        problem = f"an array of shape {arrays.shape} of a step's noise cannot be dealt out to {devices} devices"
        raise UserError(problem, "draw_noise draws for the whole batch: see docs/recipes.md")
    return np.ascontiguousarray(arrays[device::devices])


def fraction_true(found: Any) -> Any:
    """Return which part of some booleans is true, float32, a scalar."""
    return found.astype(mstype.float32).mean()
