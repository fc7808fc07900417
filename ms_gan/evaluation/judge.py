"""A judge: two classifiers of one data set, used to score generated images.

It is a plain folder:

- `features.ckpt`: a LeNet-5. Its 84-dimensional penultimate layer gives the features.
- `classes.ckpt`: a network of another architecture, trained from another seed, that reads classes. So the scores of
  features and of classes come from different networks.

  Where images have tags, both are wider networks with BatchNorm, and the second one reads which tags an image has.
- `judge.json`: how they were made, and for which data.
- `SHA256SUMS`.

A judge belongs to its data, and is never used for others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn

from ms_gan.data.description import ImageData
from ms_gan.data.storage import let_go
from ms_gan.errors import UserError
from ms_gan.evaluation.metrics import tag_indicators
from ms_gan.files import CHECKSUMS, new_folder, verify_checksums, write_checksums
from ms_gan.nets.judge import JudgeNetwork, TagJudgeNetwork
from ms_gan.sampling import in_chunks, on_arrays
from ms_gan.weights import read_weights, write_weights

NETWORKS: dict[str, dict[str, Any]] = {
    "features": {"kernel_size": 5, "widths": [6, 16], "dense_widths": [120, 84]},
    "classes": {"kernel_size": 5, "widths": [8, 16], "dense_widths": [128]},
}
TAG_NETWORKS: dict[str, dict[str, Any]] = {
    "features": {"widths": [32, 64, 128], "dense_width": 84},
    "classes": {"widths": [32, 64, 128], "dense_width": 256},
}
FILE = "judge.json"
READ_AT_ONCE = 500  # images
TRUSTED = 0.99  # accuracy on the test split that a judge should reach
TRUSTED_OF_TAGS = 0.9  # mean average precision on the test split that a judge of tags should reach


@dataclass(frozen=True)
class JudgeData:
    """What identifies a judge's data: their name, and checksums of both splits and of the training labels, in order.

    The labels have their own because copies of a data set may differ in how pixels were rounded.
    """

    name: str
    train_sha256: str
    test_sha256: str
    train_labels_sha256: str

    @classmethod
    def of(cls, train: ImageData, test: ImageData) -> JudgeData:
        """Return what identifies these data."""
        labels = hashlib.sha256(np.ascontiguousarray(train.labels, np.int32).data).hexdigest()
        return cls(train.name, train.sha256, test.sha256, labels)


@dataclass(frozen=True)
class Accuracy:
    """The share of the test images that each network reads correctly; of tags, its mean average precision on them."""

    features: float
    classes: float


@dataclass(frozen=True)
class JudgeRecord:
    """The content of `judge.json`.

    Attributes:
        classes: names of the classes that the judge tells apart, or of the tags that it reads.
        image_shape: of the images that it reads: (C, H, W).
        data: those that it was trained for.
        training: how it was trained, to be read by people.
        accuracy: on the test split.
        of_each_tag: the second network's average precision on the test split, NaN for a tag that no image there has;
            None for a judge of classes.
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, ...]
    data: JudgeData
    training: dict[str, Any]
    accuracy: Accuracy
    of_each_tag: tuple[float, ...] | None

    @property
    def quality(self) -> str:
        """How well it reads the test split, as it is said after "which"."""
        features, classes = self.accuracy.features, self.accuracy.classes
        if self.of_each_tag is None:
            return f"reads {features:.2%} (features) and {classes:.2%} (class accuracy) of the test split correctly"
        return f"has a mean average precision of {features:.3f} (features) and {classes:.3f} (tags) on the test split"

    @property
    def measured(self) -> dict[str, Any]:
        """How well it reads the test split, for a JSON file."""
        if self.of_each_tag is None:
            return {"accuracy_test": asdict(self.accuracy)}
        of_each = [None if np.isnan(one) else one for one in self.of_each_tag]  # JSON has no NaN
        return {"average_precision_test": {**asdict(self.accuracy), "of_each_tag": dict(zip(self.classes, of_each))}}

    @property
    def weakness(self) -> str | None:
        """Say that scores by it mean little elsewhere, and why; None for a judge to be trusted."""
        trusted = TRUSTED if self.of_each_tag is None else TRUSTED_OF_TAGS
        weak = [share for share in vars(self.accuracy).values() if share < trusted]
        if not weak:
            return None
        shares = " and ".join(f"{share:.1%}" if self.of_each_tag is None else f"{share:.3f}" for share in weak)
        what = f"reads only {shares} of the test split correctly"
        if self.of_each_tag is not None:
            what = f"has a mean average precision of only {shares} on the test split"
        return f"a network of this judge {what}: its scores compare models on these data, and mean little elsewhere"

    def fits(self, train: ImageData, test: ImageData) -> bool:
        """Return whether the judge was made for these data.

        The test split and the training labels must be equal byte by byte; the training images may be another copy, and
        the classes may have other names.
        """
        own = JudgeData.of(train, test)
        return (
            (self.data.test_sha256, self.data.train_labels_sha256) == (own.test_sha256, own.train_labels_sha256)
            and len(self.classes) == len(train.classes)
            and self.image_shape == train.images.shape[1:]
        )


