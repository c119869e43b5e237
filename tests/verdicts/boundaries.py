"""Packets at the edges of what a policy says: its prefixes' first and last addresses, its ports, and one beside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from pyxdp.model import Action, EntityRule, IcmpMatch, PolicyType, Resources, Rule
from pyxdp.net import Address, Network, Packet, PortRange, address_family
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS
from tests.verdicts import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Values of IPv6's next header that stand for an extension header, or for nothing at all (59).
EXTENSION_HEADERS: Final = frozenset({0, 43, 44, 51, 59, 60, 135, 139, 140})
_ANYTHING: Final = Rule(action=Action.ALLOW)
_PORTS: Final = range(65536)
_BYTE: Final = range(256)
_IS_LATER_FRAGMENT: Final = st.sampled_from((*(False,) * 11, True))


@st.composite
def packets(draw: Callable[[st.SearchStrategy[Any]], Any], resources: Resources, direction: PolicyType) -> Packet:
    """Draw a packet aimed at one of the policies' rules, or at nothing."""
    rule = draw(st.sampled_from([*_rules(resources, direction), _ANYTHING]))
    family = draw(st.sampled_from(sorted(_families(rule))))
    protocol = draw(st.sampled_from(_protocols(rule, family)))
    source = draw(st.sampled_from(_addresses(resources, rule.source, family)))
    destination = draw(st.sampled_from(_addresses(resources, rule.destination, family)))
    if draw(_IS_LATER_FRAGMENT):
        return Packet(protocol=protocol, source=source, destination=destination, later_fragment=True)
    packet = Packet(protocol=protocol, source=source, destination=destination)
    if protocol in PORT_PROTOCOLS:
        source_port = draw(st.sampled_from(_ports(resources, rule.source)))
        return replace(
            packet, source_port=source_port, destination_port=draw(st.sampled_from(_ports(resources, rule.destination)))
        )
    if protocol in (ICMP, ICMPV6):
        kind, code = draw(st.sampled_from(_icmp_fields(rule)))
        return replace(packet, icmp_type=kind, icmp_code=code)
    return packet


def _rules(resources: Resources, direction: PolicyType) -> Iterator[Rule]:
    for policy in resources.globalNetworkPolicies:
        yield from policy.ingress if direction is PolicyType.INGRESS else policy.egress


def _families(rule: Rule) -> set[int]:
    """The IP versions that the rule is for; both when it does not say."""
    if rule.ipVersion is not None:
        return {rule.ipVersion}
    nets = (*rule.source.nets, *rule.source.notNets, *rule.destination.nets, *rule.destination.notNets)
    return {address_family(net) for net in nets} or {4, 6}


def _protocols(rule: Rule, family: int) -> list[int]:
    """The rule's protocol more often than all others."""
    given = [protocol.number for protocol in (rule.protocol, rule.notProtocol) if protocol]
    own = [rule.protocol.number] * 20 if rule.protocol else []
    candidates = [*own, *given, 6, 17, 132, 136, 47, ICMP, ICMPV6, *(number ^ 1 for number in given)]
    unwanted = {ICMP, *EXTENSION_HEADERS} if family == 6 else {ICMPV6}
    return [number for number in candidates if number not in unwanted]


def _addresses(resources: Resources, entity: EntityRule, family: int) -> list[Address]:
    own = [*_edges(entity.nets), *_edges(entity.notNets)]
    world = [vocabulary.HOST[family]]
    if not own:
        for endpoint in resources.hostEndpoints:
            world.extend(endpoint.expectedIPs)
        for global_set in resources.globalNetworkSets:
            world.extend(_edges(global_set.nets))
        for network_set in resources.networkSets:
            world.extend(_edges(network_set.nets))
        for config in resources.felixConfigurations:
            entries = (*(config.failsafeInboundHostPorts or ()), *(config.failsafeOutboundHostPorts or ()))
            world.extend(_edges(entry.net for entry in entries if entry.net is not None))
    return [address for address in (*own, *world) if address_family(address) == family]


def _edges(nets: Iterable[Network]) -> Iterator[Address]:
    """First and last address of each prefix, and their neighbours outside, where there are any."""
    for net in nets:
        first, last = net.network_address, net.broadcast_address
        yield from (first, last, first, last)
        if int(first):
            yield first - 1
        if int(last) != int(net.netmask) | int(net.hostmask):
            yield last + 1


def _ports(resources: Resources, entity: EntityRule) -> list[int]:
    ranges = [port for port in (*entity.ports, *entity.notPorts) if isinstance(port, PortRange)]
    if len(ranges) < len(entity.ports) + len(entity.notPorts) or not ranges:
        ranges += [PortRange(port.port, port.port) for endpoint in resources.hostEndpoints for port in endpoint.ports]
        for config in resources.felixConfigurations:
            entries = (*(config.failsafeInboundHostPorts or ()), *(config.failsafeOutboundHostPorts or ()))
            ranges += [PortRange(entry.port, entry.port) for entry in entries]
    edges = [edge for each in ranges for edge in (each.first, each.last, each.first - 1, each.last + 1, each.first)]
    return [port for port in (*edges, 0, 40000, 65535) if port in _PORTS]


def _icmp_fields(rule: Rule) -> list[tuple[int, int]]:
    fields = [(8, 0), (128, 0), (255, 255)]
    for match in (rule.icmp, rule.notICMP):
        fields += _near(match or IcmpMatch())
    return [(kind, code) for kind, code in fields if kind in _BYTE and code in _BYTE]


def _near(match: IcmpMatch) -> list[tuple[int, int]]:
    kind, code = match.type or 0, match.code or 0
    return [(kind, code), (kind, code), (kind - 1, code), (kind + 1, code), (kind, code - 1), (kind, code + 1)]
