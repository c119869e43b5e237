"""What the kernel knows of single connections: the way they take, and whether it tracks them."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from pyxdp.net.values import address_family
from pyxdp.netlink.questions import Questions, attribute, attributes
from pyxdp.netlink.sockets import Socket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyxdp.net import Address

#: Address and port of one end, then of the other; and the protocol.
Connection: TypeAlias = "tuple[Address, int, Address, int, int]"

#: Of this thread's network namespace; missing where connection tracking is.
_COUNT: Final = Path("/proc/sys/net/netfilter/nf_conntrack_count")
#: Of nfnetlink, and of its messages about connections: enum ctattr_type and those within, enum ip_conntrack_status.
_NETLINK_NETFILTER: Final = 12
_CT_GET: Final = 0x101
_NFGENMSG: Final = Struct("!BBH")
_NESTED: Final = 0x8000
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _FILTER = 1, 2, 3, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, *_PORTS = 1, 2, 3
_IPS: Final = {4: (1, 2), 6: (3, 4)}
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS = 1, 2
_BY_PROTO_NUM: Final = 1 << 3
_ASSURED: Final = 1 << 2
_TRANSLATED: Final = 1 << 4 | 1 << 5
_UDP: Final = 17
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


class Way(NamedTuple):
    """How packets leave this host.

    Attributes:
        ifindex: of the interface.
        source: address that they have unless told otherwise; ``None`` if the route does not say.
    """

    ifindex: int
    source: Address | None


def way_to(destination: Address, source: Address | None = None) -> Way | None:
    """Return the way that packets of this thread's network namespace take; ``None`` when there is none.

    Args:
        destination: of the packets.
        source: of them, if they have one already: rules of routing may ask for it.
    """
    known = {"src": str(source)} if source else {}
    try:
        with IPRoute() as route:
            family = _FAMILIES[address_family(destination)]
            (found, *_) = route.route("get", dst=str(destination), family=family, **known)
    except (NetlinkError, OSError, ValueError):
        return None
    source = found.get_attr("RTA_PREFSRC")
    return Way(found.get_attr("RTA_OIF") or 0, ip_address(source) if source else None)


def untracked(connections: Iterable[Connection]) -> list[bool]:
    """Tell for connections whether connection tracking does not know them.

    Args:
        connections: address and port of one end, then of the other, in any order; and the protocol.

    Returns:
        For each; false where that can not be found out.
    """
    wanted = list(connections)
    if not entries():
        return [True] * len(wanted)
    with Questions(_NETLINK_NETFILTER) as questions:
        return [_is_unknown(questions, connection) for connection in wanted]


def entries() -> int:
    """Return how many connections are known to connection tracking; 0 where nothing is tracked."""
    try:
        return int(_COUNT.read_text())
    except FileNotFoundError:
        return 0


def udp_streams(most: int = 4096) -> Iterator[Socket]:
    """Yield UDP flows in which both ends have spoken for a while, as the ends of who began; none that is translated.

    They are those of this host, and those that it forwards. What can not be found out is not there.

    Args:
        most: entries that are read; to read more takes too long.
    """
    if not entries():
        return
    for family in _FAMILIES.values():
        with suppress(OSError), Questions(_NETLINK_NETFILTER) as questions:
            # Kernels before 5.8 know no filters and tell everything.
            for message in islice(questions.dump(_CT_GET, _request(family)), most):
                stream = _stream(_of_connection(message))
                if stream is not None:
                    yield stream


def _request(family: int) -> bytes:
    protocol = attribute(_TUPLE_PROTO | _NESTED, attribute(_PROTO_NUM, bytes([_UDP])))
    flags = attribute(_FILTER_ORIG_FLAGS, _BY_PROTO_NUM.to_bytes(4, sys.byteorder))
    flags += attribute(_FILTER_REPLY_FLAGS, bytes(4))
    head = _NFGENMSG.pack(family, 0, 0)
    return head + attribute(_TUPLE_ORIG | _NESTED, protocol) + attribute(_FILTER | _NESTED, flags)


def _stream(found: Mapping[int, memoryview]) -> Socket | None:
    status = int.from_bytes(found[_STATUS], "big")
    if status & (_ASSURED | _TRANSLATED) != _ASSURED:
        return None
    protocol = attributes(attributes(found[_TUPLE_ORIG])[_TUPLE_PROTO])[_PROTO_NUM]
    return _ends(found[_TUPLE_ORIG]) if protocol[0] == _UDP else None


def answering_tcp(connections: Iterable[Connection]) -> list[tuple[Address, int] | None]:
    """Tell who answers TCP connections of this host: somebody else than they were opened to, where that is a service.

    Args:
        connections: address and port of this host, then those that it has connected to.

    Returns:
        Address and port for each; ``None`` where connection tracking does not know it.
    """
    if not entries():
        return [None for _ in connections]
    with Questions(_NETLINK_NETFILTER) as questions:
        return [_answering(questions, connection) for connection in connections]


def _answering(questions: Questions, connection: Connection) -> tuple[Address, int] | None:
    try:
        found = _of_connection(questions.get(_CT_GET, _question(connection)))
    except OSError:
        return None
    ends = _ends(found[_TUPLE_REPLY])
    return ip_address(ends.local), ends.local_port


def _is_unknown(questions: Questions, connection: Connection) -> bool:
    try:
        questions.get(_CT_GET, _question(connection))
    except OSError as error:
        return error.errno == errno.ENOENT
    return False


def _question(connection: Connection) -> bytes:
    source, source_port, destination, destination_port, protocol = connection
    version = address_family(source)
    addresses = zip(_IPS[version], (source, destination), strict=True)
    ip = b"".join(attribute(kind, address.packed) for kind, address in addresses)
    ports = zip(_PORTS, (source_port, destination_port), strict=True)
    proto = attribute(_PROTO_NUM, bytes([protocol]))
    proto += b"".join(attribute(kind, port.to_bytes(2, "big")) for kind, port in ports)
    ends = attribute(_TUPLE_IP | _NESTED, ip) + attribute(_TUPLE_PROTO | _NESTED, proto)
    return _NFGENMSG.pack(_FAMILIES[version], 0, 0) + attribute(_TUPLE_ORIG | _NESTED, ends)


def _of_connection(message: memoryview) -> dict[int, memoryview]:
    return attributes(message[_NFGENMSG.size :])


def _ends(content: memoryview) -> Socket:
    """Return the ends of a tuple: who sends as the local one."""
    ends = attributes(content)
    protocol, addresses = attributes(ends[_TUPLE_PROTO]), attributes(ends[_TUPLE_IP])
    # Source and destination, whose numbers differ between families.
    source, destination = (bytes(addresses[kind]) for kind in sorted(addresses))
    source_port, destination_port = (int.from_bytes(protocol[kind], "big") for kind in _PORTS)
    return Socket(source, source_port, destination, destination_port)
