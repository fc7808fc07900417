"""Serving a bundle over HTTP and gRPC, from the opening of its models until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from ms_gan.delivery.address import bound, in_url
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.grpc_service import GrpcServer
from ms_gan.delivery.inference_request import most_body_bytes
from ms_gan.delivery.rest import rest_app
from ms_gan.delivery.served_model import ServedModel, ServedModels, shown_contract
from ms_gan.delivery.server_metrics import Metrics
from ms_gan.delivery.stopping import Stopping

MOST_AT_THE_END = 10  # seconds for what is under way when a signal ends the server
PATIENCE = 3  # seconds after the first signal in which others change nothing
ANSWERING = 1  # seconds for answers that are known
IDLE = 75  # seconds that a connection may be idle after an answer: proxies, which keep theirs less long, end first
MOST_OPEN = 65_536  # files, and so connections


@dataclass(frozen=True)
class Listening:
    """Where a server listens, to whom, and how much it takes.

    Args:
        address: a numeric one.
        most_rows: the most images in one request, and in one batch.
        most_waiting: the most images that wait for a batch.
        origins: of pages on other servers that may use this one.
    """

    address: str
    http_port: int
    grpc_port: int
    most_rows: int
    most_waiting: int
    origins: tuple[str, ...] = ()


def serve(folder: Path, file_format: str, listening: Listening, stopping: Stopping) -> None:
    """Serve a bundle until a signal ends it. Raises UserError for a bundle that cannot be used."""
    bundle, metrics = Bundle(folder, file_format), Metrics()
    address, http_port, grpc_port = listening.address, listening.http_port, listening.grpc_port
    contract, most_bytes = bundle.contract, most_body_bytes(bundle.contract, listening.most_rows)
    limits = (listening.most_rows, listening.most_waiting, metrics)
    models = ServedModels(
        [ServedModel(model, name, contract, file_format, *limits) for name, model in bundle.models.items()], metrics
    )
    _allow_many_connections()
    config = uvicorn.Config(
        rest_app(shown_contract(folder, models.find("generator")), models, most_bytes, listening.origins),
        host=address,
        port=http_port,
        timeout_keep_alive=IDLE,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=MOST_AT_THE_END + ANSWERING,
    )
    host = in_url(address)
    told = (
        f"serving {contract.title}, as {file_format}: page and REST at http://{host}:{http_port}/, "
        f"gRPC at {host}:{grpc_port}; Ctrl-C ends it"
    )

    remote = GrpcServer(models, address, grpc_port, most_bytes)
    asyncio.run(Server(config, remote, models).listen(told, stopping))


def _allow_many_connections() -> None:
    """Raise how many files this process may open, as far as it may: a shell's 1,024 are soon used up by clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN if hard == resource.RLIM_INFINITY else min(MOST_OPEN, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Server(uvicorn.Server):
    """HTTP and gRPC that begin and end together. Signals reach it through `Stopping` alone."""

    def __init__(self, config: uvicorn.Config, remote: GrpcServer, models: ServedModels):
        super().__init__(config)
        self.remote, self.models = remote, models
        self._ends: list[asyncio.Future[None]] = []
        self._patient_until = 0.0  # by the loop's clock

    def capture_signals(self) -> Any:
        """Leave signals alone: uvicorn would raise them again at its end."""
        return contextlib.nullcontext()

    async def listen(self, told: str, stopping: Stopping) -> None:
        """Serve until `end` has ended it; print `told`, and take signals, from the moment when both listen."""
        http = bound(self.config.host, self.config.port, "http_port", self.config.backlog)
        try:
            await self.remote.start()
        except BaseException:
            http.close()
            raise
        serving = asyncio.ensure_future(self.serve([http]))
        while not (self.started or serving.done()):
            await asyncio.sleep(0.05)
        if self.started:
            await self.remote.serves()
            loop = asyncio.get_running_loop()
            stopping.serves(lambda: None if loop.is_closed() else loop.call_soon_threadsafe(self.end))
            print(told, flush=True)
        await serving
        while under_way := [stop for stop in self._ends if not stop.done()]:  # a later signal adds another
            await asyncio.gather(*under_way)
        await self.remote.ended()

    def end(self) -> None:
        """Finish requests under way, for a limited time, and end. A second call, after PATIENCE, ends at once."""
        loop = asyncio.get_running_loop()
        self.should_exit = True
        if not self._ends:
            self._patient_until = loop.time() + PATIENCE
            self._ends.append(asyncio.ensure_future(self.remote.stop(MOST_AT_THE_END)))
            loop.call_later(MOST_AT_THE_END, self.end)
        elif loop.time() >= self._patient_until:
            for model in self.models.by_name.values():
                model.abandon()
            self._ends.append(asyncio.ensure_future(self.remote.stop(ANSWERING)))
            loop.call_later(ANSWERING, self._cut_off)

    def _cut_off(self) -> None:
        """Answer those whose bodies are still being read."""
        for task in list(self.server_state.tasks):
            task.cancel()
