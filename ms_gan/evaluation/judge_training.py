"""Training of judges: both networks by a fixed schedule, once for all runs on the same data."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, mutable, nn, ops
from mindspore import dtype as mstype

import ms_gan
from ms_gan import runtime
from ms_gan.data.batches import EpochShuffle
from ms_gan.data.description import ImageData
from ms_gan.data.resident import BY_QUARTERS, DataCell, TurnedImages, images_of
from ms_gan.errors import UserError
from ms_gan.evaluation.judge import (
    FILE,
    NETWORKS,
    TAG_NETWORKS,
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
from ms_gan.evaluation.metrics import average_precisions, tag_indicators
from ms_gan.files import cache_folder
from ms_gan.kernels.build import library
from ms_gan.kernels.layers import use_own
from ms_gan.losses import binary_cross_entropy, class_cross_entropy

EPOCHS = 8
LEAST_STEPS = 1000
BATCH = 128
LEARNING_RATE = 2e-3
TAG_EPOCHS = 4  # times EPOCHS: tags take longer to learn than classes
TAG_MOST_STEPS = 3000
TAG_BATCH = 64
TURNED = ("pizza",)  # data sets of tags that look the same from all sides, and so are learned from all of them
SEED = 1
COMMAND = "eval --metrics"  # what trains a judge that nobody asked for by name
_PACKAGE = Path(ms_gan.__file__).resolve().parent
SHIPPED = (_PACKAGE / "judges", _PACKAGE.parent / "ckpt" / "judges")  # in an installed package; in a clone

Say = Callable[[str], None]


class JudgeTraining(nn.Cell):
    """One update of a classifier by Adam on a batch.

    Input: what `data` makes of the images' indices. Output: the mean cross entropy, float32 ().
    """

    def __init__(self, data: DataCell, network: nn.Cell, steps: int):
        super().__init__(auto_prefix=False)
        self.data, self.network = data, network
        weights = ms.ParameterTuple(network.trainable_params())
        self.optimizer = nn.Adam(weights, nn.CosineDecayLR(1e-5, LEARNING_RATE, steps))
        self.gradient = ms.value_and_grad(self.loss, None, weights)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of images, float32 B×C×H×W, and their labels, int32 (B,)."""
        return class_cross_entropy(self.network(images)[1], labels)

    def construct(self, batch: tuple[Tensor, ...]) -> Tensor:
        loss, gradients = self.gradient(self.data(*batch), self.data.labels(*batch))
        return ops.depend(loss, self.optimizer(gradients))


