"""From a trained generator to a bundle that is proved equal to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from ms_gan.delivery.bundle import CONTRACT, CONTRACT_VERSION, ENCODER, GENERATOR, input_shapes, load_graph
from ms_gan.evaluation.sampling import Inputs, seeded_inputs
from ms_gan.files import new_folder, sha256_of_file
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.nets.blocks import EncoderOfUnitRange, UnitRange
from ms_gan.recipes import Recipe
from ms_gan.runtime import Device, environment, random_stream

PARITY_BATCHES = (1, 7, 64)
WRITES = (GENERATOR, ENCODER, CONTRACT)


class ParityError(Exception):
    """The exported file does not compute what the checkpoint's network computes."""


def export_bundle(folder: Path, generator: UnitRange, encoder: Optional[EncoderOfUnitRange], recipe: Recipe,
                  labels: Optional[LabelNames], device: Device, origin: Dict[str, Any], replace: bool = False) -> None:
    """Write a bundle, load it back, and compare; the folder appears only when the two are equal.

    `encoder` is that of an autoencoder; `labels` the names behind the labels of a conditional model. `origin` goes
    into the contract: which checkpoint, at which step, of which run. `replace` allows a bundle to be there
    already. Raises ParityError, and leaves everything as it was, when a file computes anything else than
    its network, by whatever little.
    """
    latent, data = recipe["latent"], recipe["data"]
    image = [data["channels"], data["size"], data["size"]]
    image_facts = {"name": "image", "shape": ["batch", *image], "type": "float32", "range": [0.0, 1.0],
                   "layout": "NCHW", "channels": "RGB" if data["channels"] == 3 else "grey, 1 is white"}
    latent_shape = ["batch", latent["size"]]
    turns = [(seed, batch, _labels_in_turn(labels, batch)) for seed, batch in enumerate(PARITY_BATCHES)]
    with new_folder(folder, replace) as hidden:
        differences = [_export(hidden / GENERATOR, generator, input_shapes([latent["size"]], labels), device,
                               [seeded_inputs(latent, batch, seed, label) for seed, batch, label in turns])]
        if encoder is not None:
            differences.append(_export(hidden / ENCODER, encoder, input_shapes(image, labels), device,
                                       [_seeded_images(image, batch, seed, label) for seed, batch, label in turns]))
        files = {path.name: {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}
                 for path in sorted(hidden.glob("*.mindir"))}
        contract = {
            "contract_version": CONTRACT_VERSION,
            "recipe": recipe["name"],
            "family": recipe["family"],
            "file": GENERATOR,
            "inputs": [{
                "name": "latent", "shape": latent_shape, "type": "float32",
                "range": [None, None], "distribution": latent["distribution"],
                "meaning": DISTRIBUTIONS[latent["distribution"]],
            }, *_label_facts(labels)],
            "outputs": [image_facts],
            "labels": None if labels is None else list(labels.names),
            "origin": origin,
            "versions": environment(),
            "parity": {"device": str(device), "batches": list(PARITY_BATCHES), "greatest_difference": max(differences)},
            "files": files,
        }
        if encoder is not None:
            meaning = "of the normal distribution of the image's latent, number by number"
            contract["encoder"] = {
                "file": ENCODER,
                "meaning": "an image and its own label to the distribution of its latent; with another label beside that "
                           "latent, the generator draws the image as if it were of that label; images of other shapes "
                           "were cropped at the centre to squares and resized by area",
                "inputs": [image_facts, *_label_facts(labels)],
                "outputs": [{"name": "mean", "shape": latent_shape, "type": "float32", "meaning": f"mean {meaning}; as "
                             f"the generator's latent it gives the reconstruction"},
                            {"name": "log_variance", "shape": latent_shape, "type": "float32",
                             "meaning": f"natural logarithm of the variance {meaning}; a latent is drawn as mean + "
                                        f"exp(log_variance / 2) · standard normal"}],
            }
        (hidden / CONTRACT).write_text(json.dumps(contract, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _export(file: Path, network: nn.Cell, shapes: Sequence[Tensor], device: Device, batches: Sequence[Inputs]) -> float:
    """Write a network's MindIR and return by how much it differs from it, which is 0, or ParityError is raised."""
    network.set_train(False)  # MindSpore exports a network in training mode without a word
    ms.export(network, *shapes, file_name=str(file), file_format="MINDIR")
    difference = greatest_difference(network, file, shapes, batches)
    if difference != 0:
        raise ParityError(f"{file.name} differs from the checkpoint's network by up to {difference:g} on {device}; "
                          f"nothing was exported")
    return difference


def greatest_difference(network: nn.Cell, mindir: Path, shapes: Sequence[Tensor], batches: Sequence[Inputs]) -> float:
    """Return max |network − file| over every number of the outputs for these inputs; NaN counts as infinite."""
    graph = load_graph(mindir, shapes)
    greatest = 0.0
    for batch in batches:
        inputs = [Tensor(array) for array in batch]
        for expected, found in zip(_arrays(network(*inputs)), _arrays(graph(*inputs))):
            if expected.shape != found.shape:
                raise ParityError(f"{mindir.name} gives {found.shape}, the checkpoint's network {expected.shape}")
            difference = float(np.max(np.abs(expected - found)))
            greatest = max(greatest, difference if np.isfinite(difference) else float("inf"))
    return greatest


def _arrays(outputs) -> List[np.ndarray]:
    return [output.asnumpy() for output in (outputs if isinstance(outputs, (tuple, list)) else (outputs,))]


def _seeded_images(shape: Sequence[int], count: int, seed: int, labels: Optional[np.ndarray]) -> Tuple[np.ndarray, ...]:
    images = random_stream(seed, "parity").random((count, *shape), dtype=np.float32)
    return (images,) if labels is None else (images, labels)


def _labels_in_turn(labels: Optional[LabelNames], count: int) -> Optional[np.ndarray]:
    if labels is None:
        return None
    if not labels.places:
        return np.arange(count, dtype=np.int32) % len(labels.names)
    rows = np.zeros((count, labels.places), np.int32)
    for number, row in enumerate(rows):  # of no tag, of one, and so on up to all places
        tags = number % (min(labels.places, len(labels.names)) + 1)
        row[:tags] = 1 + np.sort((number + np.arange(tags)) % len(labels.names))
    return rows


def _label_facts(labels: Optional[LabelNames]) -> List[Dict[str, Any]]:
    if labels is None:
        return []
    if not labels.places:
        return [{"name": "label", "shape": ["batch"], "type": "int32", "range": [0, len(labels.names) - 1],
                 "meaning": "index into `labels` of what the image is to show; any other number is not checked by "
                            "the graph"}]
    return [{"name": "label", "shape": ["batch", labels.places], "type": "int32", "range": [0, len(labels.names)],
             "meaning": f"up to {labels.places} tags of the image: 1 + their indices into `labels`, each once, in rising "
                        f"order, then zeros; any other numbers are not checked by the graph"}]
