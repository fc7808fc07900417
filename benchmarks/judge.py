"""A small classifier of MNIST that reads the digits a generator draws, and whose features give Fréchet distances.

A LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling; the features are its 84-dimensional penultimate layer.
Trained on the training split alone, for a fixed schedule; the accuracy on the test split is printed, and must be at
least 98.5%. Results of different judges are not comparable.
"""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, mutable, nn, ops

from ms_gan.data.batches import EpochShuffle
from ms_gan.data.description import ImageData
from ms_gan.data.resident import ResidentImages
from ms_gan.evaluation.sampling import draw_images
from ms_gan.losses import class_cross_entropy

EPOCHS, BATCH, LEARNING_RATE, SEED = 12, 128, 2e-3, 1
NAME = f"lenet_{EPOCHS}x{BATCH}_{LEARNING_RATE}_{SEED}"
REQUIRED_ACCURACY = 0.985


class LeNet(nn.Cell):
    """Images, float32 in [0, 1], N×1×28×28, to class logits, (N, 10), behind 84 features."""

    def __init__(self):
        super().__init__()
        self.features = nn.SequentialCell(
            nn.Conv2d(1, 6, 5, pad_mode="same", has_bias=True), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 16, 5, pad_mode="valid", has_bias=True), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten(),
            nn.Dense(400, 120), nn.ReLU(), nn.Dense(120, 84), nn.ReLU())
        self.classes = nn.Dense(84, 10)

    def construct(self, images):
        features = self.features(images)
        return ops.concat((features, self.classes(features)), 1)  # one output: features, then logits


class Training(nn.Cell):
    """One update on the images of the indices."""

    def __init__(self, data: ResidentImages, judge: LeNet, steps: int):
        super().__init__(auto_prefix=False)
        self.data, self.judge = data, judge
        weights = ms.ParameterTuple(judge.trainable_params())
        self.optimizer = nn.Adam(weights, nn.CosineDecayLR(1e-5, LEARNING_RATE, steps))
        self.gradient = ms.value_and_grad(self.loss, None, weights)

    def loss(self, images, labels):
        return class_cross_entropy(self.judge(images)[:, 84:], labels)

    def construct(self, indices):
        loss, gradients = self.gradient(self.data(indices[0]), self.data.labels(indices[0]))
        return ops.depend(loss, self.optimizer(gradients))


def judged(judge: LeNet, images: np.ndarray):
    """Return the features, float64 (N, 84), and the classes, (N,), of images, float32 in [0, 1]."""
    out = draw_images(judge, (images,))
    return out[:, :84].astype(np.float64), out[:, 84:].argmax(1)


def load(train: ImageData, test: ImageData, path: Path) -> LeNet:
    """Load the judge from `path`, or train it and keep it there."""
    ms.set_seed(SEED)
    judge = LeNet()
    judge.update_parameters_name("judge.")
    if path.exists():
        ms.load_checkpoint(str(path), judge)
    else:
        shuffle = EpochShuffle(len(train.images), BATCH, SEED)
        steps = EPOCHS * shuffle.steps_per_epoch
        step = Training(ResidentImages(train.images, train.labels, (0.0, 1.0)), judge, steps)
        step.set_train(True)
        for number in range(steps):
            loss = step(mutable((Tensor(shuffle.indices(number)),)))
            if (number + 1) % shuffle.steps_per_epoch == 0:
                epoch = (number + 1) // shuffle.steps_per_epoch
                print(f"judge: epoch {epoch} of {EPOCHS}, loss {float(loss):.4f}", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("part.ckpt")
        ms.save_checkpoint(judge, str(part))
        part.replace(path)
    judge.set_train(False)
    _, classes = judged(judge, np.float32(test.images) / 255)
    accuracy = np.mean(classes == test.labels)
    print(f"judge: {accuracy:.2%} of the {len(test.images):,} test images read rightly")
    if accuracy < REQUIRED_ACCURACY:
        raise SystemExit(f"error: the judge reads {accuracy:.2%}, less than {REQUIRED_ACCURACY:.1%}")
    return judge
