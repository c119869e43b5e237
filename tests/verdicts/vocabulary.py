"""Small worlds for random policies: few enough values that they meet, overlap and touch, with the edges among them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from pyxdp.model import IcmpMatch, ServiceAccountMatch
from pyxdp.net import Interface, PortRange, Protocol
from pyxdp.net.values import PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from pyxdp.net import Network

NODE: Final = "node1"
HOST: Final = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}
SECOND: Final = {4: ip_address("192.0.2.65"), 6: ip_address("2001:db8:0:1::1")}
#: The one that policies are mostly about, a second one, a workload's, and loopback.
INTERFACES: Final = (
    Interface("eth0", 2, tuple(HOST.values())),
    Interface("eth1", 3, tuple(SECOND.values())),
    Interface("cali1", 4, kind="veth"),
    Interface("lo", 1, (ip_address("127.0.0.1"), ip_address("::1"))),
)

_BASES: Final = {
    4: ("10.0.1.1", "10.0.1.200", "10.0.129.0", "192.0.2.1", "198.51.100.7", "0.0.0.0", "255.255.255.255"),  # noqa: S104
    6: (
        "2001:db8::1",
        "2001:db8::ffff:ffff:ffff:ffff",
        "2001:db8:0:1:8000::",
        "2001:db8:8000::7",
        "::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
}
_LENGTHS: Final = {4: (1, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32), 6: (1, 16, 32, 33, 63, 64, 65, 96, 127, 128)}

EDGE_PORTS: Final = (1, 2, 22, 53, 80, 255, 256, 443, 1023, 1024, 32767, 32768, 65534, 65535)
#: Single ports, and every range between two of the edges.
PORT_RANGES: Final = (
    *(PortRange(port, port) for port in EDGE_PORTS),
    *(PortRange(first, last) for first in EDGE_PORTS for last in EDGE_PORTS if first < last),
)
SINGLE_PORTS: Final = PORT_RANGES[: len(EDGE_PORTS)]
PORT_NAMES: Final = ("web", "dns", "unknown")

NUMBERED: Final = tuple(Protocol(number) for number in (6, 17, 47, 132, 136, 255))
TRANSPORTS: Final = tuple(Protocol(PROTOCOL_NUMBERS[name], name) for name in ("TCP", "UDP", "SCTP"))
WITH_PORTS: Final = (*TRANSPORTS, Protocol(6), Protocol(17))
WITHOUT_PORTS: Final = (Protocol(PROTOCOL_NUMBERS["UDPLite"], "UDPLite"), Protocol(47), Protocol(255))
ICMP: Final = {4: (Protocol(1, "ICMP"), Protocol(1)), 6: (Protocol(58, "ICMPv6"), Protocol(58))}
ICMP_MATCHES: Final = (
    IcmpMatch(),
    *(IcmpMatch(kind) for kind in (8, 0, 3, 128, 135, 254)),
    *(IcmpMatch(kind, code) for kind in (8, 0, 3, 128, 135, 254) for code in (0, 1, 4, 255)),
)

LABELS: Final = ("role", "zone")
VALUES: Final = {"role": "abc", "zone": "xy"}
SELECTORS: Final = (
    "all()",
    "role == 'a'",
    "role == 'b'",
    "role != 'a'",
    "role in {'a', 'c'}",
    "has(zone)",
    "!has(zone)",
    "role == 'a' && has(zone)",
    "role == 'b' || zone == 'x'",
    "role == 'nobody'",
    "has(hep)",
    "projectcalico.org/namespace == 'prod'",
)
NAMESPACE_SELECTORS: Final = (
    "all()",
    "global()",
    "env == 'prod'",
    "env != 'prod'",
    "projectcalico.org/name == 'test'",
    "projectcalico.org/namespace != 'prod'",
)
SERVICE_ACCOUNTS: Final = (
    ServiceAccountMatch(names=("default",)),
    ServiceAccountMatch(selector="all()"),
    ServiceAccountMatch(selector="team != 'red'"),
)


def _networks(family: int, lengths: tuple[int, ...]) -> tuple[Network, ...]:
    """Prefixes of a family around few addresses, so that they nest and touch."""
    prefixes = {ip_network((base, length), strict=False) for base in _BASES[family] for length in lengths}
    return tuple(sorted(prefixes))


NARROW_NETWORKS: Final = {family: _networks(family, lengths) for family, lengths in _LENGTHS.items()}
NETWORKS: Final = {family: _networks(family, (0, *lengths)) for family, lengths in _LENGTHS.items()}
ALL_NETWORKS: Final = (*NETWORKS[4], *NETWORKS[6])
