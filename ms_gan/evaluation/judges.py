"""Judges: classifiers of one data set, by whose features and readings generated images are scored.

A judge is a plain folder: `features.ckpt`, a LeNet-5 whose 84-dimensional penultimate layer gives the features;
`classes.ckpt`, a second network, of another architecture and trained from another seed, that reads classes, so that
no number is read by the network whose features another was computed from; `judge.json`, which says how they were made
and for which data; and `SHA256SUMS`. It belongs to its data, and is never used for others.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import mindspore as ms
import numpy as np
from mindspore import Tensor, mutable, nn, ops

import ms_gan
from ms_gan import runtime
from ms_gan.data.batches import EpochShuffle
from ms_gan.data.description import ImageData
from ms_gan.data.resident import ResidentImages
from ms_gan.errors import UserError
from ms_gan.evaluation.sampling import in_chunks, on_arrays
from ms_gan.files import cache_folder, new_folder, verify_checksums, write_checksums
from ms_gan.losses import class_cross_entropy
from ms_gan.nets.judge import JudgeNetwork

NETWORKS = {
    "features": {"kernel_size": 5, "widths": [6, 16], "dense_widths": [120, 84]},
    "classes": {"kernel_size": 5, "widths": [8, 16], "dense_widths": [128]},
}
EPOCHS, LEAST_STEPS, BATCH, LEARNING_RATE = 8, 1000, 128, 2e-3
SEED = 1
FILE = "judge.json"
KEYS = {"networks", "classes", "image_shape", "data", "training", "accuracy_test"}
SHIPPED = Path(ms_gan.__file__).resolve().parent.parent / "ckpt" / "judges"
READ_AT_ONCE = 500  # images
TRUSTED = 0.99  # share of the test split that a judge should read rightly


@dataclass(frozen=True)
class Judge:
    """Two trained classifiers, and what `judge.json` says about them."""

    home: Path
    about: Dict[str, Any]
    networks: Dict[str, JudgeNetwork]

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images, uint8 or float32 in [0, 1], N×C×H×W: float32, (N, 84)."""
        return run(self.networks["features"], images)[0]

    def read(self, images: np.ndarray) -> np.ndarray:
        """Return the class that the second network reads in each image: int64, (N,)."""
        return run(self.networks["classes"], images)[1].argmax(1)

    @property
    def sha256(self) -> str:
        """What identifies the judge: the SHA-256 of its list of checksums."""
        return hashlib.sha256((self.home / "SHA256SUMS").read_bytes()).hexdigest()


def run(network: JudgeNetwork, images: np.ndarray):
    """Return the features and the logits of images, uint8 or float32 in [0, 1], N×C×H×W."""
    on = on_arrays(network)

    def on_some(some: np.ndarray):
        return on(np.float32(some) / 255 if some.dtype == np.uint8 else some)

    return in_chunks(on_some, (images,), READ_AT_ONCE)


class JudgeTraining(nn.Cell):
    """One update of a classifier, on the images at the indices, int32 (B,); returns the loss."""

    def __init__(self, data: ResidentImages, network: JudgeNetwork, steps: int):
        super().__init__(auto_prefix=False)
        self.data, self.network = data, network
        weights = ms.ParameterTuple(network.trainable_params())
        self.optimizer = nn.Adam(weights, nn.CosineDecayLR(1e-5, LEARNING_RATE, steps))
        self.gradient = ms.value_and_grad(self.loss, None, weights)

    def loss(self, images, labels):
        return class_cross_entropy(self.network(images)[1], labels)

    def construct(self, indices):
        loss, gradients = self.gradient(self.data(indices[0]), self.data.labels(indices[0]))
        return ops.depend(loss, self.optimizer(gradients))


def build_network(kind: str, image_shape, classes: int, seed: int) -> JudgeNetwork:
    """Return the network of this kind of NETWORKS, weights drawn from the seed, in inference mode."""
    ms.set_seed(seed)
    network = JudgeNetwork(tuple(image_shape), classes, **NETWORKS[kind])
    network.update_parameters_name(f"{kind}.")
    network.set_train(False)
    return network


def why_no_judge(data: ImageData) -> Optional[str]:
    """Say why there can be no judge of these data; None where there can."""
    if data.channels_from:
        return f"{data.name}: its channels are read, one by one, by the judge of {data.channels_from}, to count modes"
    if data.labels is None:
        return f"{data.name}, {data.source}, has no labels to train a judge on"
    if data.places:
        return f"{data.name}, {data.source}, has several tags an image, and a judge reads one class"
    if len(data.classes) < 2:
        return f"{data.name}, {data.source}, has a single class, and a judge tells classes apart"
    return None


