"""The exported folder: its contract, and using it with nothing else of the project's training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from ms_gan.errors import UserError
from ms_gan.evaluation.sampling import Inputs, draw_images, in_chunks, on_arrays
from ms_gan.files import sha256_of_file
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS

CONTRACT = "contract.json"
GENERATOR, ENCODER = "generator.mindir", "encoder.mindir"
CONTRACT_VERSION = 1


def input_shapes(first: Sequence[int], labels: Optional[LabelNames]) -> List[Tensor]:
    """Return what a network takes, any batch of it: its first input, of this shape behind the batch, and the label."""
    shapes = [Tensor(shape=[None, *first], dtype=ms.float32)]
    if labels is not None:
        shapes.append(Tensor(shape=[None, labels.places] if labels.places else [None], dtype=ms.int32))
    return shapes


def load_graph(path: Path, shapes: Sequence[Tensor]) -> nn.GraphCell:
    """Load a MindIR as a Cell that takes any batch of inputs of these shapes without compiling again."""
    graph = nn.GraphCell(ms.load(str(path)))
    graph.set_inputs(*shapes)
    return graph


class Bundle:
    """An exported generator, and encoder. Every file is checked against the contract before it is used."""

    def __init__(self, folder: Path):
        """Open a bundle. Raises UserError, in one line, for a folder that is none or is damaged."""
        self.folder = Path(folder)
        self.contract = self._read_contract()
        for name, facts in self.contract["files"].items():
            file = self.folder / name
            if not file.is_file():
                raise UserError(f"{file}: missing, though {CONTRACT} lists it; use another copy of the bundle")
            if sha256_of_file(file) != facts["sha256"]:
                raise UserError(f"{file}: damaged (its SHA-256 is not the one in {CONTRACT}); "
                                f"use another copy of the bundle")
        latent = self.contract["inputs"][0]
        self.latent = {"size": latent["shape"][1], "distribution": latent["distribution"]}
        self.labels: Optional[LabelNames] = None
        if self.contract["labels"] is not None:
            places = self.contract["inputs"][1]["shape"][1:]
            self.labels = LabelNames(tuple(self.contract["labels"]), *places)
        self._generator = load_graph(self.folder / GENERATOR, input_shapes([self.latent["size"]], self.labels))
        self._encoder = None
        if "encoder" in self.contract:
            image = self.contract["encoder"]["inputs"][0]["shape"][1:]
            self._encoder = load_graph(self.folder / ENCODER, input_shapes(image, self.labels))

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return the images of latents, float32 (N, size), and, with labels, those, int32, (N,) or (N, places).

        float32 in [0, 1], N×C×H×W.
        """
        return draw_images(self._generator, inputs)

    def encode(self, inputs: Inputs) -> np.ndarray:
        """Return the means of the latents of images, float32 in [0, 1], N×C×H×W, and, with labels, those.

        float32, (N, size). Raises UserError for a bundle without encoder.
        """
        if self._encoder is None:
            raise UserError(f"{self.folder}: has no encoder; only those of autoencoders have")
        return in_chunks(on_arrays(self._encoder), inputs)[0]

    def _read_contract(self) -> Dict[str, Any]:
        path = self.folder / CONTRACT
        if not path.is_file():
            raise UserError(f"{self.folder}: not a bundle (no {CONTRACT} in it)")
        try:
            contract = json.loads(path.read_text(encoding="utf-8"))
            version = contract["contract_version"]
            latent, *others = contract["inputs"]
            labels = contract["labels"]
            usable = (latent["name"] == "latent" and latent["distribution"] in DISTRIBUTIONS
                      and isinstance(latent["shape"][1], int) and GENERATOR in contract["files"]
                      and isinstance(contract["recipe"], str) and isinstance(contract["origin"]["step"], int)
                      and [other["name"] for other in others] == ([] if labels is None else ["label"])
                      and (labels is None or isinstance(labels, list) and all(isinstance(name, str) for name in labels)
                           and others[0]["range"] == [0, len(labels) - (len(others[0]["shape"]) == 1)])
                      and ("encoder" not in contract or ENCODER in contract["files"]
                           and all(isinstance(size, int) for size in contract["encoder"]["inputs"][0]["shape"][1:]))
                      and all(isinstance(facts["sha256"], str) for facts in contract["files"].values()))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"{path}: damaged (not a contract); use another copy of the bundle") from error
        if version != CONTRACT_VERSION or not usable:
            raise UserError(f"{path}: a contract of another kind (version {version}) than this program reads; "
                            f"use the version of ms_gan that wrote it")
        return contract
