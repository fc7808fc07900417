"""Starting MLServer on a bundle, with limits on what a request may hold."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import zlib
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any, Callable

from fastapi.exceptions import RequestValidationError
from grpc import StatusCode
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.errors import InferenceError, MLServerError, ModelNotFound
from mlserver.grpc.converters import ModelInferRequestConverter
from mlserver.grpc.servicers import InferenceServicer
from mlserver.grpc.utils import STATUS_CODE_MAPPING, handle_mlserver_error
from mlserver.middleware import InferenceMiddlewares
from mlserver.registry import MultiModelRegistry
from mlserver.rest.server import _NoSignalServer
from mlserver.settings import ModelParameters
from mlserver.types import RepositoryIndexRequest, RepositoryIndexResponse, RepositoryIndexResponseItem, State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from ms_gan.delivery.address import in_url
from ms_gan.delivery.binary_tensors import as_json_alone
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.requests import RequestError, most_body_bytes
from ms_gan.delivery.server_settings import RUNTIMES
from ms_gan.delivery.stopping import Stopping
from ms_gan.errors import MOST_SHOWN, UserError, shown

MOST_DRAINED = 1 << 28  # a larger body is cut off before its sender hears why
CODINGS = ("gzip", "x-gzip", "deflate", "identity")
MOST_SILENCE = 30  # seconds between two pieces of a body
MOST_AT_THE_END = 10  # seconds for what is under way when a signal ends the server
PATIENCE = 3  # seconds after the first signal in which others change nothing
ANSWERING = 1  # seconds for answers that are known


def serve(
    folder: Path,
    address: str,
    http_port: int,
    grpc_port: int,
    format: str,
    most_rows: int,
    device_target: str,
    device_id: int,
    stopping: Stopping,
) -> None:
    """Serve a bundle at an address, in digits, until a signal ends it. Raises UserError for one that cannot be used."""
    bundle = Bundle(folder, format)  # in one line what MLServer would say in many
    most_bytes = most_body_bytes(bundle.contract, most_rows)
    settings = Settings(
        debug=False,
        parallel_workers=0,
        host=address,
        http_port=http_port,
        grpc_port=grpc_port,
        grpc_max_message_length=most_bytes,
        metrics_endpoint=None,
        model_repository_root="",
    )
    settings._custom_rest_server_settings = {
        "lifespan": "off",  # nothing begins or ends with it, but a stack at Ctrl-C
        "timeout_graceful_shutdown": MOST_AT_THE_END + ANSWERING,
    }
    settings._custom_grpc_server_settings = {"grpc.so_reuseport": 0}  # a port of another server is not shared
    extra = {
        "bundle": bundle,
        "format": format,
        "max_batch": most_rows,
        "device_target": device_target,
        "device_id": device_id,
    }
    models = [
        ModelSettings(
            name=name,
            implementation=RUNTIMES[name],
            platform=f"ms_gan_{format}",
            parameters=ModelParameters(extra=extra),
        )
        for name in bundle.contract["models"]
    ]
    what = f"{bundle.contract['recipe']}, step {bundle.contract['origin']['step']:,}, as {format}"
    asyncio.run(_run(settings, models, most_bytes, what, stopping))


class Server(MLServer):
    """MLServer with the project's limits; signals reach it through `Stopping`, and end it by no signal of their own."""

    def __init__(self, settings: Settings, most_bytes: int):
        super().__init__(settings)
        _amend(self, settings, most_bytes)
        self._ends: list[asyncio.Future[Any]] = []
        self._patient_until = 0.0  # by the loop's clock

    def _add_signal_handlers(self) -> None:
        """MLServer's own are taken away before the process has ended, and with them the status that it ends with."""

    async def loaded(self) -> list[MLModel]:
        """Return the models that are there, ready or not."""
        return list(await self._model_registry.get_models())

    def end(self) -> None:
        """Answer what is under way, for a time, and end; called again, after PATIENCE, end without that."""
        loop = asyncio.get_running_loop()
        if not self._ends:
            self._patient_until = loop.time() + PATIENCE
            self._ends.append(asyncio.ensure_future(self.stop()))
            loop.call_later(MOST_AT_THE_END, self.end)
        elif loop.time() >= self._patient_until:
            self._ends.append(asyncio.ensure_future(self._end_at_once()))

    async def _end_at_once(self) -> None:
        for model in await self.loaded():
            model.abandon()
        self._rest_server._server.should_exit = True
        await self._grpc_server._server.stop(ANSWERING)


