"""Several devices: one process for each, and MindSpore's scheduler that brings them together."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from ms_gan.runtime import LAUNCHER
from ms_gan.signals import handled


def launch(devices: int, arguments: list[str]) -> int:
    """Run the command once for each device, and return the exit status of the first one's process.

    These are the processes and the environment that `msrun` would start; unlike it, this gives the first
    process our output and keeps its exit status. Signals, and our own end, go to that process alone: it saves,
    and its end ends the others.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MS_WORKER_NUM": str(devices),
        "RANK_SIZE": str(devices),
        "MS_SCHED_HOST": "127.0.0.1",
        "MS_SCHED_PORT": str(port),
        LAUNCHER: str(os.getpid()),
    }
    command = [sys.executable, "-m", "ms_gan", *arguments]
    workers: list[subprocess.Popen] = []

    def forward(number: int, _frame: object) -> None:
        if workers:
            workers[0].send_signal(number)

    def start(role: dict[str, str], **more) -> subprocess.Popen:
        return subprocess.Popen(command, env={**environment, **role}, start_new_session=True, **more)

    scheduler = None
    with handled(forward), tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        quiet = {"stdout": said, "stderr": said, "stdin": subprocess.DEVNULL}
        try:
            scheduler = start({"MS_ROLE": "MS_SCHED", "RANK_ID": "0"}, **quiet)
            for rank in range(devices):
                role = {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "RANK_ID": str(rank)}
                workers.append(start(role, **(quiet if rank else {"preexec_fn": _end_with_parent})))
            return _wait(workers, said)
        finally:
            for process in filter(None, [*workers, scheduler]):
                process.kill()
                process.wait()


def _wait(workers: list[subprocess.Popen], said) -> int:
    """Wait for the first worker's end, or for the fault of another; return the exit status."""
    first = workers[0]
    while first.poll() is None:
        time.sleep(0.2)
        failed = [(rank, worker.returncode) for rank, worker in enumerate(workers) if worker.poll() not in (None, 0)]
        if not failed or failed[0][0] == 0:
            continue
        try:
            first.wait(5)  # most faults are those of all processes, and the first one says so
        except subprocess.TimeoutExpired:
            said.seek(0)
            text = said.read()
            rank, status = failed[0]
            errors = [line for line in text.splitlines() if line.startswith("error: ")] if status == 2 else []
            if not errors or "Traceback (most recent call last)" in text:  # nothing foreseen, or --debug
                sys.stderr.write(text)
            how = f"signal {-status}" if status < 0 else f"status {status}"
            ended = (
                f"error: the process of device {rank} ended with {how}; what was saved is whole: go on with --resume"
            )
            print(errors[-1] if errors else ended, file=sys.stderr)
            return 2 if errors else 1
    return first.returncode if first.returncode >= 0 else 128 - first.returncode


def _end_with_parent() -> None:
    """In a new process: let it be told to save and end when the one that started it is killed (Linux only)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, from sys/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
