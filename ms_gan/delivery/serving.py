"""The runtime with which MLServer's own command serves a bundle. Exported bundles name its classes."""

from __future__ import annotations

import sys
from pathlib import Path

from google.protobuf.internal import api_implementation
from mlserver import MLModel, ModelSettings
from mlserver.codecs import NumpyCodec
from mlserver.errors import MLServerError
from mlserver.handlers import custom_handler
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse
from starlette.responses import HTMLResponse, JSONResponse

from ms_gan import runtime
from ms_gan.delivery import refusals
from ms_gan.delivery.batcher import compute
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import CONTRACT, read_contract
from ms_gan.delivery.inference_request import RequestError, Tensor
from ms_gan.delivery.served_model import ServedModel, shown_contract
from ms_gan.delivery.server_settings import MODEL_VERSION, model_settings
from ms_gan.delivery.web_page import PAGE
from ms_gan.errors import UserError


class BundleRuntime(MLModel):
    """One model of a bundle, for MLServer: the settings lie in its sub-folder; `model_settings` reads their `extra`."""

    model_name: str

    def __init__(self, settings: ModelSettings):
        settings.parameters = settings.parameters or ModelParameters()
        settings.parameters.version = settings.parameters.version or MODEL_VERSION
        super().__init__(settings)

    async def load(self) -> bool:
        """Check settings and bundle, and open the model in the thread that will compute."""
        try:
            self.served = await compute(self._open)
        except (UserError, OSError) as error:
            refusals.reasons[self.name] = str(error)
            raise
        refusals.reasons.pop(self.name, None)
        return True

    def _open(self) -> ServedModel:
        place = Path(self.settings.parameters.uri)
        self.folder = place if (place / CONTRACT).is_file() else place.parent  # all of it, or the model's own folder
        contract = read_contract(self.folder)
        settings = model_settings(self.settings.parameters.extra or {}, contract, f"the settings of {self.name}")
        if settings.format == "mindir":
            if "mindspore" not in sys.modules and api_implementation.Type() != "python":
                raise UserError(  # MLServer came first, and with it a protobuf with which MindSpore cannot be imported
                    "MindSpore needs protobuf in Python",
                    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python MLSERVER_HOST=127.0.0.1 mlserver start .; "
                    "`python -m ms_gan serve` does it by itself, and ONNX does not need it",
                )
            runtime.set_up(settings.device_target, settings.device_id)
        model = Bundle(self.folder, settings.format, [self.model_name]).models[self.model_name]
        served = ServedModel(model, self.model_name, contract, settings.format, settings.max_batch)
        self.shown_contract = shown_contract(self.folder, served)  # of what is served, whatever lies there later
        return served

    async def metadata(self) -> MetadataModelResponse:
        """Return what the protocol tells about the model."""
        return MetadataModelResponse(**{**self.served.metadata(), "name": self.name, "versions": [self.version]})

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request, or refuse it in one sentence."""
        tensors = [
            (each.name, Tensor(getattr(each.datatype, "value", each.datatype), each.shape, each.data.root))
            for each in payload.inputs
        ]
        try:
            outputs = await self.served.infer(tensors, [output.name for output in payload.outputs or ()])
        except RequestError as error:
            raise MLServerError(str(error), error.status) from error
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output(name, array) for name, array in outputs.items()],
        )


class GeneratorRuntime(BundleRuntime):
    """The generator; beside the protocol it serves the page at / and the contract at /contract.json."""

    model_name = "generator"

    @custom_handler(rest_path="/", rest_method="GET")
    async def page(self) -> HTMLResponse:
        """Serve the page."""
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    @custom_handler(rest_path="/contract.json", rest_method="GET")
    async def get_contract(self) -> JSONResponse:
        """Serve the contract, and what the server adds to it."""
        return JSONResponse(self.shown_contract)


class EncoderRuntime(BundleRuntime):
    """The encoder of an autoencoder."""

    model_name = "encoder"
