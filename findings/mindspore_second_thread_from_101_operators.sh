#!/usr/bin/env bash
# MindSpore 2.8.0, static graph mode on a CPU: a graph of 100 operators runs in the thread that calls it, one of 102 in
# others, whatever the operators are.
#
# Guess, written down before: how many threads run a graph is a matter of settings (runtime_num_threads,
# dispatch_threads_num), and of what can run at the same time; a chain, each of whose operators needs the one before,
# stays in one thread.
# Seen: chains of products and multiplications of 64x64 run in one thread up to 100 operators, and above in two, by the
# log at level 1 ("in multi thread or not"), at steps 20, 30 and 40. So two more multiplications of a few
# microseconds change how a whole graph is run. Its threads then wait for each other by sched_yield: beside busy
# processes, each time behind all of them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mindspore==2.8.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import sys

import mindspore
import numpy as np
from mindspore import Tensor, nn

mindspore.set_context(mode=mindspore.GRAPH_MODE)
mindspore.set_device("CPU")
pairs = int(sys.argv[1]) // 2


class Chain(nn.Cell):
    def construct(self, x):
        for _ in range(pairs):
            x = x @ x * 1.0001
        return x


chain, x = Chain(), Tensor(np.eye(64, dtype=np.float32))
for _ in range(40):
    chain(x).asnumpy()
PYTHON
for operators in 98 100 102 104; do
  threads=$(GLOG_v=1 "$folder/venv/bin/python" "$folder/look.py" "$operators" 2>&1 |
    sed -n 's/.*execution count: \(20\|30\|40\),.*in multi thread or not: \([01]\).*/\2/p' | tr -d '\n')
  echo "$operators operators: $threads"
done | tee "$folder/seen"
printf '%s\n' "98 operators: 000" "100 operators: 000" "102 operators: 111" "104 operators: 111" | cmp - "$folder/seen"
