"""Tensors that lie in bytes, as Triton's clients send them over HTTP and gRPC."""

from __future__ import annotations

import struct

import numpy as np
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from ms_gan.delivery.inference_request import RequestError
from ms_gan.errors import shown


def from_bytes(name: str, datatype: str, content: bytes) -> np.ndarray:
    """Return a tensor's elements, flat: numbers, or bytes objects for the datatype BYTES. Raises RequestError."""
    try:
        if datatype == "BYTES":
            return deserialize_bytes_tensor(content)
        return np.frombuffer(content, triton_to_np_dtype(datatype))
    except (ValueError, struct.error) as error:
        told = f"{shown(name)} has {len(content):,} bytes, which are no elements of {shown(datatype)}"
        raise RequestError(told) from error