class TagJudgeTraining(JudgeTraining):
    """The same for tags. The cross entropy is the binary one of each tag of each image."""

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of images, float32 B×C×H×W; labels, int32 (B, tags), are 1 for the tags of an image."""
        return binary_cross_entropy(self.network(images)[1], labels.astype(mstype.float32))


def train_network(kind: str, train: ImageData, seed: int, say: Say) -> nn.Cell:
    """Train a network of NETWORKS, or of TAG_NETWORKS, on all of `train`, labelled uint8 images, by a fixed schedule.

    The same data and seed give the same weights on the same machine with as many threads.
    """
    data, step, steps = _training(kind, train, seed)
    shuffle = EpochShuffle(data.count, min(_schedule(train)["batch_size"], data.count), seed)
    step.set_train(True)
    for number in range(steps):
        loss = step(mutable(tuple(map(Tensor, data.inputs(shuffle.indices(number))))))
        if number == 0:  # it was compiled, too, which says nothing about the others
            started = time.monotonic()
        if (number + 1) % (-(-steps // 8)) == 0 or number + 1 == steps:
            told = f"judge, network of {kind}: step {number + 1:,} of {steps:,}, loss {float(loss):.4f}"
            left = (time.monotonic() - started) / max(number, 1) * (steps - number - 1)
            say(told + f", {left:.0f} s left" * (number + 1 < steps))
    if not train.max_tags:
        step.network.set_train(False)
        return step.network
    network = build_network(kind, train.images.shape[1:], len(train.classes), seed, tagged=True)
    ms.load_param_into_net(network, {weight.name: weight for weight in step.network.get_parameters()})
    return network  # which MindSpore's kernels compute, as they do when it is loaded


def _training(kind: str, train: ImageData, seed: int) -> tuple[DataCell, JudgeTraining, int]:
    """Return what a network learns from, one update of it, and how many updates there are."""
    tags, schedule = bool(train.max_tags), _schedule(train)
    network = build_network(kind, train.images.shape[1:], len(train.classes), seed, tags)
    steps_per_epoch = max(1, len(train.images) // schedule["batch_size"])
    steps = max(schedule["epochs"] * steps_per_epoch, schedule["least_steps"])
    if not tags:
        plain = images_of(train.images, train.labels, (0.0, 1.0))
        return plain, JudgeTraining(plain, network, steps), steps
    steps = min(steps, schedule["most_steps"])
    labels = tag_indicators(np.asarray(train.labels), len(train.classes)).astype(np.int32)
    data: DataCell
    if schedule["quarter_turns"]:
        data = TurnedImages(train.images, labels, (0.0, 1.0), train.images.shape[-1], BY_QUARTERS)
    else:
        data = images_of(train.images, labels, (0.0, 1.0))
    step = TagJudgeTraining(data, network, steps)
    use_own(step)
    return data, step, steps


def accuracy(network: nn.Cell, test: ImageData) -> float:
    """Return the share of images that a network reads correctly. Raises ValueError unless each has one class."""
    if test.labels is None or test.max_tags:
        raise ValueError("accuracy needs images with one class each")
    return float(np.mean(outputs(network, test.images)[1].argmax(1) == test.labels))


def tag_precisions(network: nn.Cell, test: ImageData) -> np.ndarray:
    """Return a network's average precision of each tag, float64 (tags,), NaN for a tag that no image has.

    Raises ValueError for images without tags.
    """
    if test.labels is None or not test.max_tags:
        raise ValueError("average precision needs images with tags")
    return average_precisions(outputs(network, test.images)[1], tag_indicators(test.labels, len(test.classes)))


def train_judge(train: ImageData, test: ImageData, seed: int, command: str, say: Say) -> Judge:
    """Train both networks on `train`, from `seed` and the next one, and measure them on `test`.

    The test split is read once, at the end: nothing is chosen by it. `command` is recorded. Raises UserError for data
    that no judge can be trained or tested on.
    """
    reason = why_no_judge(train) or why_no_judge(test)
    if reason:
        raise UserError(reason)
    if bool(train.max_tags) != bool(test.max_tags) or train.classes != test.classes:
        raise UserError(f"{test.called}: its test images have other classes or tags than its training images")
    networks: dict[str, nn.Cell] = {}
    found: dict[str, float] = {}
    of_each_tag = None
    for number, kind in enumerate(NETWORKS):
        networks[kind] = train_network(kind, train, seed + number, say)
        if test.max_tags:
            of_each_tag = tuple(map(float, tag_precisions(networks[kind], test)))
            found[kind] = float(np.nanmean(of_each_tag))
        else:
            found[kind] = accuracy(networks[kind], test)
        say(f"judge, network of {kind}: {_told(found[kind], of_each_tag, test)}")
    training = {
        "seeds": {kind: seed + number for number, kind in enumerate(NETWORKS)},
        **_schedule(train),
        "images": len(train.images),
        "command": command,
        "versions": {name: runtime.environment()[name] for name in ("ms_gan", "mindspore", "numpy")},
    }
    if test.max_tags:  # classes are learned by MindSpore's
        training["versions"]["kernels"] = str(library())
    digest = hashlib.sha256()
    for network in networks.values():
        for parameter in network.get_parameters():
            digest.update(parameter.asnumpy().tobytes())
    about = train.classes, train.images.shape[1:], JudgeData.of(train, test), training, Accuracy(**found), of_each_tag
    return Judge(*about, None, networks, digest.hexdigest())


def _told(quality: float, of_each_tag: tuple[float, ...] | None, test: ImageData) -> str:
    """Return how well a network reads test images: its accuracy, or its average precision, that of each tag, too."""
    if of_each_tag is None:
        return f"reads {quality:.2%} of {len(test.images):,} test images correctly"
    of_each = sorted((share, name) for share, name in zip(of_each_tag, test.classes) if not np.isnan(share))
    each = ", ".join(f"{name} {share:.2f}" for share, name in of_each)
    return f"mean average precision {quality:.3f} of the tags of {len(test.images):,} test images: {each}"


def judge_for(train: ImageData, test: ImageData, say: Say) -> Judge:
    """Return the judge of these data, which have labels: shipped, from the cache, or newly trained.

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


def _schedule(train: ImageData) -> dict[str, Any]:
    schedule = {"epochs": EPOCHS, "least_steps": LEAST_STEPS, "batch_size": BATCH, "learning_rate": LEARNING_RATE}
    if train.max_tags:
        schedule.update(epochs=TAG_EPOCHS * EPOCHS, batch_size=TAG_BATCH)
        schedule.update(most_steps=TAG_MOST_STEPS, quarter_turns=train.name in TURNED)
    return schedule


def _cached(train: ImageData, test: ImageData) -> Path:
    """Return the folder in the cache for the judge of these data. Raises UserError if there can be no cache."""
    data = asdict(JudgeData.of(train, test))
    name = data.pop("name")
    key = [data, TAG_NETWORKS if train.max_tags else NETWORKS, *_schedule(train).values(), SEED]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return cache_folder() / "judges" / f"{name}-{digest[:16]}"


def _load_if_fitting(folder: Path, train: ImageData, test: ImageData, say: Say) -> Judge | None:
    """Return the judge in a folder; None if there is none, if it cannot be read, or if it is of other data."""
    try:
        if not (folder.is_dir() and read_record(folder).fits(train, test)):
            return None
        return replace(load_judge(folder), classes=train.classes)
    except (UserError, OSError) as error:
        say(f"note: {error}; another judge is looked for, or trained again")
        return None


def shipped() -> list[Path]:
    """Return the folders of the judges that come with the package: a clone has no ms_gan/judges, a package no ckpt/."""
    return [file.parent for home in SHIPPED for file in sorted(home.glob(f"*/{FILE}"))]
