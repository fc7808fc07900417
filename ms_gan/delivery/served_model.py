"""A bundle's model that answers requests of the Open Inference Protocol V2, from REST or gRPC."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import ms_gan
from ms_gan.delivery.batcher import Batcher, Ended
from ms_gan.delivery.contract import CONTRACT, TYPES, Contract, ModelSpec, TensorSpec
from ms_gan.delivery.formats import ArrayFunction
from ms_gan.delivery.inference_request import PROTOCOL_TYPES, RequestError, Tensor, encoder_inputs, generator_inputs
from ms_gan.delivery.server_settings import MODEL_VERSION
from ms_gan.errors import shown
from ms_gan.sampling import Inputs, in_chunks

PAGE = Path(__file__).with_name("page.html")
LARGEST_LATENT = 1e30  # for a graph that does not show when numbers overflow
TOO_LARGE = "what was sent, or a weight of the model, is so large that the answer holds numbers that are not finite"
FAILED = "the server failed at this request; its log says how"
INSTEAD_OF_LATENTS = (
    ("seed", "INT64", "instead of latent: which latents, as `infer` draws of the seed (default: 1)"),
    ("num", "INT32", "instead of latent: how many images (default: one, or one for each label)"),
)


class ServedModel:
    """A model, a function of arrays, behind a batcher.

    Args:
        name: "generator" or "encoder".
        contract: the bundle's.
        file_format: "mindir" or "onnx".
        most_rows: the most images in one request, and in one batch of requests.
    """

    def __init__(self, model: ArrayFunction, name: str, contract: Contract, file_format: str, most_rows: int):
        self.name, self.spec, self.label_names = name, contract.models[name], contract.label_names
        self.file_format, self.most_rows = file_format, most_rows
        self._hides_overflow = name == "generator" and _hides_nan(model, self.spec)
        self._batcher = Batcher(lambda *arrays: in_chunks(unless_ended, arrays), most_rows)

        def unless_ended(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
            if self._batcher.ended:
                raise Ended
            return model(*arrays)

    def metadata(self) -> dict[str, Any]:
        """Return what the protocol tells about a model."""
        inputs = [_described(spec) for spec in self.spec.inputs]
        if self.label_names is not None:
            inputs[1]["parameters"]["labels"] = ", ".join(self.label_names.names)
        if self.name == "generator":
            inputs += [
                {"name": name, "datatype": datatype, "shape": [1], "parameters": {"meaning": meaning}}
                for name, datatype, meaning in INSTEAD_OF_LATENTS
            ]
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
        named: Mapping[str, Tensor] = dict(tensors)
        for name in named:
            if [other for other, _ in tensors].count(name) > 1:
                raise RequestError(f"{shown(name)} is there twice")
        read = generator_inputs if self.name == "generator" else encoder_inputs
        inputs = read(named, self.spec, self.label_names, self.most_rows)
        wanted = self._outputs(wanted)
        if self._hides_overflow and np.abs(inputs[0]).max() > LARGEST_LATENT:
            raise RequestError(TOO_LARGE)
        try:
            found = await self._batcher.submit(inputs)
        except Ended as error:
            raise RequestError("the server ends", 503) from error
        if not all(np.isfinite(output).all() for output in found):
            raise RequestError(TOO_LARGE)
        arrays = {spec.name: output for spec, output in zip(self.spec.outputs, found)}
        arrays.setdefault("latent", inputs[0])  # those of a seed, too
        return {name: arrays[name] for name in wanted}

    def abandon(self) -> None:
        """Answer what is under way with the status 503, and compute no more."""
        self._batcher.abandon()

    def _outputs(self, wanted: Sequence[str]) -> Sequence[str]:
        own = [spec.name for spec in self.spec.outputs]
        possible = [*own, "latent"] if self.name == "generator" else own
        for name in wanted:
            if name not in possible:
                raise RequestError(f"there is no output {shown(name)}; this model gives {', '.join(possible)}")
            if wanted.count(name) > 1:
                raise RequestError(f"the output {name} is asked for twice")
        return wanted or own


class ServedModels:
    """A bundle's models as a server of the protocol holds them: all of them ready, all of one version."""

    version = MODEL_VERSION

    def __init__(self, models: Sequence[ServedModel]):
        self.by_name = {model.name: model for model in models}

    def find(self, name: str, version: str = "") -> ServedModel:
        """Return a model. Raises RequestError for a name or a version that is not there."""
        if name in self.by_name and version in ("", self.version):
            return self.by_name[name]
        of = f" with version {shown(version)}" if version else ""
        raise RequestError(f"Model {shown(name)}{of} not found", 404)

    def metadata(self) -> dict[str, Any]:
        """Return what the protocol tells about the server."""
        return {"name": "ms_gan", "version": ms_gan.__version__, "extensions": []}

    def index(self) -> list[dict[str, str]]:
        """Return what the protocol tells about the models that are loaded."""
        return [{"name": name, "version": self.version, "state": "READY", "reason": ""} for name in self.by_name]

    def refuse_to_load(self, name: str) -> NoReturn:
        """Raise RequestError: clients may ask for images, but not stop the server."""
        raise RequestError(f"{shown(name)} is loaded from the start to the end of this server")

    def abandon(self) -> None:
        """Answer what is under way with the status 503, and compute no more."""
        for model in self.by_name.values():
            model.abandon()


def _hides_nan(model: ArrayFunction, spec: ModelSpec) -> bool:
    """Return whether a generator turns NaN into finite images, as MindIRs of earlier versions do on CPU."""
    arrays: Inputs = tuple(np.zeros(tensor.batch_of(2), TYPES[tensor.type]) for tensor in spec.inputs)
    arrays[0].fill(np.nan)
    return bool(np.isfinite(model(*arrays)[0]).all())


def shown_contract(folder: Path, model: ServedModel) -> dict[str, Any]:
    """Return the contract as the bundle's file holds it, and what a server adds for its page."""
    contract = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    return {**contract, "server": {"format": model.file_format, "max_batch": model.most_rows}}


def _described(spec: TensorSpec) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        name: getattr(spec, name) for name in ("meaning", "layout", "channels", "distribution") if getattr(spec, name)
    }
    if spec.range is not None:
        parameters["range"] = "{:g} to {:g}".format(*spec.range)
    return {
        "name": spec.name,
        "datatype": PROTOCOL_TYPES[spec.type],
        "shape": spec.batch_of(-1),
        "parameters": parameters,
    }
