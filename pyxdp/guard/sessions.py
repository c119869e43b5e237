"""TCP sockets of this thread's network namespace, from /proc."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.net import Address

#: Of the calling thread, whose network namespace may differ from the main thread's.
_PROC_NET: Final = Path("/proc/thread-self/net")
_TABLES: Final = ("tcp", "tcp6")
_ESTABLISHED: Final = "01"
_LISTENING: Final = "0A"
#: The kernel prints addresses in words of this many bytes, each as a number of the host.
_WORD: Final = 4
_SSH_FIELDS: Final = 4


class Session(NamedTuple):
    """An established TCP connection of this host."""

    local: Address
    local_port: int
    remote: Address
    remote_port: int

    def __str__(self) -> str:
        return f"{_end(self.remote, self.remote_port)} at {_end(self.local, self.local_port)}"


def established() -> Iterator[Session]:
    """Yield the sessions with other hosts, or at least over addresses that are not the loopback's."""
    for local, remote, state in _sockets():
        if state == _ESTABLISHED:
            session = Session(*_address(local), *_address(remote))
            if not session.remote.is_loopback:
                yield session


def listening() -> frozenset[int]:
    """Return the ports that somebody listens at."""
    return frozenset(_address(local)[1] for local, _, state in _sockets() if state == _LISTENING)


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


def _sockets() -> Iterator[tuple[str, str, str]]:
    for name in _TABLES:
        try:
            lines = (_PROC_NET / name).read_text(encoding="ascii").splitlines()
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines[1:]:
            _, local, remote, state, _ = line.split(None, 4)
            yield local, remote, state


def _address(text: str) -> tuple[Address, int]:
    """Read ``0100007F:0050``."""
    digits, _, port = text.partition(":")
    words = bytes.fromhex(digits)
    if sys.byteorder == "little":
        words = b"".join(words[at : at + _WORD][::-1] for at in range(0, len(words), _WORD))
    address = IPv4Address(words) if len(words) == _WORD else _plain(IPv6Address(words))
    return address, int(port, 16)


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 socket speaks to, if it does."""
    return getattr(address, "ipv4_mapped", None) or address


def _end(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"