async def _run(settings: Settings, models: list[ModelSettings], most_bytes: int, what: str, stopping: Stopping) -> None:
    server = Server(settings, most_bytes)
    loaded: list[MLModel] = []
    running = asyncio.ensure_future(server.start(models))
    while not running.done():
        loaded = await server.loaded()
        ready = len(loaded) == len(models) and all(model.ready for model in loaded)
        if ready and await _listens(settings.host, settings.http_port, settings.grpc_port):
            host, loop = in_url(settings.host), asyncio.get_running_loop()
            stopping.serves(lambda: None if loop.is_closed() else loop.call_soon_threadsafe(server.end))
            print(
                f"serving {what}: page and REST at http://{host}:{settings.http_port}/, "
                f"gRPC at {host}:{settings.grpc_port}; Ctrl-C ends it",
                flush=True,
            )
            break
        await asyncio.sleep(0.1)
    await running
    if len(loaded) != len(models):
        raise UserError("the server could not load its models; what it said stands above")
    for model in loaded:
        model.abandon()
        await model.unload()  # a thread that still computes would bring the end of the process down


async def _listens(address: str, *ports: int) -> bool:
    for port in ports:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            return False
        writer.close()
    return True


def _amend(server: MLServer, settings: Settings, most_bytes: int) -> None:
    """Change, of a server that has not started yet, what MLServer has no settings for."""
    app = server._rest_server._app
    app.add_middleware(BodyLimit, most_bytes=most_bytes)
    for kind, handler in ((RequestValidationError, explain), (HTTPException, explain_status), (Exception, own_up)):
        app.add_exception_handler(kind, handler)
    app.router.routes[:] = [route for route in app.router.routes if not route.path.endswith("_stream")]
    server._data_plane._inference_middleware = InferenceMiddlewares()  # MLServer's own copies the id into headers
    STATUS_CODE_MAPPING[503] = StatusCode.UNAVAILABLE
    _NoSignalServer.capture_signals = lambda _server: contextlib.nullcontext()  # that of uvicorn, as of 0.29
    explain_over_grpc()
    server._grpc_server._settings = settings.model_copy(update={"host": in_url(settings.host)})
    server._model_registry.get_model = with_short_names(server._model_registry.get_model)
    server._model_repository_handlers.index = partial(index_of, server._model_registry)
    for handler in ("load", "unload"):  # whoever may ask for images may not stop the server
        setattr(server._model_repository_handlers, handler, refuse_to_load)
    logging.getLogger("mlserver.grpc").addFilter(is_our_fault)


async def index_of(registry: MultiModelRegistry, wanted: RepositoryIndexRequest) -> RepositoryIndexResponse:
    """Answer which models are loaded; MLServer lists what lies in a folder of its own."""
    return RepositoryIndexResponse(
        root=[
            RepositoryIndexResponseItem(
                name=model.name,
                version=model.version,
                reason="",
                state=State.READY if model.ready else State.UNAVAILABLE,
            )
            for model in await registry.get_models()
            if model.ready or not wanted.ready
        ]
    )


async def refuse_to_stream(_servicer: Any, _requests: Any, context: Any) -> None:
    """Answer whoever wants to ask over gRPC in a stream."""
    await context.abort(StatusCode.UNIMPLEMENTED, "this server does not stream; ask with ModelInfer")


async def refuse_to_load(name: str) -> bool:
    """Answer whoever wants to load or unload a model."""
    raise InferenceError(f"{shown(name)} is loaded from the start to the end of this server")


def is_our_fault(record: logging.LogRecord) -> bool:
    """Tell whether a record is worth a place in the log: a request that was refused is not."""
    return not (record.exc_info and isinstance(record.exc_info[1], MLServerError))


def with_short_names(get_model: Callable[..., Awaitable[MLModel]]) -> Callable[..., Awaitable[MLModel]]:
    """Return a registry's way to find a model that does not repeat a name of any length where there is none of it."""

    async def find(name: str, version: str | None = None) -> MLModel:
        try:
            return await get_model(name, version)
        except ModelNotFound as error:
            raise ModelNotFound(shown(name), shown(version) if version else None) from error

    return find


def explain_over_grpc() -> None:
    """Let MLServer answer requests that it cannot read with INVALID_ARGUMENT and a sentence, where it says INTERNAL.

    And whether a model is ready that there is not, with NOT_FOUND, where it says UNKNOWN.
    """
    read = ModelInferRequestConverter.to_types

    def to_types(request: Any) -> Any:
        try:
            if len(request.raw_input_contents) > len(request.inputs):
                raise ValueError("more contents than inputs")
            return read(request)
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise InferenceError(
                "the request is not one of the Open Inference Protocol V2: contents do not fit the "
                "type or shape of an input"
            ) from error

    ModelInferRequestConverter.to_types = to_types
    InferenceServicer.ModelReady = handle_mlserver_error(InferenceServicer.ModelReady)
    InferenceServicer.ModelStreamInfer = refuse_to_stream


