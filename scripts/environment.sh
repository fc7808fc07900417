# Sourced by the scripts beside it: sets `python` to an interpreter that has what the project needs.
#
# The active interpreter is used as it is when it has MindSpore (as on an Ascend machine): nothing is installed
# into it, a missing smaller package is named. Otherwise .venv is made from requirements.txt, once.

root=$(CDPATH= cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# Huge pages for what malloc gives, where Linux offers them on demand: 6% off a step of mlp on CPU. Can only be said
# before Python starts; a C library that does not know it passes over it.
export GLIBC_TUNABLES="glibc.malloc.hugetlb=1${GLIBC_TUNABLES:+:$GLIBC_TUNABLES}"

fail() {
  echo "error: $*" >&2
  exit 2
}

has() { # interpreter module…: are all modules there? Looks for them without importing them.
  "$1" -c 'import importlib.util, sys
sys.path = [folder for folder in sys.path if folder]  # a folder of that name here is no package
for name in sys.argv[1:]:
    if importlib.util.find_spec(name) is None: sys.exit(name)' "${@:2}" 2>&1
}

choose_python() { # requirements-file module…
  local requirements="$root/$1" missing candidate stamp
  shift
  for candidate in python3 python; do
    if command -v "$candidate" >/dev/null && has "$candidate" mindspore >/dev/null; then
      missing=$(has "$candidate" "$@") ||
        fail "$(command -v "$candidate") has MindSpore but not $missing; install it:" \
          "$candidate -m pip install -r $(printf %q "$requirements")"
      python=$candidate
      return
    fi
  done

  python="$root/.venv/bin/python"
  stamp="$root/.venv/.installed-$(basename "$requirements")"
  is_installed && return
  if command -v flock >/dev/null; then # another script may be installing
    exec 9>"$root/.venv.lock"
    flock 9
  fi
  is_installed || install_packages
  exec 9>&-
}

is_installed() { # are the packages of today's files of requirements there?
  [ -x "$python" ] && [ -f "$stamp" ] && cmp -s "$stamp" <(cat "$root"/requirements*.txt)
}

install_packages() {
  if ! "$python" -m pip --version >/dev/null 2>&1; then # absent, or broken off while it was made
    for candidate in python3 python3.11 python3.12 python3.10 python3.9 python; do
      if command -v "$candidate" >/dev/null &&
        "$candidate" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))'; then
        break
      fi
      candidate=
    done
    [ -n "$candidate" ] || fail "Python 3.9 to 3.12 is needed, and none was found"
    echo "making .venv with $("$candidate" --version)" >&2
    "$candidate" -m venv --clear "$root/.venv" ||
      fail "$candidate cannot make a virtual environment (on Debian: apt install python3-venv)"
  fi
  echo "installing $(basename "$requirements") into .venv; this takes a minute or two" >&2
  "$python" -m pip install --quiet --disable-pip-version-check -r "$requirements" ||
    fail "the packages could not be installed; see above"
  for stamp in "$stamp" "$root/.venv/.installed-requirements.txt"; do # every other file includes that one
    cat "$root"/requirements*.txt >"$stamp"
  done
}

packages=(numpy download matplotlib cv2 PIL tqdm)
