"""A whole data set in device memory, batches gathered inside the graph."""

from __future__ import annotations

from typing import Optional

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype


class ResidentImages(nn.Cell):
    """All images as bytes on the device, and their labels; a batch is gathered and scaled there.

    A step then moves only its indices. Built from uint8 images, N×C×H×W, 0–255, and, where they are
    wanted, int32 labels, (N,).
    """

    def __init__(self, images: np.ndarray, labels: Optional[np.ndarray], pixel_range):
        super().__init__()
        low, high = pixel_range
        self.images = Parameter(Tensor(images), name="data.images", requires_grad=False)
        self.all_labels = None
        if labels is not None:
            self.all_labels = Parameter(Tensor(labels.astype(np.int32)), name="data.labels", requires_grad=False)
        self.scale = (high - low) / 255.0
        self.low = low

    def construct(self, indices):
        """Return the images at `indices`, int32 (B,), as float32, B×C×H×W, in the pixel range."""
        return ops.gather(self.images, indices, 0).astype(mstype.float32) * self.scale + self.low

    def labels(self, indices):
        """Return the labels at `indices`, int32, (B,)."""
        return ops.gather(self.all_labels, indices, 0)
