"""How `serve` ends: by which signals, how many of them, and when they come."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from helpers.bundles import write_conditional
from helpers.commands import HANGS, environment
from helpers.servers import INFER, end, free_ports, serving, tensor, wait_until

pytestmark = pytest.mark.usefixtures("device")

INT, TERM, QUIT = signal.SIGINT, signal.SIGTERM, signal.SIGQUIT
QUICK, LATER, AFTER_PATIENCE = 0.0, 1.0, 3.5  # seconds between signals


@pytest.fixture(scope="module")
def folder(device, tmp_path_factory):
    """A bundle of ten classes."""
    return write_conditional(tmp_path_factory.mktemp("conditional") / "bundle")


def send(process, numbers, gap):
    """Send signals one after the other, as long as the process is there."""
    for number in numbers:
        if process.poll() is None:
            process.send_signal(number)
        time.sleep(gap)


class Asking(threading.Thread):
    """A request that is under way; `status` is how it was answered."""

    def __init__(self, server, count):
        super().__init__()
        body = json.dumps({"inputs": [tensor("num", "INT32", [count])]}).encode()
        self.request = urllib.request.Request(server.url + INFER, body)
        self.status = None
        self.start()

    def run(self):
        try:
            with urllib.request.urlopen(self.request, timeout=HANGS) as answer:
                self.status = answer.status
                answer.read()
        except urllib.error.HTTPError as error:
            self.status, self.told = error.code, error.read()


@pytest.mark.parametrize(
    "numbers",
    [(INT, INT), (TERM, TERM), (INT, TERM), (TERM, INT), (INT,) * 5, (QUIT, QUIT)],
    ids=lambda numbers: " ".join(number.name for number in numbers),
)
def test_however_many_signals_come_it_ends_with_status_0(numbers, folder, tmp_path):
    with serving(folder, tmp_path / "log", "--format", "onnx") as server:
        send(server.process, numbers, QUICK)
        assert server.process.wait(HANGS) == 0
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("gap", [0.02, 0.2, LATER])
@pytest.mark.parametrize("form", ["onnx", "mindir"])
def test_signals_some_time_apart_end_it_with_status_0(form, gap, folder, tmp_path):
    """Also those that come while the process is about to end."""
    with serving(folder, tmp_path / "log", "--format", form) as server:
        send(server.process, (INT, TERM, INT, TERM), gap)
        assert server.process.wait(HANGS) == 0
        assert "Traceback" not in server.log.read_text()


SLOW = 20_000  # images, which take some seconds


@pytest.mark.parametrize("gap", [QUICK, LATER])
def test_what_is_under_way_is_answered_however_soon_the_next_signal_comes(gap, folder, tmp_path):
    with serving(folder, tmp_path / "log", "--max-batch", SLOW) as server:
        asking = Asking(server, 1000)
        time.sleep(0.3)
        send(server.process, (INT, TERM), gap)
        assert server.process.wait(HANGS) == 0
        asking.join()
        assert asking.status == 200 and "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("first, second", [(INT, INT), (TERM, TERM)])
def test_who_does_not_want_to_wait_signals_again(first, second, folder, tmp_path):
    with serving(folder, tmp_path / "log", "--max-batch", SLOW) as server:
        asking = Asking(server, SLOW)
        while server.ask("/v2/health/live", method="GET")[0] != 200:
            time.sleep(0.1)
        time.sleep(0.5)
        send(server.process, (first, second), AFTER_PATIENCE)
        assert server.process.wait(HANGS) == 0
        asking.join()
        assert asking.status in (200, 503), "200 where it was done by then"
        assert asking.status == 200 or json.loads(asking.told) == {"error": "the server ends"}
        assert "Traceback" not in server.log.read_text() and "terminate" not in server.log.read_text()


# while it opens the bundle


@pytest.mark.parametrize(
    "numbers, statuses",
    [
        ((INT,), (130,)),
        ((TERM,), (143,)),
        ((INT, INT), (130,)),
        ((TERM, TERM), (143,)),
        ((INT, TERM), (130, 143)),
        ((TERM, INT), (130, 143)),
    ],
    ids=str,
)
@pytest.mark.parametrize("wait", [0.0, 0.4])
def test_a_signal_before_it_serves_ends_it_by_a_status_that_says_so(wait, numbers, statuses, folder, tmp_path):
    http, remote = free_ports(2)
    log = tmp_path / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ms_gan",
                "serve",
                str(folder),
                "--http-port",
                str(http),
                "--grpc-port",
                str(remote),
            ],
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "opening " in log.read_text(), process, log)
        time.sleep(wait)
        if "serving " in log.read_text():
            pytest.skip("it serves already")
        send(process, numbers, QUICK)
        status = process.wait(HANGS)
        assert status in statuses or status == 0 and "serving " in log.read_text(), log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        end(process, signal.SIGKILL)


def test_the_handlers_are_those_of_before_where_it_refuses(tmp_path):
    from ms_gan import cli

    before = [signal.getsignal(number) for number in (INT, TERM, QUIT)]
    assert cli.main(["serve", str(tmp_path)]) == 2
    assert [signal.getsignal(number) for number in (INT, TERM, QUIT)] == before


def test_while_it_serves_signals_are_handed_on_and_then_ignored():
    from ms_gan.delivery.stopping import Stopping

    before = {number: signal.getsignal(number) for number in (INT, TERM, QUIT)}
    told = SimpleNamespace(times=0)
    try:
        with Stopping() as stopping:
            stopping.serves(lambda: setattr(told, "times", told.times + 1))
            for number in before:
                signal.raise_signal(number)
            assert told.times == 3
        assert all(signal.getsignal(number) == signal.SIG_IGN for number in before)
        for number in before:
            signal.raise_signal(number)
        assert told.times == 3
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
