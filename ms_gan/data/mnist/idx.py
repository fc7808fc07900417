"""The IDX format of the MNIST files: a magic number, the sizes, then the values."""

from __future__ import annotations

import io
import math
import mmap
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ms_gan.data.faults import DataFault

TYPES: dict[int, np.dtype] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}  # the second is that of QMNIST's labels
LARGEST = 1 << 31  # bytes of values; 45 times MNIST, and small enough to hold
BLOCK = 1 << 20  # bytes that are read, or unpacked, at once


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes or whole numbers, plain or gzipped (told by its first bytes, not its name).

    Returns uint8, or int32 with the highest byte first, of rank 1 to 3. Raises DataFault, which names the file, when it
    is missing, unreadable, damaged, or anything else than that.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            return _parse(io.BufferedReader(_Unpacked(file)) if gzipped else file, path)
    except (EOFError, zlib.error) as error:
        raise DataFault(f"{path}: the gzip stream is damaged ({error})", "get another copy") from error
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror or error})") from error


def require(holds: bool, path: Path, fault: str, mend: str = "get another copy") -> None:
    """Raise DataFault about a file unless something holds."""
    if not holds:
        raise DataFault(f"{path}: {fault}", mend)


class _Unpacked(io.RawIOBase):
    """What a gzip file holds. Raises EOFError and zlib.error for a damaged one.

    The module `gzip` unpacks 8 kB at a time, and each time waits for its turn among threads: beside an import of
    MindSpore that takes seconds. This one unpacks a megabyte.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._member, self._packed = file, zlib.decompressobj(31), b""  # 31: gzip, its checksum included

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while True:
            packed = self._packed or self._file.read(BLOCK)
            if not packed and not self._member.eof:
                raise EOFError("it ends too early")
            if self._member.eof:
                if not packed:
                    return 0
                packed = self._packed = packed.lstrip(b"\0")  # padding, after which another member may come
                if not packed:
                    continue
                self._member = zlib.decompressobj(31)
            found = self._member.decompress(packed, len(buffer))
            self._packed = self._member.unconsumed_tail or self._member.unused_data
            buffer[: len(found)] = found
            if found:
                return len(found)


def _parse(file: io.BufferedReader, path: Path) -> np.ndarray:
    magic = file.read(4)
    require(len(magic) == 4, path, "is truncated within its magic number" if magic else "is empty")
    zero, kind, rank = struct.unpack(">HBB", magic)
    require(zero == 0, path, f"is not an IDX file, its magic number is 0x{magic.hex()}")
    fault = f"holds IDX type 0x{kind:02x}, not 0x08 or 0x0c"
    require(kind in TYPES, path, fault, "write its values as unsigned bytes")
    require(1 <= rank <= 3, path, f"has {rank} dimensions, not 1 to 3")
    sizes = file.read(4 * rank)
    require(len(sizes) == 4 * rank, path, "is truncated within its sizes")
    shape = struct.unpack(f">{rank}I", sizes)
    said = "x".join(map(str, shape))
    # A zero must not hide an absurd size next to it, which NumPy would refuse.
    size = TYPES[kind].itemsize
    require(size * math.prod(max(side, 1) for side in shape) <= LARGEST, path, f"claims the absurd size {said}")

    expected = size * math.prod(shape)
    # memory that takes room only once it is written to: it follows what the file holds, not what its header claims
    memory = mmap.mmap(-1, max(expected, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    found, view = 0, memoryview(memory)[:expected]
    while found < expected and (more := file.readinto(view[found : found + BLOCK])):
        found += more
    require(found == expected, path, f"is truncated, {found} of {expected} bytes ({said})")
    require(not file.read(1), path, f"has bytes left over after its {said} values")
    return np.frombuffer(view, TYPES[kind]).reshape(shape)
