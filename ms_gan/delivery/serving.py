"""The runtime that MLServer loads: a bundle's models behind the Open Inference Protocol V2, and a page to look at."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
from mlserver import MLModel, ModelSettings
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError, MLServerError
from mlserver.handlers import custom_handler
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor, Parameters
from starlette.responses import HTMLResponse, JSONResponse

from ms_gan.delivery import refusals
from ms_gan.delivery.batcher import Batcher, Ended
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import CONTRACT, TYPES, Facts, labels_of, read_contract
from ms_gan.delivery.requests import PROTOCOL_TYPES, RequestError, Tensor, encoder_inputs, generator_inputs
from ms_gan.delivery.server_settings import MODEL_VERSION, model_settings
from ms_gan.errors import UserError, shown
from ms_gan.evaluation.sampling import Inputs, in_chunks

PAGE = Path(__file__).with_name("page.html")
LARGEST_LATENT = 1e30  # for a graph that does not show when numbers overflow
TOO_LARGE = "what was sent, or a weight of the model, is so large that the answer holds numbers that are not finite"


class BundleRuntime(MLModel):
    """One model of the bundle in whose sub-folder the settings lie.

    Of the settings' `extra`: what `model_settings` returns, and `bundle`, a Bundle of that format that is open already.
    """

    model_name: str
    read_inputs: Callable[..., Inputs]

    def __init__(self, settings: ModelSettings):
        settings.parameters = settings.parameters or ModelParameters()
        settings.parameters.version = settings.parameters.version or MODEL_VERSION
        settings.versions = [settings.parameters.version]
        super().__init__(settings)
        self.batcher: Batcher | None = None
        self.hides_overflow = self.ended = False

    async def load(self) -> bool:
        """Check settings and bundle, and open the model in a thread of its own."""
        try:
            await self._load()
        except (UserError, OSError) as error:
            reason = str(error) if isinstance(error, UserError) else f"{error.filename}: {error.strerror}"
            refusals.reasons[self.name] = reason
            raise UserError(reason) from error
        refusals.reasons.pop(self.name, None)
        return True

    async def _load(self) -> None:
        extra = dict(self.settings.parameters.extra or {})
        bundle = extra.pop("bundle") if isinstance(extra.get("bundle"), Bundle) else None
        folder = bundle.folder if bundle else _folder_of(Path(self.settings.parameters.uri))
        self.contract = bundle.contract if bundle else read_contract(folder)
        wanted = model_settings(extra, self.contract, self.settings._source or f"the settings of {self.name}")
        self.most_rows, self.platform = wanted["max_batch"], wanted["format"]
        self.settings.platform = f"ms_gan_{self.platform}"
        self.labels = labels_of(self.contract)
        self.facts = self.contract["models"][self.model_name]
        self.inputs = self.described_inputs()
        self.outputs = [_described(tensor) for tensor in self.facts["outputs"]]

        def open_model():
            if self.platform == "mindir":
                from ms_gan import runtime

                _require_protobuf_of_mindspore()
                runtime.set_up(wanted["device_target"], wanted["device_id"])
            run = (bundle or Bundle(folder, self.platform, [self.model_name])).models[self.model_name]
            self.hides_overflow = self.model_name == "generator" and _hides_nan(run, self.facts)

            def unless_ended(*arrays):
                if self.ended:
                    raise Ended
                return run(*arrays)

            return lambda *arrays: in_chunks(unless_ended, arrays)

        self.batcher = await asyncio.get_running_loop().run_in_executor(
            None, lambda: Batcher(open_model, self.most_rows)
        )

    def abandon(self) -> None:
        """Answer what is under way with the status 503, and compute no more."""
        self.ended = True
        if self.batcher is not None:
            self.batcher.abandon()

    async def unload(self) -> bool:
        """Answer what waits, and end the thread, if the model was loaded."""
        if self.batcher is not None:
            await asyncio.get_running_loop().run_in_executor(None, self.batcher.close)
        return True

    def described_inputs(self) -> list[MetadataTensor]:
        """Return the model's inputs as its metadata tells of them."""
        described = [_described(tensor) for tensor in self.facts["inputs"]]
        if self.labels is not None:
            described[1].parameters.labels = ", ".join(self.labels.names)
        return described

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request, together with others that wait; or refuse it, in one sentence, with status 400."""
        try:
            inputs = self.read_inputs(_tensors(payload), self.facts, self.labels, self.most_rows)
            outputs = [tensor["name"] for tensor in self.facts["outputs"]]
            wanted = self._wanted(payload, outputs)
        except RequestError as error:
            raise InferenceError(str(error)) from error
        if self.hides_overflow and np.abs(inputs[0]).max() > LARGEST_LATENT:
            raise InferenceError(TOO_LARGE)
        try:
            found = await asyncio.wrap_future(self.batcher.submit(inputs))
        except Ended as error:
            raise MLServerError("the server ends", 503) from error
        if not all(np.isfinite(output).all() for output in found):
            raise InferenceError(TOO_LARGE)
        arrays = {**self.also_given(inputs), **dict(zip(outputs, found))}
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output(name, arrays[name]) for name in wanted],
        )

    def also_given(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """Return what a request may ask for beside the model's outputs."""
        return {}

    def _wanted(self, payload: InferenceRequest, outputs: list[str]) -> list[str]:
        wanted = [output.name for output in payload.outputs or ()] or outputs
        possible = [*outputs, *self.also_given(())]
        for name in wanted:
            if name not in possible:
                raise RequestError(f"there is no output {shown(name)}; this model gives {', '.join(possible)}")
            if wanted.count(name) > 1:
                raise RequestError(f"the output {name} is asked for twice")
        return wanted


