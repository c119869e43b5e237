"""Who this host talks to: sockets of this thread's network namespace, and whose processes they are."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.netlink.sockets import listening as _listening

if TYPE_CHECKING:
    from pyxdp.net import Address
    from pyxdp.netlink.sockets import Socket

TCP: Final = 6
UDP: Final = 17
_SSH_FIELDS: Final = 4


class Session(NamedTuple):
    """An established TCP connection of this host, or a UDP socket of it and another end."""

    local: Address
    local_port: int
    remote: Address
    remote_port: int
    protocol: int = TCP

    @classmethod
    def of(cls, socket: Socket, protocol: int = TCP) -> Session:
        """Return the session of a socket that has another end."""
        return cls(ip_address(socket.local), socket.local_port, ip_address(socket.remote), socket.remote_port, protocol)

    def __str__(self) -> str:
        udp = "UDP " if self.protocol == UDP else ""
        return f"{udp}{_end(self.remote, self.remote_port)} at {_end(self.local, self.local_port)}"


def listening() -> frozenset[int]:
    """Return the TCP ports that somebody listens at."""
    return frozenset(it.local_port for it in _listening())


def session_of_caller() -> Session | None:
    """Return the SSH session that this process was started from; ``None`` when there is none, or it can not be told.

    ``sudo`` takes the variable away that tells, but not from the processes above it.
    """
    process = "self"
    while process not in ("0", ""):
        found = session_of_ssh(_environment(process).get(b"SSH_CONNECTION", b"").decode("ascii", "replace"))
        if found is not None:
            return found
        process = _parent(process)
    return None


def session_of_ssh(variable: str) -> Session | None:
    """Return the session that ``SSH_CONNECTION`` tells of; ``None`` when it tells of none."""
    fields = variable.split()
    if len(fields) != _SSH_FIELDS:
        return None
    remote, remote_port, local, local_port = fields
    try:
        return Session(_plain(ip_address(local)), int(local_port), _plain(ip_address(remote)), int(remote_port))
    except ValueError:
        return None


def _environment(process: str) -> dict[bytes, bytes]:
    """Return the environment that a process was started with; empty if that may not be read."""
    try:
        entries = Path("/proc", process, "environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (entry.partition(b"=") for entry in entries)}


def _parent(process: str) -> str:
    """Return the number of the process that started it; empty if it has ended."""
    try:
        # Its name, in parentheses, may hold anything; the parent is the second field behind it.
        return (
            Path("/proc", process, "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        )
    except (OSError, IndexError):
        return ""


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 socket speaks to, if it does."""
    return getattr(address, "ipv4_mapped", None) or address


def _end(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"
