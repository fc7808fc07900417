"""Inputs of each model, and the outputs that they give, so that anybody's runtime can be held against them.

`golden.json` is read by any language: {"generator": {"inputs": {"latent": TENSOR, …}, "outputs": {"image": TENSOR},
"tolerance": 1e-05}, …}, where a TENSOR has "type", "shape" and "data", its numbers in one flat list, row by row. An
output differs from "data" by no more than the tolerance, wherever a model runs in float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ms_gan.delivery.contract import ANOTHER_COPY, Contract, ModelSpec, TensorSpec, example_inputs
from ms_gan.delivery.formats import TOLERANCES, ArrayFunction
from ms_gan.errors import Command, UserError
from ms_gan.labels import LabelNames
from ms_gan.sampling import Inputs

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


class Golden(NamedTuple):
    """Inputs of a model, in its own order, the outputs that they give, and how much others may differ."""

    inputs: Inputs
    outputs: tuple[np.ndarray, ...]
    tolerance: float


def read_golden(folder: Path, contract: Contract) -> dict[str, Golden]:
    """Read a bundle's golden pairs, by model, each in the contract's order.

    Raises UserError where there are none, or the file is damaged.
    """
    file = folder / GOLDEN
    if not file.is_file():
        again = ("export its run again: ", Command("export", Path("RUN")))
        raise UserError(f"{folder}: has no {GOLDEN}, as bundles of 0.1.0 had none", *again)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return {
            name: Golden(
                _arrays(document[name]["inputs"], spec.inputs),
                _arrays(document[name]["outputs"], spec.outputs),
                float(document[name]["tolerance"]),
            )
            for name, spec in contract.models.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: damaged", ANOTHER_COPY) from error


def _arrays(tensors: Mapping[str, Any], specs: Sequence[TensorSpec]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(tensors[one.name]["data"], one.type).reshape(tensors[one.name]["shape"]) for one in specs)


def _tensor(spec: TensorSpec, array: np.ndarray) -> dict[str, Any]:
    numbers = array.ravel().tolist()
    if spec.type == "float32":
        numbers = [float(f"{number:.9g}") for number in numbers]  # nine digits are the float32 again, to the last bit
    return {"type": spec.type, "shape": list(array.shape), "data": numbers}
