#!/usr/bin/env bash
# Train on one device: bash scripts/run_standalone_train.sh [DATA_PATH] [DEVICE_ID] [options of run_train.sh]
set -u
options=()
while [ $# -gt 0 ]; do
  case $1 in
    -*) break ;;
    *[!0-9]* | "") options+=(--data-path "$1") ;;
    *) options+=(--device-id "$1") ;;
  esac
  shift
done
exec bash "$(dirname "${BASH_SOURCE[0]}")/run_train.sh" ${options[@]+"${options[@]}"} "$@"
