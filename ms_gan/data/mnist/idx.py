"""The IDX format of the MNIST files: a magic number, the sizes, then the values."""

from __future__ import annotations

import contextlib
import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ms_gan.data.faults import DataFault

UNSIGNED_BYTE = 0x08
LARGEST = 1 << 31  # bytes of values; 45 times MNIST, and small enough to hold


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzipped (told by its first bytes, not its name).

    Returns uint8 of rank 1 to 3. Raises DataFault, which names the file,
    when it is missing, unreadable, damaged, or anything else than that.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            return _parse(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataFault(f"{path}: the gzip stream is damaged ({error})", "get another copy") from error
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror or error})") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with open(path, "rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if gzipped:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        else:
            yield file


def _parse(file: IO[bytes] | gzip.GzipFile, path: Path) -> np.ndarray:
    magic = file.read(4)
    if not magic:
        raise DataFault(f"{path}: is empty", "get another copy")
    if len(magic) < 4:
        raise DataFault(f"{path}: is truncated within its magic number", "get another copy")
    zero, kind, rank = struct.unpack(">HBB", magic)
    if zero != 0:
        raise DataFault(f"{path}: is not an IDX file, its magic number is 0x{magic.hex()}", "get another copy")
    if kind != UNSIGNED_BYTE:
        raise DataFault(f"{path}: holds IDX type 0x{kind:02x}, not 0x08", "write its values as unsigned bytes")
    if not 1 <= rank <= 3:
        raise DataFault(f"{path}: has {rank} dimensions, not 1 to 3", "get another copy")

    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataFault(f"{path}: is truncated within its sizes", "get another copy")
    shape = struct.unpack(f">{rank}I", sizes)
    # A zero must not hide an absurd size next to it, which NumPy would refuse.
    if math.prod(max(size, 1) for size in shape) > LARGEST:
        raise DataFault(f"{path}: claims the absurd size {_product(shape)}", "get another copy")

    expected = math.prod(shape)
    values = _read_at_most(file, expected + 1)
    if len(values) < expected:
        raise DataFault(
            f"{path}: is truncated, {len(values)} of {expected} bytes ({_product(shape)})", "get another copy"
        )
    if len(values) > expected:
        raise DataFault(f"{path}: has bytes left over after its {_product(shape)} values", "get another copy")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _read_at_most(file: IO[bytes] | gzip.GzipFile, count: int) -> bytearray:
    """Read up to `count` bytes; memory follows what the file holds, not what its header claims."""
    values = bytearray()
    while len(values) < count:
        block = file.read(min(count - len(values), 1 << 20))
        if not block:
            break
        values += block
    return values


def _product(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
