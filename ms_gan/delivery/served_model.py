"""A bundle's model that answers requests of the Open Inference Protocol V2, from REST or gRPC."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import ms_gan
from ms_gan.delivery.batcher import Batcher
from ms_gan.delivery.bundle import rows_of
from ms_gan.delivery.contract import CONTRACT, Contract, ModelSpec, TensorSpec
from ms_gan.delivery.formats import ArrayFunction
from ms_gan.delivery.inference_request import ENDS, PROTOCOL_TYPES, RequestError, Tensor, model_inputs, require_names
from ms_gan.delivery.server_metrics import Metrics
from ms_gan.delivery.server_settings import MODEL_VERSION, MOST_WAITING
from ms_gan.errors import shown
from ms_gan.sampling import Inputs, in_chunks

LARGEST_LATENT = 1e30  # for a graph that does not show when numbers overflow
TOO_LARGE = "what was sent, or a weight of the model, is so large that the answer holds numbers that are not finite"
FAILED = "the server failed at this request; its log says how"
SEED = "instead of latent: which latents, as `infer` draws of the seed (default: 1)"
NUM = "instead of latent: how many images (default: one, or one for each label)"


class ServedModel:
    """A model, a function of arrays, behind a batcher.

    Args:
        name: "generator" or "encoder".
        contract: the bundle's.
        file_format: "mindir" or "onnx".
        most_rows: the most images in one request, and in one batch of requests.
        most_waiting: the most images that wait for a batch.
        metrics: of the server; None to count for nobody.
    """

    def __init__(
        self,
        model: ArrayFunction,
        name: str,
        contract: Contract,
        file_format: str,
        most_rows: int,
        most_waiting: int = MOST_WAITING,
        metrics: Metrics | None = None,
    ):
        self.name, self.spec, self.label_names = name, contract.models[name], contract.label_names
        self.file_format, self.most_rows = file_format, most_rows
        self._hides_overflow = name == "generator" and _hides_nan(model, self.spec)
        rows = rows_of(model, self.spec, self.label_names, file_format)
        counted = (metrics or Metrics()).of(name)
        self._batcher = Batcher(
            lambda *arrays: in_chunks(unless_ended, arrays, *rows), most_rows, most_waiting, counted
        )
        self.require_room = self._batcher.require_room  # raises RequestError while the queue is full
        self.abandon = self._batcher.abandon  # answers what is under way with the status 503, and computes no more

        def unless_ended(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
            if self._batcher.ended:
                raise RequestError(*ENDS)
            return model(*arrays)

    def metadata(self) -> dict[str, Any]:
        """Return what the protocol tells about a model."""
        inputs = [_described(spec) for spec in self.spec.inputs]
        if self.label_names is not None:
            inputs[1]["parameters"]["labels"] = ", ".join(self.label_names.names)
        if self.name == "generator":
            inputs += [_told("seed", "INT64", [1], meaning=SEED), _told("num", "INT32", [1], meaning=NUM)]
        return {
            "name": self.name,
            "versions": [MODEL_VERSION],
            "platform": f"ms_gan_{self.file_format}",
            "inputs": inputs,
            "outputs": [_described(spec) for spec in self.spec.outputs],
        }

    async def infer(self, tensors: Sequence[tuple[str, Tensor]], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """Return outputs, float32, by name: those that are wanted, or the model's own.

        Requests that wait at the same time are computed together. Raises RequestError, in one sentence.
        """
        own = [spec.name for spec in self.spec.outputs]
        require_names("output", wanted, [*own, "latent"] if self.name == "generator" else own)
        inputs = model_inputs(tensors, self.spec, self.label_names, self.most_rows)
        if list(wanted) == ["latent"]:  # nothing is to be drawn
            return {"latent": inputs[0]}
        found = await self._batcher.submit(inputs)
        hidden = self._hides_overflow and np.abs(inputs[0]).max() > LARGEST_LATENT
        if hidden or not all(np.isfinite(output).all() for output in found):
            raise RequestError(TOO_LARGE)
        arrays = {spec.name: output for spec, output in zip(self.spec.outputs, found)}
        arrays.setdefault("latent", inputs[0])  # those of a seed, too
        return {name: arrays[name] for name in wanted or own}


def drawn(found: Mapping[str, np.ndarray]) -> int:
    """Return how many images an answer of these outputs took: none where only latents were asked for."""
    return 0 if list(found) == ["latent"] else len(next(iter(found.values())))


class ServedModels:
    """A bundle's models as a server of the protocol holds them: all of them ready, all of one version."""

    version = MODEL_VERSION

    def __init__(self, models: Sequence[ServedModel], metrics: Metrics):
        self.by_name, self.metrics = {model.name: model for model in models}, metrics

    def find(self, name: str, version: str = "") -> ServedModel:
        """Return a model. Raises RequestError for a name or a version that is not there."""
        if name in self.by_name and version in ("", self.version):
            return self.by_name[name]
        of = f" with version {shown(version)}" if version else ""
        raise RequestError(f"Model {shown(name)}{of} not found", 404)

    def metadata(self) -> dict[str, Any]:
        """Return what the protocol tells about the server."""
        return {"name": "ms_gan", "version": ms_gan.__version__, "extensions": ["binary_tensor_data"]}

    def index(self) -> list[dict[str, str]]:
        """Return what the protocol tells about the models that are loaded."""
        return [{"name": name, "version": self.version, "state": "READY", "reason": ""} for name in self.by_name]

    def refuse_to_load(self, name: str) -> NoReturn:
        """Raise RequestError: clients may ask for images, but not stop the server."""
        self.find(name)
        raise RequestError(f"{shown(name)} is loaded from the start to the end of this server")


def _hides_nan(model: ArrayFunction, spec: ModelSpec) -> bool:
    """Return whether a generator turns NaN into finite images, as MindIRs of earlier versions do on CPU."""
    arrays: Inputs = tuple(np.zeros(tensor.batch_of(2), tensor.type) for tensor in spec.inputs)
    arrays[0].fill(np.nan)
    return bool(np.isfinite(model(*arrays)[0]).all())


def shown_contract(folder: Path, model: ServedModel) -> dict[str, Any]:
    """Return the contract as the bundle's file holds it, and what a server adds for its page."""
    served = {"format": model.file_format, "max_batch": model.most_rows}
    return {**json.loads((folder / CONTRACT).read_text(encoding="utf-8")), "server": served}


def _described(spec: TensorSpec) -> dict[str, Any]:
    bounds = None if spec.range is None else "{:g} to {:g}".format(*spec.range)
    texts = {"meaning": spec.meaning, "layout": spec.layout, "channels": spec.channels}
    more = {**texts, "distribution": spec.distribution, "range": bounds}
    return _told(spec.name, PROTOCOL_TYPES[spec.type], spec.batch_of(-1), **more)


def _told(name: str, datatype: str, shape: Sequence[int], **parameters: str | None) -> dict[str, Any]:
    told = {key: value for key, value in parameters.items() if value}
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": told}
