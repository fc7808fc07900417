"""The Open Inference Protocol V2 over gRPC."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Coroutine
from typing import Any, Callable, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceServicer, add_GRPCInferenceServiceServicer_to_server

from ms_gan.delivery.address import in_url, taken
from ms_gan.delivery.inference_request import RequestError, Tensor, from_bytes
from ms_gan.delivery.served_model import FAILED, ServedModels, drawn
from ms_gan.errors import shown

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]
PROTOCOL = SERVICE.full_name
FIELDS = {  # of a tensor's contents, by the first letters of its datatype
    **{"BOOL": "bool_contents", "INT64": "int64_contents", "INT": "int_contents", "UINT64": "uint64_contents"},
    **{"UINT": "uint_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"},
}
MOMENT = 0.05  # seconds
LONGEST_WAIT = 600  # seconds; by default gRPC cancels calls that a busy server has not taken after 30
Result = TypeVar("Result")
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


class GrpcServer:
    """Serves the protocol, health and reflection in a thread with an event loop of its own.

    In one loop with REST it would take one call in each of the loop's turns, in which REST takes hundreds; under load
    gRPC cancels what waits for that. Models compute, and requests queue, in the loop that starts it.
    """

    def __init__(self, models: ServedModels, address: str, port: int, most_bytes: int):
        """Prepare a server of messages of at most `most_bytes`, on a port of its own."""
        self._models, self._address, self._port, self._most_bytes = models, address, port, most_bytes
        self._under_way = 0  # calls of the protocol
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gRPC", daemon=True)

    async def start(self) -> None:
        """Listen."""
        self._home = asyncio.get_running_loop()
        self._thread.start()
        await _in(self._loop, self._start())

    async def serves(self) -> None:
        """Tell probes that the server is ready."""
        await _in(self._loop, self._tell_ready())

    async def stop(self, seconds: float) -> None:
        """Tell watchers, refuse new calls, and end once those under way are answered, or after so many seconds."""
        await _in(self._loop, self._stop(seconds))

    async def ended(self) -> None:
        """Wait for the end, and for the thread's. Calls of `stop` have to be over."""
        await _in(self._loop, self._server.wait_for_termination())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def _start(self) -> None:
        limits = [(f"grpc.max_{way}_message_length", self._most_bytes) for way in ("send", "receive")]
        waiting = ("grpc.server_max_unrequested_time_in_server", LONGEST_WAIT)
        self._server = grpc.aio.server(options=[*limits, waiting, ("grpc.so_reuseport", 0)])
        service = GRPCInferenceServiceServicer()
        answers = _answers(self._models, lambda work: _in(self._home, work))
        for name in SERVICE.methods_by_name:
            setattr(service, name, self._counted(_call(answers.get(name, _refuse_call))))
        add_GRPCInferenceServiceServicer_to_server(service, self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([PROTOCOL, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        try:
            self._server.add_insecure_port(f"{in_url(self._address)}:{self._port}")
        except RuntimeError as error:  # another process came first, since the port was looked at
            raise taken(self._address, self._port, "grpc_port", "Address already in use") from error
        for name in ("", PROTOCOL):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def _tell_ready(self) -> None:
        for name in ("", PROTOCOL):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def _stop(self, seconds: float) -> None:
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(self._server.stop(seconds))
        await asyncio.sleep(MOMENT)  # in which watchers hear of it
        while self._under_way and not stopping.done():
            await asyncio.sleep(MOMENT)
        await self._server.stop(0)  # who watches health, or reflects, would hold it to the last second
        await stopping

    def _counted(self, call: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        """Return a call that is counted while it is under way."""

        async def counted(request: Any, context: Any) -> Any:
            self._under_way += 1
            try:
                return await call(request, context)
            finally:
                self._under_way -= 1

        return counted


async def _in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what a coroutine gives that runs in another thread's loop. Raises what it raises."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def _answers(models: ServedModels, at_home: Callable[[Any], Any]) -> dict[str, Callable[[Any], Any]]:
    """Return what answers each call of the protocol, by its name. `at_home` runs a coroutine where models compute."""
    return {
        "ServerLive": lambda _: messages.ServerLiveResponse(live=True),
        "ServerReady": lambda _: messages.ServerReadyResponse(ready=True),
        "ServerMetadata": lambda _: messages.ServerMetadataResponse(**models.metadata()),
        "RepositoryIndex": lambda _: messages.RepositoryIndexResponse(models=models.index()),
        "RepositoryModelLoad": lambda asked: models.refuse_to_load(asked.model_name),
        "RepositoryModelUnload": lambda asked: models.refuse_to_load(asked.model_name),
        "ModelReady": lambda asked: messages.ModelReadyResponse(ready=bool(models.find(asked.name, asked.version))),
        "ModelMetadata": lambda asked: _metadata(models, asked),
        "ModelInfer": lambda asked: _infer(models, at_home, asked),
        "ModelStreamInfer": _refuse_to_stream,
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


def _refuse_call(_asked: Any) -> Any:
    raise RequestError("this server has no such call: it tells of its models, and infers", 501)


def _refuse_to_stream(_asked: Any) -> Any:
    raise RequestError("this server does not stream; ask with ModelInfer", 501)


async def _infer(models: ServedModels, at_home: Callable[[Any], Any], asked: Any) -> Any:
    with models.metrics.request("grpc") as seen:
        model = models.find(asked.model_name, asked.model_version)
        seen.model = model.name
        raw = bool(asked.raw_input_contents)
        found = await at_home(model.infer(_tensors(asked), [output.name for output in asked.outputs]))
        seen.images = drawn(found)
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
        filled = {field.name: list(elements) for field, elements in given.contents.ListFields()}
        own = next((field for start, field in FIELDS.items() if given.datatype.startswith(start)), None)
        allowed = set() if raw or own is None else {own}
        if filled.keys() - allowed:
            told = f"{shown(given.name)} of {shown(given.datatype)} has {', '.join(filled)}"
            raise RequestError(f"{told}; its elements belong into {'raw_input_contents' if raw or not own else own}")
        data = from_bytes(given.name, given.datatype, raw[number]) if raw else filled.get(own or "", [])
        tensors.append((given.name, Tensor(given.datatype, list(given.shape), data)))
    return tensors
