"""What a server counts, in the text that Prometheus reads at /metrics."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from ms_gan.delivery.inference_request import RequestError

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50)
BATCH = tuple(2**power for power in range(11))
CANCELLED = 499  # the sender went away; as nginx logs it


@dataclass(frozen=True)
class ModelMetrics:
    """What the batcher of one model reports."""

    queue: Gauge
    batches: Histogram
    computing: Counter


@dataclass
class Seen:
    """A request while it is answered: the model that it asks for, once it is found, and its images, once computed."""

    model: str = ""
    images: int = 0


class Metrics:
    """The counters of one server. Statuses are those of HTTP, also for requests over gRPC."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        place: dict[str, Any] = {"namespace": "ms_gan", "registry": self.registry}
        by_model: dict[str, Any] = {"labelnames": ["model"], **place}
        by_protocol: dict[str, Any] = {"labelnames": ["model", "protocol"], **place}
        self._requests = Counter(
            "requests",
            "Inference requests that were answered or refused, by status",
            labelnames=["model", "protocol", "status"],
            **place,
        )
        self._duration = Histogram(
            "request_duration_seconds",
            "Time from a request's head to its answer, whatever the status",
            buckets=SECONDS,
            **by_protocol,
        )
        self._images = Counter(
            "images", "Images that were drawn or encoded for requests with status 200", **by_protocol
        )
        self._queue = Gauge("queue_images", "Images that wait for the next batch", **by_model)
        self._batches = Histogram("batch_images", "Images in a batch of requests", buckets=BATCH, **by_model)
        self._computing = Counter("compute_seconds", "Seconds in which the model computed", **by_model)
        ProcessCollector(registry=self.registry)

    def of(self, model: str) -> ModelMetrics:
        """Return what the batcher of a model reports to."""
        return ModelMetrics(self._queue.labels(model), self._batches.labels(model), self._computing.labels(model))

    @contextlib.contextmanager
    def request(self, protocol: str) -> Iterator[Seen]:
        """Count what happens in the block as one request over "rest" or "grpc", with its status and duration."""
        seen, status, begun = Seen(), CANCELLED, time.perf_counter()
        try:
            yield seen
            status = 200
        except RequestError as error:
            status = error.status
            raise
        except Exception:
            status = 500
            raise
        finally:  # also where the task is cancelled
            self._requests.labels(seen.model, protocol, str(status)).inc()
            self._duration.labels(seen.model, protocol).observe(time.perf_counter() - begun)
            if status == 200:
                self._images.labels(seen.model, protocol).inc(seen.images)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return all figures, and their content type, as the header Accept asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
