"""The IDX format of the MNIST files: a magic number, the sizes, then the values."""

from __future__ import annotations

import gzip
import itertools
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ms_gan.data.faults import DataFault

UNSIGNED_BYTE = 0x08
LARGEST = 1 << 31  # bytes of values; 45 times MNIST, and small enough to hold
BLOCK = 1 << 20  # bytes that are read at once


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzipped (told by its first bytes, not its name).

    Returns uint8 of rank 1 to 3. Raises DataFault, which names the file, when it is missing, unreadable, damaged, or
    anything else than that.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if gzipped else open(path, "rb") as file:
            return _parse(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataFault(f"{path}: the gzip stream is damaged ({error})", "get another copy") from error
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror or error})") from error


def require(holds: bool, path: Path, fault: str, mend: str = "get another copy") -> None:
    """Raise DataFault about a file unless something holds."""
    if not holds:
        raise DataFault(f"{path}: {fault}", mend)


def _parse(file: IO[bytes] | gzip.GzipFile, path: Path) -> np.ndarray:
    magic = file.read(4)
    require(len(magic) == 4, path, "is truncated within its magic number" if magic else "is empty")
    zero, kind, rank = struct.unpack(">HBB", magic)
    require(zero == 0, path, f"is not an IDX file, its magic number is 0x{magic.hex()}")
    require(kind == UNSIGNED_BYTE, path, f"holds IDX type 0x{kind:02x}, not 0x08", "write its values as unsigned bytes")
    require(1 <= rank <= 3, path, f"has {rank} dimensions, not 1 to 3")
    sizes = file.read(4 * rank)
    require(len(sizes) == 4 * rank, path, "is truncated within its sizes")
    shape = struct.unpack(f">{rank}I", sizes)
    said = "x".join(map(str, shape))
    # A zero must not hide an absurd size next to it, which NumPy would refuse.
    require(math.prod(max(size, 1) for size in shape) <= LARGEST, path, f"claims the absurd size {said}")

    expected = math.prod(shape)
    # in blocks, so that memory follows what the file holds, not what its header claims
    blocks = itertools.islice(iter(lambda: file.read(BLOCK), b""), expected // BLOCK + 1)
    values = bytearray().join(blocks)
    require(len(values) >= expected, path, f"is truncated, {len(values)} of {expected} bytes ({said})")
    require(len(values) == expected and not file.read(1), path, f"has bytes left over after its {said} values")
    return np.frombuffer(values, np.uint8).reshape(shape)
