"""Several machines that train together: which they are, and how their launchers hear of each other.

MindSpore brings the processes of all machines together, and moves the gradients. What it does not do is to tell, within
seconds and in a line, that a process has died on another machine, or that a machine has fallen silent. So each
machine's launcher stays connected with that of the first machine, from which all others hear how the run ends.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Callable

from ms_gan import __version__
from ms_gan.errors import Setting, UserError, shown

BETWEEN_BEATS = 2.0  # seconds
SILENCE = 15.0  # seconds without a word after which a machine counts as lost
MEETING = 600.0  # seconds to wait for the other machines
LONGEST = 1 << 16  # characters of a message


@dataclass(frozen=True)
class Machines:
    """The machines of a run, and which of them this is.

    Attributes:
        hosts: their names, as messages have them.
        address: of the first, whose launcher and scheduler bring all together; IPv4, as MindSpore wants it.
        here: which of them this one is, from 0.
        devices: how many devices train, over all machines; each has as many.
        port: where MindSpore's scheduler listens, on the first one; launchers meet at port + 1.
    """

    hosts: tuple[str, ...]
    address: str
    here: int
    devices: int
    port: int

    @property
    def ranks(self) -> range:
        """The devices of this machine, as they are counted over all."""
        return self.ranks_of(self.here)

    def ranks_of(self, machine: int) -> range:
        """Return the devices of a machine, as they are counted over all."""
        each = self.devices // len(self.hosts)
        return range(machine * each, (machine + 1) * each)

    @classmethod
    def alone(cls, devices: int) -> Machines:
        """Return this machine alone, with a port that is free now."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return cls(("127.0.0.1",), "127.0.0.1", 0, devices, free.getsockname()[1])

    @classmethod
    def of(cls, hosts: str, devices: int | None, here: int | None, port: int) -> Machines:
        """Return the machines that are named by a list with commas; by default each has one device.

        Raises UserError for a list in which this machine is not, and for devices that machines cannot share.
        """
        names = tuple(filter(None, (name.strip() for name in hosts.split(","))))
        if len(set(names)) != len(names) or len(names) < 2:
            raise UserError(f"{hosts}: not two machines or more", "give their addresses, with commas between them")
        count = devices or len(names)
        if count % len(names):
            problem = f"{count} devices cannot be shared by {len(names)} machines"
            raise UserError(problem, "give a ", Setting("device_num"), f" that is {len(names)} times a whole number")
        addresses = [_address(name) for name in names]
        unreachable = [name for name, address in zip(names, addresses) if ipaddress.ip_address(address).is_loopback]
        if unreachable and len(unreachable) < len(names):
            problem = f"{unreachable[0]}: is {addresses[names.index(unreachable[0])]} here, where no other machine gets"
            raise UserError(problem, "give its address in the network")
        own = [number for number, address in enumerate(addresses) if _is_here(address)] if here is None else [here]
        if len(own) != 1 or own[0] >= len(names):
            which = "is not one of them" if not own or own[0] >= len(names) else "has more than one of these addresses"
            raise UserError(
                f"{hosts}: this machine {which}", "say which it is, counted from 0, with ", Setting("host_number")
            )
        return cls(names, addresses[0], own[0], count, port)


