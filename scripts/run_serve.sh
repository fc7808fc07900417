#!/usr/bin/env bash
# Serve an exported bundle, over REST and gRPC, with a page: bash scripts/run_serve.sh --help
set -u
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" || exit
choose_python requirements-serve.txt "${packages[@]}" onnxruntime fastapi grpc grpc_health grpc_reflection orjson \
  prometheus_client tritonclient uvicorn
exec "$python" -m ms_gan serve "$@"
