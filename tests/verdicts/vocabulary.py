"""Small worlds for random policies: few enough values that they meet, overlap and touch, with the edges among them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from pyxdp.model import IcmpMatch
from pyxdp.net import PortRange, Protocol
from pyxdp.net.values import PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from pyxdp.net import Network

HOST: Final = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}

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
_EDGE_PORTS: Final = (1, 2, 22, 53, 80, 255, 256, 443, 1023, 1024, 32767, 32768, 65534, 65535)

PORT_NAMES: Final = ("web", "dns", "unknown")
NUMBERED: Final = tuple(Protocol(number) for number in (6, 17, 47, 132, 136, 255))
TRANSPORTS: Final = tuple(Protocol(PROTOCOL_NUMBERS[name], name) for name in ("TCP", "UDP", "SCTP"))
WITH_PORTS: Final = (*TRANSPORTS, Protocol(6), Protocol(17))
WITHOUT_PORTS: Final = (Protocol(PROTOCOL_NUMBERS["UDPLite"], "UDPLite"), Protocol(47), Protocol(255))
ICMP: Final = {4: (Protocol(1, "ICMP"), Protocol(1)), 6: (Protocol(58, "ICMPv6"), Protocol(58))}

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
)
NAMESPACE_SELECTORS: Final = ("all()", "global()", "env == 'prod'", "env != 'prod'")

labels: Final = st.fixed_dictionaries({"role": st.sampled_from("abc")}, optional={"zone": st.sampled_from("xy")})
selectors: Final = st.sampled_from(SELECTORS)
edge_ports: Final = st.sampled_from(_EDGE_PORTS)
port_ranges: Final = st.one_of(
    edge_ports.map(lambda port: PortRange(port, port)),
    st.tuples(edge_ports, edge_ports).map(lambda ends: PortRange(min(ends), max(ends))),
)
icmp_matches: Final = st.one_of(
    st.just(IcmpMatch()),
    st.builds(IcmpMatch, st.sampled_from((0, 3, 8, 128, 135, 254))),
    st.builds(IcmpMatch, st.sampled_from((0, 3, 8, 128, 135, 254)), st.sampled_from((0, 1, 4, 255))),
)


def _networks(family: int, lengths: tuple[int, ...]) -> st.SearchStrategy[Network]:
    """Prefixes of a family around few addresses, so that they nest and touch."""
    prefixes = {ip_network((base, length), strict=False) for base in _BASES[family] for length in lengths}
    return st.sampled_from(sorted(prefixes))


NARROW_NETWORKS: Final = {family: _networks(family, lengths) for family, lengths in _LENGTHS.items()}
NETWORKS: Final = {family: _networks(family, (0, *lengths)) for family, lengths in _LENGTHS.items()}
