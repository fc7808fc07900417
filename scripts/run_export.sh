#!/usr/bin/env bash
# Export a trained generator as a MindIR, proved equal: bash scripts/run_export.sh --help
set -u
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" || exit
choose_python requirements.txt "${packages[@]}"
exec "$python" -m ms_gan export "$@"
