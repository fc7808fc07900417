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
from collections.abc import Iterator, Sequence
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
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {"Content-Type": "application/json", **own}
        request = urllib.request.Request(self.url + path, body, method=method, headers=headers)
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
        body = {"inputs": inputs, "outputs": [{"name": name} for name in outputs]}
        status, answer = self.ask(f"/v2/models/{model}/infer", body)
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
def started(command: Sequence[object], log: Path, **variables: str) -> Iterator[subprocess.Popen]:
    """Start a program that writes into `log`, with these variables; what is left of it behind the block is killed."""
    with open(log, "wb") as output:
        said: dict[str, Any] = {"stdout": output, "stderr": subprocess.STDOUT, "start_new_session": True}
        process = subprocess.Popen(list(map(str, command)), env=environment(**variables), **said)
    try:
        yield process
    finally:
        if process.poll() is None:
            end(process, signal.SIGKILL, group=True)


def serve_command(bundle: Path, http: int, grpc: int, *options: object) -> list[object]:
    """Return the command that serves a bundle on these ports."""
    return [sys.executable, "-m", "ms_gan", "serve", bundle, "--http-port", http, "--grpc-port", grpc, *options]


@contextlib.contextmanager
def serving(bundle: Path, log: Path, *options: object, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve a bundle until the block ends; the server then has to end as it should."""
    http, grpc = free_ports(2)
    with started(serve_command(bundle, http, grpc, "--host", host, *options), log) as process:
        wait_until(lambda: "serving " in log.read_text(errors="replace"), process, log)
        yield Server(process, host, http, grpc, log)
        assert end(process) == 0, log.read_text(errors="replace")


def mlserver_variables(host: str = "127.0.0.1") -> dict[str, str]:
    """Return the variables that tell MLServer where to listen."""
    names = ("HTTP", "GRPC", "METRICS")
    ports = {f"MLSERVER_{name}_PORT": str(port) for name, port in zip(names, free_ports(len(names)))}
    return {"MLSERVER_HOST": host, **ports}


MLSERVER = (sys.executable, "-m", "mlserver.cli.main", "start")


@contextlib.contextmanager
def mlserver(folder: Path, log: Path, models: int = 2, host: str = "127.0.0.1", **variables: str) -> Iterator[Server]:
    """Serve a bundle with MLServer's own command, from the moment when so many models are loaded."""
    places = {**mlserver_variables(host), **variables}
    with started([*MLSERVER, folder], log, **places) as process:
        wait_until(lambda: log.read_text().count("Loaded model") == models, process, log)
        yield Server(process, host, int(places["MLSERVER_HTTP_PORT"]), int(places["MLSERVER_GRPC_PORT"]), log)


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
