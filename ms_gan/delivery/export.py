"""From a trained generator to a bundle that is proved equal to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor

from ms_gan.delivery.bundle import CONTRACT, CONTRACT_VERSION, GENERATOR, input_shapes, load_graph
from ms_gan.evaluation.sampling import seeded_inputs
from ms_gan.files import new_folder, sha256_of_file
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.nets.blocks import UnitRange
from ms_gan.recipes import Recipe
from ms_gan.runtime import Device, environment

PARITY_BATCHES = (1, 7, 64)
WRITES = (GENERATOR, CONTRACT)


class ParityError(Exception):
    """The exported file does not compute what the checkpoint's network computes."""


def export_bundle(folder: Path, generator: UnitRange, recipe: Recipe, classes: Optional[List[str]], device: Device,
                  origin: Dict[str, Any], replace: bool = False) -> None:
    """Write a bundle, load it back, and compare; the folder appears only when the two are equal.

    `classes` are the names behind the labels of a conditional generator. `origin` goes into the
    contract: which checkpoint, at which step, of which run. `replace` allows a bundle to be there
    already. Raises ParityError, and leaves everything as it was, when the file draws other images than
    the network, by whatever little.
    """
    latent, image = recipe["latent"], recipe["data"]
    generator.set_train(False)  # MindSpore exports a network in training mode without a word
    with new_folder(folder, replace) as hidden:
        ms.export(generator, *input_shapes(latent["size"], classes is not None),
                  file_name=str(hidden / GENERATOR), file_format="MINDIR")
        difference = greatest_difference(generator, hidden / GENERATOR, latent, len(classes or ()))
        if difference != 0:
            raise ParityError(f"{GENERATOR} differs from the checkpoint's network by up to {difference:g} "
                              f"on {device}; nothing was exported")
        label = [] if classes is None else [{
            "name": "label", "shape": ["batch"], "type": "int32", "range": [0, len(classes) - 1],
            "meaning": "index into `labels` of what the image is to show; any other number is not checked by the graph",
        }]
        contract = {
            "contract_version": CONTRACT_VERSION,
            "recipe": recipe["name"],
            "family": recipe["family"],
            "inputs": [{
                "name": "latent", "shape": ["batch", latent["size"]], "type": "float32",
                "range": [None, None], "distribution": latent["distribution"],
                "meaning": DISTRIBUTIONS[latent["distribution"]],
            }, *label],
            "outputs": [{
                "name": "image", "shape": ["batch", image["channels"], image["size"], image["size"]],
                "type": "float32", "range": [0.0, 1.0], "layout": "NCHW",
            }],
            "labels": classes,
            "origin": origin,
            "versions": environment(),
            "parity": {"device": str(device), "batches": list(PARITY_BATCHES), "greatest_difference": difference},
            "files": {GENERATOR: {"sha256": sha256_of_file(hidden / GENERATOR),
                                  "bytes": (hidden / GENERATOR).stat().st_size}},
        }
        (hidden / CONTRACT).write_text(json.dumps(contract, indent=2) + "\n", encoding="utf-8")


def greatest_difference(generator: UnitRange, mindir: Path, latent: Dict[str, Any], classes: int,
                        batches: Sequence[int] = PARITY_BATCHES) -> float:
    """Return max |network − file| over every pixel of batches of seeded inputs; NaN counts as infinite.

    With classes, the labels of a batch go through all of them.
    """
    graph = load_graph(mindir, latent["size"], classes > 0)
    greatest = 0.0
    for seed, batch in enumerate(batches):
        labels = np.arange(batch) % classes if classes else None
        inputs = [Tensor(array) for array in seeded_inputs(latent, batch, seed, labels)]
        expected, found = generator(*inputs).asnumpy(), graph(*inputs).asnumpy()
        if expected.shape != found.shape:
            raise ParityError(f"{mindir.name} draws {found.shape}, the checkpoint's network {expected.shape}")
        difference = float(np.max(np.abs(expected - found)))
        greatest = max(greatest, difference if np.isfinite(difference) else float("inf"))
    return greatest