async def explain(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer a request that is not one of the protocol's, in one sentence."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")[:MOST_SHOWN]
    if first["type"] == "json_invalid":
        told = "it is not JSON"
    else:
        told = f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}" if where else first["msg"]
    return JSONResponse({"error": f"the body is not a request of the Open Inference Protocol V2 ({told})"}, 400)


async def explain_status(request: Request, error: HTTPException) -> JSONResponse:
    """Answer a request for what is not there, or by a method that it does not take, in one sentence."""
    path = shown(request.url.path)
    if error.status_code == 404:
        told = f"there is nothing at {path}; the page is at /, and what the protocol tells of below /v2/"
    elif error.status_code == 405:
        told = f"{path} does not take {shown(request.method)}"
    else:
        told = str(error.detail)
    return JSONResponse({"error": told}, error.status_code, error.headers)


async def own_up(_request: Request, _error: Exception) -> JSONResponse:
    """Answer a request at which the server itself failed; the stack goes to the log."""
    return JSONResponse({"error": "the server failed at this request; its log says how"}, 500)


class Unpacker:
    """Unpacks gzip and zlib, which HTTP calls deflate, member after member."""

    def __init__(self):
        self.member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def unpack(self, piece: bytes, most: int) -> bytes:
        """Return what the next piece unpacks to, cut off at `most` bytes. Raises zlib.error for what is not packed."""
        found = bytearray()
        while piece and len(found) < most:
            if self.member.eof:
                self.member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
            found += self.member.decompress(piece, most - len(found))
            piece = self.member.unconsumed_tail or self.member.unused_data
        return bytes(found)


class BodyLimit:
    """ASGI middleware: a body of more than `most_bytes`, unpacked if it is packed, gets the status 413.

    One that stops on its way gets 408.
    What is left is handed on as JSON, whatever it calls itself: the protocol knows nothing else, and `curl -d` says
    that it sends a form.
    """

    def __init__(self, app: Any, most_bytes: int):
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope, receive, send) -> None:
        """Read the body, within the limit, and hand it on in one piece."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        codings = [
            coding.strip().lower()
            for name, value in scope["headers"]
            if name == b"content-encoding"
            for coding in value.decode("latin-1").split(",")
        ]
        if len(codings) > 1 or not set(codings) <= set(CODINGS):
            told = (
                f"this server does not unpack {shown(', '.join(codings))}; send the body plain, or as gzip or deflate"
            )
            await JSONResponse({"error": told}, 415, {"Accept-Encoding": "gzip, deflate", "Connection": "close"})(
                scope, receive, send
            )
            return
        unpacker = Unpacker() if codings and codings[0] != "identity" else None
        try:
            body, too_long = await self._read(receive, unpacker)
        except (asyncio.TimeoutError, asyncio.CancelledError) as error:
            ends = isinstance(error, asyncio.CancelledError)
            told = "the server ends" if ends else f"the body did not go on within {MOST_SILENCE} seconds"
            refusal = JSONResponse({"error": told}, 503 if ends else 408, {"Connection": "close"})
            await refusal(scope, receive, send)
            return
        if too_long:
            told = f"the body has more than {self.most_bytes:,} bytes, the most that this server reads"
            await JSONResponse({"error": told}, 413)(scope, receive, send)
            return
        lengths = [value for name, value in scope["headers"] if name == b"inference-header-content-length"]
        if lengths:
            try:
                body = as_json_alone(body, lengths[0].decode("latin-1"))
            except RequestError as error:
                await JSONResponse({"error": str(error)}, 400)(scope, receive, send)
                return
        if not body and scope["method"] == "POST":
            body = b"{}"  # the protocol asks for the repository's index without a body, and MLServer wants one
        others = [
            (name, value)
            for name, value in scope["headers"]
            if name not in (b"content-encoding", b"content-length", b"content-type")
        ]
        scope = {
            **scope,
            "headers": [*others, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        }
        handed_on = False

        async def receive_body():
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive_body, send)

    async def _read(self, receive, unpacker) -> tuple[bytes, bool]:
        """Return the body, and whether it was too long: then it is read, and dropped, so that its sender listens."""
        body, seen, too_long = bytearray(), 0, False
        while True:
            message = await asyncio.wait_for(receive(), MOST_SILENCE)
            piece = message.get("body", b"")
            seen += len(piece)
            if not too_long:
                try:
                    body += unpacker.unpack(piece, self.most_bytes + 1) if unpacker else piece
                except zlib.error:  # not packed after all: what is read of it is no JSON either
                    body += piece
                too_long = max(len(body), seen) > self.most_bytes
            if too_long:
                body.clear()
            if message["type"] == "http.disconnect" or not message.get("more_body", False) or seen > MOST_DRAINED:
                return bytes(body), too_long
