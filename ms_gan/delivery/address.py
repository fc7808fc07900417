"""Where a server listens: one address of this machine, and ports on it that are free."""

from __future__ import annotations

import errno
import socket

from ms_gan.errors import UserError, shown

ADVICE = {
    errno.EADDRNOTAVAIL: "give --host an address of this machine, such as 127.0.0.1",
    errno.EAFNOSUPPORT: "give --host an address of IPv4, such as 127.0.0.1",
    errno.EACCES: "choose a port from 1024 with {option}",
}


def listening_address(host: str, ports: dict[str, int]) -> str:
    """Return the address, as digits, that a host's name or address stands for, after a look at whether ports are free.

    `ports` are the ports by the options that choose them. Of a name's addresses the first of IPv4 is taken, or else the
    first. Raises UserError for a name that is unknown, and for what cannot be listened on.
    """
    if len(set(ports.values())) < len(ports):
        raise UserError(f"{' and '.join(ports)} are both {next(iter(ports.values()))}; choose two")
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(
            f"--host {shown(host)}: no name or address that this machine knows; 127.0.0.1 is this machine "
            f"alone, 0.0.0.0 every network of it"
        ) from error
    family, _, _, _, place = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    address = socket.getnameinfo(place, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    for option, port in ports.items():
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((place[0], port, *place[2:]))
        except OSError as error:
            advice = ADVICE.get(error.errno, "choose another port with {option}").format(option=option)
            raise UserError(
                f"{in_url(address)}:{port} cannot be listened on ({error.strerror or error}); {advice}"
            ) from error
    return address


def in_url(address: str) -> str:
    """Return an address as it stands before a port: one of IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
