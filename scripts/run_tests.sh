#!/usr/bin/env bash
# Run the tests; arguments go to pytest: bash scripts/run_tests.sh -k resume
case ${1-} in
-h | --help)
  echo "usage: bash scripts/run_tests.sh [ARGUMENT…]: run the tests; arguments go to pytest, such as -k resume or --slow"
  exit
  ;;
esac
set -u
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" || exit
choose_python requirements-test.txt "${packages[@]}" pytest xdist hypothesis
cd "$root" && exec "$python" -m pytest "$@"
