"""What the kernel knows of single connections: the way they take, and whether it tracks them."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

from pyxdp.net.values import address_family

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.net import Address

#: Of this thread's network namespace; missing where connection tracking is.
_COUNT: Final = Path("/proc/sys/net/netfilter/nf_conntrack_count")
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_TCP: Final = 6


class Way(NamedTuple):
    """How packets leave this host.

    Attributes:
        ifindex: of the interface.
        source: address that they have unless told otherwise; ``None`` if the route does not say.
    """

    ifindex: int
    source: Address | None


def way_to(destination: Address) -> Way | None:
    """Return the way that packets of this thread's network namespace take; ``None`` when there is none."""
    try:
        with IPRoute() as route:
            (found, *_) = route.route("get", dst=str(destination), family=_FAMILIES[address_family(destination)])
    except (NetlinkError, OSError, ValueError):
        return None
    source = found.get_attr("RTA_PREFSRC")
    return Way(found.get_attr("RTA_OIF") or 0, ip_address(source) if source else None)


def untracked_tcp(connections: Iterable[tuple[Address, int, Address, int]]) -> list[bool]:
    """Tell for TCP connections whether connection tracking does not know them.

    Args:
        connections: address and port of one end, then of the other; in any order.

    Returns:
        For each; false where that can not be found out.
    """
    wanted = list(connections)
    try:
        if not int(_COUNT.read_text()):
            return [True] * len(wanted)
    except FileNotFoundError:
        return [True] * len(wanted)
    with ExitStack() as stack:
        tables = {
            version: stack.enter_context(NFCTSocket(nfgen_family=family)) for version, family in _FAMILIES.items()
        }
        return [_is_unknown(tables[address_family(connection[0])], connection) for connection in wanted]


def answering_tcp(connections: Iterable[tuple[Address, int, Address, int]]) -> list[tuple[Address, int] | None]:
    """Tell who answers TCP connections of this host: somebody else than they were opened to, where that is a service.

    Args:
        connections: address and port of this host, then those that it has connected to.

    Returns:
        Address and port for each; ``None`` where connection tracking does not know it.
    """
    found: list[tuple[Address, int] | None] = []
    if not _COUNT.exists():
        return [None for _ in connections]
    for connection in connections:
        with NFCTSocket(nfgen_family=_FAMILIES[address_family(connection[0])]) as conntrack:
            try:
                (entry, *_) = conntrack.entry("get", tuple_orig=_tuple_of(connection))
            except (NetlinkError, ValueError):
                found.append(None)
                continue
        version = address_family(connection[0])
        address = entry.get_nested("CTA_TUPLE_REPLY", "CTA_TUPLE_IP", f"CTA_IP_V{version}_SRC")
        port = entry.get_nested("CTA_TUPLE_REPLY", "CTA_TUPLE_PROTO", "CTA_PROTO_SRC_PORT")
        found.append((ip_address(address), port) if address and port else None)
    return found


def _is_unknown(conntrack: NFCTSocket, connection: tuple[Address, int, Address, int]) -> bool:
    try:
        return not list(conntrack.entry("get", tuple_orig=_tuple_of(connection)))
    except NetlinkError as error:
        return bool(error.code == errno.ENOENT)


def _tuple_of(connection: tuple[Address, int, Address, int]) -> NFCTAttrTuple:
    source, source_port, destination, destination_port = connection
    return NFCTAttrTuple(
        family=_FAMILIES[address_family(source)],
        saddr=str(source),
        daddr=str(destination),
        proto=_TCP,
        sport=source_port,
        dport=destination_port,
    )
