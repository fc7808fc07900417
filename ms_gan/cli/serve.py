"""`serve`: a bundle behind the Open Inference Protocol V2, and a page."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from ms_gan.cli.options import port, positive
from ms_gan.errors import UserError
from ms_gan.runtime import DEVICE_TARGETS


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument("bundle", metavar="BUNDLE", help="a folder that `export` wrote")
    command.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                         help="where to listen; 0.0.0.0 is every network of this machine (default: 127.0.0.1)")
    command.add_argument("--http-port", type=port, default=8080, metavar="P", help="for REST and the page (default: 8080)")
    command.add_argument("--grpc-port", type=port, default=8081, metavar="P", help="for gRPC (default: 8081)")
    command.add_argument("--format", choices=("mindir", "onnx"), default="mindir",
                         help="which of the bundle's files to run (default: mindir)")
    command.add_argument("--max-batch", type=positive, default=64, metavar="N",
                         help="the most images in one request, and in one call of the model (default: 64)")
    command.add_argument("--device-target", choices=DEVICE_TARGETS, default="auto",
                         help="where to run a MindIR; an ONNX runs on the CPU (default: auto)")


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; return the exit status."""
    if importlib.util.find_spec("mlserver") is None:
        raise UserError("mlserver is not installed; python -m pip install -r requirements-serve.txt")
    if options.format == "mindir":  # MindSpore comes before MLServer: it needs the protobuf that it chooses itself
        from ms_gan import runtime

        runtime.set_up(options.device_target)
    from ms_gan.delivery.server import serve

    serve(Path(options.bundle), options.host, options.http_port, options.grpc_port, options.format, options.max_batch,
          options.device_target)
    return 0
