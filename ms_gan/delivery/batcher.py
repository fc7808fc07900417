"""Requests that wait at the same time become one batch, and one thread computes for all models.

MindSpore is not safe to use from several threads: two graphs that compute at the same time wait for each other forever.
While the thread is busy, requests queue up, and all that fit go into the next batch. None waits for a batch to fill.
A queue that is full refuses at once, instead of growing with the load.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from ms_gan.delivery.formats import ArrayFunction
from ms_gan.delivery.inference_request import ENDS, RequestError
from ms_gan.delivery.server_metrics import ModelMetrics

Rows = tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Waiting:
    """A request's rows, and what its sender waits for."""

    arrays: Rows
    answer: asyncio.Future[Rows]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.arrays[0])


_COMPUTING = ThreadPoolExecutor(1, thread_name_prefix="ms_gan")


async def compute(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, called in the one thread that computes. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_COMPUTING, function, *arguments)


class Batcher:
    """Runs a model, a function of arrays, on batches of at most `most_rows` rows. Used from one event loop.

    At most `most_waiting` rows wait; one request may always wait, however many rows it has.
    """

    def __init__(self, model: ArrayFunction, most_rows: int, most_waiting: int, metrics: ModelMetrics):
        self.model, self.most_rows, self.most_waiting, self.ended = model, most_rows, most_waiting, False
        self._metrics = metrics
        self._rows_waiting = 0
        self._waiting: deque[Waiting] = deque()
        self._computed: list[Waiting] = []
        self._work: asyncio.Task[None] | None = None

    async def submit(self, arrays: Rows) -> Rows:
        """Return the model's outputs for these rows, at most `most_rows`.

        Raises what the model raises, and RequestError where the queue is full or the server ends.
        """
        self.require_room(len(arrays[0]))
        request = Waiting(arrays, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._count_waiting(request.rows)
        if self._work is None or self._work.done():
            self._work = asyncio.ensure_future(self._answer_all())
        try:
            return await request.answer
        finally:
            if request.answer.cancelled() and request in self._waiting:  # nobody waits for it any more
                self._waiting.remove(request)
                self._count_waiting(-request.rows)

    def require_room(self, rows: int = 1) -> None:
        """Raise RequestError where so many more rows may not wait, or the server ends."""
        if self.ended:
            raise RequestError(*ENDS)
        if self._waiting and self._rows_waiting + rows > self.most_waiting:
            raise RequestError(f"the server is busy: {self._rows_waiting:,} images wait already; ask again later", 503)

    def _count_waiting(self, rows: int) -> None:
        self._rows_waiting += rows
        self._metrics.queue.set(self._rows_waiting)

    def abandon(self) -> None:
        """Answer all that waits, and what is being computed, with the status 503."""
        self.ended = True
        for request in (*self._computed, *self._waiting):
            if not request.answer.done():
                request.answer.set_exception(RequestError(*ENDS))

    async def _answer_all(self) -> None:
        while batch := self._next_batch():
            self._computed = batch
            self._metrics.batches.observe(sum(request.rows for request in batch))
            try:
                outputs = await compute(self._timed, *map(np.concatenate, zip(*(request.arrays for request in batch))))
            except Exception as error:
                for request in batch:
                    if not request.answer.done():
                        request.answer.set_exception(error)
                continue
            ends = np.cumsum([request.rows for request in batch])
            for start, end, request in zip([0, *ends], ends, batch):
                if not request.answer.done():
                    request.answer.set_result(tuple(output[start:end] for output in outputs))
        self._computed = []

    def _timed(self, *arrays: np.ndarray) -> Rows:
        begun = time.perf_counter()
        try:
            return self.model(*arrays)
        finally:
            self._metrics.computing.inc(time.perf_counter() - begun)

    def _next_batch(self) -> list[Waiting]:
        """Return the requests that have waited longest, as many as fit; those that nobody waits for are left out."""
        batch: list[Waiting] = []
        rows = 0
        while self._waiting:
            request = self._waiting[0]
            if not request.answer.done():
                rows += request.rows
                if rows > self.most_rows and batch:
                    break
                batch.append(request)
            self._waiting.popleft()
            self._count_waiting(-request.rows)
        return batch
