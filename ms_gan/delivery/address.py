"""Where a server listens: one address of this machine, and ports on it that are free."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from ms_gan.errors import Setting, UserError, shown


def listening_address(host: str, ports: Mapping[str, int]) -> str:
    """Resolve `host` to a numeric address, and check that the ports are free.

    `ports`: the ports by the settings that choose them. A name becomes its first IPv4 address, or else its first
    address. Raises UserError for an unknown name, and for an address or port that cannot be used.
    """
    if len(set(ports.values())) < len(ports):
        raise UserError(f"there is one port, {next(iter(ports.values()))}, for REST and gRPC", "choose two")
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        wrong = f"{shown(host)}: no name or address that this machine knows"
        raise UserError(wrong, "use 127.0.0.1 for this machine alone, or 0.0.0.0 for all its networks") from error
    *_, place = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    address = socket.getnameinfo(place, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    for setting, port in ports.items():
        bound(address, port, setting).close()
    return address


def bound(address: str, port: int, setting: str, backlog: int | None = None) -> socket.socket:
    """Return a socket with this numeric address and port, which listens if it is told how many connections may wait.

    Raises UserError, which names the port's setting.
    """
    family, *_, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind(place)
        if backlog is not None:
            found.listen(backlog)
    except OSError as error:
        found.close()
        raise taken(address, port, setting, error.strerror or str(error)) from error
    return found


def taken(address: str, port: int, setting: str, why: str) -> UserError:
    """Return the error for a port, of a setting, that cannot be listened on."""
    other = ("choose another port with ", Setting(setting), ", or another address with ", Setting("host"))
    return UserError(f"{in_url(address)}:{port} cannot be listened on ({why})", *other)


def in_url(address: str) -> str:
    """Return an address as it stands before a port: one of IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
