#!/usr/bin/env bash
# Check format, lint and types: bash scripts/run_checks.sh
set -eu
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" || exit
choose_python requirements-test.txt "${packages[@]}" pytest xdist hypothesis ruff
cd "$root"

check() { # tool argument…
  echo "$*" >&2
  "$python" -m "$@"
}

check ruff format --check .
check ruff check .
if "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 10))'; then
  check mypy
else
  echo "mypy needs Python 3.10: skipped" >&2
fi
