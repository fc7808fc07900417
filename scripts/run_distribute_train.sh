#!/usr/bin/env bash
# Train on several devices: bash scripts/run_distribute_train.sh DEVICE_NUM [DATA_PATH] [options of run_train.sh]
set -u
case ${1:-} in
  *.json)
    echo "error: no rank table is needed, train starts the processes; give the number of devices instead of $1" >&2
    exit 2
    ;;
  -h | --help) exec bash "$(dirname "${BASH_SOURCE[0]}")/run_train.sh" --help ;;
  "" | *[!0-9]*)
    echo "error: usage: bash scripts/run_distribute_train.sh DEVICE_NUM [DATA_PATH] [options of run_train.sh]" >&2
    exit 2
    ;;
esac
options=(--device-num "$1")
shift
case ${1:--} in
  -*) ;;
  *)
    options+=(--data-path "$1")
    shift
    ;;
esac
exec bash "$(dirname "${BASH_SOURCE[0]}")/run_train.sh" "${options[@]}" "$@"
