"""`serve`: a bundle behind the Open Inference Protocol V2, and a page."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ms_gan import runtime, signals
from ms_gan.cli.faults import one_line
from ms_gan.cli.options import add_device, add_format, port, positive
from ms_gan.errors import UserError

if TYPE_CHECKING:
    from ms_gan.delivery.stopping import Stopping

PACKAGES = ("fastapi", "grpc", "orjson", "tritonclient", "uvicorn")  # that only a server needs


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("bundle", metavar="BUNDLE", help="a folder that `export` wrote")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on, or a host name (default: 127.0.0.1; for all IPv4 networks: 0.0.0.0; for all IPv6 "
        "networks: ::)",
    )
    command.add_argument(
        "--http-port", type=port, default=8080, metavar="P", help="for REST and the page (default: 8080)"
    )
    command.add_argument("--grpc-port", type=port, default=8081, metavar="P", help="for gRPC (default: 8081)")
    add_format(command)
    command.add_argument(
        "--max-batch",
        type=positive,
        default=64,
        metavar="N",
        help="the most images in one request, and in one batch of requests (default: 64)",
    )
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit status."""
    from ms_gan.delivery.stopping import ASKING, Stopping

    stopping = Stopping()
    with signals.handled(stopping.note, ASKING):
        _serve(options, stopping)
    signals.ignore(ASKING)  # this process is about to end
    return 0


def _serve(options: argparse.Namespace, stopping: Stopping) -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{missing[0]} is not installed", runtime.install_command(serving=True))
    from ms_gan.delivery.address import listening_address
    from ms_gan.delivery.choice import choose_format
    from ms_gan.delivery.contract import read_contract
    from ms_gan.delivery.inference_request import most_body_bytes

    # what can be refused at once comes before what takes seconds
    folder = Path(options.bundle)
    contract = read_contract(folder)
    most_body_bytes(contract, options.max_batch)
    address = listening_address(options.host, {"http_port": options.http_port, "grpc_port": options.grpc_port})
    file_format, why = choose_format(folder, contract, options.format, options.device_target, options.device_id)
    said = "" if options.format else f": {why}"
    print(one_line(f"opening {folder} as {file_format}{said}"), file=sys.stderr, flush=True)
    if file_format == "mindir":  # MindSpore comes before tritonclient: it needs the protobuf that it chooses itself
        runtime.set_up(options.device_target or "auto", options.device_id or 0)
    from ms_gan.delivery.server import serve

    ports = options.http_port, options.grpc_port
    serve(folder, file_format, address, *ports, options.max_batch, stopping)
