#!/usr/bin/env bash
# Train a recipe, or go on with a run: bash scripts/run_train.sh --help
set -u
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" || exit
choose_python requirements.txt "${packages[@]}"
exec "$python" -m ms_gan train "$@"
