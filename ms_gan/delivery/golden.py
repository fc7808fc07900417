"""Inputs of each model, and the outputs that they give, so that anybody's runtime can be held against them.

`golden.json` is read by any language: {"generator": {"inputs": {"latent": TENSOR, …}, "outputs": {"image": TENSOR},
"tolerance": 1e-05}, …}, where a TENSOR has "type", "shape" and "data", its numbers in one flat list, row by row. An
output differs from "data" by no more than the tolerance, wherever a model runs in float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan.delivery.contract import ModelSpec, TensorSpec, example_inputs
from ms_gan.delivery.formats import TOLERANCES, ArrayFunction
from ms_gan.labels import LabelNames

GOLDEN = "golden.json"
ROWS, SEED = 2, 1


def write_golden(
    file: Path, models: Mapping[str, ModelSpec], opened: Mapping[str, ArrayFunction], label_names: LabelNames | None
) -> None:
    """Write the golden inputs and outputs of a bundle's models, which are `opened` in any format."""
    document = {}
    for name, spec in models.items():
        inputs = example_inputs(spec, label_names, ROWS, SEED)
        sides = {"inputs": (spec.inputs, inputs), "outputs": (spec.outputs, opened[name](*inputs))}
        document[name] = {
            **{
                side: {tensor.name: _tensor(tensor, array) for tensor, array in zip(*both)}
                for side, both in sides.items()
            },
            "tolerance": max(TOLERANCES.values()),
        }
    file.write_text(json.dumps(document) + "\n", encoding="utf-8")


def _tensor(spec: TensorSpec, array: np.ndarray) -> dict[str, Any]:
    numbers = array.ravel().tolist()
    if spec.type == "float32":
        numbers = [float(f"{number:.9g}") for number in numbers]  # nine digits are the float32 again, to the last bit
    return {"type": spec.type, "shape": list(array.shape), "data": numbers}
