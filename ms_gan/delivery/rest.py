"""The Open Inference Protocol V2 over HTTP, and the page. Every error is JSON: {"error": one sentence}."""

# ruff: noqa: UP045 - pydantic reads annotations, on Python 3.9 too

from __future__ import annotations

import asyncio
import uuid
import zlib
from pathlib import Path
from typing import Any, Optional

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from ms_gan.delivery.inference_request import RequestError, Tensor
from ms_gan.delivery.raw_tensors import from_bytes
from ms_gan.delivery.served_model import FAILED, PAGE, ServedModels, shown_contract
from ms_gan.errors import MOST_SHOWN, shown

MODELS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
CODINGS = ("identity", "gzip", "x-gzip", "deflate")
MOST_DRAINED = 1 << 28  # bytes: a larger body is cut off before its sender hears why
MOST_SILENCE = 30.0  # seconds between two pieces of a body
CLOSING = {"Connection": "close"}  # what is left of the body is not read
HEADERS = {408: CLOSING, 415: {**CLOSING, "Accept-Encoding": "gzip, deflate"}, 503: CLOSING}


def rest_app(folder: Path, models: ServedModels, most_bytes: int) -> FastAPI:
    """Return the ASGI application that serves the models of the bundle in `folder`, and at / its page.

    A request's body has at most `most_bytes` bytes, also unpacked.
    """

    async def page(_request: Request) -> Response:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    async def contract(_request: Request) -> Response:
        return _json(shown_contract(folder, models.find("generator")))

    async def healthy(request: Request) -> Response:
        if request.path_params:
            models.find(**request.path_params)
        return Response()

    async def metadata(request: Request) -> Response:
        return _json((models.find(**request.path_params) if request.path_params else models).metadata())

    async def index(_request: Request) -> Response:
        return _json(models.index())

    async def load(request: Request) -> Response:
        models.refuse_to_load(request.path_params["name"])

    async def infer(request: Request) -> Response:
        model = models.find(**request.path_params)
        body = await read_body(request, most_bytes)
        asked, tensors = _with_tensors(body, request.headers.get("inference-header-content-length"))
        found = await model.infer(tensors, [output.name for output in asked.outputs or ()])
        outputs = [
            {
                "name": name,
                "shape": array.shape,
                "datatype": "FP32",
                "parameters": {"content_type": "np"},
                "data": array.ravel(),
            }
            for name, array in found.items()
        ]
        request_id = str(uuid.uuid4()) if asked.id is None else asked.id
        answer = {"model_name": model.name, "model_version": models.version, "id": request_id, "outputs": outputs}
        return _json(answer)

    app = FastAPI(title=models.find("generator").name, docs_url="/v2/docs", openapi_url="/v2/docs/dataplane.json")
    for endpoint, method, paths in (
        (page, "GET", ["/"]),
        (contract, "GET", ["/contract.json"]),
        (healthy, "GET", ["/v2/health/live", "/v2/health/ready", *(f"{path}/ready" for path in MODELS)]),
        (metadata, "GET", ["/v2", *MODELS]),
        (index, "POST", ["/v2/repository/index"]),
        (load, "POST", ["/v2/repository/models/{name}/load", "/v2/repository/models/{name}/unload"]),
        (infer, "POST", [f"{path}/{verb}" for path in MODELS for verb in ("infer", "generate")]),
    ):
        for path in paths:
            app.add_api_route(path, endpoint, methods=[method])
    app.add_middleware(GZipMiddleware)
    for kind, handler in ((RequestError, _refuse), (HTTPException, _refuse_route), (Exception, _own_up)):
        app.add_exception_handler(kind, handler)  # type: ignore[arg-type]
    return app


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Return a request's body, unpacked. Raises RequestError if it is too long, stalls or cannot be unpacked.

    A body that is too long is read to its end and dropped: its sender reads no answer before that.
    """
    coding = ",".join(request.headers.getlist("content-encoding")).strip().lower()
    if coding not in CODINGS and "content-encoding" in request.headers:
        told = f"this server does not unpack {shown(coding)}; send the body plain, or as gzip or deflate"
        raise RequestError(told, 415)
    unpacker = _Unpacker() if coding not in ("", "identity") else None
    body, seen, too_long, goes_on = bytearray(), 0, False, True
    while goes_on and seen <= MOST_DRAINED:
        try:
            message = await asyncio.wait_for(request.receive(), MOST_SILENCE)
        except asyncio.TimeoutError as error:
            raise RequestError(f"the body stalled for {MOST_SILENCE:g} seconds", 408) from error
        except asyncio.CancelledError as error:
            raise RequestError("the server ends", 503) from error
        piece = message.get("body", b"")
        seen += len(piece)
        if not too_long:
            body += unpacker.unpack(piece, most_bytes + 1) if unpacker else piece
            too_long = max(len(body), seen) > most_bytes
        goes_on = message.get("more_body", False)
    if too_long:
        raise RequestError(f"the body has more than {most_bytes:,} bytes, the most that this server reads", 413)
    return bytes(body)


class _Unpacker:
    """Unpacks gzip and zlib, which HTTP calls deflate, member after member."""

    def __init__(self) -> None:
        self.member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def unpack(self, piece: bytes, most: int) -> bytes:
        """Return what the next piece unpacks to, cut off at `most` bytes; what is not packed, as it is."""
        found = bytearray()
        try:
            while piece and len(found) < most:
                if self.member.eof:
                    self.member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
                found += self.member.decompress(piece, most - len(found))
                piece = self.member.unconsumed_tail or self.member.unused_data
        except zlib.error:  # what is read of it is no JSON either
            return piece
        return bytes(found)


class _Input(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    parameters: Optional[dict[str, Any]] = None
    data: Any = None


class _Output(BaseModel):
    name: str


class _Asked(BaseModel):
    """A request to a model, as the protocol has it."""

    id: Optional[str] = None
    inputs: list[_Input]
    outputs: Optional[list[_Output]] = None


def _parsed(body: bytes) -> _Asked:
    """Return what a body asks for. Raises RequestError with the first thing that is wrong with it."""
    try:
        return _Asked.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))[:MOST_SHOWN]
    told = f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}" if where else first["msg"]
    told = "it is not JSON" if first["type"] == "json_invalid" else told
    raise RequestError(f"the body is not a request of the Open Inference Protocol V2 ({told})")


def _with_tensors(body: bytes, json_length: str | None) -> tuple[_Asked, list[tuple[str, Tensor]]]:
    """Return a request and its inputs; where some of them lie in bytes, the first `json_length` ones are JSON."""
    rest = b""
    if json_length is not None:
        right = json_length.isascii() and json_length.isdigit() and len(json_length) < 20
        if not right or int(json_length) > len(body):
            raise RequestError(
                f"Inference-Header-Content-Length must be a whole number of bytes, at most the body's "
                f"{len(body):,}, not {shown(json_length)}"
            )
        body, rest = body[: int(json_length)], body[int(json_length) :]
    asked, tensors = _parsed(body), []
    for given in asked.inputs:
        size, data = (given.parameters or {}).get("binary_data_size"), given.data
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(rest):
                told = f"{shown(given.name)} says binary_data_size {shown(size)}, and {len(rest):,} bytes are left"
                raise RequestError(told)
            data, rest = from_bytes(given.name, given.datatype, rest[:size]), rest[size:]
        tensors.append((given.name, Tensor(given.datatype, given.shape, data)))
    if rest:
        raise RequestError(f"{len(rest):,} bytes are left behind the last of the inputs")
    return asked, tensors


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(text, status, headers, "application/json")


async def _refuse(_request: Request, error: RequestError) -> Response:
    return _json({"error": str(error)}, error.status, HEADERS.get(error.status))


async def _refuse_route(request: Request, error: HTTPException) -> Response:
    path, told = shown(request.url.path), str(error.detail)
    if error.status_code == 404:
        told = f"there is nothing at {path}; the page is at /, and what the protocol tells of below /v2/"
    elif error.status_code == 405:
        told = f"{path} does not take {shown(request.method)}"
    return _json({"error": told}, error.status_code, dict(error.headers or {}))


async def _own_up(_request: Request, _error: Exception) -> Response:
    return _json({"error": FAILED}, 500)
