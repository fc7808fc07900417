"""`serve`: a bundle behind the Open Inference Protocol V2, and a page."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from ms_gan import runtime
from ms_gan.cli.faults import one_line
from ms_gan.cli.options import add_device, add_format, port, positive
from ms_gan.errors import UserError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("bundle", metavar="BUNDLE", help="a folder that `export` wrote")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen, an address of this machine or a name of it; 0.0.0.0 is every network "
        "of this machine, :: every one of IPv6 (default: 127.0.0.1)",
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
    from ms_gan.delivery.stopping import Stopping

    with Stopping() as stopping:
        if importlib.util.find_spec("mlserver") is None:
            raise UserError(f"mlserver is not installed; {runtime.install_command(serving=True)}")
        from ms_gan.delivery.address import listening_address
        from ms_gan.delivery.contract import held_format, read_contract
        from ms_gan.delivery.requests import most_body_bytes

        # what can be refused at once comes before what takes seconds
        folder = Path(options.bundle)
        contract = read_contract(folder)
        most_body_bytes(contract, options.max_batch)
        format = options.format or held_format(contract)
        address = listening_address(options.host, {"--http-port": options.http_port, "--grpc-port": options.grpc_port})
        print(one_line(f"opening {folder} as {format}"), file=sys.stderr, flush=True)
        device_target, device_id = options.device_target or "auto", options.device_id or 0
        if format == "mindir":  # MindSpore comes before MLServer: it needs the protobuf that it chooses itself
            runtime.set_up(device_target, device_id)
        from ms_gan.delivery.server import serve

        serve(
            folder,
            address,
            options.http_port,
            options.grpc_port,
            format,
            options.max_batch,
            device_target,
            device_id,
            stopping,
        )
    return 0
