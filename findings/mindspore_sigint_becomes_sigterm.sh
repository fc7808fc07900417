#!/usr/bin/env bash
# MindSpore 2.8.0, CPU, graph mode: once a graph has run, a SIGINT reaches Python's handlers as SIGTERM.
#
# Guess, written down before: the handlers that a program sets with signal.signal after the import stay its own, and
# SIGINT calls the one for SIGINT.
# Seen: before the first graph runs SIGINT is SIGINT; while graphs run it calls the handler for SIGTERM, and the one for
# SIGINT never. A program that treats the two differently, as the exit statuses 130 and 143 do, cannot tell them apart;
# one that handles SIGINT alone is ended by Ctrl-C without KeyboardInterrupt.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import os
import signal
import threading
import time

import numpy
import mindspore
from mindspore import Tensor, nn, ops

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")
seen = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: seen.append(signal.Signals(number).name))


class Work(nn.Cell):
    def construct(self, x):
        for _ in range(20):
            x = ops.tanh(ops.matmul(x, x))
        return x


def interrupt():
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)


os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.2)
before, work, x = list(seen), Work(), Tensor(numpy.eye(700, dtype=numpy.float32))
work(x).asnumpy()
seen.clear()
threading.Thread(target=interrupt).start()
end = time.monotonic() + 5
while time.monotonic() < end:
    work(x).asnumpy()
print("MindSpore", mindspore.__version__, "SIGINT before the first graph:", before, "while graphs run:", seen)
raise SystemExit((before, seen) != (["SIGINT"], ["SIGTERM"]))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
