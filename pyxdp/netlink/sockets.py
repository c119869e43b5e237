"""The sockets of this thread's network namespace."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.netlink.questions import Questions

if TYPE_CHECKING:
    from collections.abc import Iterator

_TCP: Final = 6
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
#: enum of include/net/tcp_states.h; a UDP socket that is connected is "established", too.
_ESTABLISHED: Final = 1
_LISTEN: Final = 10
#: struct inet_diag_req_v2: family, protocol, extensions, padding, states; and an id, which means nothing in a dump.
_REQUEST: Final = Struct("=BBBBI48x")
#: struct inet_diag_msg: family, state, timer, retransmissions; the id: ports, addresses, and an interface, which is a
#: number of the host.
_MESSAGE: Final = Struct("!4xHH16s16sI")
#: ::ffff:0:0/96: an IPv6 socket that speaks IPv4.
_MAPPED: Final = bytes(10) + b"\xff\xff"

#: Of the calling thread, whose network namespace may differ from the main thread's.
_PROC_NET: Final = Path("/proc/thread-self/net")
_PROC_NAMES: Final = {6: "tcp", 17: "udp"}
#: The kernel prints addresses in words of this many bytes, each as a number of the host.
_WORD: Final = 4


class Socket(NamedTuple):
    """A socket, with addresses as packets on the wire have them: 4 or 16 bytes.

    Attributes:
        local: address of this host.
        local_port: and its port.
        remote: address of the other end; zeros when there is none.
        remote_port: and its port.
        ifindex: of the interface that it is bound to, as with link-local addresses; 0: to none, or it is not known.
    """

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    ifindex: int = 0

    @property
    def turned(self) -> Socket:
        """As the other end has it."""
        return Socket(self.remote, self.remote_port, self.local, self.local_port)


def connected(protocol: int) -> Iterator[Socket]:
    """Yield the sockets that have another end.

    Args:
        protocol: 6 for TCP: those that are established; 17 for UDP.
    """
    return _sockets(protocol, _ESTABLISHED)


def listening() -> Iterator[Socket]:
    """Yield the TCP sockets that wait for somebody."""
    return _sockets(_TCP, _LISTEN)


def _sockets(protocol: int, state: int) -> Iterator[Socket]:
    try:
        found = [list(_dumped(family, protocol, state)) for family in _FAMILIES]
    except OSError:  # a kernel without inet_diag, or that may not load it
        found = [list(printed(protocol, state))]
    for sockets in found:
        yield from sockets


def _dumped(family: int, protocol: int, state: int) -> Iterator[Socket]:
    request = _REQUEST.pack(family, protocol, 0, 0, 1 << state)
    is_ipv4 = family == socket.AF_INET
    with Questions(_NETLINK_SOCK_DIAG) as questions:
        for message in questions.dump(_SOCK_DIAG_BY_FAMILY, request):
            local_port, remote_port, local, remote, ifindex = _MESSAGE.unpack_from(message)
            local, remote = (local[:4], remote[:4]) if is_ipv4 else (_plain(local), _plain(remote))
            yield Socket(local, local_port, remote, remote_port, socket.ntohl(ifindex))


def printed(protocol: int, state: int = _ESTABLISHED) -> Iterator[Socket]:
    """Yield the sockets that /proc tells of; slower, and without interfaces."""
    for name in (_PROC_NAMES[protocol], f"{_PROC_NAMES[protocol]}6"):
        try:
            lines = (_PROC_NET / name).read_text(encoding="ascii").splitlines()
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines[1:]:
            _, local, remote, found, _ = line.split(None, 4)
            if int(found, 16) == state:
                yield Socket(*_end(local), *_end(remote))


def _end(text: str) -> tuple[bytes, int]:
    """Read ``0100007F:0050``."""
    digits, _, port = text.partition(":")
    words = bytes.fromhex(digits)
    if sys.byteorder == "little":
        words = b"".join(words[at : at + _WORD][::-1] for at in range(0, len(words), _WORD))
    return _plain(words), int(port, 16)


def _plain(address: bytes) -> bytes:
    """Return the IPv4 address that an IPv6 socket speaks to, if it does."""
    return address[12:] if len(address) > _WORD and address.startswith(_MAPPED) else address
