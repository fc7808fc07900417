"""`serve`: a bundle behind the Open Inference Protocol V2, and a page."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ms_gan import runtime, signals
from ms_gan.cli.faults import SERVING, one_line
from ms_gan.cli.options import add_device, add_format, port, positive, whole
from ms_gan.errors import UserError
from ms_gan.runtime import DEVICE_TARGETS

if TYPE_CHECKING:
    from ms_gan.delivery.stopping import Stopping

PACKAGES = sorted(SERVING - {"mlserver"})  # a server of our own does without that
ORIGIN = re.compile(r"\*|https?://[^/\s,*]+", re.I)
VARIABLE = "MS_GAN_SERVE_"  # and an option's name in capitals


def one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    """Return the type of what is one of these words."""

    def word(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(known)}, not {text!r}")
        return text

    return word


def origin(text: str) -> str:
    """Return what browsers call the server of a page, or * for any."""
    if not ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be like http://name or https://name:port, or *, not {text!r}")
    return text.lower()


def origins(text: str) -> list[str]:
    """Return origins that are joined by commas."""
    return [origin(one.strip()) for one in text.split(",")]


READ: dict[str, tuple[Callable[[str], Any], Any]] = {  # how an option's variable is read, and what it is by default
    "bundle": (str, None),
    "host": (str, "127.0.0.1"),
    "http_port": (port, 8080),
    "grpc_port": (port, 8081),
    "format": (one_of(("mindir", "onnx")), None),
    "max_batch": (positive, 64),
    "max_queue": (positive, 4096),
    "cors": (origins, []),
    "device_target": (one_of(DEVICE_TARGETS), None),
    "device_id": (whole(0), None),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.epilog = (
        f"Each option can be said by a variable of the environment, too: {VARIABLE}BUNDLE, {VARIABLE}HTTP_PORT and so "
        f"on; {VARIABLE}CORS joins origins by commas. An option on the command line wins."
    )
    command.add_argument("bundle", nargs="?", metavar="BUNDLE", help="a folder that `export` wrote")
    command.add_argument(
        "--host",
        metavar="ADDRESS",
        help="address to listen on, or a host name (default: 127.0.0.1; for all IPv4 networks: 0.0.0.0; for all IPv6 "
        "networks: ::)",
    )
    command.add_argument("--http-port", type=port, metavar="P", help="for REST and the page (default: 8080)")
    command.add_argument("--grpc-port", type=port, metavar="P", help="for gRPC (default: 8081)")
    add_format(command)
    command.add_argument(
        "--max-batch",
        type=positive,
        metavar="N",
        help="the most images in one request, and in one batch of requests (default: 64)",
    )
    command.add_argument(
        "--max-queue",
        type=positive,
        metavar="N",
        help="the most images that wait for a batch; what comes beyond is refused with 503 (default: 4096)",
    )
    command.add_argument(
        "--cors",
        type=origin,
        action="append",
        metavar="ORIGIN",
        help="let pages of this origin use the server, such as https://example.org, or * for any; can be repeated "
        "(default: its own page alone)",
    )
    add_device(command)


def complete(options: argparse.Namespace) -> None:
    """Set each option that was not said to what its variable says, else to its default. Raises UserError."""
    for name, (read, default) in READ.items():
        if getattr(options, name) is not None:
            continue
        variable = VARIABLE + name.upper()
        text = os.environ.get(variable, "")
        try:
            setattr(options, name, read(text) if text else default)
        except argparse.ArgumentTypeError as error:
            raise UserError(f"{variable} {error}") from error
    if options.bundle is None:
        raise UserError("no bundle is named", f"give its folder, or set {VARIABLE}BUNDLE")


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit status."""
    complete(options)
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
        runtime.set_up(options.device_target, options.device_id)
    from ms_gan.delivery.server import Listening, serve

    ports, limits = (options.http_port, options.grpc_port), (options.max_batch, options.max_queue)
    serve(folder, file_format, Listening(address, *ports, *limits, tuple(options.cors)), stopping)
