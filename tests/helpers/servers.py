"""How the tests serve a bundle: in a process of its own, on ports that are free."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers.commands import HANGS, environment

INFER = "/v2/models/generator/infer"


class Server(NamedTuple):
    """A server that runs, where it listens, and the file that holds what it says."""

    process: subprocess.Popen
    host: str
    http: int
    grpc: int
    log: Path

    @property
    def url(self) -> str:
        """Where its page is."""
        return f"http://{self.host}:{self.http}"

    def ask(self, path: str = INFER, body: Any = None, method: str = "POST", **headers: str) -> tuple[int, Any]:
        """Return a request's status, and what it answers, read from JSON where it is JSON.

        `body` is sent as it is when it is bytes, else as JSON.
        """
        body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path,
            body,
            method=method,
            headers={
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=HANGS) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        with contextlib.suppress(ValueError):
            return status, json.loads(text)
        return status, text

    def draw(self, *inputs: dict, outputs: tuple[str, ...] = ("image",), model: str = "generator") -> list[np.ndarray]:
        """Return these outputs of a request over REST that is answered."""
        status, answer = self.ask(
            f"/v2/models/{model}/infer", {"inputs": inputs, "outputs": [{"name": name} for name in outputs]}
        )
        assert status == 200, answer
        assert [output["name"] for output in answer["outputs"]] == list(outputs)
        return [np.reshape(np.float32(output["data"]), output["shape"]) for output in answer["outputs"]]


def tensor(name: str, datatype: str, data: Any, shape: Any = None) -> dict:
    """Return an input as JSON says it; a list has its length as its shape, an array its own."""
    if isinstance(data, np.ndarray):
        shape, data = list(data.shape) if shape is None else shape, data.ravel().tolist()
    return {"name": name, "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def serving(bundle: Path, log: Path, *options: object, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve a bundle until the block ends; the server then has to end as it should."""
    http, grpc = free_ports(2)
    command = [
        sys.executable,
        "-m",
        "ms_gan",
        "serve",
        str(bundle),
        "--http-port",
        str(http),
        "--grpc-port",
        str(grpc),
        "--host",
        host,
        *map(str, options),
    ]
    with open(log, "wb") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "serving " in log.read_text(errors="replace"), process, log)
        yield Server(process, host, http, grpc, log)
        assert end(process) == 0, log.read_text(errors="replace")
    finally:
        process.kill()
        process.wait()


def wait_until(condition, process: subprocess.Popen, log: Path, seconds: float = HANGS) -> None:
    """Wait for a condition while a process runs."""
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < limit, log.read_text(errors="replace")
        time.sleep(0.05)


def end(process: subprocess.Popen, number: int = signal.SIGTERM, group: bool = False) -> int:
    """Send a process, or its group, a signal; return the status with which it ends."""
    if process.poll() is None:
        os.killpg(process.pid, number) if group else process.send_signal(number)
    return process.wait(HANGS)
