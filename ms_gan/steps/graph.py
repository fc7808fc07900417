"""What is peculiar to static graphs: how a step is fed, compiled and differentiated.

That a process runs in graph mode at all is said in `ms_gan.runtime`. docs/design.md says what another mode would cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import ParameterTuple, Tensor, mutable, nn

MUTABLE = "__ms_mutable__"  # what MindSpore's `mutable` sets


class CompiledOnce(nn.Cell):
    """A Cell that MindSpore compiles for its first inputs, and again only for others of other shapes or types.

    Before each call `nn.Cell` works out anew what it has to be compiled for: half a millisecond, a twentieth of a small
    network's step. Here shapes and types of the inputs decide, and `set_train` of this very Cell. Tuples that are not
    `mutable`, as those of `on_device` are, are constants of the graph; for these it asks each time, as `nn.Cell` does.
    """

    compiled_for: Any = None

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile it for inputs, unless it is."""
        wanted = self.phase, _kinds(args)
        unsure = kwargs or any(isinstance(given, tuple) and not getattr(given, MUTABLE, False) for given in args)
        if unsure or wanted != self.compiled_for:
            super().compile(*args, **kwargs)
            self.compiled_for = None if unsure else wanted


def on_device(arrays: tuple) -> Any:
    """Return a tuple of arrays, or of such tuples, as inputs of a graph, and not as constants of it; no float64."""
    return mutable(_tensors(arrays))


def gradient(loss: Callable, *networks: nn.Cell) -> Callable:
    """Return a function of a loss's arguments that gives all that the loss returns, and the gradients of the weights.

    `loss` returns a tuple; it is the first of it that is differentiated, with respect to the weights of the networks.
    """
    weights = [weight for network in networks for weight in network.trainable_params()]
    return ms.value_and_grad(loss, None, ParameterTuple(weights), has_aux=True)


def _kinds(inputs: Any) -> Any:
    if isinstance(inputs, tuple):
        return tuple(map(_kinds, inputs))
    return inputs.shape, inputs.dtype


def _tensors(arrays: Any) -> Any:
    if isinstance(arrays, tuple):
        return tuple(map(_tensors, arrays))
    return Tensor(np.float32(arrays) if np.asarray(arrays).dtype == np.float64 else arrays)
