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
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from ms_gan.evaluation.sampling import in_chunks, on_arrays
from ms_gan.files import CHECKSUMS, cache_folder, new_folder, verify_checksums, write_checksums
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
_PACKAGE = Path(ms_gan.__file__).resolve().parent
SHIPPED = (_PACKAGE / "judges", _PACKAGE.parent / "ckpt" / "judges")  # of an installed package; of a clone
READ_AT_ONCE = 500  # images
TRUSTED = 0.99  # share of the test split that a judge should read rightly


@dataclass(frozen=True)
class Judge:
    """Two trained classifiers, and what `judge.json` says about them.

    home: its folder; None for one that could not be kept. sha256: what identifies it, that of its list of checksums.
    """

    home: Path | None
    about: dict[str, Any]
    networks: dict[str, JudgeNetwork]
    sha256: str

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images, uint8 or float32 in [0, 1], N×C×H×W: float32, (N, 84)."""
        return run(self.networks["features"], images)[0]

    def read(self, images: np.ndarray) -> np.ndarray:
        """Return the class that the second network reads in each image: int64, (N,)."""
        return run(self.networks["classes"], images)[1].argmax(1)


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


def why_no_judge(data: ImageData) -> str | None:
    """Say why there can be no judge of these data; None where there can."""
    if data.channels_from:
        return f"{data.name}: its channels are read, one by one, by the judge of {data.channels_from}, to count modes"
    if data.labels is None:
        what = "has no labels to train a judge on"
        if data.split == "test":
            what = "its test images have no usable labels, by which a judge is tested"
        return f"{data.name}, {data.source}: {what}" + (f" ({data.why_unlabelled})" if data.why_unlabelled else "")
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
    """Return the share of images whose class a network reads. Raises ValueError for images without a class each."""
    if test.labels is None or test.places:
        raise ValueError("these images have no class each that could be read rightly")
    return float(np.mean(run(network, test.images)[1].argmax(1) == test.labels))


def train_judge(train: ImageData, test: ImageData, seed: int, command: str, say: Callable[[str], None]) -> Judge:
    """Train both networks on `train`, and score them on `test`.

    No choice is made on the test split: it is read at the end. Raises UserError for data without one class an image.
    """
    reason = why_no_judge(train) or why_no_judge(test)
    if reason:
        raise UserError(reason)
    networks, accuracies = {}, {}
    for number, kind in enumerate(NETWORKS):
        networks[kind] = train_network(kind, train, seed + number, say)
        accuracies[kind] = accuracy(networks[kind], test)
        say(f"judge, network of {kind}: reads {accuracies[kind]:.2%} of {len(test.images):,} test images rightly")
    about = {
        "networks": NETWORKS,
        "classes": list(train.classes),
        "image_shape": list(train.images.shape[1:]),
        "data": {"name": train.name, **identity(train, test)},
        "training": {
            "seeds": {kind: seed + number for number, kind in enumerate(NETWORKS)},
            "epochs": EPOCHS,
            "least_steps": LEAST_STEPS,
            "batch_size": BATCH,
            "learning_rate": LEARNING_RATE,
            "images": len(train.images),
            "command": command,
            "versions": {name: runtime.environment()[name] for name in ("ms_gan", "mindspore", "numpy")},
        },
        "accuracy_test": accuracies,
    }
    digest = hashlib.sha256()
    for network in networks.values():
        for parameter in network.get_parameters():
            digest.update(parameter.asnumpy().tobytes())
    return Judge(None, about, networks, digest.hexdigest())


def keep_judge(judge: Judge, folder: Path) -> Judge:
    """Write a judge to a new folder, and return it as the one that lies there. Raises OSError."""
    with new_folder(folder) as hidden:
        for kind, network in judge.networks.items():
            contents = [{"name": parameter.name, "data": parameter} for parameter in network.get_parameters()]
            try:
                ms.save_checkpoint(contents, str(hidden / f"{kind}.ckpt"))
            except RuntimeError as error:  # MindSpore wraps what the file system said
                cause = error.__cause__ or error.__context__
                raise (cause if isinstance(cause, OSError) else error)
        (hidden / FILE).write_text(json.dumps(judge.about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_checksums(hidden)
    return replace(judge, home=folder, sha256=_identifier(folder))


def _identifier(folder: Path) -> str:
    return hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()


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
            name: tuple(values.shape) for name, values in own.items()
        }:
            raise UserError(f"{folder}: {kind}.ckpt is of another network; use the version of ms_gan that made it")
        for name, parameter in own.items():
            parameter.set_data(stored[name])
        networks[kind] = network
    return Judge(folder, about, networks, _identifier(folder))


def identity(train: ImageData, test: ImageData) -> dict[str, str]:
    """Return what a judge's data are known by.

    Their checksums; and, since copies of a data set may differ in how pixels were rounded, that of the training labels
    alone, in their order.
    """
    labels = hashlib.sha256(np.ascontiguousarray(train.labels, np.int32).data).hexdigest()
    return {"train_sha256": train.sha256, "test_sha256": test.sha256, "train_labels_sha256": labels}


def fits(about: dict[str, Any], train: ImageData, test: ImageData) -> bool:
    """Tell whether a judge was made for these data.

    The test split and the labels of the training split must be equal to the last byte; its images may be another copy.
    """
    own = identity(train, test)
    return (
        all(about["data"].get(key) == own[key] for key in ("test_sha256", "train_labels_sha256"))
        and tuple(about["classes"]) == train.classes
        and about["image_shape"] == list(train.images.shape[1:])
    )


def judge_for(train: ImageData, test: ImageData, say: Callable[[str], None]) -> Judge:
    """Return the judge of these data: the shipped one if there is one, that of the cache, or a new one, which is kept.

    Data must have one class an image. A judge that is damaged is passed over, and where it is in the cache trained
    again. Where the cache cannot be used, the judge is trained all the same, and kept in memory alone, which is said.
    """
    for folder in _shipped():
        try:
            if fits(_about(folder), train, test):
                return load_judge(folder)
        except UserError as error:
            say(f"note: {error}; another judge is looked for")
    key = hashlib.sha256(
        json.dumps([identity(train, test), NETWORKS, EPOCHS, LEAST_STEPS, BATCH, LEARNING_RATE, SEED]).encode()
    ).hexdigest()
    try:
        folder = cache_folder() / "judges" / f"{train.name}-{key[:16]}"
    except UserError as error:
        say(f"note: the judge is trained for this run alone, since {error}")
        return train_judge(train, test, SEED, "eval --metrics", say)
    kept = _kept(folder, train, test, say)
    if kept is not None:
        return kept
    say(f"training a judge of {train.name}, {train.source}, once, to be kept in {folder}")
    judge = train_judge(train, test, SEED, "eval --metrics", say)
    try:
        kept = _kept(folder, train, test, say)  # another process may just have kept the same
        if kept is None and folder.is_dir():
            shutil.rmtree(folder)
        return kept or keep_judge(judge, folder)
    except OSError as error:
        say(
            f"note: {folder} cannot be written ({error.strerror or error}), so the judge serves now and is trained "
            f"again next time; set MS_GAN_CACHE to a folder that can"
        )
        return judge


def _kept(folder: Path, train: ImageData, test: ImageData, say: Callable[[str], None]) -> Judge | None:
    """Return the judge in a folder, if there is one of these data that can be read."""
    if not folder.is_dir():
        return None
    try:
        judge = load_judge(folder)
        return judge if fits(judge.about, train, test) else None
    except (UserError, OSError) as error:
        say(f"note: {error}; the judge is trained again")
        return None


def _shipped() -> Iterator[Path]:
    for home in SHIPPED:
        try:
            yield from (folder for folder in sorted(home.iterdir()) if (folder / FILE).is_file())
        except OSError:  # there is none, as beside an installed package
            continue


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / FILE}: missing or damaged; use another copy of {folder}") from error
    if not isinstance(about, dict) or not KEYS <= about.keys() or about["networks"] != NETWORKS:
        raise UserError(f"{folder}: a judge of another version of ms_gan; use that one, or train a new judge")
    return about
