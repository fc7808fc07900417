"""Several devices: a process for each, and MindSpore's scheduler that brings them together, on one machine or more."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan.cli.machines import Link, Lost, Machines, meet
from ms_gan.runtime import LAUNCHER
from ms_gan.signals import ASKING, handled

HOLDS = "what was saved, if the run had begun, is whole: go on with --resume"
LINES_SHOWN = 40  # of the log of a process that failed
OWN_WORDS = 5.0  # seconds for the first process to say itself what is wrong: most faults are those of all processes
FIRST_WORDS = OWN_WORDS + 1  # seconds for the first machine to say how the run ended, before a fault here counts
SAVING = 10.0  # seconds for the first process to save, when the launcher of its machine has been killed


def launch(machines: Machines, arguments: list[str]) -> int:
    """Run the command once for each device of this machine, and return the run's exit status.

    These are the processes and the environment that `msrun` would start; unlike it, this gives the first process our
    output and keeps its exit status. Signals, and the end of the first machine's launcher, go to that process alone: it
    saves, and its end ends the others. What others say is in files, which stay if the run fails.

    Raises UserError where the other machines do not come, or were started otherwise.
    """
    launcher = _Launcher(machines, [sys.executable, "-m", "ms_gan", *arguments])
    with handled(launcher.ask):
        return launcher.run()


@dataclass(frozen=True)
class _End:
    """How a run ends: with which status, and the line about it, if its process has not said it.

    `told` is what another machine has told of it. `asked`: by a signal that was passed on.
    """

    status: int
    line: str = ""
    told: bool = False
    asked: bool = False


class _Launcher:
    """The processes of this machine, and the links to other launchers."""

    def __init__(self, machines: Machines, command: list[str]):
        self.machines, self.command = machines, command
        self.asked: list[int] = []  # signals that were not passed on yet
        self.passed_on: set[int] = set()
        self.workers: dict[int, subprocess.Popen] = {}  # by their ranks
        self.scheduler: subprocess.Popen | None = None
        self.links: list[Link] = []

    def ask(self, number: int, _frame: object) -> None:
        """Note a signal."""
        self.asked.append(number)

    def run(self) -> int:
        """Meet the other machines, start the processes, and wait for the run's end."""
        self.links = meet(self.machines, lambda: bool(self.asked))
        end, logs = _End(1), Path(tempfile.mkdtemp(prefix="ms_gan-"))
        try:
            if self.asked:
                end = _End(128 + self.asked[0], asked=True)
            else:
                self._start(logs)
                end = self._watch(logs)
        finally:
            self._end_all(end)
            if end.status in (0, 2) or end.asked or not self.workers:
                shutil.rmtree(logs, ignore_errors=True)
            elif str(logs) not in end.line:
                told = f"what the other processes here said is in {logs}"
                end = replace(end, line="; ".join(filter(None, (end.line, told))))
        if end.line:
            print(end.line, file=sys.stderr)
        return end.status

    def _start(self, logs: Path) -> None:
        machines = self.machines
        environment = {
            **os.environ,
            "MS_WORKER_NUM": str(machines.devices),
            "RANK_SIZE": str(machines.devices),
            "MS_SCHED_HOST": machines.address,
            "MS_SCHED_PORT": str(machines.port),
            LAUNCHER: str(os.getpid()),
        }

        def start(role: dict[str, str], log: str | None) -> subprocess.Popen:
            with contextlib.ExitStack() as open_files:
                quiet: dict[str, Any] = {}
                if log:
                    file = open_files.enter_context((logs / log).open("w", encoding="utf-8"))
                    quiet = {"stdout": file, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
                return subprocess.Popen(
                    self.command,
                    env={**environment, **role},
                    start_new_session=True,
                    preexec_fn=None if log else _end_with_parent,
                    **quiet,
                )

        if machines.here == 0:
            self.scheduler = start({"MS_ROLE": "MS_SCHED", "RANK_ID": "0"}, "scheduler.log")
        for device, rank in enumerate(machines.ranks):
            role = {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "RANK_ID": str(rank), "DEVICE_ID": str(device)}
            self.workers[rank] = start(role, f"rank_{rank}.log" if rank else None)

    def _watch(self, logs: Path) -> _End:
        """Wait for the first process's end, or for the fault of another, here or on another machine."""
        while True:
            time.sleep(0.2)
            while self.asked:
                self._stop(self.asked.pop(0))
            if self.machines.here == 0 and self.workers[0].poll() is not None:
                return self._in_words_of_others(_end_of_first(self.workers[0].returncode, self.passed_on), logs)
            fault = self._fault_elsewhere() or self._fault_here(logs)
            if fault is not None:
                return self._in_better_words(fault)

    def _stop(self, number: int) -> None:
        """Let the first process save and end."""
        if self.machines.here == 0:
            self.passed_on.add(number)
            self.workers[0].send_signal(number)
        else:
            self.links[0].send(stop=number)

    def _in_better_words(self, fault: _End) -> _End:
        """Wait a little for who knows better; return how the run ends.

        Where the first process is, that is this one, if it can say what is wrong. Elsewhere it is the first machine:
        a process may also fail because the run has ended.
        """
        if self.machines.here == 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.workers[0].wait(OWN_WORDS)
            return _End(2) if fault.status == self.workers[0].poll() == 2 else fault
        end = time.monotonic() + FIRST_WORDS
        while not fault.told and time.monotonic() < end:
            told = self._fault_elsewhere()
            if told is not None and told.told:
                return told
            time.sleep(0.1)
        return fault

    def _in_words_of_others(self, end: _End, logs: Path) -> _End:
        """Return how a run ends whose first process has ended: where one here has failed with it, by which log."""
        fault = None if end.line or end.status in (0, 2) or end.asked else self._fault_here(logs)
        return end if fault is None else replace(fault, status=end.status)

    def _fault_here(self, logs: Path) -> _End | None:
        """Return the fault of a process of this machine that has ended with one."""
        if self.scheduler is not None and self.scheduler.poll() not in (None, 0) and self.workers[0].poll() is None:
            log = logs / "scheduler.log"
            return _End(1, f"error: MindSpore's scheduler has ended; its log is {log}; is its port in use?")
        for rank, worker in self.workers.items():
            if rank and worker.poll() not in (None, 0):
                return fault_of(rank, worker.returncode, logs / f"rank_{rank}.log")
        return None

    def _fault_elsewhere(self) -> _End | None:
        """Listen to other launchers; return the end of the run that they tell, or the loss of one."""
        for link in self.links:
            try:
                messages = link.received()
            except Lost as lost:
                if self.machines.here and lost.ended:
                    self._let_save()
                ranks = self.machines.ranks_of(link.machine)
                devices = f"device {ranks[0]}" if len(ranks) == 1 else f"devices {ranks[0]} to {ranks[-1]}"
                return _End(1, f"error: {link.host}, which has {devices}, {lost}; {HOLDS}")
            for message in messages:
                if message.get("stop") in ASKING and self.machines.here == 0:
                    self.asked.append(message["stop"])
                if isinstance(message.get("failed"), str):
                    line = message["failed"].removeprefix("error: ")
                    return _End(2 if message.get("status") == 2 else 1, f"error: {link.host}: {line}", told=True)
                if isinstance(message.get("ended"), int):
                    print(f"the run has ended; {link.host} has said how", flush=True)
                    return _End(message["ended"], told=True, asked=message.get("asked") is True)
        return None

    def _let_save(self) -> None:
        """Keep the processes of this machine for a while: the first one needs them to end its step, and saves then."""
        end = time.monotonic() + SAVING
        while time.monotonic() < end and all(worker.poll() is None for worker in self.workers.values()):
            time.sleep(0.2)

    def _end_all(self, end: _End) -> None:
        """Tell the other machines, and end all processes."""
        for link in self.links:
            if end.line and (self.machines.here == 0 or not end.told):  # the first passes on what one has told it
                link.send(failed=end.line, status=end.status)
            elif self.machines.here == 0:
                link.send(ended=end.status, asked=end.asked)
            link.close()
        for process in filter(None, [*self.workers.values(), self.scheduler]):
            process.kill()
            process.wait()


def fault_of(rank: int, status: int, log: Path) -> _End:
    """Return how a run ends whose process of this rank ended so; print the end of its log, if nobody foresaw it."""
    text = log.read_text(encoding="utf-8", errors="replace")
    errors = [line for line in text.splitlines() if line.startswith("error: ")] if status == 2 else []
    if not errors or "Traceback (most recent call last)" in text:  # nothing foreseen, or --debug
        sys.stderr.writelines(f"{line}\n" for line in text.splitlines()[-LINES_SHOWN:])
    if errors:
        return _End(2, errors[-1])
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return _End(1, f"error: the process of device {rank} ended with {how}; its log is {log}; {HOLDS}")


def _end_of_first(status: int, passed_on: Collection[int]) -> _End:
    """Return how a run ends whose first process has ended so, after those signals were passed on to it."""
    asked = {-status, status - 128} & set(passed_on)  # it ends by the signal, or says so by its status
    if status >= 0:
        return _End(status, asked=bool(asked))
    if asked:
        return _End(128 - status, f"stopped by {signal.Signals(-status).name}", asked=True)
    return _End(128 - status, f"error: the process of device 0 ended with signal {-status}; {HOLDS}")


def _end_with_parent() -> None:
    """In a new process: let it be told to save and end when the one that started it is killed (Linux only)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, from sys/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
