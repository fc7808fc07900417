"""Random changes of all images that D sees, real and generated ones alike (Zhao et al. 2020, "DiffAugment").

With few images D learns them by heart. Here it sees them changed, each time in another way, and it sees both kinds
after changes of the same distribution. The changes are differentiable: G learns through them, and is not taught to
draw them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.ops import constexpr

from ms_gan.schema.updates import Augmentation


class Changes(NamedTuple):
    """How N images are changed. What is switched off is an empty tuple.

    Args:
        colour: three arrays, float32: the weights of each pixel and of its grey, (N, 2); the weight of the mean of the
            image, (N, 1); what is added, (N, 1).
        translation: two arrays, float32, (N,), in [0, 1): how far of the way from up to down, and from left to right;
            0.5 is where the image was.
        cutout: the same of the middle of the square, from the top, and from the left; and 1 where there is one, else 0.
    """

    colour: tuple[np.ndarray, ...]
    translation: tuple[np.ndarray, ...]
    cutout: tuple[np.ndarray, ...]


class AugmentedNoise(NamedTuple):
    """All that is random in one step with augmentation.

    Args:
        plain: what is random in it without.
        changes: `Changes` for each time that D sees images; an empty tuple where it sees none.
    """

    plain: tuple
    changes: tuple[tuple, ...]


class Augmenter(nn.Cell):
    """Changes the images that D sees.

    An image x, whose grey (the mean of its channels, at each pixel) is g, and whose mean is m, becomes

        c·(s·x + (1 − s)·g) + (1 − c)·m + b

    with contrast c in 1 ± `contrast`, saturation s in 1 ± `saturation`, and b within ± `brightness`; then it is moved
    by whole pixels, at most `translation` of its size, up or down, and left or right; then a square of `cutout` of its
    size, whose middle is anywhere, is cut out. What is uncovered or cut out is 0, as in the paper: grey, for pixels
    from −1 to 1. All is uniform, and independent for each image. Values are not clipped.

    With a `probability` below 1, each of the five happens to an image with that probability, independently. Then D also
    sees what was not changed, which is meant to keep G from drawing changed images (Karras et al. 2020, "Training
    Generative Adversarial Networks with Limited Data").

    Moving multiplies by matrices of 0 and 1, which is exact, and has an exact gradient.

    Args:
        settings: how strong the changes are.
        counts: how many images D sees at each time in a step that it sees any; 0 for a time that is left out.
    """

    exact = True  # its products are not rounded on CPU

    def __init__(self, settings: Augmentation, counts: Sequence[int]):
        super().__init__()
        self.settings, self.counts = settings, tuple(counts)
        self.translation, self.cutout = settings.translation, settings.cutout
        self.has_colour = max(settings.brightness, settings.saturation, settings.contrast) > 0
        self.on = self.has_colour or max(self.translation, self.cutout) > 0
        self.unchanged = ((),) * len(self.counts)
        self.product, self.product_transposed = ops.BatchMatMul(), ops.BatchMatMul(transpose_b=True)

    def with_changes(self, plain: tuple, stream: np.random.Generator) -> Any:
        """Return the noise of a step with new changes for each time that D sees images; without any, `plain` itself."""
        if not self.on:
            return plain
        return AugmentedNoise(plain, tuple(self.draw(count, stream) if count else () for count in self.counts))

    def draw(self, count: int, stream: np.random.Generator) -> Changes:
        """Return changes for `count` images."""
        of = self.settings
        colours = 2 * stream.random((3, count, 1), dtype=np.float32) - 1 if self.has_colour else None
        moves, cuts = (
            stream.random((2, count), dtype=np.float32) if part else None for part in (of.translation, of.cutout)
        )
        happens = np.ones((5, count), bool)
        if of.probability < 1:
            happens = stream.random((5, count), dtype=np.float32) < of.probability
        colour: tuple[np.ndarray, ...] = ()
        if colours is not None:
            brightness, saturation, contrast = colours * happens[:3, :, None]
            saturation, contrast = 1 + of.saturation * saturation, 1 + of.contrast * contrast
            weights = np.concatenate((contrast * saturation, contrast * (1 - saturation)), 1)
            colour = weights, 1 - contrast, of.brightness * brightness
        translation = () if moves is None else tuple(np.where(happens[3], moves, np.float32(0.5)))  # the middle: stay
        cutout = () if cuts is None else (*cuts, happens[4].astype(np.float32))
        return Changes(colour, translation, cutout)

    def parted(self, noise):
        """Return both parts of what `with_changes` returned: a tuple of the noise without changes, and the changes."""
        return noise if self.on else (noise, self.unchanged)

    def together(self, images, changes):
        """Return each tensor of a tuple of images changed, by changes for all of them, one tensor after the other."""
        if len(changes) == 0:
            return images
        changed = self.construct(ops.concat(images), changes)
        parts: tuple = ()
        start = 0
        for each in images:
            parts += (changed[start : start + each.shape[0]],)
            start += each.shape[0]
        return parts

    def construct(self, images, changes):
        """Return images, float32, N×C×H×W, changed; without changes as they are."""
        if len(changes) == 0:
            return images
        colour, translation, cutout = changes
        if len(colour) > 0:
            images = self.recoloured(images, *colour)
        if len(translation) > 0:
            images = self.moved(images, *translation)
        if len(cutout) > 0:
            count, _, height, width = images.shape
            down, right, there = cutout
            rows = chosen(holes(height, self.cutout), down).reshape((count, 1, height, 1))
            columns = chosen(holes(width, self.cutout), right) * there.reshape((count, 1))
            images = images * (1.0 - rows * columns.reshape((count, 1, 1, width)))
        return images

    def recoloured(self, images, weights, weight_of_mean, added):
        """Return images in changed colours; for the other arguments see `Changes`."""
        count, channels, height, width = images.shape
        pixels = images.reshape((count, -1))  # of two dimensions, which MindSpore's sums and products are quickest with
        added = weight_of_mean * pixels.mean(1, True) + added
        if channels == 1:
            pixels = (1.0 - weight_of_mean) * pixels
        else:
            matrices = ops.matmul(weights, mixings(channels)).reshape((count, channels, channels))
            pixels = self.product(matrices, images.reshape((count, channels, height * width))).reshape((count, -1))
        return (pixels + added).reshape(images.shape)

    def moved(self, images, down, right):
        """Return images moved; for the other arguments see `Changes`."""
        count, channels, height, width = images.shape
        down = chosen(shifts(height, self.translation), down).reshape((count, 1, height, height))
        right = chosen(shifts(width, self.translation), right)
        moved = self.product_transposed(images.reshape((count, channels * height, width)), right)
        return ops.matmul(down, moved.reshape(images.shape))


def chosen(table, places):
    """Return N rows of a table of K rows: for each place p, float32, (N,), in [0, 1), row ⌊p·K⌋."""
    return ops.gather(table, (places * table.shape[0]).astype(mstype.int32), 0)


@constexpr
def mixings(channels: int) -> Tensor:
    """Return two matrices, float32, (2, channels²): each channel as it is, and the mean of all in each."""
    one, mean = np.eye(channels), np.full((channels, channels), 1 / channels)
    return Tensor(np.stack((one.ravel(), mean.ravel())).astype(np.float32))


@constexpr
def shifts(size: int, part: float) -> Tensor:
    """Return the matrices, float32, (2k + 1, size, size), that move a column of pixels by −k to k, k being the part."""
    most = pixels_of(size, part)
    distances = np.subtract.outer(np.arange(size), np.arange(size))
    return Tensor(np.float32(distances == np.arange(-most, most + 1).reshape((-1, 1, 1))))


@constexpr
def holes(size: int, part: float) -> Tensor:
    """Return K masks of a row of pixels, float32, (K, size): 1 within a hole whose middle moves pixel by pixel.

    A hole of an even number of pixels has its middle between two pixels, or at an end of the row.
    """
    length = pixels_of(size, part)
    starts = np.arange(size + 1 - length % 2).reshape((-1, 1)) - length // 2
    places = np.arange(size)
    return Tensor(np.float32((places >= starts) & (places < starts + length)))


def pixels_of(size: int, part: float) -> int:
    """Return a part of a size in whole pixels, at least one."""
    return max(1, int(size * part + 0.5))
