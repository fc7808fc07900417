"""One forward pass of G for two uses: its images train D, and then G itself."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import nn, ops


class OneForward(nn.Cell):
    """Pushes a gradient of G's images on to G's weights, without running G forward again.

    G's loss is first differentiated with respect to its images, through the updated D, and from there with respect to
    G's weights. That names G's forward pass twice in one graph. Where both have the very same inputs, the compiler
    merges them. Losses and weights are those of running G twice; BatchNorm's moving statistics advance once instead of
    twice.
    """

    def __init__(self, generator: nn.Cell):
        super().__init__(auto_prefix=False)  # the network keeps its names
        self.generator = generator
        self.weights = ms.ParameterTuple(generator.trainable_params())
        self.gradient = ops.GradOperation(get_by_list=True, sens_param=True)

    def construct(self, inputs: Any, gradient_of_images: Any) -> Any:
        """Return the gradients of G's weights, a tuple.

        Args:
            inputs: the tuple that G's images were drawn from: latents, float32, (N, latent_size), and labels, if any.
            gradient_of_images: of G's loss, float32, N×C×H×W.
        """
        return self.gradient(self.generator, self.weights)(*inputs, gradient_of_images)