class GeneratorRuntime(BundleRuntime):
    """The generator; beside the protocol it serves the page at / and the contract at /contract.json."""

    model_name = "generator"
    read_inputs = staticmethod(generator_inputs)

    def described_inputs(self) -> list[MetadataTensor]:
        """Return the model's inputs, and those that stand for them."""
        instead = [
            MetadataTensor(name=name, datatype=datatype, shape=[1], parameters=Parameters(meaning=meaning))
            for name, datatype, meaning in (
                ("seed", "INT64", "instead of latent: which latents, as `infer --seed` (default: 1)"),
                ("num", "INT32", "instead of latent: how many images (default: one, or one for each label)"),
            )
        ]
        return [*super().described_inputs(), *instead]

    def also_given(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """Return the latents, those that a seed stands for among them."""
        return {"latent": inputs[0] if inputs else np.empty(0)}

    @custom_handler(rest_path="/", rest_method="GET")
    async def page(self) -> HTMLResponse:
        """Serve the page."""
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    @custom_handler(rest_path="/contract.json", rest_method="GET")
    async def get_contract(self) -> JSONResponse:
        """Serve the contract, and what the server adds to it."""
        return JSONResponse({**self.contract, "server": {"format": self.platform, "max_batch": self.most_rows}})


class EncoderRuntime(BundleRuntime):
    """The encoder of an autoencoder."""

    model_name = "encoder"
    read_inputs = staticmethod(encoder_inputs)


def _folder_of(place: Path) -> Path:
    """Return the bundle that a model's uri stands for: that above the model's own folder, or where all of it lies."""
    return place if (place / CONTRACT).is_file() else place.parent


def _hides_nan(run: Callable[..., Any], facts: Facts) -> bool:
    """Tell whether a generator draws finite images of NaN: those that were exported before NaN was kept do, on CPU."""
    arrays = [
        np.zeros([2 if size == "batch" else size for size in tensor["shape"]], TYPES[tensor["type"]])
        for tensor in facts["inputs"]
    ]
    arrays[0].fill(np.nan)
    return bool(np.isfinite(run(*arrays)[0]).all())


def _require_protobuf_of_mindspore() -> None:
    """Raise UserError where MLServer came first, and with it a protobuf with which MindSpore cannot be imported."""
    from google.protobuf.internal import api_implementation

    if "mindspore" not in sys.modules and api_implementation.Type() != "python":
        raise UserError(
            "MindSpore needs protobuf in Python: PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python "
            "MLSERVER_HOST=127.0.0.1 mlserver start .; `python -m ms_gan serve` does it by itself, and "
            "ONNX does not need it"
        )


def _described(tensor: Facts) -> MetadataTensor:
    told: dict[str, Any] = {
        key: value for key, value in tensor.items() if key in ("meaning", "layout", "channels", "distribution")
    }
    low, high = tensor.get("range", (None, None))
    if low is not None:  # as text, which is all that gRPC carries beside whole numbers
        told["range"] = f"{low:g} to {high:g}"
    return MetadataTensor(
        name=tensor["name"],
        datatype=PROTOCOL_TYPES[tensor["type"]],
        shape=[-1, *tensor["shape"][1:]],
        parameters=Parameters(**told),
    )


def _tensors(payload: InferenceRequest) -> dict[str, Tensor]:
    tensors = {}
    for tensor in payload.inputs:
        if tensor.name in tensors:
            raise RequestError(f"{shown(tensor.name)} is there twice")
        datatype = getattr(tensor.datatype, "value", tensor.datatype)
        tensors[tensor.name] = Tensor(datatype, tensor.shape, getattr(tensor.data, "root", tensor.data))
    return tensors
