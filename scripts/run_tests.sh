#!/usr/bin/env bash
# Run the tests; arguments go to pytest: bash scripts/run_tests.sh -k resume
set -u
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" || exit
choose_python requirements-test.txt "${packages[@]}" pytest xdist hypothesis
cd "$root" && exec "$python" -m pytest "$@"
