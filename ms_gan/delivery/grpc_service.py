"""The Open Inference Protocol V2 over gRPC."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable
from typing import Any, Callable

import grpc
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceServicer, add_GRPCInferenceServiceServicer_to_server

from ms_gan.delivery.address import in_url
from ms_gan.delivery.inference_request import RequestError, Tensor, from_bytes
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


def _answers(models: ServedModels) -> dict[str, Callable[[Any], Any]]:
    """Return what answers each call of the protocol, by its name."""
    return {
        "ServerLive": lambda _: messages.ServerLiveResponse(live=True),
        "ServerReady": lambda _: messages.ServerReadyResponse(ready=True),
        "ServerMetadata": lambda _: messages.ServerMetadataResponse(**models.metadata()),
        "RepositoryIndex": lambda _: messages.RepositoryIndexResponse(models=models.index()),
        "RepositoryModelLoad": lambda asked: models.refuse_to_load(asked.model_name),
        "RepositoryModelUnload": lambda asked: models.refuse_to_load(asked.model_name),
        "ModelReady": lambda asked: messages.ModelReadyResponse(ready=bool(models.find(asked.name, asked.version))),
        "ModelMetadata": lambda asked: _metadata(models, asked),
        "ModelInfer": lambda asked: _infer(models, asked),
        "ModelStreamInfer": lambda _: _refuse_to_stream(),
    }


def _call(answer: Callable[[Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
    """Return a call of the service: its answer, or, where that raises, a status and a sentence."""

    async def call(request: Any, context: Any) -> Any:
        try:
            found = answer(request)
            return await found if inspect.isawaitable(found) else found
        except RequestError as error:
            code, told = CODES[error.status], str(error)
        except Exception:
            logging.exception("a request over gRPC")
            code, told = grpc.StatusCode.INTERNAL, FAILED
        await context.abort(code, told)

    return call


def _metadata(models: ServedModels, asked: Any) -> Any:
    told = models.find(asked.name, asked.version).metadata()
    for tensor in (*told["inputs"], *told["outputs"]):
        del tensor["parameters"]  # the protocol carries them over HTTP alone
    return messages.ModelMetadataResponse(**told)


def _refuse_to_stream() -> Any:
    raise RequestError("this server does not stream; ask with ModelInfer", 501)


async def _infer(models: ServedModels, asked: Any) -> Any:
    model = models.find(asked.model_name, asked.model_version)
    raw = bool(asked.raw_input_contents)
    found = await model.infer(_tensors(asked), [output.name for output in asked.outputs])
    answer = messages.ModelInferResponse(model_name=model.name, model_version=models.version, id=asked.id)
    for name, array in found.items():
        output = answer.outputs.add(name=name, datatype="FP32", shape=array.shape)
        output.parameters["content_type"].string_param = "np"
        if raw:
            answer.raw_output_contents.append(array.astype("<f4").tobytes())
        else:
            output.contents.fp32_contents.extend(array.ravel())
    return answer


def _tensors(asked: Any) -> list[tuple[str, Tensor]]:
    """Return a request's inputs, whose elements are all raw bytes or all beside them."""
    raw, tensors = asked.raw_input_contents, []
    if raw and len(raw) != len(asked.inputs):
        raise RequestError(f"raw_input_contents has {len(raw)} entries for {len(asked.inputs)} inputs")
    for number, given in enumerate(asked.inputs):
        filled = [list(elements) for _, elements in given.contents.ListFields()]
        data = from_bytes(given.name, given.datatype, raw[number]) if raw else (filled or [[]])[0]
        tensors.append((given.name, Tensor(given.datatype, list(given.shape), data)))
    return tensors
