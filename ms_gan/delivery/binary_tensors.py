"""Requests over REST whose tensors lie as bytes behind the JSON: Triton's extension of the protocol."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from ms_gan.delivery.requests import WHOLE, RequestError
from ms_gan.errors import shown

DTYPES = {
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{name: f"<{'u' if name[0] == 'U' else 'i'}{int(name.lstrip('UINT')) // 8}" for name in WHOLE},
}


def as_json_alone(body: bytes, json_length: str) -> bytes:
    """Return a request as JSON alone, which MLServer reads, whose first `json_length` bytes are JSON as yet.

    `json_length` is the header Inference-Header-Content-Length as it was sent. Raises RequestError for a length that
    is none, and for tensors that are not as their inputs say.
    """
    if not (
        json_length.isascii() and json_length.isdigit() and len(json_length) < 20 and int(json_length) <= len(body)
    ):
        raise RequestError(
            f"Inference-Header-Content-Length must be a whole number of bytes, at most the body's "
            f"{len(body):,}, not {shown(json_length)}"
        )
    rest = body[int(json_length) :]
    try:
        request = json.loads(body[: int(json_length)])
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the first {json_length} bytes of the body are not JSON") from error
    try:
        for tensor in request["inputs"]:
            size = (tensor.get("parameters") or {}).pop("binary_data_size", None)
            if size is not None:
                if type(size) is not int or not 0 <= size <= len(rest):
                    raise RequestError(
                        f"{shown(tensor['name'])} says binary_data_size {shown(size)}, and {len(rest):,} bytes are left"
                    )
                tensor["data"], rest = _elements(tensor, rest[:size]), rest[size:]
        if rest:
            raise RequestError(f"{len(rest):,} bytes are left behind the last of the inputs")
        return json.dumps(request).encode()
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError("the body is not a request of the Open Inference Protocol V2") from error


def _elements(tensor: dict[str, Any], content: bytes) -> list[Any]:
    name, datatype = shown(tensor["name"]), tensor["datatype"]
    if datatype == "BYTES":
        return _texts(name, content)
    if datatype not in DTYPES:
        raise RequestError(f"{name} is of the type {shown(datatype)}, which this server does not read from bytes")
    try:
        array = np.frombuffer(content, DTYPES[datatype])
    except ValueError as error:
        raise RequestError(f"{name} has {len(content):,} bytes, no whole number of {datatype}") from error
    if not np.isfinite(array).all():  # JSON could not say them
        raise RequestError(f"{name} has elements that are not finite numbers")
    return array.tolist()


def _texts(name: str, content: bytes) -> list[str]:
    """Return texts, before each of which its length in bytes stands in four."""
    texts, place = [], 0
    while place < len(content):
        try:
            (length,) = struct.unpack_from("<I", content, place)
            place += 4 + length
            if place > len(content):
                raise RequestError(f"{name} is cut off: a text of {length:,} bytes is not all there")
            texts.append(content[place - length : place].decode("utf-8"))
        except struct.error as error:
            raise RequestError(f"{name} is cut off: a text's length is not all there") from error
        except UnicodeDecodeError as error:
            raise RequestError(f"{name} is not UTF-8") from error
    return texts
