"""What a bundle promises: which models, what goes into them and comes out, and where their files lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan.delivery.mistaken import CONTRACT, why_no_bundle
from ms_gan.errors import UserError, shown
from ms_gan.evaluation.sampling import Inputs, seeded_inputs
from ms_gan.files import stays_below
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.runtime import random_stream

CONTRACT_VERSION = 2
MODELS = ("generator", "encoder")  # what makes images is always called the generator, a CVAE's decoder, too
FORMATS = ("mindir", "onnx")
TYPES = {"float32": np.float32, "int32": np.int32}

Facts = dict[str, Any]  # a part of the contract


def file_of(model: str, format: str) -> str:
    """Return where a model's file lies in the bundle; that of the ONNX is where Triton looks for it."""
    return f"{model}.mindir" if format == "mindir" else f"{model}/1/{model}.onnx"


def held_format(contract: Facts) -> str:
    """Return the format to use where none is asked for: MindIR if the bundle holds it, else ONNX."""
    held = [format for format in FORMATS if all(format in facts["files"] for facts in contract["models"].values())]
    return (held or FORMATS)[0]


def labels_of(contract: Facts) -> LabelNames | None:
    """Return the names behind the labels, or None for models without labels."""
    if contract["labels"] is None:
        return None
    return LabelNames(tuple(contract["labels"]), *contract["models"]["generator"]["inputs"][1]["shape"][1:])


def example_inputs(facts: Facts, labels: LabelNames | None, count: int, seed: int) -> Inputs:
    """Return a batch for a model: seeded latents or noise as images, and labels in turn."""
    first = facts["inputs"][0]
    if first["name"] == "latent":
        batch = seeded_inputs({"size": first["shape"][1], "distribution": first["distribution"]}, count, seed)
    else:
        batch = (random_stream(seed, "parity").random((count, *first["shape"][1:]), dtype=np.float32),)
    return batch if labels is None else (*batch, _labels_in_turn(labels, count))


def read_contract(folder: Path) -> Facts:
    """Read a bundle's contract. Raises UserError, in one line, where there is none that this program understands."""
    path = folder / CONTRACT
    if not path.is_file():
        raise UserError(why_no_bundle(folder))
    try:
        contract = json.loads(path.read_text(encoding="utf-8"))
        version = contract["contract_version"]
        usable = version == CONTRACT_VERSION and _is_usable(contract)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{path}: damaged (not a contract); use another copy of the bundle") from error
    if not usable:
        raise UserError(
            f"{path}: a contract of another kind (version {version}) than this program reads; "
            f"use the version of ms_gan that wrote it"
        )
    for file in contract["files"]:
        if not stays_below(file):
            raise UserError(
                f"{path}: tells of {shown(file)}, which is no file inside the bundle; use another copy of it"
            )
    return contract


def _is_usable(contract: Facts) -> bool:
    models, labels = contract["models"], contract["labels"]
    latent = models["generator"]["inputs"][0]
    usable = (
        isinstance(contract["recipe"], str)
        and isinstance(contract["origin"]["step"], int)
        and latent["name"] == "latent"
        and latent["distribution"] in DISTRIBUTIONS
        and (
            labels is None
            or isinstance(labels, list)
            and bool(labels)
            and all(isinstance(name, str) for name in labels)
            and len(set(labels)) == len(labels)
        )
        and all(isinstance(digest["sha256"], str) for digest in contract["files"].values())
        and all(proof["greatest_difference"] <= proof["tolerance"] for proof in contract["parity"].values())
        and set(models) <= set(MODELS)
    )
    for name, facts in models.items():
        first, *others = facts["inputs"]
        usable = (
            usable
            and first["name"] == ("latent" if name == "generator" else "image")
            and [other["name"] for other in others] == ([] if labels is None else ["label"])
            and len(first["shape"]) == (2 if name == "generator" else 4)
            and all(len(other["shape"]) in (1, 2) for other in others)
            and all(other["range"] == [0, len(labels) - (len(other["shape"]) == 1)] for other in others)
            and all(_is_range(tensor["range"]) for tensor in facts["inputs"])
            and bool(facts["files"])
            and set(facts["files"]) <= set(FORMATS)
            and all(file in contract["files"] and file in contract["parity"] for file in facts["files"].values())
            and [output["name"] for output in facts["outputs"]]
            == (["image"] if name == "generator" else ["mean", "log_variance"])
            and len(facts["outputs"][0]["shape"]) == (4 if name == "generator" else 2)
        )
        for tensor in (*facts["inputs"], *facts["outputs"]):
            usable = (
                usable
                and tensor["shape"][0] == "batch"
                and tensor["type"] == ("int32" if tensor["name"] == "label" else "float32")
                and all(isinstance(size, int) and size > 0 for size in tensor["shape"][1:])
            )
    return usable


def _is_range(limits: list[Any]) -> bool:
    low, high = limits
    return low is high is None or (isinstance(low, (int, float)) and isinstance(high, (int, float)) and low <= high)


def _labels_in_turn(labels: LabelNames, count: int) -> np.ndarray:
    if not labels.places:
        return np.arange(count, dtype=np.int32) % len(labels.names)
    rows = np.zeros((count, labels.places), np.int32)
    for number, row in enumerate(rows):  # of no tag, of one, and so on up to all places
        tags = number % (min(labels.places, len(labels.names)) + 1)
        row[:tags] = 1 + np.sort((number + np.arange(tags)) % len(labels.names))
    return rows
