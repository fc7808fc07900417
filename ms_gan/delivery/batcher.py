"""Requests that wait at the same time become one batch, and one thread computes for all models.

MindSpore is not safe to use from several threads: two graphs that compute at the same time wait for each other forever.
While the thread is busy, requests queue up, and all that fit go into the next batch. None waits for a batch to fill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import numpy as np

from ms_gan.delivery.formats import ArrayFunction
from ms_gan.delivery.inference_request import ENDS, RequestError

Rows = tuple[np.ndarray, ...]
Waiting = tuple[Rows, "asyncio.Future[Rows]"]

_COMPUTING = ThreadPoolExecutor(1, thread_name_prefix="ms_gan")


async def compute(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, called in the one thread that computes. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_COMPUTING, function, *arguments)


class Batcher:
    """Runs a model, a function of arrays, on batches of at most `most_rows` rows. Used from one event loop."""

    def __init__(self, model: ArrayFunction, most_rows: int):
        self.model, self.most_rows, self.ended = model, most_rows, False
        self._waiting: deque[Waiting] = deque()
        self._computed: list[Waiting] = []
        self._work: asyncio.Task[None] | None = None

    async def submit(self, arrays: Rows) -> Rows:
        """Return the model's outputs for these rows, at most `most_rows`. Raises what the model raises."""
        if self.ended:
            raise RequestError(*ENDS)
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrays, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.ensure_future(self._answer_all())
        return await answer

    def abandon(self) -> None:
        """Answer all that waits, and what is being computed, with the status 503."""
        self.ended = True
        for _, answer in (*self._computed, *self._waiting):
            if not answer.done():
                answer.set_exception(RequestError(*ENDS))

    async def _answer_all(self) -> None:
        while batch := self._next_batch():
            self._computed = batch
            try:
                outputs = await compute(self.model, *map(np.concatenate, zip(*(arrays for arrays, _ in batch))))
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            ends = np.cumsum([len(arrays[0]) for arrays, _ in batch])
            for start, end, (_, answer) in zip([0, *ends], ends, batch):
                if not answer.done():
                    answer.set_result(tuple(output[start:end] for output in outputs))
        self._computed = []

    def _next_batch(self) -> list[Waiting]:
        """Return the requests that have waited longest, as many as fit; those that nobody waits for are left out."""
        batch: list[Waiting] = []
        rows = 0
        while self._waiting:
            arrays, answer = self._waiting[0]
            if not answer.done():
                rows += len(arrays[0])
                if rows > self.most_rows and batch:
                    break
                batch.append((arrays, answer))
            self._waiting.popleft()
        return batch
