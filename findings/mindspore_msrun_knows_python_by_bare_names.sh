#!/usr/bin/env bash
# MindSpore 2.8.0: msrun takes an interpreter that is named by its path for a script.
#
# Guess, written down before: `msrun … /path/to/python -m MODULE` does what `msrun … python -m MODULE` does. Programs pass
# the path, sys.executable, to be sure which Python it is, and other launchers take it.
# Seen: only `python`, `python3` and `pytest` are known, by exactly these names. Anything else is run as
# `python ANYTHING …`, so the interpreter's own binary is read as Python source, and the job fails with
# "SyntaxError: source code cannot contain null bytes" in each worker's log. Which `python` it is, PATH alone decides.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
export PATH="$folder/venv/bin:$PATH"
cd "$folder"
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
by() { # by NAME PYTHON: the exit status of a job of one worker, and the last line of its log
  status=0
  msrun --worker_num=1 --local_worker_num=1 --join=True --master_port=$port --log_dir="$folder/$1" \
    "$2" -m platform >/dev/null 2>&1 || status=$?
  echo "msrun $1: exit status $status: $(tail -n 1 "$folder/$1/worker_0.log")"
}
first=$(by bare python)
second=$(by path "$folder/venv/bin/python")
printf '%s\n%s\n' "$first" "$second"
case $first in *"exit status 0"*) ;; *) exit 1 ;; esac
case $second in *"exit status 1: SyntaxError: source code cannot contain null bytes"*) ;; *) exit 1 ;; esac
