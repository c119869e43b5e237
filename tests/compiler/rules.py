"""Random effective rules, packets, and what a rule means in plain words."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from ipaddress import ip_address, ip_network
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from pyxdp.model import Action, IcmpMatch
from pyxdp.net import Packet, PortRange, Protocol
from pyxdp.net.prefixes import NO_PREFIXES, Prefixes
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS
from pyxdp.resolver import AddressSet, Direction, EffectiveRule, PortMatch, PortMember, RuleId, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.net import Address

ADDRESSES: Final = tuple(map(ip_address, ("10.0.0.1", "10.0.0.2", "10.1.0.1", "fd00::1", "fd00::2", "fd00:0:0:1::1")))
_PREFIXES: Final = ("10.0.0.0/8", "10.0.0.0/24", "10.0.0.1/32", "0.0.0.0/0", "::/0", "fd00::/64", "fd00::1/128")
_SETS: Final = (
    *(AddressSet(f"nets:{prefix}", Prefixes.of([ip_network(prefix)])) for prefix in _PREFIXES),
    AddressSet("s:mixed", Prefixes.of(map(ip_network, ("10.0.0.1/32", "fd00::/128", "fd00::/127")))),
    AddressSet("s:none", NO_PREFIXES),
)
_EDGES: Final = (0, 1, 53, 80, 81, 65535)
_PROTOCOLS: Final = (6, 17, 47, 132, 136, ICMP, ICMPV6)

_some_sets: Final = st.lists(st.sampled_from(_SETS), max_size=2).map(tuple)
_ranges: Final = st.tuples(st.sampled_from(_EDGES), st.sampled_from(_EDGES)).map(
    lambda ends: PortRange(min(ends), max(ends))
)
_members: Final = st.builds(
    PortMember, st.sampled_from(ADDRESSES), st.sampled_from((6, 17, 132)), st.sampled_from(_EDGES)
)


def _ports(*, numbers: bool) -> st.SearchStrategy[PortMatch | None]:
    """Numbers only where the rule's protocol has ports, as manifests are held to."""
    ranges = st.lists(_ranges, max_size=2).map(tuple) if numbers else st.just(())
    return st.none() | st.builds(PortMatch, ranges, st.lists(_members, max_size=3).map(tuple))


def _sides(*, numbers: bool) -> st.SearchStrategy[Side]:
    ports = _ports(numbers=numbers)
    return st.builds(Side, _some_sets, _some_sets, ports, ports)


_icmp: Final = st.none() | st.builds(IcmpMatch, st.none() | st.just(8), st.just(None)) | st.just(IcmpMatch(8, 1))


@st.composite
def rules(draw: Any) -> EffectiveRule:
    """Draw a rule as the resolver might make it."""
    protocol = draw(st.none() | st.sampled_from(_PROTOCOLS).map(Protocol))
    with_ports = protocol is not None and protocol.number in PORT_PROTOCOLS
    with_types = protocol is not None and protocol.number in (ICMP, ICMPV6)
    direction = draw(st.sampled_from(Direction))
    return EffectiveRule(
        id=RuleId(tier="t", kind="GlobalNetworkPolicy", policy="p", direction=direction, index=0, content="c"),
        action=Action.DENY,
        families=draw(st.sampled_from(((4,), (6,), (4, 6), (4, 6), ())).map(frozenset)),
        protocol=protocol,
        notProtocol=draw(st.none() | st.sampled_from(_PROTOCOLS).map(Protocol)),
        icmp=draw(_icmp) if with_types else None,
        notICMP=draw(_icmp) if with_types else None,
        source=draw(_sides(numbers=with_ports)),
        destination=draw(_sides(numbers=with_ports)),
    )


def datagrams() -> Iterator[Packet]:
    """Yield a later fragment for each pair of addresses and protocol."""
    for source, destination, protocol in product(ADDRESSES, ADDRESSES, _PROTOCOLS):
        if source.version == destination.version:
            yield Packet(protocol=protocol, source=source, destination=destination, later_fragment=True)


def first_fragments(later: Packet) -> Iterator[Packet]:
    """Yield what the first fragment could have been, as far as rules can tell it."""
    whole = replace(later, later_fragment=False)
    if later.protocol in PORT_PROTOCOLS:
        ports = sorted({port for edge in _EDGES for port in (edge - 1, edge, edge + 1) if 0 <= port <= 65535})
        for source_port, destination_port in product(ports, ports):
            yield replace(whole, source_port=source_port, destination_port=destination_port)
    elif later.protocol in (ICMP, ICMPV6):
        for kind, code in ((8, 0), (8, 1), (8, 255), (0, 8), (7, 0), (9, 1), (255, 255)):
            yield replace(whole, icmp_type=kind, icmp_code=code)
    else:
        yield whole


class Truth(IntEnum):
    """AND is the minimum."""

    NO = 0
    MAYBE = 1
    YES = 2


def meaning(rule: EffectiveRule, packet: Packet) -> Truth:
    """Tell whether the rule matches; MAYBE only for a later fragment."""
    return min(
        _truth(packet.family in rule.families),
        _truth(rule.protocol is None or rule.protocol.number == packet.protocol),
        _truth(rule.notProtocol is None or rule.notProtocol.number != packet.protocol),
        Truth.YES if rule.icmp is None else _icmp_truth(rule.icmp, packet),
        Truth.YES if rule.notICMP is None else _not(_icmp_truth(rule.notICMP, packet)),
        _side(rule.source, packet, packet.source, packet.source_port),
        _side(rule.destination, packet, packet.destination, packet.destination_port),
    )


def _truth(value: object) -> Truth:
    return Truth.YES if value else Truth.NO


def _not(truth: Truth) -> Truth:
    return Truth(2 - truth)


def _icmp_truth(wanted: IcmpMatch, packet: Packet) -> Truth:
    if packet.protocol not in (ICMP, ICMPV6):
        return Truth.NO
    if wanted.type is None:
        return Truth.YES
    if packet.later_fragment:
        return Truth.MAYBE
    return _truth(packet.icmp_type == wanted.type and wanted.code in (None, packet.icmp_code))


def _side(side: Side, packet: Packet, address: Address, port: int | None) -> Truth:
    inside = [any(address in network for network in one.networks) for one in side.sets]
    outside = [any(address in network for network in one.networks) for one in side.notSets]
    wanted = Truth.YES if side.ports is None else _port(side.ports, packet, address, port)
    excluded = Truth.NO if side.notPorts is None else _port(side.notPorts, packet, address, port)
    return min(_truth(all(inside)), _truth(not any(outside)), wanted, _not(excluded))


def _port(match: PortMatch, packet: Packet, address: Address, port: int | None) -> Truth:
    if packet.protocol not in PORT_PROTOCOLS:
        return Truth.NO
    named = [one.port for one in match.members if (one.address, one.protocol) == (address, packet.protocol)]
    possible = [*match.ranges, *(PortRange(number, number) for number in named)]
    if packet.later_fragment:
        return Truth.MAYBE if possible else Truth.NO
    return _truth(any(one.first <= (port or 0) <= one.last for one in possible))
