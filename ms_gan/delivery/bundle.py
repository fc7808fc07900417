"""The exported folder: its contract, and drawing from it with nothing else of the project's training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from ms_gan.errors import UserError
from ms_gan.evaluation.sampling import Inputs, draw_images
from ms_gan.files import sha256_of_file
from ms_gan.latents import DISTRIBUTIONS

CONTRACT = "contract.json"
GENERATOR = "generator.mindir"
CONTRACT_VERSION = 1


def input_shapes(latent_size: int, conditional: bool) -> List[Tensor]:
    """Return what a generator takes, any batch of it: `latent`, and with labels `label`."""
    latent = Tensor(shape=[None, latent_size], dtype=ms.float32)
    return [latent, Tensor(shape=[None], dtype=ms.int32)] if conditional else [latent]


def load_graph(path: Path, latent_size: int, conditional: bool) -> nn.GraphCell:
    """Load a generator's MindIR as a Cell that takes any batch without compiling again."""
    graph = nn.GraphCell(ms.load(str(path)))
    graph.set_inputs(*input_shapes(latent_size, conditional))
    return graph


class Bundle:
    """An exported generator. Every file is checked against the contract before it is used."""

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
        self.classes: Optional[List[str]] = self.contract["labels"]  # by label; None for no labels
        self._graph = load_graph(self.folder / GENERATOR, self.latent["size"], self.classes is not None)

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return the images of latents, float32 (N, size), and, with classes, labels, int32 (N,).

        float32 in [0, 1], N×C×H×W.
        """
        return draw_images(self._graph, inputs)

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
                           and others[0]["range"] == [0, len(labels) - 1])
                      and all(isinstance(facts["sha256"], str) for facts in contract["files"].values()))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"{path}: damaged (not a contract); use another copy of the bundle") from error
        if version != CONTRACT_VERSION or not usable:
            raise UserError(f"{path}: a contract of another kind (version {version}) than this program reads; "
                            f"use the version of ms_gan that wrote it")
        return contract
