"""A judge: two classifiers of one data set, used to score generated images.

It is a plain folder:

- `features.ckpt`: a LeNet-5. Its 84-dimensional penultimate layer gives the features.
- `classes.ckpt`: a network of another architecture, trained from another seed, that reads classes. So the scores of
  features and of classes come from different networks.
- `judge.json`: how they were made, and for which data.
- `SHA256SUMS`.

A judge belongs to its data, and is never used for others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np

from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.files import CHECKSUMS, new_folder, verify_checksums, write_checksums
from ms_gan.nets.judge import JudgeNetwork
from ms_gan.sampling import in_chunks, on_arrays

NETWORKS: dict[str, dict[str, Any]] = {
    "features": {"kernel_size": 5, "widths": [6, 16], "dense_widths": [120, 84]},
    "classes": {"kernel_size": 5, "widths": [8, 16], "dense_widths": [128]},
}
FILE = "judge.json"
KEYS = {"networks", "classes", "image_shape", "data", "training", "accuracy_test"}
READ_AT_ONCE = 500  # images
TRUSTED = 0.99  # accuracy on the test split that a judge should reach


@dataclass(frozen=True)
class Judge:
    """Two trained classifiers, and what `judge.json` says about them.

    Attributes:
        home: its folder; None for a judge that could not be stored.
        about: the content of `judge.json`.
        networks: by the names of NETWORKS.
        sha256: identifies the judge: the checksum of its SHA256SUMS.
    """

    home: Path | None
    about: dict[str, Any]
    networks: dict[str, JudgeNetwork]
    sha256: str

    @property
    def class_count(self) -> int:
        """How many classes it tells apart."""
        return len(self.about["classes"])

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images, uint8 or float32 in [0, 1], N×C×H×W: float32, (N, 84)."""
        return outputs(self.networks["features"], images)[0]

    def read(self, images: np.ndarray) -> np.ndarray:
        """Return the class that the second network reads in each image, uint8 or float32 in [0, 1]: int64, (N,)."""
        return outputs(self.networks["classes"], images)[1].argmax(1)


def outputs(network: JudgeNetwork, images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the features, float32 (N, F), and the logits, float32 (N, classes), of images, N×C×H×W.

    Images are uint8, or float32 in [0, 1].
    """
    run = on_arrays(network)

    def run_chunk(images: np.ndarray) -> tuple[np.ndarray, ...]:
        return run(np.float32(images) / 255 if images.dtype == np.uint8 else images)

    return in_chunks(run_chunk, (images,), READ_AT_ONCE)


def build_network(kind: str, image_shape: tuple[int, ...], classes: int, seed: int) -> JudgeNetwork:
    """Return a network of NETWORKS in inference mode, its weights drawn from the seed. `image_shape` is (C, H, W)."""
    ms.set_seed(seed)
    channels, height, width = image_shape
    network = JudgeNetwork((channels, height, width), classes, **NETWORKS[kind])
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
        return f"{data.called}: has several tags an image, and a judge reads one class"
    if len(data.classes) < 2:
        return f"{data.called}: has a single class, and a judge tells classes apart"
    return None


def identity(train: ImageData, test: ImageData) -> dict[str, str]:
    """Return what identifies a judge's data: checksums of both splits, and of the training labels alone, in order.

    The labels have their own because copies of a data set may differ in how pixels were rounded.
    """
    labels = hashlib.sha256(np.ascontiguousarray(train.labels, np.int32).data).hexdigest()
    return {"train_sha256": train.sha256, "test_sha256": test.sha256, "train_labels_sha256": labels}


def fits(about: dict[str, Any], train: ImageData, test: ImageData) -> bool:
    """Return whether a judge was made for these data.

    The test split and the training labels must be equal byte by byte; the training images may be another copy.
    """
    own = identity(train, test)
    return (
        all(about["data"].get(key) == own[key] for key in ("test_sha256", "train_labels_sha256"))
        and tuple(about["classes"]) == train.classes
        and about["image_shape"] == list(train.images.shape[1:])
    )


def read_about(folder: Path) -> dict[str, Any]:
    """Return a judge's `judge.json`. Raises UserError if it is missing, damaged or of another version."""
    try:
        about = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / FILE}: missing or damaged", f"use another copy of {folder}") from error
    if not isinstance(about, dict) or not KEYS <= about.keys() or about["networks"] != NETWORKS:
        raise UserError(f"{folder}: a judge of another version of ms_gan", "use that version, or train a new judge")
    return about


def load_judge(folder: Path) -> Judge:
    """Load a judge after checking every byte. Raises UserError if it is damaged or of another version."""
    verify_checksums(folder)
    about = read_about(folder)
    networks = {}
    for kind in NETWORKS:
        network = build_network(kind, about["image_shape"], len(about["classes"]), 0)
        stored = ms.load_checkpoint(str(folder / f"{kind}.ckpt"))
        own = {parameter.name: parameter for parameter in network.get_parameters()}
        if _shapes(stored) != _shapes(own):
            raise UserError(f"{folder}: {kind}.ckpt is of another network", "use the version of ms_gan that made it")
        for name, parameter in own.items():
            parameter.set_data(stored[name])
        networks[kind] = network
    return Judge(folder, about, networks, _identifier(folder))


def save_judge(judge: Judge, folder: Path) -> Judge:
    """Write a judge to a new folder, and return it as stored there. Raises OSError."""
    with new_folder(folder) as hidden:
        for kind, network in judge.networks.items():
            contents = [{"name": parameter.name, "data": parameter} for parameter in network.get_parameters()]
            try:
                ms.save_checkpoint(contents, str(hidden / f"{kind}.ckpt"))
            except RuntimeError as error:  # MindSpore wraps what the file system said
                cause = error.__cause__ or error.__context__
                if isinstance(cause, OSError):
                    raise cause from error
                raise
        (hidden / FILE).write_text(json.dumps(judge.about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_checksums(hidden)
    return replace(judge, home=folder, sha256=_identifier(folder))


def _shapes(parameters: dict[str, ms.Parameter]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in parameters.items()}


def _identifier(folder: Path) -> str:
    return hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()
