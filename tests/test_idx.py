"""The IDX reader: what is written comes back, and nothing malformed gets by."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from helpers.idx_files import idx_bytes
from helpers.refusals import refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ms_gan.data.mnist.idx import read_idx
from ms_gan.errors import UserError

shapes = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)
byte_arrays = arrays(np.uint8, shapes)
quick = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(path) -> str:
    """Return the message with which the file is refused, which must be one line that names it."""
    message = refused(read_idx, path)
    assert str(path) in message
    return message


@quick
@given(array=byte_arrays | arrays(">i4", shapes), gzipped=st.booleans())
def test_round_trip(tmp_path, array, gzipped):
    content = idx_bytes(array)
    path = tmp_path / "array"  # no suffix: the content tells whether it is gzipped
    path.write_bytes(gzip.compress(content) if gzipped else content)
    read = read_idx(str(path))
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert np.array_equal(read, array)


def taken(tmp_path, content):
    """Return what is read of a file with this content; None where it is refused as it should be."""
    path = tmp_path / "array"
    path.write_bytes(content)
    try:
        return read_idx(path)
    except UserError:
        refusal(path)


@quick
@given(array=byte_arrays, gzipped=st.booleans(), data=st.data())
def test_every_truncation_is_refused(tmp_path, array, gzipped, data):
    content = gzip.compress(idx_bytes(array)) if gzipped else idx_bytes(array)
    assert taken(tmp_path, content[: data.draw(st.integers(0, len(content) - 1))]) is None


@quick
@given(array=byte_arrays, data=st.data())
def test_every_changed_header_is_refused_or_read_as_what_it_says(tmp_path, array, data):
    content = bytearray(idx_bytes(array))
    content[data.draw(st.integers(0, 4 * array.ndim + 3))] ^= data.draw(st.integers(1, 255))
    read = taken(tmp_path, content)
    assert read is None or idx_bytes(read) == bytes(content)


@quick
@given(array=byte_arrays, data=st.data())
def test_damaged_gzip_is_refused_or_harmless(tmp_path, array, data):
    content = bytearray(gzip.compress(idx_bytes(array)))
    content[data.draw(st.integers(2, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    read = taken(tmp_path, content)
    assert read is None or np.array_equal(read, array)  # the byte stood for a time or a name


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"", "is empty"),
        (b"\0\0", "truncated within its magic number"),
        (b"\x89PNG" + bytes(20), "magic number is 0x89504e47"),
        (struct.pack(">HBBI", 0, 0x0D, 1, 0), "IDX type 0x0d"),
        (struct.pack(">HBB", 0, 8, 0), "has 0 dimensions"),
        (struct.pack(">HBB4I", 0, 8, 4, 1, 1, 1, 1) + b"x", "has 4 dimensions"),
        (struct.pack(">HBBI", 0, 8, 2, 5), "truncated within its sizes"),
        (struct.pack(">HBB2I", 0, 8, 2, 2, 3) + b"12345", "truncated, 5 of 6 bytes"),
        (struct.pack(">HBB2I", 0, 8, 2, 2, 3) + b"1234567", "left over"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "absurd size"),
        (struct.pack(">HBB3I", 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), "absurd size"),
        (gzip.compress(idx_bytes(np.ones(50, np.uint8)), mtime=0)[:-9], "gzip stream is damaged"),
        (gzip.compress(idx_bytes(np.ones(50, np.uint8)), mtime=0) + b"tail", "gzip stream is damaged"),
    ],
)
def test_says_what_is_wrong(tmp_path, content, complaint):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert complaint in refusal(path)


def test_missing_file_and_folder_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing")
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_false_size_costs_no_memory(tmp_path, pack):
    path = tmp_path / "liar"
    path.write_bytes(pack(struct.pack(">HBB3I", 0, 8, 3, 2, 2**15, 2**15) + b"few"))
    tracemalloc.start()
    try:
        assert "truncated, 3 of 2147483648 bytes" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
