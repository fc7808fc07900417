"""The Open Inference Protocol V2 over HTTP, and the page. Errors are JSON: {"error": one sentence}."""

# ruff: noqa: UP045 - pydantic reads annotations, on Python 3.9 too

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import logging
import re
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from functools import partial
from typing import Any, Optional

import numpy as np
import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, StrictInt, ValidationError
from starlette.exceptions import HTTPException

from ms_gan.delivery.inference_request import ENDS, RequestError, Tensor, from_bytes
from ms_gan.delivery.served_model import FAILED, ServedModels, drawn
from ms_gan.delivery.server_metrics import CANCELLED
from ms_gan.delivery.web_page import PAGE
from ms_gan.errors import MOST_SHOWN, shown

MODEL = "/v2/models/{name}"
VERSION = f"{MODEL}/versions/{{version}}"
CODINGS = ("identity", "gzip", "x-gzip", "deflate")
MOST_DRAINED = 1 << 28  # bytes: a larger body is cut off before its sender hears why
MOST_SILENCE = 30.0  # seconds between two pieces of a body
UNREAD = {"Connection": "close"}  # what is left of the body is not read
HEADERS = {408: UNREAD, 415: UNREAD, 503: {**UNREAD, "Retry-After": "1"}}
LENGTH = "Inference-Header-Content-Length"
LEFT = "the client went away", CANCELLED
UNWATCHED = 1.0  # seconds in which nobody looks whether a client has left
Found = Mapping[str, np.ndarray]

router = APIRouter()
reading = partial(router.api_route, methods=["GET", "HEAD"])


def rest_app(
    contract: Mapping[str, Any], models: ServedModels, most_bytes: int, origins: Sequence[str] = ()
) -> FastAPI:
    """Return the ASGI application that serves a bundle's models, at / its page, and its `contract`, as JSON.

    A request's body has at most `most_bytes` bytes, also unpacked. Pages of other `origins` may use it, too.
    """
    app = FastAPI(
        openapi_url=None, exception_handlers={RequestError: _refuse, HTTPException: _refuse_route, Exception: _own_up}
    )
    app.state.contract, app.state.models, app.state.most_bytes = contract, models, most_bytes
    app.include_router(router)
    app.add_middleware(GZipMiddleware, compresslevel=1)  # 9 takes 20 times as long, for 14% fewer bytes
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Content-Encoding", LENGTH],
            expose_headers=[LENGTH, "Retry-After"],
        )
    return app


@reading("/")
async def _page() -> Response:
    return HTMLResponse(PAGE.read_text(encoding="utf-8"))


@reading("/contract.json")
async def _contract(request: Request) -> Response:
    return _json(request.app.state.contract)


