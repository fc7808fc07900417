"""Small classifiers that judge images."""

from __future__ import annotations

from collections.abc import Sequence

from mindspore import nn


class JudgeNetwork(nn.Cell):
    """Images to features and class logits: for each of `widths` a convolution, ReLU and 2×2 max-pooling, then Dense.

    With kernels of 5, widths [6, 16] and dense widths [120, 84] it is LeNet-5 (LeCun et al. 1998) with ReLU and
    max-pooling, the map at the end being 7×7 for images of 28×28. A Dense layer for each of `dense_widths` with ReLU
    follows; the last one's are the features.

    Input: float32 in [0, 1], (N, *image_shape). Outputs, float32: features, (N, last width); logits, (N, classes).
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        kernel_size: int,
        widths: Sequence[int],
        dense_widths: Sequence[int],
    ):
        super().__init__()
        channels, size, _ = image_shape
        layers = []
        for before, width in zip([channels, *widths], widths):
            layers += [
                nn.Conv2d(before, width, kernel_size, pad_mode="same", has_bias=True),
                nn.ReLU(),
                nn.MaxPool2d(2, 2, pad_mode="same"),
            ]
            size = -(-size // 2)
        layers.append(nn.Flatten())
        for before, width in zip([widths[-1] * size**2, *dense_widths], dense_widths):
            layers += [nn.Dense(before, width), nn.ReLU()]
        self.layers = nn.SequentialCell(layers)
        self.classes = nn.Dense(dense_widths[-1], classes)

    def construct(self, images):
        features = self.layers(images)
        return features, self.classes(features)
