"""Several machines train one run: their launchers meet, hear of each other, and end together."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import HANGS, environment, refused_here, run, steps_saved, wait_until, write_mnist
from helpers.networks import MLP, options
from helpers.resuming import ENDLESS, result, steps_to_resume_to

from ms_gan.cli import launch, machines
from ms_gan.cli.machines import Lost, Machines, meet
from ms_gan.errors import UserError


def pair(devices=2):
    """Two machines, both of them this one."""
    while True:
        port = Machines.alone(1).port
        with contextlib.suppress(OSError), socket.socket() as next_one:
            next_one.bind(("127.0.0.1", port + 1))
            return [Machines(("first", "second"), "127.0.0.1", here, devices, port) for here in range(2)]


def beside(function, *arguments):
    """Call a function in a thread of its own; return what gives its result, or raises its error."""
    outcome = []

    def call():
        try:
            outcome.append((function(*arguments), None))
        except Exception as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()

    def result():
        thread.join(HANGS)
        found, error = outcome[0]
        if error is not None:
            raise error
        return found

    return result


def never():
    return False


def links(first, second):
    """The links of two machines that have met."""
    others = beside(meet, second, never)
    return meet(first, never), others()


def heard(link):
    """What a link has received as soon as it has."""
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        messages = link.received()
        if messages:
            return messages
        time.sleep(0.01)
    raise AssertionError("it hears nothing")


def test_launchers_meet_and_hear_each_other():
    ((to_second,), (to_first,)) = links(*pair())
    assert (to_second.host, to_second.machine, to_first.host) == ("second", 1, "first")
    to_first.send(stop=15)
    assert heard(to_second) == [{"stop": 15}]
    to_second.send(ended=0)
    to_second.send(failed="two at once, ä")
    to_second.close()
    messages = []
    with pytest.raises(Lost, match="has ended"):
        while True:
            messages += to_first.received()
    assert messages == [{"ended": 0}, {"failed": "two at once, ä"}]


def test_a_machine_that_says_nothing_is_lost_and_one_that_is_there_is_not(monkeypatch):
    monkeypatch.setattr(machines, "BETWEEN_BEATS", 0.1)
    monkeypatch.setattr(machines, "SILENCE", 1.0)
    ((to_second,), (to_first,)) = links(*pair())
    end = time.monotonic() + 2
    while time.monotonic() < end:  # both say from time to time that they are there
        assert to_second.received() == to_first.received() == []
        time.sleep(0.01)
    with pytest.raises(Lost, match="has been silent for 1 seconds"):
        while True:  # now only one of them
            to_second.received()


def test_who_is_none_of_the_machines_is_sent_away():
    first, second = pair()
    waiting = beside(meet, first, never)
    for words in (
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"machine": 7}\n',
        b'{"machine": "1"}\n',
        b"[1]\n{}\n",
        60_000 * b"[" + b"\n",
        b"",
    ):
        with contextlib.closing(_connected(first.port + 1)) as stranger:
            stranger.sendall(words)
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(1) == b"", "it is closed"
    others = meet(second, never)
    assert [link.machine for link in waiting()] == [1] and len(others) == 1


def _connected(port):
    end = time.monotonic() + HANGS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=HANGS)
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_machines_that_were_started_otherwise_are_refused_on_both():
    first, second = pair()
    waiting = beside(meet, first, never)
    said = "second was started with devices 4, first with 2"
    with pytest.raises(UserError, match=said):
        meet(replace(second, devices=4), never)
    with pytest.raises(UserError, match=said):
        waiting()


def test_who_has_come_hears_of_it_when_the_first_waits_no_longer(monkeypatch):
    first, second = pair()
    first = replace(first, hosts=("first", "second", "third"), devices=3)
    stopped = threading.Event()
    waiting = beside(meet, first, stopped.is_set)
    other = beside(meet, replace(second, hosts=first.hosts, devices=3), never)
    time.sleep(1)  # the third does not come
    stopped.set()
    for link in waiting():
        link.send(ended=130)
        link.close()
    with pytest.raises(UserError, match="first waits no longer|first has ended"):
        other()


def test_waiting_for_machines_ends_with_a_signal_and_after_some_minutes(monkeypatch):
    first, second = pair()
    assert meet(first, lambda: True) == meet(second, lambda: True) == []
    monkeypatch.setattr(machines, "MEETING", 0.5)
    for one in (first, second):
        with pytest.raises(UserError, match="start the same command"):
            meet(one, never)
    with socket.socket() as taken, pytest.raises(UserError, match=f"cannot listen at first, port {first.port + 1}"):
        taken.bind(("127.0.0.1", first.port + 1))
        taken.listen()
        meet(first, never)
    with socket.socket() as scheduler, pytest.raises(UserError, match=f"cannot listen at first, port {first.port} "):
        scheduler.bind(("127.0.0.1", first.port))
        scheduler.listen()
        meet(first, never)
    with pytest.raises(UserError, match="this is not that machine"):
        meet(replace(first, address="203.0.113.1"), never)


@pytest.mark.parametrize(
    ("status", "passed_on", "expected"),
    [
        (0, (), launch._End(0)),
        (2, (), launch._End(2)),
        (-9, (), launch._End(137, f"error: the process of device 0 ended with signal 9; {launch.HOLDS}")),
        (-15, (), launch._End(143, f"error: the process of device 0 ended with signal 15; {launch.HOLDS}")),
        (-15, (15,), launch._End(143, "stopped by SIGTERM", asked=True)),
        (143, (15,), launch._End(143, asked=True)),
        (143, (), launch._End(143)),
        (1, (15,), launch._End(1)),
        (1, (1,), launch._End(1)),
        (129, (1,), launch._End(129, asked=True)),
    ],
)
def test_how_the_first_process_ends_is_how_the_run_ends(status, passed_on, expected):
    assert launch._end_of_first(status, passed_on) == expected


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (launch._End(0), False),
        (launch._End(2, "error: no such data"), False),
        (launch._End(143, asked=True), False),
        (launch._End(143, told=True, asked=True), False),
        (launch._End(1, told=True), True),
        (launch._End(1), True),
        (launch._End(1, "error: first: device 0 is gone", told=True), True),
        (launch._End(137, "error: the process of device 0 ended with signal 9"), True),
    ],
)
def test_what_other_processes_said_stays_where_a_run_fails_and_is_named(end, kept, tmp_path, monkeypatch, capsys):
    launcher = launch._Launcher(Machines.alone(2), [])
    monkeypatch.setattr(launch, "meet", lambda *_: [])

    def start(logs):
        (logs / "rank_1.log").write_text("why")
        launcher.workers[1] = subprocess.Popen(["true"])

    monkeypatch.setattr(launcher, "_start", start)
    monkeypatch.setattr(launcher, "_watch", lambda logs: end)
    monkeypatch.setattr(launch.tempfile, "tempdir", str(tmp_path))
    assert launcher.run() == end.status
    logs = list(tmp_path.glob("*/rank_1.log"))
    assert [log.read_text() for log in logs] == ["why"] * kept
    said = capsys.readouterr().err
    assert said.startswith(end.line) and all(f"said is in {log.parent}" in said for log in logs)


@pytest.mark.parametrize(
    ("first", "fault", "line"),
    [
        (2, launch._End(2, "error: no such data"), ""),  # it has said so itself
        (1, launch._End(1, "error: device 3"), "error: device 3"),
        (0, launch._End(1, "error: device 3"), "error: device 3"),
        (None, launch._End(2, "error: no such data"), "error: no such data"),
    ],
)
def test_a_fault_is_told_unless_the_first_process_has_told_the_same(first, fault, line, monkeypatch):
    class Worker:
        def poll(self):
            return first

        def wait(self, seconds):
            if first is None:
                raise subprocess.TimeoutExpired("worker", seconds)

    launcher = launch._Launcher(Machines.alone(2), [])
    launcher.workers = {0: Worker()}
    end = launcher._in_better_words(fault)
    assert (end.status, end.line) == (fault.status, line)


def test_a_process_that_missed_the_runs_end_is_no_fault():
    first, second = pair()
    (to_second,), (to_first,) = links(first, second)
    launcher = launch._Launcher(second, [])
    launcher.links = [to_first]
    to_second.send(ended=143)
    assert launcher._in_better_words(launch._End(1, "error: device 1")) == launch._End(143, told=True)
    to_second.send(failed="error: device 0 is gone", status=1)
    assert launcher._in_better_words(launch._End(1, "error: device 1")).line == "error: first: device 0 is gone"


def test_only_signals_that_ask_are_passed_on():
    first, second = pair()
    (to_second,), (to_first,) = links(first, second)
    launcher = launch._Launcher(first, [])
    launcher.links = [to_second]
    for stop in (9, "15", 15, -1):
        to_first.send(stop=stop)
    end = time.monotonic() + HANGS
    while not launcher.asked and time.monotonic() < end:
        assert launcher._fault_elsewhere() is None
    assert launcher._fault_elsewhere() is None and launcher.asked == [15]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--hosts", "127.0.0.1"), "127.0.0.1: not two machines or more"),
        (("--hosts", "127.0.0.1,127.0.0.1"), "not two machines"),
        (("--hosts", "127.0.0.1,127.0.0.2"), "this machine has more than one of these addresses"),
        (("--hosts", "203.0.113.1,203.0.113.2"), "this machine is not one of them"),
        (("--hosts", "127.0.0.1,203.0.113.2"), "127.0.0.1: is 127.0.0.1 here, where no other machine gets"),
        (("--hosts", "203.0.113.1,203.0.113.2", "--host-number", 2), "this machine is not one of them"),
        (("--hosts", "203.0.113.1,203.0.113.2", "--device-num", 3), "3 devices cannot be shared by 2 machines"),
        (("--hosts", "no.such.host.invalid,127.0.0.1"), "no.such.host.invalid: no IPv4 address is known"),
        (("--hosts", "127.0.0.1,127.0.0.2", "--host-number", 0, "--device-num", 64), "cannot be shared by 64 devices"),
        (("--host-number", 1), "--host-number is for several machines"),
        (("--host-port", 1), "--host-port is for several machines"),
    ],
)
def test_machines_that_make_no_run_are_refused(capsys, arguments, wanted):
    assert wanted in refused_here(capsys, "train", *arguments)


def test_ranks_go_from_machine_to_machine():
    assert [list(Machines(("a", "b", "c"), "1.2.3.4", here, 6, 1).ranks) for here in range(3)] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]


class Namespaces:
    """Two network namespaces with an address each, which are joined by a cable."""

    names = ("ms_gan_a", "ms_gan_b")
    hosts = ("10.213.7.1", "10.213.7.2")

    def __enter__(self):
        self.__exit__()
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", "ms_gan_va", "type", "veth", "peer", "name", "ms_gan_vb")
        for name, host, end in zip(self.names, self.hosts, ("ms_gan_va", "ms_gan_vb")):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"{host}/24", "dev", end)
        self.join()
        return self

    def join(self):
        for name, end in zip(self.names, ("ms_gan_va", "ms_gan_vb")):
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")

    def cut(self):
        ip("-n", self.names[1], "link", "set", "ms_gan_vb", "down")

    def start(self, machine, *arguments):
        """Start the program on one of the machines."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.names[machine], sys.executable, "-m", "ms_gan", *map(str, arguments)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def namespaces():
    if shutil.which("ip") is None:
        pytest.skip("`ip` of iproute2 is not installed")
    try:
        with Namespaces() as found:
            yield found
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this user may not make network namespaces: {error.stderr}")


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(process):
    """The processes that a launcher, which `ip` became, has started, by their ranks; the scheduler is -1."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_text().split("\0")
            if parent == process.pid:
                roles = dict(each.partition("=")[::2] for each in variables)
                if "MS_ROLE" in roles:
                    found[-1 if roles["MS_ROLE"] == "MS_SCHED" else int(roles["RANK_ID"])] = int(folder.name)
    return found


def test_what_is_lost_is_told_within_half_a_minute():
    assert machines.SILENCE + launch.OWN_WORDS + machines.BETWEEN_BEATS < 30
    assert 3 * machines.BETWEEN_BEATS < machines.SILENCE, "one beat that comes late is no silence"


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "thorough"), [("mlp", True), ("rpgan", False)])
def test_two_machines_train_one_run_and_end_together(recipe, thorough, namespaces, tmp_path):
    settings = options([*MLP, "schedule.steps_per_epoch=10"])
    data = ("--data-path", write_mnist(tmp_path / "data", 160), "--batch-size", 16)
    arguments = ("train", "--recipe", recipe, *data, *settings)
    where = ("--hosts", ",".join(namespaces.hosts), "--device-num", 2)
    run_folder = tmp_path / "runs" / recipe / "1"

    def both(*arguments):
        return [namespaces.start(machine, *arguments, *where) for machine in range(2)]

    def ended(processes, since):
        said = [process.communicate(timeout=HANGS) for process in processes]
        assert [process.returncode for process in processes] == [1, 1], said
        print(f"ended after {time.monotonic() - since:.1f} s")
        return [errors.splitlines()[-1] for _, errors in said]

    if thorough:
        processes = both(*arguments, "--steps", ENDLESS, "--output-dir", tmp_path / "runs")
        wait_until(lambda: steps_saved(run_folder) >= 20, processes[0])
        subprocess.run(["kill", "-9", str(children(processes[1])[1])], check=True)
        for line in ended(processes, time.monotonic()):
            assert "the process of device 1 ended with signal 9; its log is " in line and "--resume" in line
            log = Path(line.split("its log is ")[1].split(";")[0])
            assert log.is_file(), "both see one disk here"
        shutil.rmtree(log.parent)

        before = steps_saved(run_folder)
        processes = both("train", "--resume", run_folder, "--steps", ENDLESS)
        wait_until(lambda: steps_saved(run_folder) >= before + 20, processes[0])
        namespaces.cut()
        for line, other, device in zip(ended(processes, time.monotonic()), namespaces.hosts[::-1], (1, 0)):
            assert f"{other}, which has device {device}, has been silent for 15 seconds" in line
        namespaces.join()

        before = steps_saved(run_folder)
        processes = both("train", "--resume", run_folder)
        wait_until(lambda: steps_saved(run_folder) >= before + 10, processes[0])
        family = [*children(processes[0]).values(), *children(processes[1]).values()]
        processes[0].kill()  # the first launcher: its first process saves, and nobody stays
        said = processes[1].communicate(timeout=HANGS)
        assert processes[1].returncode == 1 and f"{namespaces.hosts[0]}, which has device 0, has ended" in said[1], said
        end = time.monotonic() + HANGS
        while any(map(is_running, family)):
            assert time.monotonic() < end, "nobody stays"
            time.sleep(0.1)
        assert "stopped after step" in (run_folder / "train.log").read_text()

        before = steps_saved(run_folder)
        processes = both("train", "--resume", run_folder)
        wait_until(lambda: steps_saved(run_folder) >= before + 10, processes[0])
        processes[1].send_signal(15)  # on the machine that writes nothing
        said = [process.communicate(timeout=HANGS) for process in processes]
        assert [process.returncode for process in processes] == [128 + 15] * 2, said

    steps = steps_to_resume_to(run_folder, 40) if thorough else 40
    goes_on = ("train", "--resume", run_folder) if thorough else (*arguments, "--output-dir", tmp_path / "runs")
    processes = both(*goes_on, "--steps", steps)
    said = [process.communicate(timeout=HANGS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "all 2 devices hold the same weights, byte for byte" in said[0][0]
    assert "the run has ended" in said[1][0] and "step" not in said[1][0], "one writer"
    run(*arguments, "--device-num", 2, "--steps", steps, "--output-dir", tmp_path / "undisturbed")
    assert result(run_folder, steps) == result(tmp_path / "undisturbed" / recipe / "1", steps)
    starts = json.loads((run_folder / "provenance.json").read_text())["starts"]
    assert len(starts) == (5 if thorough else 1)
