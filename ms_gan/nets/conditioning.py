"""How networks take a label: as one-hot numbers beside their features, or chosen by the latent."""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype


def one_hot(label, numbers):
    """Return the one-hot code of M labels, int32, of any shape, over the values `numbers`, int32, (K,).

    It is float32, (M, K). A label that is none of the values gives a row of zeros. It is computed by comparison,
    since MindSpore Lite 2.0 and onnx2torch 1.5 refuse the ONNX operator OneHot. Labels are reshaped, since
    `expand_dims` would write the size of the batch into the ONNX.
    """
    return (label.reshape((-1, 1)) == numbers).astype(mstype.float32)


class OneHotLabel(nn.Cell):
    """A label as numbers: the one-hot class, or the one-hot tags of an image one after the other.

    Input: label, int32, (N,), 0 to classes − 1; with max_tags, (N, max_tags), 0 for no tag, else 1 to classes.
    Output: float32, (N, size). `size` is `classes`; with max_tags, max_tags·(classes + 1); without classes, 0.
    """

    def __init__(self, classes: int, max_tags: int):
        super().__init__()
        depth = classes + 1 if max_tags else classes
        self.size = max_tags * depth if max_tags and classes else classes
        self.numbers = Tensor(np.arange(max(1, depth), dtype=np.int32))

    def construct(self, label):
        return one_hot(label, self.numbers).reshape((-1, self.size))


class Present(nn.Cell):
    """A label as numbers: for each class or tag, whether an image has it.

    Input: label, int32, (N,), 0 to classes − 1; with max_tags, (N, max_tags), 0 for no tag, else 1 to classes. Output:
    float32, (N, classes). In which place a tag stands does not matter.
    """

    def __init__(self, classes: int, max_tags: int):
        super().__init__()
        self.size, self.max_tags = classes, max_tags
        self.numbers = Tensor(np.arange(classes, dtype=np.int32) + (max_tags > 0))

    def construct(self, label):
        found = one_hot(label, self.numbers)
        return found.reshape((-1, self.max_tags, self.size)).sum(1) if self.max_tags else found


class Conditioned(nn.Cell):
    """Features, followed by the one-hot label where there are classes (Mirza and Osindero 2014).

    Inputs: features, float32, (N, size); label as `OneHotLabel` takes it, only where classes > 0.
    Output: float32, (N, size + more), where more is the size of the one-hot label.
    """

    def __init__(self, classes: int, max_tags: int):
        super().__init__()
        self.classes = classes
        self.one_hot = OneHotLabel(classes, max_tags)
        self.more = self.one_hot.size

    def construct(self, features, label=None):
        if self.classes == 0:
            return features
        return ops.concat((features, self.one_hot(label)), 1)


class ChosenByLatent(nn.Cell):
    """A generator whose latent chooses the label for the network within it (Sage et al. 2018).

    So a generator of unlabelled images can draw clusters that have nothing in common, without drawing what lies
    between them. The latent's first number chooses, by how many `thresholds` lie below it; the others are the latent
    of the network within.

    Inputs: latent, float32, (N, 1 + latent_size of the network); and, to draw another label than the chosen one, the
    label, int32, (N,), 0 to labels − 1. Output: the network's.
    """

    def __init__(self, network: nn.Cell, labels: int):
        super().__init__()
        self.network, self.pixel_range = network, network.pixel_range
        self.thresholds = Parameter(Tensor(np.zeros(labels - 1, np.float32)), name="thresholds", requires_grad=False)

    def construct(self, latent, label=None):
        if label is None:
            label = (latent[:, :1] > self.thresholds).astype(mstype.float32).sum(1).astype(mstype.int32)
        return self.network(latent[:, 1:], label)
