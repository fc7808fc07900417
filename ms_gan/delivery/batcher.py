"""Requests that wait at the same time become one batch; each model has a thread, and one at a time computes.

MindSpore is not safe to use from several threads at once: a generator and an encoder that compute at the same time
wait for each other for ever. While a thread is busy, requests queue up, and all that fit go into the next batch: nobody
waits for a batch to fill.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import Future, InvalidStateError
from typing import Callable, NamedTuple

import numpy as np

Run = Callable[..., tuple[np.ndarray, ...]]

_COMPUTING = threading.Lock()


class Ended(RuntimeError):
    """The model is no longer served, or will not be before what was asked for is computed."""


class _Request(NamedTuple):
    arrays: tuple[np.ndarray, ...]
    answer: Future[tuple[np.ndarray, ...]]


class Batcher:
    """A thread that opens a model, and runs it on batches of at most `most_rows` rows."""

    def __init__(self, open_model: Callable[[], Run], most_rows: int):
        """Open the model, in the thread that will run it. Raises what `open_model` raises."""
        self.most_rows = most_rows
        self._closed = False
        self._unanswered: set[Future[tuple[np.ndarray, ...]]] = set()
        self._taking = threading.Lock()  # held to take requests to be computed, or to give all of them up
        self._waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(open_model, opened), daemon=True)
        self._thread.start()
        opened.result()

    def submit(self, arrays: tuple[np.ndarray, ...]) -> Future[tuple[np.ndarray, ...]]:
        """Return the model's outputs for these rows, at most `most_rows`, when they will be there."""
        answer: Future[tuple[np.ndarray, ...]] = Future()
        if self._closed:
            answer.set_exception(Ended("this model is no longer served"))
            return answer
        with self._taking:
            self._unanswered.add(answer)
        self._waiting.put(_Request(arrays, answer))
        return answer

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def abandon(self) -> None:
        """Answer all that waits, and what is being computed, with `Ended`; `close` then only ends the thread."""
        self._closed = True
        with self._taking:
            for answer in self._unanswered:
                with contextlib.suppress(InvalidStateError):  # it was cancelled
                    answer.set_exception(Ended("this model is no longer served"))
            self._unanswered.clear()

    def _work(self, open_model: Callable[[], Run], opened: Future[None]) -> None:
        try:
            with _COMPUTING:
                run = open_model()
        except BaseException as error:
            opened.set_exception(error)
            return
        opened.set_result(None)
        following = self._waiting.get()
        while following is not None:
            batch, following = self._fill(following)
            with self._taking:
                batch = [
                    request
                    for request in batch
                    if request.answer in self._unanswered and request.answer.set_running_or_notify_cancel()
                ]
            self._answer(run, batch)
            with self._taking:
                self._unanswered.difference_update(request.answer for request in batch)
            following = following or self._waiting.get()

    def _fill(self, first: _Request) -> tuple[list[_Request], _Request | None]:
        """Return `first` and what waits and fits behind it, and the request that did not fit any more."""
        batch, rows = [first], len(first.arrays[0])
        while True:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                return batch, None
            if request is None:
                self._waiting.put(None)  # the end comes after this batch
                return batch, None
            rows += len(request.arrays[0])
            if rows > self.most_rows:
                return batch, request
            batch.append(request)

    @staticmethod
    def _answer(run: Run, batch: list[_Request]) -> None:
        if not batch:
            return
        try:
            arrays = [np.concatenate(parts) for parts in zip(*(request.arrays for request in batch))]
            with _COMPUTING:
                outputs = run(*arrays)
        except BaseException as error:
            for request in batch:
                with contextlib.suppress(InvalidStateError):  # it was given up
                    request.answer.set_exception(error)
            return
        start = 0
        for request in batch:
            end = start + len(request.arrays[0])
            with contextlib.suppress(InvalidStateError):
                request.answer.set_result(tuple(output[start:end] for output in outputs))
            start = end
