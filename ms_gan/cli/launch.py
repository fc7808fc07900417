"""Several devices: one process for each, and MindSpore's scheduler that brings them together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import List


def launched() -> bool:
    """Tell whether this process is one of several that were started to train together, by us or by `msrun`."""
    return "MS_ROLE" in os.environ


def launch(devices: int, arguments: List[str]) -> int:
    """Run the command once for each device, and return the exit status of the first one's process.

    These are the processes and the environment that `msrun` would start; unlike it, this gives the first
    process our terminal and keeps its exit status. Ctrl-C and SIGTERM go to that process alone: it saves,
    and its end ends the others.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MS_WORKER_NUM": str(devices), "RANK_SIZE": str(devices),
                   "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": str(port)}
    command = [sys.executable, "-m", "ms_gan", *arguments]
    with tempfile.TemporaryFile("w+") as said:
        others = [subprocess.Popen(command, env={**environment, **role}, stdout=said, stderr=said,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
                  for role in [{"MS_ROLE": "MS_SCHED", "RANK_ID": "0"},
                               *({"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "RANK_ID": str(rank)}
                                 for rank in range(1, devices))]]
        first = subprocess.Popen(command, env={**environment, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": "0", "RANK_ID": "0"})
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the first process by itself
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: first.send_signal(number))
        try:
            while first.poll() is None:
                time.sleep(0.2)
                if any(other.poll() not in (None, 0) for other in others):
                    try:
                        first.wait(5)  # most faults are those of all processes, and the first one says so
                        break
                    except subprocess.TimeoutExpired:
                        first.kill()
                    said.seek(0)
                    lines = [line for line in said.read().splitlines() if line.strip()]
                    errors = [line for line in lines if line.startswith("error: ")]
                    print((errors or lines or ["error: a process of another device ended"])[-1], file=sys.stderr)
                    return 2 if errors else 1
        finally:
            for other in others:
                other.kill()
    return first.returncode if first.returncode >= 0 else 128 - first.returncode
