"""The Open Inference Protocol V2 over gRPC."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, Callable

import grpc
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceServicer, add_GRPCInferenceServiceServicer_to_server

from ms_gan.delivery.address import in_url
from ms_gan.delivery.inference_request import RequestError, Tensor
from ms_gan.delivery.raw_tensors import from_bytes
from ms_gan.delivery.served_model import FAILED, ServedModels

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


def grpc_server(models: ServedModels, address: str, port: int, most_bytes: int) -> grpc.aio.Server:
    """Return a server, not yet started, of messages of at most `most_bytes`, on a port of its own."""
    limits = [(f"grpc.max_{way}_message_length", most_bytes) for way in ("send", "receive")]
    server = grpc.aio.server(options=[*limits, ("grpc.so_reuseport", 0)])
    service = GRPCInferenceServiceServicer()
    for name, answer in _answers(models).items():
        setattr(service, name, _call(answer))
    add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(f"{in_url(address)}:{port}")
    return server


def _call(answer: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    """Return a call of the service: its answer, or, where that raises, a status and a sentence."""

    async def call(request: Any, context: Any) -> Any:
        try:
            return await answer(request)
        except RequestError as error:
            code, told = CODES[error.status], str(error)
        except Exception:
            logging.exception("a request over gRPC")
            code, told = grpc.StatusCode.INTERNAL, FAILED
        await context.abort(code, told)

    return call


def _answers(models: ServedModels) -> dict[str, Callable[[Any], Awaitable[Any]]]:
    """Return how each call of the protocol is answered, by its name."""

    async def live(_request: Any) -> Any:
        return messages.ServerLiveResponse(live=True)

    async def ready(_request: Any) -> Any:
        return messages.ServerReadyResponse(ready=True)

    async def metadata(_request: Any) -> Any:
        return messages.ServerMetadataResponse(**models.metadata())

    async def index(_request: Any) -> Any:
        return messages.RepositoryIndexResponse(models=models.index())

    async def model_ready(request: Any) -> Any:
        models.find(request.name, request.version)
        return messages.ModelReadyResponse(ready=True)

    async def model_metadata(request: Any) -> Any:
        told = models.find(request.name, request.version).metadata()
        for tensor in (*told["inputs"], *told["outputs"]):
            del tensor["parameters"]  # the protocol carries them over HTTP alone
        return messages.ModelMetadataResponse(**told)

    async def load(request: Any) -> Any:
        models.refuse_to_load(request.model_name)

    async def stream(_requests: Any) -> Any:
        raise RequestError("this server does not stream; ask with ModelInfer", 501)

    async def infer(request: Any) -> Any:
        model = models.find(request.model_name, request.model_version)
        raw = bool(request.raw_input_contents)
        found = await model.infer(_tensors(request), [output.name for output in request.outputs])
        answer = messages.ModelInferResponse(model_name=model.name, model_version=models.version, id=request.id)
        for name, array in found.items():
            output = answer.outputs.add(name=name, datatype="FP32", shape=array.shape)
            output.parameters["content_type"].string_param = "np"
            if raw:
                answer.raw_output_contents.append(array.astype("<f4").tobytes())
            else:
                output.contents.fp32_contents.extend(array.ravel())
        return answer

    return {
        "ServerLive": live,
        "ServerReady": ready,
        "ServerMetadata": metadata,
        "ModelReady": model_ready,
        "ModelMetadata": model_metadata,
        "ModelInfer": infer,
        "ModelStreamInfer": stream,
        "RepositoryIndex": index,
        "RepositoryModelLoad": load,
        "RepositoryModelUnload": load,
    }


def _tensors(request: Any) -> list[tuple[str, Tensor]]:
    """Return a request's inputs, whose elements are all raw bytes or all beside them."""
    raw, tensors = list(request.raw_input_contents), []
    if raw and len(raw) != len(request.inputs):
        raise RequestError(f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs")
    for number, given in enumerate(request.inputs):
        filled = given.contents.ListFields()
        data: Any = list(filled[0][1]) if filled else []
        if raw:
            data = from_bytes(given.name, given.datatype, raw[number])
        tensors.append((given.name, Tensor(given.datatype, list(given.shape), data)))
    return tensors