@dataclass(frozen=True)
class Judge(JudgeRecord):
    """Two trained classifiers, and what is recorded of them.

    Attributes:
        home: its folder; None for a judge that could not be stored.
        networks: by the names of NETWORKS.
        sha256: identifies the judge: the checksum of its SHA256SUMS.
    """

    home: Path | None
    networks: dict[str, nn.Cell]
    sha256: str

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images, uint8 or float32 in [0, 1], N×C×H×W: float32, (N, 84)."""
        return outputs(self.networks["features"], images)[0]

    def read(self, images: np.ndarray) -> np.ndarray:
        """Return the class that the second network reads in each image, uint8 or float32 in [0, 1]: int64, (N,)."""
        return self.logits(images).argmax(1)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the second network's logits of images, uint8 or float32 in [0, 1]: float32, (N, classes or tags).

        A tag is read where its logit is above 0: its probability is above 1/2.
        """
        return outputs(self.networks["classes"], images)[1]


def outputs(network: nn.Cell, images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the features, float32 (N, F), and the logits, float32 (N, classes), of images, N×C×H×W.

    Images are uint8, or float32 in [0, 1].
    """
    run = on_arrays(network)

    def run_chunk(images: np.ndarray) -> tuple[np.ndarray, ...]:
        pixels = np.float32(images) / 255 if images.dtype == np.uint8 else images
        let_go(images)
        return run(pixels)

    return in_chunks(run_chunk, (images,), READ_AT_ONCE)


def build_network(kind: str, image_shape: tuple[int, ...], classes: int, seed: int, tagged: bool = False) -> nn.Cell:
    """Return a network of NETWORKS, or of TAG_NETWORKS, in inference mode, its weights drawn from the seed.

    `image_shape` is (C, H, W). With `tagged`, `classes` is the number of tags.
    """
    ms.set_seed(seed)
    channels, height, width = image_shape
    of_kind = (TAG_NETWORKS if tagged else NETWORKS)[kind]
    network = (TagJudgeNetwork if tagged else JudgeNetwork)((channels, height, width), classes, **of_kind)
    network.update_parameters_name(f"{kind}.")
    network.set_train(False)
    return network


def why_no_judge(data: ImageData) -> str | None:
    """Say why there can be no judge of these data; None if there can."""
    if data.channels_from:
        return f"{data.name}: its channels are read, one by one, by the judge of {data.channels_from}, to count modes"
    if data.labels is None:
        what = "has no labels to train a judge on"
        if data.split == "test":
            what = "its test images have no usable labels, and a judge is tested on them"
        return f"{data.called}: {what}" + (f" ({data.why_unlabelled})" if data.why_unlabelled else "")
    if data.max_tags:
        images_with = tag_indicators(data.labels, len(data.classes)).sum(0)
        if not np.any((images_with > 0) & (images_with < len(data.labels))):
            return f"{data.called}: each tag is on all of its images or on none, and a judge tells images apart"
        return None
    if len(data.classes) < 2:
        return f"{data.called}: has a single class, and a judge tells classes apart"
    return None


def read_record(folder: Path) -> JudgeRecord:
    """Return what a judge's `judge.json` says. Raises UserError if it is missing, damaged or of another version."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / FILE}: missing or damaged", f"use another copy of {folder}") from error
    try:
        about = tuple(found["classes"]), tuple(found["image_shape"]), JudgeData(**found["data"]), found["training"]
        if found["networks"] == NETWORKS:
            return JudgeRecord(*about, Accuracy(**found["accuracy_test"]), None)
        if found["networks"] == TAG_NETWORKS:
            precision = found["average_precision_test"]
            of_each = tuple(float("nan") if one is None else one for one in precision.pop("of_each_tag").values())
            return JudgeRecord(*about, Accuracy(**precision), of_each)
    except (AttributeError, KeyError, TypeError):
        pass
    raise UserError(f"{folder}: a judge of another version of ms_gan", "use that version, or train a new judge")


def load_judge(folder: Path) -> Judge:
    """Load a judge after checking every byte. Raises UserError if it is missing, damaged or of another version."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, so no judge", "`ms_gan judge` trains one")
    verify_checksums(folder)
    record = read_record(folder)
    tagged = record.of_each_tag is not None
    networks = {kind: build_network(kind, record.image_shape, len(record.classes), 0, tagged) for kind in NETWORKS}
    for kind, network in networks.items():
        stored = read_weights(folder / f"{kind}.ckpt", f"use another copy of {folder}")
        found, own = (
            {weight.name: weight.shape for weight in some} for some in (stored.values(), network.get_parameters())
        )
        if found != own:  # what is not in the file would stay as it was drawn
            raise UserError(f"{folder}: {kind}.ckpt is of another network", "use the version of ms_gan that made it")
        ms.load_param_into_net(network, stored)
    return Judge(**vars(record), home=folder, networks=networks, sha256=_identifier(folder))


def save_judge(judge: Judge, folder: Path) -> Judge:
    """Write a judge to a new folder, and return it as stored there. Raises OSError."""
    record = {
        "networks": NETWORKS if judge.of_each_tag is None else TAG_NETWORKS,
        "classes": judge.classes,
        "image_shape": judge.image_shape,
        "data": asdict(judge.data),
        "training": judge.training,
        **judge.measured,
    }
    with new_folder(folder) as hidden:
        for kind, network in judge.networks.items():
            write_weights(hidden / f"{kind}.ckpt", network.get_parameters())
        (hidden / FILE).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_checksums(hidden)
    return replace(judge, home=folder, sha256=_identifier(folder))


def _identifier(folder: Path) -> str:
    return hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()
