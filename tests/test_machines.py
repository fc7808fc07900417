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
from pathlib import Path

import pytest
from helpers.commands import HANGS, environment, refused_here, run, steps_saved, wait_until, write_mnist
from helpers.networks import MLP, options
from helpers.resuming import ENDLESS, result, steps_to_resume_to

from ms_gan.cli import machines
from ms_gan.cli.launch import OWN_WORDS
from ms_gan.cli.machines import Lost, Machines, meet
from ms_gan.errors import UserError


def pair(devices=2):
    """Two machines, both of them this one."""
    port = Machines.alone(1).port
    return [Machines(("localhost", "127.0.0.1"), here, devices, port) for here in range(2)]


def links(first, second):
    """The links of two machines that have met."""
    found = {}
    others = threading.Thread(target=lambda: found.update(second=meet(second, lambda: False)))
    others.start()
    found["first"] = meet(first, lambda: False)
    others.join()
    return found["first"], found["second"]


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
    assert (to_second.host, to_second.machine, to_first.host) == ("127.0.0.1", 1, "localhost")
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


def test_who_is_none_of_the_machines_is_sent_away(monkeypatch):
    first, second = pair()
    met = {}
    waiting = threading.Thread(target=lambda: met.update(first=meet(first, lambda: False)))
    waiting.start()
    for words in (b"GET / HTTP/1.1\r\n\r\n", b'{"machine": 7}\n', b'{"machine": "1"}\n', b"[1]\n{}\n", b""):
        with contextlib.closing(_connected(first.port + 1)) as stranger:
            stranger.sendall(words)
            if words.startswith((b"GET", b"[")):
                continue  # it may still say who it is, until it leaves
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(1) == b"", "it is closed"
    met["second"] = meet(second, lambda: False)
    waiting.join()
    assert [link.machine for link in met["first"]] == [1]


def _connected(port):
    end = time.monotonic() + HANGS
    while True:
        try:
            return socket.create_connection(("localhost", port), timeout=HANGS)
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_machines_that_were_started_otherwise_are_refused_on_both():
    first, (_, second) = pair()[0], pair(4)
    second = Machines(second.hosts, 1, 4, first.port)
    told = {}

    def join():
        told["second"] = heard(meet(second, lambda: False)[0])

    other = threading.Thread(target=join)
    other.start()
    with pytest.raises(UserError, match="127.0.0.1 was started with devices 4, localhost with 2"):
        meet(first, lambda: False)
    other.join()
    assert "devices 4" in told["second"][0]["failed"]


def test_waiting_for_machines_ends_with_a_signal_and_after_some_minutes(monkeypatch, capsys):
    first, second = pair()
    assert meet(first, lambda: True) == meet(second, lambda: True) == []
    monkeypatch.setattr(machines, "MEETING", 0.5)
    for one, whom in ((first, "127.0.0.1"), (second, "localhost")):
        with pytest.raises(UserError, match=f"for {whom}: start the same command there"):
            meet(one, lambda: False)
    with socket.socket() as taken, pytest.raises(UserError, match=f"cannot listen at localhost, port {first.port + 1}"):
        taken.bind(("127.0.0.1", first.port + 1))
        taken.listen()
        meet(first, lambda: False)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--hosts", "127.0.0.1"), "127.0.0.1: not two machines or more"),
        (("--hosts", "127.0.0.1,127.0.0.1"), "not two machines"),
        (("--hosts", "127.0.0.1,127.0.0.2"), "this machine has more than one of these addresses"),
        (("--hosts", "203.0.113.1,203.0.113.2"), "this machine is not one of them"),
        (("--hosts", "127.0.0.1,203.0.113.2", "--host-number", 2), "this machine is not one of them"),
        (("--hosts", "127.0.0.1,203.0.113.2", "--device-num", 3), "3 devices cannot be shared by 2 machines"),
        (("--hosts", "no.such.host.invalid,127.0.0.1"), "no.such.host.invalid: no address is known"),
        (("--hosts", "127.0.0.1,203.0.113.2", "--device-num", 64), "a batch of 128 cannot be shared by 64 devices"),
        (("--host-number", 1), "--host-number is for several machines"),
        (("--host-port", 1), "--host-port is for several machines"),
    ],
)
def test_machines_that_make_no_run_are_refused(capsys, arguments, wanted):
    assert wanted in refused_here(capsys, "train", *arguments)


def test_ranks_go_from_machine_to_machine():
    assert [list(Machines(("a", "b", "c"), here, 6, 1).ranks) for here in range(3)] == [[0, 1], [2, 3], [4, 5]]


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


def children(process):
    """The processes that a launcher, which `ip` became, has started, by their ranks; the scheduler is -1."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_text().split("\0")
            if parent == process.pid:
                roles = dict(each.partition("=")[::2] for each in variables)
                found[-1 if roles["MS_ROLE"] == "MS_SCHED" else int(roles["RANK_ID"])] = int(folder.name)
    return found


def test_what_is_lost_is_told_within_half_a_minute():
    assert machines.SILENCE + OWN_WORDS + machines.BETWEEN_BEATS < 30
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

    def ended(processes):
        said = [process.communicate(timeout=HANGS) for process in processes]
        assert [process.returncode for process in processes] == [1, 1], said
        return [errors.splitlines()[-1] for _, errors in said]

    processes = both(*arguments, "--steps", ENDLESS, "--output-dir", tmp_path / "runs")
    wait_until(lambda: steps_saved(run_folder) >= 20, processes[0])
    subprocess.run(["kill", "-9", str(children(processes[1])[1])], check=True)
    for line in ended(processes):
        assert "the process of device 1 ended with signal 9; its log is " in line and "--resume" in line
        log = Path(line.split("its log is ")[1].split(";")[0])
        assert log.is_file(), "both see one disk here"
    shutil.rmtree(log.parent)

    if thorough:
        before = steps_saved(run_folder)
        processes = both("train", "--resume", run_folder, "--steps", ENDLESS)
        wait_until(lambda: steps_saved(run_folder) >= before + 20, processes[0])
        namespaces.cut()
        for line, other, device in zip(ended(processes), namespaces.hosts[::-1], (1, 0)):
            assert f"{other}, which has device {device}, has been silent for 15 seconds" in line
        namespaces.join()

        before = steps_saved(run_folder)
        processes = both("train", "--resume", run_folder, "--steps", ENDLESS)
        wait_until(lambda: steps_saved(run_folder) >= before + 10, processes[0])
        processes[1].send_signal(15)  # on the machine that writes nothing
        said = [process.communicate(timeout=HANGS) for process in processes]
        assert [process.returncode for process in processes] == [128 + 15] * 2, said

    steps = steps_to_resume_to(run_folder, 40)
    processes = both("train", "--resume", run_folder, "--steps", steps)
    said = [process.communicate(timeout=HANGS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "all 2 devices hold the same weights, byte for byte" in said[0][0]
    assert "the run has ended" in said[1][0] and "step" not in said[1][0], "one writer"
    run(*arguments, "--device-num", 2, "--steps", steps, "--output-dir", tmp_path / "undisturbed")
    assert result(run_folder, steps) == result(tmp_path / "undisturbed" / recipe / "1", steps)
    starts = json.loads((run_folder / "provenance.json").read_text())["starts"]
    assert len(starts) == (4 if thorough else 2)