def _address(host: str) -> str:
    """Return a machine's IPv4 address. Raises UserError for a name that has none."""
    try:
        return str(socket.getaddrinfo(host, 0, socket.AF_INET, socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        problem = f"{host}: no IPv4 address is known for it ({error.strerror or error})"
        raise UserError(problem, "give its address") from None


def _is_here(address: str) -> bool:
    """Return whether an address is this machine's: the system would send to it from that very address."""
    if ipaddress.ip_address(address).is_loopback:
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect((address, 9))  # nothing is sent
        except OSError:
            return False
        return trial.getsockname()[0] == address


class Lost(Exception):
    """A machine is no longer heard of; the text says how that was seen, and stands behind its name.

    `ended` tells whether its launcher has ended; otherwise it is silent.
    """

    def __init__(self, how: str, ended: bool):
        super().__init__(how)
        self.ended = ended


class Link:
    """A connection to another machine's launcher: messages, each a JSON object on a line. Nothing here waits.

    Attributes:
        host, machine: the other machine's name, and its number.
        closed: whether it is closed on this side.
    """

    def __init__(self, connection: socket.socket, host: str, machine: int):
        connection.setblocking(False)
        self.host, self.machine = host, machine
        self._connection, self._read, self._unsent = connection, b"", b""
        self._heard = self._spoke = time.monotonic()
        self._over = self.closed = False

    def send(self, **message: Any) -> None:
        """Send a message, as soon as it can be sent."""
        self._spoke = time.monotonic()
        self._unsent += json.dumps(message).encode() + b"\n"
        self._push()

    def received(self) -> list[dict[str, Any]]:
        """Return the messages that have arrived; send a sign of life if none was sent for BETWEEN_BEATS seconds.

        Raises Lost where the other launcher has ended, or has been silent for SILENCE seconds.
        """
        if time.monotonic() - self._spoke > BETWEEN_BEATS:
            self.send()
        self._push()
        while not self._over:
            try:
                part = self._connection.recv(LONGEST)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            self._over = not part
            self._read += part
            self._heard = time.monotonic()
        *lines, self._read = self._read.split(b"\n")
        found = [message for message in map(_parsed, lines) if message]
        if found:
            return found
        if self._over or len(self._read) > LONGEST:
            raise Lost("has ended", True)
        if time.monotonic() - self._heard > SILENCE:
            raise Lost(f"has been silent for {SILENCE:.0f} seconds", False)
        return []

    def close(self) -> None:
        """Send what is left, if it can be sent within a second, and close the connection."""
        end = time.monotonic() + 1
        while self._unsent and not self._over and time.monotonic() < end:
            self._push()
            time.sleep(0.01)
        self.closed = True
        self._connection.close()

    def _push(self) -> None:
        if not self._unsent or self._over:
            return
        try:
            self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._over = True


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):  # brackets within brackets, thousands of them
        return {}
    return message if isinstance(message, dict) else {}


def meet(machines: Machines, stopped: Callable[[], bool]) -> list[Link]:
    """Return links of the first machine to all others, or of another one to the first, as soon as all are there.

    When `stopped()`, it returns none or some. Raises UserError if it takes longer than MEETING, and where machines were
    started for other devices, or with other versions of ms_gan.
    """
    if len(machines.hosts) == 1:
        return []
    start = {"hosts": list(machines.hosts), "devices": machines.devices, "version": __version__}
    patience = _Patience(stopped)
    return (
        _wait_for_others(machines, start, patience) if machines.here == 0 else _go_to_first(machines, start, patience)
    )


def _wait_for_others(machines: Machines, start: dict[str, Any], patience: _Patience) -> list[Link]:
    links: dict[int, Link] = {}
    strangers: list[Link] = []
    with _listening(machines) as door:
        while len(links) < len(machines.hosts) - 1:
            missing = [host for number, host in enumerate(machines.hosts) if number and number not in links]
            if not patience.goes_on(f"for {', '.join(missing)}: start the same command there"):
                break
            with contextlib.suppress(BlockingIOError):
                strangers.append(Link(door.accept()[0], "", 0))
            for link in tuple(strangers):
                if _introduced(link, machines, start):
                    if link.machine in links:
                        link.close()
                    links.setdefault(link.machine, link)
                if link.machine or link.closed:
                    strangers.remove(link)
            for link in links.values():
                try:
                    link.received()
                except Lost as lost:
                    raise UserError(f"{link.host} {lost}", "start the command again on all machines") from None
    for link in strangers:
        link.close()
    for link in links.values() if len(links) == len(machines.hosts) - 1 else ():
        link.send(go=True)
    return [links[number] for number in sorted(links)]


def _introduced(link: Link, machines: Machines, start: dict[str, Any]) -> bool:
    """Return whether a link has said which machine it comes from; one that says something else is closed.

    Raises UserError for a machine that was started otherwise, and tells it.
    """
    try:
        said = link.received()
    except Lost:
        link.close()
        return False
    if not said:
        return False
    number = said[0].get("machine")
    if not isinstance(number, int) or not 0 < number < len(machines.hosts):
        link.close()
        return False
    link.host, link.machine = machines.hosts[number], number
    for key, ours in start.items():
        theirs = said[0].get(key)
        if theirs != ours:
            problem = f"{link.host} was started with {key} {shown(theirs)}, {machines.hosts[0]} with {shown(ours)}"
            link.send(failed=problem, status=2)
            link.close()
            raise UserError(problem, "start the same command on all machines")
    return True


def _listening(machines: Machines) -> socket.socket:
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as of_scheduler:  # taken if another run trains here
            of_scheduler.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = machines.port
            of_scheduler.bind((machines.address, port))
        port = machines.port + 1
        door.bind((machines.address, port))
        door.listen()
    except OSError as error:
        door.close()
        problem = f"cannot listen at {machines.hosts[0]}, port {port} ({error.strerror})"
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(problem, "this is not that machine; look at ", Setting("host_number")) from None
        raise UserError(problem, "give another ", Setting("host_port"), " on all machines") from None
    door.setblocking(False)
    return door


def _go_to_first(machines: Machines, start: dict[str, Any], patience: _Patience) -> list[Link]:
    link: Link | None = None
    while patience.goes_on("for the others: start the same command on all machines"):
        if link is None:
            try:
                connection = socket.create_connection((machines.address, machines.port + 1), timeout=5)
            except OSError:
                continue
            link = Link(connection, machines.hosts[0], 0)
            link.send(machine=machines.here, **start)
        try:
            messages = link.received()
        except Lost as lost:
            raise UserError(f"{link.host} {lost}", "start the command again on all machines") from None
        for message in messages:
            if "failed" in message:
                link.close()
                raise UserError(str(message["failed"]), "start the same command on all machines")
            if "ended" in message:
                raise UserError(f"{link.host} waits no longer", "start the command again on all machines")
            if "go" in message:
                return [link]
    if link is not None:
        link.close()
    return []


class _Patience:
    """Waits a little at each call, and says for what after some seconds."""

    def __init__(self, stopped: Callable[[], bool]):
        self.since, self.said, self.stopped = time.monotonic(), "", stopped

    def goes_on(self, what: str) -> bool:
        """Return whether to wait on. Raises UserError after MEETING."""
        time.sleep(0.1)
        waited = time.monotonic() - self.since
        if waited > MEETING:
            raise UserError(f"waited {MEETING / 60:.0f} minutes {what}")
        if waited > 3 and what != self.said:
            print(f"waiting {what}", flush=True)
            self.said = what
        return not self.stopped()
