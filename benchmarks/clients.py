"""Serve a bundle to many clients at once, over REST and gRPC, and count what is lost, refused or wrong.

    python -m benchmarks clients BUNDLE [--clients 2000] [--seconds 60]

Each client keeps a connection of its own open, and asks for one image at a time, in bytes, again and again; half of
them over REST and half over gRPC, all of 127.0.0.1. Every image is compared, bit by bit, with what the server drew of
the same seed while nobody else asked. A refusal with 503 is asked again after a second, as its header says. The clients
use a core of this machine, too.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.processes import ROOT, machine

SEEDS = 32  # that are asked for
AT_ONCE = 100  # clients that connect at the same time
PATIENCE = 120  # seconds for one answer: what takes longer is lost
MODEL = "generator"


class Tally:
    """What all clients saw."""

    def __init__(self):
        self.seconds, self.counts, self.lost = {"rest": [], "grpc": []}, Counter(), Counter()

    def as_facts(self, lasted):
        """Return the figures that a reader asks for."""
        facts = {}
        for protocol, seconds in self.seconds.items():
            ordered = sorted(seconds)
            if not ordered:
                continue
            at = {name: ordered[min(len(ordered) - 1, int(part * len(ordered)))] for name, part in PARTS.items()}
            facts[protocol] = {"answered": len(ordered), "per_second": len(ordered) / lasted, "latency_seconds": at}
        return {**facts, **{name: self.counts[name] for name in ("refused", "wrong", "lost")}, "how": dict(self.lost)}


PARTS = {"median": 0.5, "p99": 0.99, "greatest": 1.0}


def body(seed):
    """Return the head and body of a request over REST for one image of a seed, in bytes."""
    inputs = [{"name": "seed", "shape": [1], "datatype": "INT64", "data": [seed]}]
    inputs += [{"name": "num", "shape": [1], "datatype": "INT32", "data": [1]}]
    asked = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return (
        f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(asked)}\r\n\r\n".encode()
        + asked
    )


async def over_rest(port, opened, seed):
    """Return the status and the bytes of an image; `opened` is a list that holds the connection, while there is one."""
    if not opened:
        opened.append(await asyncio.open_connection("127.0.0.1", port))
    reader, writer = opened[0]
    writer.write(body(seed))
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in head[1:] if line)
    content = await reader.readexactly(int(fields["content-length"]))
    if fields.get("connection") == "close":
        opened.pop()
        writer.close()
    return int(head[0].split()[1]), content[int(fields.get("inference-header-content-length", 0)) :]


async def over_grpc(stub, seed):
    """Return the status, as of HTTP, and the bytes of an image."""
    import grpc
    from tritonclient.grpc import service_pb2 as messages

    asked = messages.ModelInferRequest(model_name=MODEL)
    asked.inputs.add(name="seed", datatype="INT64", shape=[1])
    asked.inputs.add(name="num", datatype="INT32", shape=[1])
    asked.raw_input_contents.extend([np.int64(seed).tobytes(), np.int32(1).tobytes()])
    try:
        answer = await stub.ModelInfer(asked, timeout=PATIENCE)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE and "busy" in error.details():
            return 503, b""
        raise
    return 200, answer.raw_output_contents[0]


async def client(protocol, ask, number, due, until, tally):
    """Ask again and again until a moment of the monotonic clock."""
    seed = number % SEEDS
    while time.monotonic() < until():
        begun = time.monotonic()
        try:
            status, found = await asyncio.wait_for(ask(seed), PATIENCE)
        except Exception as error:  # whatever it is, the answer is lost
            tally.counts["lost"] += 1
            tally.lost[f"{protocol}: {getattr(error, 'details', error.__repr__)()}"] += 1
            return
        if status == 503:
            tally.counts["refused"] += 1
            await asyncio.sleep(1)
            continue
        if time.monotonic() <= until():  # else the rates would be too high
            tally.seconds[protocol].append(time.monotonic() - begun)
        tally.counts["wrong"] += status != 200 or found != due[seed]
        seed = (seed + 1) % SEEDS


async def measure(options, http, remote, server):
    """Return what all clients saw, and how much memory the server took before and at most."""
    import grpc
    from tritonclient.grpc import service_pb2_grpc

    tally, memory, until, tasks, channels = Tally(), [], [float("inf")], [], []
    alone, due, protocols = [], [], options.protocols.split(",")
    for seed in range(SEEDS):
        status, content = await over_rest(http, alone, seed)
        assert status == 200, content
        due.append(content)
    before = resident_megabytes(server)
    for number in range(options.clients):
        if protocols[number % len(protocols)] == "grpc":
            own = [("grpc.use_local_subchannel_pool", 1)]
            channels.append(grpc.aio.insecure_channel(f"127.0.0.1:{remote}", options=own))
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channels[-1])
            ask, protocol = (lambda seed, stub=stub: over_grpc(stub, seed)), "grpc"
        else:
            opened = []
            ask, protocol = (lambda seed, opened=opened: over_rest(http, opened, seed)), "rest"
        tasks.append(asyncio.ensure_future(client(protocol, ask, number, due, lambda: until[0], tally)))
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0.1)
    begun = time.monotonic()
    tally.seconds = {"rest": [], "grpc": []}  # what came while they connected is not timed
    until[0] = begun + options.seconds
    while time.monotonic() < until[0]:
        await asyncio.sleep(0.5)
        memory.append(resident_megabytes(server))
    lasted = until[0] - begun
    await asyncio.gather(*tasks)
    for channel in channels:
        await channel.close()
    return {
        **tally.as_facts(lasted),
        "memory_megabytes": {"idle": before, "median": statistics.median(memory), "most": max(memory)},
    }


def resident_megabytes(server):
    """Return how much memory a process has, in millions of bytes."""
    pages = int(Path(f"/proc/{server}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


async def served(options):
    """Serve the bundle in a process of its own; return what was measured."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    command = [
        sys.executable,
        "-m",
        "ms_gan",
        "serve",
        options.bundle,
        "--http-port",
        ports[0],
        "--grpc-port",
        ports[1],
    ]
    command += ["--max-queue", options.max_queue]
    server = await asyncio.create_subprocess_exec(*map(str, command), cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        if not (await server.stdout.readline()).startswith(b"serving"):
            sys.exit("error: the server did not start; see above")
        return await measure(options, *ports, server.pid)
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


def main(arguments):
    """Run it, and print what was seen as JSON."""
    import resource

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks clients", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--protocols", default="rest,grpc", help="default: rest,grpc, each of every second client")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--max-queue", type=int, default=4096, help="as of serve")
    options = parser.parse_args(arguments)
    if not set(options.protocols.split(",")) <= {"rest", "grpc"}:
        parser.error(f"--protocols: takes rest, grpc or rest,grpc, not {options.protocols!r}")
    options.bundle = options.bundle.resolve()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps({**asyncio.run(served(options)), "machine": machine()}, indent=1))
