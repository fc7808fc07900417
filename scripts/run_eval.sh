#!/usr/bin/env bash
# Draw samples of a trained generator: bash scripts/run_eval.sh --help
set -u
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" || exit
choose_python requirements.txt "${packages[@]}"
exec "$python" -m ms_gan eval "$@"
