"""Real images on their way into the step: from what is drawn for a batch to float32 in the recipe's pixel range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from ms_gan.data.storage import is_stored, let_go

BY_DEGREES = np.arange(720)  # ways to show an image: 2 * degrees, and 1 more where it is mirrored
BY_QUARTERS = np.array([180 * quarter + mirrored for quarter in range(4) for mirrored in range(2)])
MIRRORED = np.arange(2)


class DataCell(nn.Cell):
    """Images that a step learns from.

    A batch is named by indices, int32 (B,), 0 to `count` − 1. The host turns these into inputs, `inputs(indices)`; the
    device turns the inputs into images, `construct(*inputs)`, and into labels, `labels(*inputs)`.

    Built from labels, int32 (N,) or (N, max_tags), or None, and the pixel range of a network's images, (low, high).
    """

    def __init__(self, count: int, labels: np.ndarray | None, pixel_range: Sequence[float]):
        super().__init__()
        low, high = pixel_range
        self.count = count
        self.all_labels = labels
        self.scale = (high - low) / 255.0
        self.low = low

    def inputs(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what `construct` and `labels` take for the images at `indices`, int32 (B,)."""
        raise NotImplementedError


class ResidentImages(DataCell):
    """All images as bytes on the device, and their labels; a batch is gathered and scaled there.

    A step then moves only its indices. Built from uint8 images, N×C×H×W, 0 to 255; for the rest see DataCell.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray | None, pixel_range: Sequence[float]):
        super().__init__(len(images), labels, pixel_range)
        # made of one number, and then given the images: Parameter(images) would copy them, twice for a while
        self.images = Parameter(Tensor(np.zeros(1, np.uint8)), name="data.images", requires_grad=False)
        self.images.set_data(Tensor.from_numpy(np.require(images, requirements=["C", "W"])), slice_shape=True)
        if labels is not None:
            self.resident_labels = Parameter(Tensor(labels.astype(np.int32)), name="data.labels", requires_grad=False)

    def inputs(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the indices themselves, int32 (B,)."""
        return (indices,)

    def construct(self, indices: Tensor) -> Tensor:
        """Return the images at `indices`, int32 (B,), as float32, B×C×H×W, in the pixel range."""
        return ops.gather(self.images, indices, 0).astype(mstype.float32) * self.scale + self.low

    def labels(self, indices: Tensor) -> Tensor:
        """Return the labels at `indices`, int32, (B,) or (B, max_tags)."""
        return ops.gather(self.resident_labels, indices, 0)


class HostImages(DataCell):
    """Images that stay on the host; a batch is made there, and scaled on the device."""

    def construct(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images as float32, B×C×H×W, in the pixel range."""
        return pixels.astype(mstype.float32) * self.scale + self.low

    def labels(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor | None:
        """Return the labels, int32, (B,) or (B, max_tags)."""
        return labels


class StoredImages(HostImages):
    """Images in a file, of which a batch is read when it is wanted, by the step's own thread.

    Built from uint8 images, N×C×H×W, 0 to 255; for the rest see DataCell.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray | None, pixel_range: Sequence[float]):
        super().__init__(len(images), labels, pixel_range)
        self.stored = images

    def inputs(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return pixels, uint8 (B, C, H, W), and labels, if any, for `indices`, int32 (B,)."""
        pixels = self.stored[indices]
        let_go(self.stored)
        return (pixels,) if self.all_labels is None else (pixels, self.all_labels[indices])


def images_of(images: np.ndarray, labels: np.ndarray | None, pixel_range: Sequence[float]) -> DataCell:
    """Return images as they are, uint8 N×C×H×W: on the device, or in the file where they lie. See DataCell."""
    return (StoredImages if is_stored(images) else ResidentImages)(images, labels, pixel_range)


class TurnedImages(HostImages):
    """Each image in several ways, turned about its centre by whole degrees and mirrored, made when they are wanted.

    For things that look the same from every side, such as pizzas: one photograph is a data set of 720. Of the `ways`,
    whole numbers v below 720, v // 2 is the turn counter-clockwise in degrees; where v is odd, the image is mirrored
    before. Index len(ways)·i + k stands for image i in the way ways[k]. The corners that turning uncovers continue the
    image's border. In the ways BY_QUARTERS and MIRRORED every pixel is one of the image's own.

    Built from uint8 images, N×C×S×S, 0 to 255, and the `size` of what is wanted: S or better 2·size, which turning
    blurs less; for the rest see DataCell. The host turns a batch while it makes it; a few milliseconds for a batch of
    64.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None,
        pixel_range: Sequence[float],
        size: int,
        ways: np.ndarray = BY_DEGREES,
    ):
        self.ways = ways
        super().__init__(len(ways) * len(images), labels, pixel_range)
        self.size = size
        self.stored = images.transpose(0, 2, 3, 1)  # a view; what OpenCV wants is copied image by image

    def inputs(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return pixels, uint8 (B, C, size, size), and labels, if any, for `indices`, int32 (B,)."""
        numbers, chosen = np.divmod(indices, len(self.ways))
        turned = [
            turn(np.ascontiguousarray(self.stored[number]), way // 2, bool(way % 2), self.size)
            for number, way in zip(numbers, self.ways[chosen])
        ]
        let_go(self.stored)
        pixels = np.ascontiguousarray(np.stack(turned).transpose(0, 3, 1, 2))
        return (pixels,) if self.all_labels is None else (pixels, self.all_labels[numbers])


def turn(image: np.ndarray, degrees: int, mirrored: bool, size: int) -> np.ndarray:
    """Return an image, uint8 S×S×C, mirrored left to right or not, turned counter-clockwise, as size×size×C.

    Turns by 0, 90, 180 and 270 degrees are exact: of images of 2·size, means of four pixels to one grey level.
    """
    import cv2

    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    ratio, middle, old_middle = image.shape[0] / size, (size - 1) / 2, (image.shape[0] - 1) / 2
    # where each new pixel (x, y) is read: about the centre, y downwards; mirroring comes before turning
    matrix = ratio * np.array([[cosine, -sine], [sine, cosine]])
    if mirrored:
        matrix[0] = -matrix[0]
    offset = old_middle - matrix @ (middle, middle)
    turned = cv2.warpAffine(
        image,
        np.column_stack([matrix, offset]),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return turned.reshape(size, size, image.shape[2])
