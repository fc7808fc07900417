#!/usr/bin/env bash
# grpcio 1.67.1: a server of grpc.aio whose event loop is busy with other work cancels calls that wait for it, half a
# minute after they came, though their senders have longer deadlines; the server's program hears and logs nothing.
#
# Guess, written down before: a call waits until it is taken, or until its own deadline (here 75 seconds).
# Seen: the loop does other work for a second in each turn, and takes one call a turn. Of 60 calls the first ones are
# answered; those that have waited for 30 seconds end with CANCELLED, sent by the server. So a server that shares an
# event loop with HTTP loses calls under load, instead of answering them late. With the server's option
# grpc.server_max_unrequested_time_in_server at 300, 59 of 60 were answered within 85 seconds, and none was cancelled.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet grpcio==1.67.1
cat >"$folder/look.py" <<'PYTHON'
import asyncio
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc

CALLS, DEADLINE, WORK = 60, 75, 1.0  # seconds
listens, address = threading.Event(), []


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        async def answer(request, context):
            return request

        return grpc.unary_unary_rpc_method_handler(answer)


async def serve():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    address.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    listens.set()
    while True:  # the other work: a second in each turn of the loop
        time.sleep(WORK)
        await asyncio.sleep(0)


def call(number):
    begun = time.monotonic()
    with grpc.insecure_channel(address[0], options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            channel.unary_unary("/service/method")(b"x", timeout=DEADLINE)
            return "answered", time.monotonic() - begun
        except grpc.RpcError as error:
            return error.code().name, time.monotonic() - begun


threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
listens.wait()
with ThreadPoolExecutor(CALLS) as clients:
    seen = list(clients.map(call, range(CALLS)))
waited = [seconds for status, seconds in seen if status == "CANCELLED"]
print(dict(Counter(status for status, _ in seen)))
print("cancelled after", sorted({round(seconds) for seconds in waited}), "seconds of at most", DEADLINE)
right = len(waited) > 5 and all(29 < seconds < 45 for seconds in waited)
sys.exit(0 if right and {status for status, _ in seen} == {"answered", "CANCELLED"} else 1)
PYTHON
timeout 150 "$folder/venv/bin/python" "$folder/look.py"
