"""How `serve` ends: by which signals, how many of them, and when they come."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from helpers.commands import HANGS
from helpers.servers import INFER, free_ports, serve_command, serving, started, tensor, wait_until

pytestmark = pytest.mark.usefixtures("device")

INT, TERM, QUIT = signal.SIGINT, signal.SIGTERM, signal.SIGQUIT
QUICK, LATER, AFTER_PATIENCE = 0.0, 1.0, 3.5  # seconds between signals


def send(process, numbers, gap):
    """Send signals one after the other, as long as the process is there."""
    for number in numbers:
        if process.poll() is None:
            process.send_signal(number)
        time.sleep(gap)


class Asking(threading.Thread):
    """A request that is under way; `answer` is its status, and what it says."""

    def __init__(self, server, count):
        super().__init__()
        self.server, self.count = server, count
        self.start()

    def run(self):
        self.answer = self.server.ask(INFER, {"inputs": [tensor("num", "INT32", [self.count])]})


@pytest.mark.parametrize(
    "numbers, gap, form",
    [
        ((INT,), QUICK, "onnx"),
        ((TERM, INT), QUICK, "onnx"),
        ((INT,) * 5, QUICK, "onnx"),
        ((QUIT, QUIT), QUICK, "onnx"),
        ((INT, TERM, INT, TERM), 0.02, "mindir"),
        ((INT, TERM, INT, TERM), 0.2, "onnx"),
        ((INT, TERM, INT, TERM), LATER, "mindir"),
    ],
    ids=str,
)
def test_however_many_signals_come_it_ends_with_status_0(numbers, gap, form, conditional_folder, tmp_path):
    """Also where they come while the process is about to end."""
    with serving(conditional_folder, tmp_path / "log", "--format", form) as server:
        send(server.process, numbers, gap)
        assert server.process.wait(HANGS) == 0
        assert "Traceback" not in server.log.read_text()


SLOW = 20_000  # images, which take some seconds


@pytest.mark.parametrize("gap", [QUICK, LATER])
def test_what_is_under_way_is_answered_however_soon_the_next_signal_comes(gap, conditional_folder, tmp_path):
    with serving(conditional_folder, tmp_path / "log", "--max-batch", SLOW) as server:
        asking = Asking(server, 1000)
        time.sleep(0.3)
        send(server.process, (INT, TERM), gap)
        assert server.process.wait(HANGS) == 0
        asking.join()
        assert asking.answer[0] == 200 and "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("number", [INT, TERM])
def test_who_does_not_want_to_wait_signals_again(number, conditional_folder, tmp_path):
    with serving(conditional_folder, tmp_path / "log", "--max-batch", SLOW) as server:
        asking = Asking(server, SLOW)
        while server.ask("/v2/health/live", method="GET")[0] != 200:
            time.sleep(0.1)
        time.sleep(0.5)
        send(server.process, (number, number), AFTER_PATIENCE)
        assert server.process.wait(HANGS) == 0
        asking.join()
        assert asking.answer[0] == 200 or asking.answer == (503, {"error": "the server ends"}), "200 where it was done"
        assert "Traceback" not in server.log.read_text() and "terminate" not in server.log.read_text()


def test_a_second_signal_gives_up_what_is_under_way_but_not_at_once(monkeypatch):
    from ms_gan.delivery import server as http_server  # after MindSpore, which tells protobuf how to be

    given_up, stops = [], []

    async def stop(seconds):
        stops.append(seconds)

    async def two_signals(patience):
        monkeypatch.setattr(http_server, "PATIENCE", patience)
        model = SimpleNamespace(abandon=lambda: given_up.append(patience))
        ending = http_server.Server.__new__(http_server.Server)
        ending.remote, ending.models = SimpleNamespace(stop=stop), SimpleNamespace(by_name={"generator": model})
        ending._ends, ending._patient_until = [], 0.0
        ending.end()
        ending.end()
        await asyncio.gather(*ending._ends)

    asyncio.run(two_signals(60))
    assert not given_up and len(stops) == 1, "Ctrl-C sends a signal twice"
    asyncio.run(two_signals(0))
    assert given_up == [0] and stops[-1] < stops[-2]


# while it opens the bundle


@pytest.mark.parametrize(
    "numbers, statuses",
    [((INT,), (130,)), ((TERM,), (143,)), ((TERM, TERM), (143,)), ((INT, TERM), (130, 143))],
    ids=str,
)
@pytest.mark.parametrize("wait", [0.0, 0.4])
def test_a_signal_before_it_serves_ends_it_by_a_status_that_says_so(
    wait, numbers, statuses, conditional_folder, tmp_path
):
    log = tmp_path / "log"
    with started(serve_command(conditional_folder, *free_ports(2)), log) as process:
        wait_until(lambda: "opening " in log.read_text(), process, log)
        time.sleep(wait)
        if "serving " in log.read_text():
            pytest.skip("it serves already")
        send(process, numbers, QUICK)
        status = process.wait(HANGS)
        assert status in statuses or status == 0 and "serving " in log.read_text(), log.read_text()
        assert "Traceback" not in log.read_text()


def test_the_handlers_are_those_of_before_where_it_refuses(tmp_path):
    from ms_gan import cli

    before = [signal.getsignal(number) for number in (INT, TERM, QUIT)]
    assert cli.main(["serve", str(tmp_path)]) == 2
    assert [signal.getsignal(number) for number in (INT, TERM, QUIT)] == before


def test_while_it_serves_signals_are_handed_on_and_then_ignored(monkeypatch):
    from ms_gan import cli
    from ms_gan.cli import serve

    before = {number: signal.getsignal(number) for number in (INT, TERM, QUIT)}
    told = []

    def serves(_options, stopping):
        stopping.serves(lambda: told.append(1))
        for number in before:
            signal.raise_signal(number)

    monkeypatch.setattr(serve, "_serve", serves)
    try:
        assert cli.main(["serve", "a bundle"]) == 0
        for number in before:
            assert signal.getsignal(number) == signal.SIG_IGN
            signal.raise_signal(number)
        assert len(told) == 3
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
