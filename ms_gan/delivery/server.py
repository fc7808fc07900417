"""Serving a bundle over HTTP and gRPC, from the opening of its models until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import grpc
import uvicorn

from ms_gan.delivery.address import in_url
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.grpc_service import grpc_server
from ms_gan.delivery.inference_request import most_body_bytes
from ms_gan.delivery.rest import rest_app
from ms_gan.delivery.served_model import ServedModel, ServedModels
from ms_gan.delivery.stopping import Stopping

MOST_AT_THE_END = 10  # seconds for what is under way when a signal ends the server
PATIENCE = 3  # seconds after the first signal in which others change nothing
ANSWERING = 1  # seconds for answers that are known


def serve(
    folder: Path, file_format: str, address: str, http_port: int, grpc_port: int, most_rows: int, stopping: Stopping
) -> None:
    """Serve a bundle at a numeric address until a signal ends it. Raises UserError for a bundle that cannot be used.

    `most_rows`: the most images in one request, and in one batch.
    """
    bundle = Bundle(folder, file_format)
    contract, most_bytes = bundle.contract, most_body_bytes(bundle.contract, most_rows)
    models = ServedModels(
        [ServedModel(model, name, contract, file_format, most_rows) for name, model in bundle.models.items()]
    )
    config = uvicorn.Config(
        rest_app(folder, models, most_bytes),
        host=address,
        port=http_port,
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

    async def listen() -> None:
        remote = grpc_server(models, address, grpc_port, most_bytes)  # which has to be made while its loop runs
        await Server(config, remote, models).listen(told, stopping)

    asyncio.run(listen())


class Server(uvicorn.Server):
    """HTTP and gRPC that begin and end together. Signals reach it through `Stopping` alone."""

    def __init__(self, config: uvicorn.Config, remote: grpc.aio.Server, models: ServedModels):
        super().__init__(config)
        self.remote, self.models = remote, models
        self._ends: list[asyncio.Future[None]] = []
        self._patient_until = 0.0  # by the loop's clock

    def capture_signals(self) -> Any:
        """Leave signals alone: uvicorn would raise them again at its end."""
        return contextlib.nullcontext()

    async def listen(self, told: str, stopping: Stopping) -> None:
        """Serve until `end` has ended it; print `told`, and take signals, from the moment when both listen."""
        await self.remote.start()
        serving = asyncio.ensure_future(self.serve())
        while not (self.started or serving.done()):
            await asyncio.sleep(0.05)
        if self.started:
            loop = asyncio.get_running_loop()
            stopping.serves(lambda: None if loop.is_closed() else loop.call_soon_threadsafe(self.end))
            print(told, flush=True)
        await serving
        await self.remote.wait_for_termination()

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