def train_network(kind: str, train: ImageData, seed: int, say: Callable[[str], None]) -> JudgeNetwork:
    """Train a classifier on all of `train`, uint8 images with a class each, for a fixed schedule, and return it.

    Deterministic: the same data and seed give the same weights on the same machine with as many threads.
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
    """Return the share of images whose class a network reads."""
    return float(np.mean(run(network, test.images)[1].argmax(1) == test.labels))


def train_judge(folder: Path, train: ImageData, test: ImageData, seed: int, command: str,
                say: Callable[[str], None]) -> Judge:
    """Train both networks on `train`, score them on `test`, and write them to a new folder.

    No choice is made on the test split: it is read at the end. Raises UserError for data without one class an image.
    """
    reason = why_no_judge(train)
    if reason:
        raise UserError(reason)
    networks, accuracies = {}, {}
    for number, kind in enumerate(NETWORKS):
        networks[kind] = train_network(kind, train, seed + number, say)
        accuracies[kind] = accuracy(networks[kind], test)
        say(f"judge, network of {kind}: reads {accuracies[kind]:.2%} of {len(test.images):,} test images rightly")
    about = {
        "networks": NETWORKS, "classes": list(train.classes), "image_shape": list(train.images.shape[1:]),
        "data": {"name": train.name, **identity(train, test)},
        "training": {"seeds": {kind: seed + number for number, kind in enumerate(NETWORKS)}, "epochs": EPOCHS,
                     "least_steps": LEAST_STEPS, "batch_size": BATCH, "learning_rate": LEARNING_RATE,
                     "images": len(train.images), "command": command,
                     "versions": {name: runtime.environment()[name] for name in ("ms_gan", "mindspore", "numpy")}},
        "accuracy_test": accuracies,
    }
    with new_folder(folder) as hidden:
        for kind, network in networks.items():
            ms.save_checkpoint([{"name": parameter.name, "data": parameter} for parameter in network.get_parameters()],
                               str(hidden / f"{kind}.ckpt"))
        (hidden / FILE).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_checksums(hidden)
    return Judge(folder, about, networks)


def load_judge(folder: Path) -> Judge:
    """Load a judge after checking every byte. Raises UserError where it is damaged or of another version."""
    verify_checksums(folder)
    about = _about(folder)
    networks = {}
    for kind in NETWORKS:
        network = build_network(kind, about["image_shape"], len(about["classes"]), 0)
        stored = ms.load_checkpoint(str(folder / f"{kind}.ckpt"))
        own = {parameter.name: parameter for parameter in network.get_parameters()}
        if {name: tuple(values.shape) for name, values in stored.items()} != {
                name: tuple(values.shape) for name, values in own.items()}:
            raise UserError(f"{folder}: {kind}.ckpt is of another network; use the version of ms_gan that made it")
        for name, parameter in own.items():
            parameter.set_data(stored[name])
        networks[kind] = network
    return Judge(folder, about, networks)


def identity(train: ImageData, test: ImageData) -> Dict[str, str]:
    """Return what a judge's data are known by.

    Their checksums; and, since copies of a data set may differ in how pixels were rounded, that of the training labels
    alone, in their order.
    """
    labels = hashlib.sha256(np.ascontiguousarray(train.labels, np.int32).data).hexdigest()
    return {"train_sha256": train.sha256, "test_sha256": test.sha256, "train_labels_sha256": labels}


def fits(about: Dict[str, Any], train: ImageData, test: ImageData) -> bool:
    """Tell whether a judge was made for these data.

    The test split and the labels of the training split must be equal to the last byte; its images may be another copy.
    """
    own = identity(train, test)
    return (all(about["data"].get(key) == own[key] for key in ("test_sha256", "train_labels_sha256"))
            and tuple(about["classes"]) == train.classes and about["image_shape"] == list(train.images.shape[1:]))


def judge_for(train: ImageData, test: ImageData, say: Callable[[str], None]) -> Judge:
    """Return the judge of these data: the shipped one if there is one, that of the cache, or a new one, which is kept.

    Data must have one class an image. A judge in the cache that is damaged is trained again.
    """
    for folder in sorted(SHIPPED.iterdir()) if SHIPPED.is_dir() else ():
        if (folder / FILE).is_file() and fits(_about(folder), train, test):
            return load_judge(folder)
    key = hashlib.sha256(json.dumps([identity(train, test), NETWORKS, EPOCHS, LEAST_STEPS, BATCH, LEARNING_RATE,
                                     SEED]).encode()).hexdigest()
    folder = cache_folder() / "judges" / f"{train.name}-{key[:16]}"
    if folder.is_dir():
        try:
            judge = load_judge(folder)
            if fits(judge.about, train, test):
                return judge
        except UserError as error:
            say(f"note: {error}; the judge is trained again")
        shutil.rmtree(folder)
    say(f"training a judge of {train.name}, {train.source}, once; it is kept in {folder}")
    try:
        return train_judge(folder, train, test, SEED, "eval --metrics", say)
    except OSError:
        if folder.is_dir():  # another process has just kept the same
            return load_judge(folder)
        raise


def _about(folder: Path) -> Dict[str, Any]:
    try:
        about = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / FILE}: missing or damaged; use another copy of {folder}") from error
    if not isinstance(about, dict) or not KEYS <= about.keys() or about["networks"] != NETWORKS:
        raise UserError(f"{folder}: a judge of another version of ms_gan; use that one, or train a new judge")
    return about