@reading("/metrics")
async def _metrics(request: Request) -> Response:
    text, content_type = request.app.state.models.metrics.text(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": content_type})


@reading("/v2/health/live")
@reading("/v2/health/ready")
@reading(f"{MODEL}/ready")
@reading(f"{VERSION}/ready")
async def _healthy(request: Request) -> Response:
    if request.path_params:
        request.app.state.models.find(**request.path_params)
    return Response()


@reading("/v2")
@reading(MODEL)
@reading(VERSION)
async def _metadata(request: Request) -> Response:
    models = request.app.state.models
    return _json((models.find(**request.path_params) if request.path_params else models).metadata())


@router.post("/v2/repository/index")
async def _index(request: Request) -> Response:
    return _json(request.app.state.models.index())


@router.post("/v2/repository/models/{name}/load")
@router.post("/v2/repository/models/{name}/unload")
async def _load(request: Request) -> Response:
    return request.app.state.models.refuse_to_load(request.path_params["name"])


@router.post(f"{MODEL}/infer")
@router.post(f"{MODEL}/generate")
@router.post(f"{VERSION}/infer")
@router.post(f"{VERSION}/generate")
async def _infer(request: Request) -> Response:
    try:
        return await _inferred(request)
    except RequestError:
        raise
    except Exception:  # answered here, so that pages of other origins can read it
        logging.exception("a request over REST")
        return await _own_up(request, None)


async def _inferred(request: Request) -> Response:
    models = request.app.state.models
    with models.metrics.request("rest") as seen:
        model = models.find(**request.path_params)
        seen.model = model.name
        model.require_room()  # before a body is read in vain
        body = await read_body(request, request.app.state.most_bytes)
        asked, tensors = _with_tensors(body, request.headers.get(LENGTH))
        outputs = [output.name for output in asked.outputs or ()]
        found = await _unless_left(request, model.infer(tensors, outputs))
        seen.images = drawn(found)
        request_id = str(uuid.uuid4()) if asked.id is None else asked.id
        return _answer({"model_name": model.name, "model_version": models.version, "id": request_id}, found, asked)


async def _unless_left(request: Request, answer: Awaitable[Found]) -> Found:
    """Return what a request is answered with. Where its client goes away before, what still waits is not computed.

    Nobody looks before UNWATCHED seconds: most answers come sooner.
    """
    working = asyncio.ensure_future(answer)
    tasks: list[asyncio.Future[Any]] = [working]
    try:
        await asyncio.wait(tasks, timeout=UNWATCHED)
        if not working.done():
            tasks.append(asyncio.ensure_future(_left(request)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            tasks[-1].result()  # or what else ended it
            raise RequestError(*LEFT)
        return working.result()
    finally:
        for task in tasks:
            task.cancel()


async def _left(request: Request) -> None:
    """Return when the client of a request, whose body has been read, goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Return a request's body, unpacked. Raises RequestError if it is too long, stalls or cannot be unpacked.

    A body that is too long is read to its end and dropped: its sender reads no answer before that.
    """
    coding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    if coding not in CODINGS:
        told = f"this server does not unpack {shown(coding)}; send the body plain, or as gzip or deflate"
        raise RequestError(told, 415)
    request.state.is_read = True
    pieces, seen = [], 0
    async for piece in _pieces(request):
        seen += len(piece)
        pieces += [piece] if seen <= most_bytes else []
        if seen > MOST_DRAINED:
            break
    body = b"".join(pieces)
    try:
        if "gzip" in coding and seen <= most_bytes:
            body = gzip.GzipFile(fileobj=io.BytesIO(body)).read(most_bytes + 1)
        if "deflate" in coding and seen <= most_bytes:
            unpacker = zlib.decompressobj()
            body = unpacker.decompress(body, most_bytes + 1)
            if not unpacker.eof and len(body) <= most_bytes:
                raise EOFError
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"the body is not packed as {coding}") from error
    if max(seen, len(body)) > most_bytes:
        raise RequestError(f"the body has more than {most_bytes:,} bytes, the most that this server reads", 413)
    return body


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Give a body as it comes. Raises RequestError if it stalls, and where the client or the server ends."""
    goes_on = True
    while goes_on:
        try:
            message = await asyncio.wait_for(request.receive(), MOST_SILENCE)
        except asyncio.TimeoutError as error:
            raise RequestError(f"the body stalled for {MOST_SILENCE:g} seconds", 408) from error
        except asyncio.CancelledError as error:
            raise RequestError(*ENDS) from error
        if message["type"] == "http.disconnect":
            raise RequestError(*LEFT)
        yield message.get("body", b"")
        goes_on = message.get("more_body", False)


async def _drop_body(request: Request) -> bool:
    """Read a body that nobody read, if it is of a size that may be sent: its sender reads no answer before that.

    Return whether it is left unread, since its sender waits for a word before it sends.
    """
    if getattr(request.state, "is_read", False):
        return False
    if request.headers.get("expect"):
        return True
    seen = 0
    with contextlib.suppress(RequestError):
        async for piece in _pieces(request):
            seen += len(piece)
            if seen > request.app.state.most_bytes:
                break
    return False


class _Input(BaseModel):
    name: str
    datatype: str
    shape: list[StrictInt]
    parameters: Optional[dict[str, Any]] = None
    data: Any = None


class _Output(BaseModel):
    name: str
    parameters: Optional[dict[str, Any]] = None


class _Asked(BaseModel):
    """A request to a model, as the protocol has it."""

    id: Optional[str] = None
    parameters: Optional[dict[str, Any]] = None
    inputs: list[_Input]
    outputs: Optional[list[_Output]] = None


def _parsed(body: bytes) -> _Asked:
    """Return what a body asks for. Raises RequestError with the first thing that is wrong with it."""
    try:
        return _Asked.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))[:MOST_SHOWN]
    told = f"{where}: {first['msg']}" if where else first["msg"]
    raise RequestError(f"the body is not a request of the Open Inference Protocol V2 ({told})")


def _with_tensors(body: bytes, json_length: str | None) -> tuple[_Asked, list[tuple[str, Tensor]]]:
    """Return a request and its inputs; where some of them lie in bytes, the first `json_length` ones are JSON."""
    end = len(body)
    if json_length is not None:
        end = int(json_length) if re.fullmatch("[0-9]{1,19}", json_length) else end + 1
        if end > len(body):
            raise RequestError(
                f"Inference-Header-Content-Length must be a whole number of bytes, at most the body's "
                f"{len(body):,}, not {shown(json_length)}"
            )
    asked, rest, tensors = _parsed(body[:end]), body[end:], []
    for given in asked.inputs:
        size, data = (given.parameters or {}).get("binary_data_size"), given.data
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(rest):
                told = f"{shown(given.name)} says binary_data_size {shown(size)}, and {len(rest):,} bytes are left"
                raise RequestError(told)
            if data is not None:
                raise RequestError(f"{shown(given.name)} has data, and binary_data_size, which is for bytes alone")
            data, rest = from_bytes(given.name, given.datatype, rest[:size]), rest[size:]
        tensors.append((given.name, Tensor(given.datatype, given.shape, data)))
    if rest:
        raise RequestError(f"{len(rest):,} bytes are left behind the last of the inputs")
    return asked, tensors


def _answer(told: dict[str, Any], found: Mapping[str, np.ndarray], asked: _Asked) -> Response:
    """Return the answer with these outputs; those that are asked for in bytes follow the JSON, as Triton has it."""
    all_in_bytes, outputs, raw = (asked.parameters or {}).get("binary_data_output"), [], []
    wanted = {output.name: output.parameters or {} for output in asked.outputs or ()}
    for name, array in found.items():
        parameters: dict[str, Any] = {"content_type": "np"}
        output = {"name": name, "shape": array.shape, "datatype": "FP32", "parameters": parameters}
        if wanted.get(name, {}).get("binary_data", all_in_bytes) is True:
            raw.append(array.astype("<f4", copy=False).tobytes())
            parameters["binary_data_size"] = len(raw[-1])
        else:
            output["data"] = array.ravel()
        outputs.append(output)
    answer = _json({**told, "outputs": outputs})
    if not raw:
        return answer
    # floats hardly shrink, and to pack them takes longer than to draw: "identity" keeps the middleware off
    headers = {LENGTH: str(len(answer.body)), "Content-Encoding": "identity"}
    return Response(b"".join((answer.body, *raw)), 200, headers, "application/octet-stream")


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(text, status, headers, "application/json")


async def _refuse(request: Request, error: RequestError) -> Response:
    return await _refused(request, str(error), error.status, HEADERS.get(error.status))


async def _refuse_route(request: Request, error: HTTPException) -> Response:
    told = f"{shown(request.url.path)}: {error.detail}; the page is at /, and what the protocol tells of below /v2/"
    return await _refused(request, told, error.status_code, error.headers)


async def _refused(request: Request, told: str, status: int, headers: Mapping[str, str] | None) -> Response:
    unread = await _drop_body(request)
    return _json({"error": told}, status, {**(headers or {}), **UNREAD} if unread else headers)


async def _own_up(_request: Request, _error: Any) -> Response:
    return _json({"error": FAILED}, 500)
