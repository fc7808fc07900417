"""Starting MLServer on a bundle, with limits on what a request may hold."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import zlib
from pathlib import Path
from typing import Any, List, Tuple

from fastapi.exceptions import RequestValidationError
from mlserver import MLServer, ModelSettings, Settings
from mlserver.errors import InferenceError, MLServerError
from mlserver.grpc.converters import ModelInferRequestConverter
from mlserver.settings import ModelParameters
from starlette.requests import Request
from starlette.responses import JSONResponse

from ms_gan.delivery.binary_tensors import as_json_alone
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import Facts
from ms_gan.delivery.requests import RequestError
from ms_gan.delivery.server_settings import RUNTIMES
from ms_gan.errors import UserError

BYTES_PER_NUMBER = 32  # as JSON writes it, with room to spare
BYTES_BESIDE = 1 << 20
MOST_DRAINED = 1 << 28  # a larger body is cut off before its sender hears why


def serve(folder: Path, host: str, http_port: int, grpc_port: int, format: str, most_rows: int,
          device_target: str) -> None:
    """Serve a bundle until a signal ends it. Raises UserError for a bundle or a port that cannot be used."""
    bundle = Bundle(folder, format)  # in one line what MLServer would say in many
    for option, port in (("--http-port", http_port), ("--grpc-port", grpc_port)):
        _require_free(host, port, option)
    if http_port == grpc_port:
        raise UserError(f"--http-port and --grpc-port are both {http_port}; choose two")
    most_bytes = most_body_bytes(bundle.contract, most_rows)
    settings = Settings(debug=False, parallel_workers=0, host=host, http_port=http_port, grpc_port=grpc_port,
                        grpc_max_message_length=most_bytes, metrics_endpoint=None, model_repository_root="")
    settings._custom_rest_server_settings = {"lifespan": "off"}  # nothing begins or ends with it, but a stack at Ctrl-C
    settings._custom_grpc_server_settings = {"grpc.so_reuseport": 0}  # a port of another server is not shared
    extra = {"format": format, "max_batch": most_rows, "device_target": device_target}
    models = [ModelSettings(name=name, implementation=RUNTIMES[name], platform=f"ms_gan_{format}",
                            parameters=ModelParameters(uri=str((folder / name).resolve()), extra=extra))
              for name in bundle.contract["models"]]
    what = f"{bundle.contract['recipe']}, step {bundle.contract['origin']['step']:,}, as {format}"
    asyncio.run(_run(settings, models, most_bytes, what))


async def _run(settings: Settings, models: List[ModelSettings], most_bytes: int, what: str) -> None:
    server = MLServer(settings)
    app = server._rest_server._app  # MLServer offers no other way to its application
    app.add_middleware(BodyLimit, most_bytes=most_bytes)
    app.add_exception_handler(RequestValidationError, explain)
    app.router.routes[:] = [route for route in app.router.routes if not route.path.endswith("_stream")]
    explain_over_grpc()
    for handler in ("load", "unload"):  # whoever may ask for images may not stop the server
        setattr(server._model_repository_handlers, handler, refuse_to_load)
    logging.getLogger("mlserver.grpc").addFilter(is_our_fault)
    loaded: List[Any] = []
    running = asyncio.ensure_future(server.start(models))
    while not running.done():
        loaded = list(await server._model_registry.get_models())
        if len(loaded) == len(models) and all(model.ready for model in loaded):
            print(f"serving {what}: page and REST at http://{settings.host}:{settings.http_port}/, "
                  f"gRPC at {settings.host}:{settings.grpc_port}; Ctrl-C ends it", flush=True)
            break
        await asyncio.sleep(0.1)
    await running
    if len(loaded) != len(models):
        raise UserError("the server could not load its models; what it said stands above")


async def refuse_to_load(name: str) -> bool:
    """Answer whoever wants to load or unload a model."""
    raise InferenceError(f"{name} is loaded from the start to the end of this server")


def is_our_fault(record: logging.LogRecord) -> bool:
    """Tell whether a record is worth a place in the log: a request that was refused is not."""
    return not (record.exc_info and isinstance(record.exc_info[1], MLServerError))


def most_body_bytes(contract: Facts, most_rows: int) -> int:
    """Return how long a message may be: the largest request, or answer, of `most_rows` rows, as JSON."""
    numbers = 0
    for facts in contract["models"].values():
        for tensors in (facts["inputs"], facts["outputs"]):
            total = 0
            for tensor in tensors:
                size = 1
                for length in tensor["shape"][1:]:
                    size *= length
                total += size
            numbers = max(numbers, total)
    return BYTES_BESIDE + most_rows * numbers * BYTES_PER_NUMBER


def explain_over_grpc() -> None:
    """Let MLServer answer a request that it cannot read with INVALID_ARGUMENT and a sentence, where it says INTERNAL."""
    read = ModelInferRequestConverter.to_types

    def to_types(request: Any) -> Any:
        try:
            if len(request.raw_input_contents) > len(request.inputs):
                raise ValueError("more contents than inputs")
            return read(request)
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise InferenceError("the request is not one of the Open Inference Protocol V2: contents do not fit the type or "
                                 "shape of an input") from error

    ModelInferRequestConverter.to_types = to_types


async def explain(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer a request that is not one of the protocol's, in one sentence."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "json_invalid":
        told = "it is not JSON"
    else:
        told = f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}" if where else first["msg"]
    return JSONResponse({"error": f"the body is not a request of the Open Inference Protocol V2 ({told})"}, 400)


class BodyLimit:
    """ASGI middleware: a body of more than `most_bytes`, unpacked if it is packed, gets the status 413.

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
        packed = any(name == b"content-encoding" and b"gzip" in value.lower() for name, value in scope["headers"])
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if packed else None
        body, too_long = await self._read(receive, unpacker)
        if too_long:
            refusal = JSONResponse({"error": f"the body has more than {self.most_bytes:,} bytes, the most that this "
                                             f"server reads"}, 413)
            await refusal(scope, receive, send)
            return
        lengths = [value for name, value in scope["headers"] if name == b"inference-header-content-length"]
        if lengths:
            try:
                body = as_json_alone(body, lengths[0].decode("latin-1"))
            except RequestError as error:
                await JSONResponse({"error": str(error)}, 400)(scope, receive, send)
                return
        others = [(name, value) for name, value in scope["headers"]
                  if name not in (b"content-encoding", b"content-length", b"content-type")]
        scope = {**scope, "headers": [*others, (b"content-type", b"application/json"),
                                      (b"content-length", str(len(body)).encode())]}
        handed_on = False

        async def receive_body():
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive_body, send)

    async def _read(self, receive, unpacker) -> Tuple[bytes, bool]:
        """Return the body, and whether it was too long; one too long is read, and dropped, so that its sender listens."""
        body, seen, too_long = bytearray(), 0, False
        while True:
            message = await receive()
            piece = message.get("body", b"")
            seen += len(piece)
            if not too_long:
                try:
                    body += unpacker.decompress(piece, self.most_bytes + 1) if unpacker else piece
                except zlib.error:  # not packed after all: what is read of it is no JSON either
                    body += piece
                too_long = len(body) > self.most_bytes
            if too_long:
                body.clear()
            if message["type"] == "http.disconnect" or not message.get("more_body", False) or seen > MOST_DRAINED:
                return bytes(body), too_long


def _require_free(host: str, port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"{host}:{port} cannot be listened on ({error.strerror or error}); choose another port with "
                            f"{option}") from error
