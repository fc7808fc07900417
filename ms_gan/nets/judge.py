"""Small classifiers that judge images."""

from __future__ import annotations

from collections.abc import Sequence

from mindspore import nn

from ms_gan.nets.layers import Chain, LeakyReLU

LARGEST = 32  # pixels a side that a judge of tags reads in full; of larger images its first layer makes fewer


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


class TagJudgeNetwork(nn.Cell):
    """Images to features and a logit for each tag: blocks of convolution, BatchNorm, ReLU and 2×2 max-pooling; Dense.

    One block for each of `widths`, with kernels of 3×3, then a Dense layer with ReLU: the features. Of images of S×S
    the first convolution has the stride S // 32, so that larger images do not take longer, and a kernel of twice that
    plus 1.

    Input: float32 in [0, 1], (N, *image_shape). Outputs, float32: features, (N, dense_width); logits, (N, tags).
    """

    def __init__(self, image_shape: tuple[int, int, int], tags: int, widths: Sequence[int], dense_width: int):
        super().__init__()
        channels, size, _ = image_shape
        stride = max(1, size // LARGEST)
        layers: list[nn.Cell] = []
        for before, width in zip([channels, *widths], widths):
            convolution = nn.Conv2d(before, width, 2 * stride + 1, stride, pad_mode="same", has_bias=False)
            layers += [convolution, nn.BatchNorm2d(width), LeakyReLU(0.0), nn.MaxPool2d(2, 2, pad_mode="same")]
            size, stride = -(-size // stride), 1
            size = -(-size // 2)
        layers += [nn.Flatten(), nn.Dense(widths[-1] * size**2, dense_width), LeakyReLU(0.0)]
        self.layers = Chain(layers)
        self.classes = nn.Dense(dense_width, tags)

    def construct(self, images):
        features = self.layers(images)
        return features, self.classes(features)
