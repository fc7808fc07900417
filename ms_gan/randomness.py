"""Random numbers that can be drawn again: each is a function of a seed, a purpose and a counter."""

from __future__ import annotations

import zlib

import numpy as np


def random_stream(seed: int, purpose: str, counter: int = 0) -> np.random.Generator:
    """Return the random numbers of one purpose at one point of a run.

    A resumed run draws what an undisturbed one draws, with no state to store: the stream depends on the arguments
    alone. Streams of other purposes, or of other counters, are independent of it. Philox is a counter-based generator
    (Salmon et al. 2011); `seed` and `purpose` are its key, `counter` (say, the step) the high word of its counter.

    Args:
        seed: from 0 to 2⁶⁴ − 1.
        purpose: any text.
        counter: from 0 to 2⁶⁴ − 1; streams of two counters begin 2¹⁹² blocks apart.
    """
    key = np.array([seed, zlib.crc32(purpose.encode())], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, counter], dtype=np.uint64)))
