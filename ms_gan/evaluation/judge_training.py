"""Training of judges: both networks by a fixed schedule, once for all runs on the same data."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, mutable, nn, ops

import ms_gan
from ms_gan import runtime
from ms_gan.data.batches import EpochShuffle
from ms_gan.data.description import ImageData
from ms_gan.data.resident import ResidentImages
from ms_gan.errors import UserError
from ms_gan.evaluation.judge import (
    FILE,
    NETWORKS,
    Accuracy,
    Judge,
    JudgeData,
    build_network,
    load_judge,
    outputs,
    read_record,
    save_judge,
    why_no_judge,
)
from ms_gan.files import cache_folder
from ms_gan.losses import class_cross_entropy
from ms_gan.nets.judge import JudgeNetwork

EPOCHS = 8
LEAST_STEPS = 1000
BATCH = 128
LEARNING_RATE = 2e-3
SEED = 1
COMMAND = "eval --metrics"  # what trains a judge that nobody asked for by name
_PACKAGE = Path(ms_gan.__file__).resolve().parent
SHIPPED = (_PACKAGE / "judges", _PACKAGE.parent / "ckpt" / "judges")  # in an installed package; in a clone

Say = Callable[[str], None]


class JudgeTraining(nn.Cell):
    """One update of a classifier by Adam on a batch.

    Input: the images' indices, in a tuple: int32 (B,). Output: the mean cross entropy, float32 ().
    """

    def __init__(self, data: ResidentImages, network: JudgeNetwork, steps: int):
        super().__init__(auto_prefix=False)
        self.data, self.network = data, network
        weights = ms.ParameterTuple(network.trainable_params())
        self.optimizer = nn.Adam(weights, nn.CosineDecayLR(1e-5, LEARNING_RATE, steps))
        self.gradient = ms.value_and_grad(self.loss, None, weights)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of images, float32 B×C×H×W, and their labels, int32 (B,)."""
        return class_cross_entropy(self.network(images)[1], labels)

    def construct(self, indices: tuple[Tensor, ...]) -> Tensor:
        loss, gradients = self.gradient(self.data(indices[0]), self.data.labels(indices[0]))
        return ops.depend(loss, self.optimizer(gradients))


def train_network(kind: str, train: ImageData, seed: int, say: Say) -> JudgeNetwork:
    """Train a network of NETWORKS on all of `train`, uint8 images with a class each, by a fixed schedule.

    The same data and seed give the same weights on the same machine with as many threads.
    """
    network = build_network(kind, train.images.shape[1:], len(train.classes), seed)
    shuffle = EpochShuffle(len(train.images), min(BATCH, len(train.images)), seed)
    steps = max(EPOCHS * shuffle.steps_per_epoch, LEAST_STEPS)
    step = JudgeTraining(ResidentImages(train.images, train.labels, (0.0, 1.0)), network, steps)
    step.set_train(True)
    for number in range(steps):
        loss = step(mutable((Tensor(shuffle.indices(number)),)))
        if (number + 1) % (-(-steps // 8)) == 0 or number + 1 == steps:
            say(f"judge, network of {kind}: step {number + 1:,} of {steps:,}, loss {float(loss):.4f}")
    network.set_train(False)
    return network


def accuracy(network: JudgeNetwork, test: ImageData) -> float:
    """Return the share of images that a network reads correctly. Raises ValueError unless each has one class."""
    if test.labels is None or test.max_tags:
        raise ValueError("accuracy needs images with one class each")
    return float(np.mean(outputs(network, test.images)[1].argmax(1) == test.labels))


def train_judge(train: ImageData, test: ImageData, seed: int, command: str, say: Say) -> Judge:
    """Train both networks on `train`, from `seed` and the next one, and measure them on `test`.

    The test split is read once, at the end: nothing is chosen by it. `command` is recorded. Raises UserError for data
    without one class an image.
    """
    reason = why_no_judge(train) or why_no_judge(test)
    if reason:
        raise UserError(reason)
    networks, accuracies = {}, {}
    for number, kind in enumerate(NETWORKS):
        networks[kind] = train_network(kind, train, seed + number, say)
        accuracies[kind] = accuracy(networks[kind], test)
        say(f"judge, network of {kind}: reads {accuracies[kind]:.2%} of {len(test.images):,} test images correctly")
    training = {
        "seeds": {kind: seed + number for number, kind in enumerate(NETWORKS)},
        **_schedule(),
        "images": len(train.images),
        "command": command,
        "versions": {name: runtime.environment()[name] for name in ("ms_gan", "mindspore", "numpy")},
    }
    digest = hashlib.sha256()
    for network in networks.values():
        for parameter in network.get_parameters():
            digest.update(parameter.asnumpy().tobytes())
    data, image_shape = JudgeData.of(train, test), train.images.shape[1:]
    return Judge(train.classes, image_shape, data, training, Accuracy(**accuracies), None, networks, digest.hexdigest())


def judge_for(train: ImageData, test: ImageData, say: Say) -> Judge:
    """Return the judge of these data, which have one class an image: shipped, from the cache, or newly trained.

    A damaged judge is passed over; in the cache it is replaced. If the cache cannot be used, `say` gets a note, and the
    judge is only kept in memory.
    """
    for folder in shipped():
        found = _load_if_fitting(folder, train, test, say)
        if found is not None:
            return found
    try:
        folder = _cached(train, test)
    except UserError as error:
        say(f"note: the judge is trained for this run alone: {error}")
        return train_judge(train, test, SEED, COMMAND, say)
    found = _load_if_fitting(folder, train, test, say)
    if found is not None:
        return found
    say(f"training a judge of {train.called}, once, to be kept in {folder}")
    judge = train_judge(train, test, SEED, COMMAND, say)
    try:
        found = _load_if_fitting(folder, train, test, say)  # another process may just have stored the same
        if found is None and folder.is_dir():
            shutil.rmtree(folder)
        return found or save_judge(judge, folder)
    except OSError as error:
        say(
            f"note: the judge cannot be kept in {folder} ({error.strerror or error}), so it is trained again next "
            f"time; set MS_GAN_CACHE to a folder that can be written"
        )
        return judge


def _schedule() -> dict[str, Any]:
    return {"epochs": EPOCHS, "least_steps": LEAST_STEPS, "batch_size": BATCH, "learning_rate": LEARNING_RATE}


def _cached(train: ImageData, test: ImageData) -> Path:
    """Return the folder in the cache for the judge of these data. Raises UserError if there can be no cache."""
    data = asdict(JudgeData.of(train, test))
    name = data.pop("name")
    key = [data, NETWORKS, *_schedule().values(), SEED]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return cache_folder() / "judges" / f"{name}-{digest[:16]}"


def _load_if_fitting(folder: Path, train: ImageData, test: ImageData, say: Say) -> Judge | None:
    """Return the judge in a folder; None if there is none, if it cannot be read, or if it is of other data."""
    try:
        return load_judge(folder) if folder.is_dir() and read_record(folder).fits(train, test) else None
    except (UserError, OSError) as error:
        say(f"note: {error}; another judge is looked for, or trained again")
        return None


def shipped() -> list[Path]:
    """Return the folders of the judges that come with the package: a clone has no ms_gan/judges, a package no ckpt/."""
    return [file.parent for home in SHIPPED for file in sorted(home.glob(f"*/{FILE}"))]
