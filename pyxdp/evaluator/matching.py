"""Does a rule match a packet (spec sections 1.9, 1.10, 7.5 and 8)?

The answer has three values: for a later fragment, which has no ports and no ICMP type, a rule may also match *maybe*.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from pyxdp.evaluator.membership import is_restricted
from pyxdp.net import PortRange, address_family
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.evaluator.membership import Membership
    from pyxdp.model import EntityRule, IcmpMatch, Rule
    from pyxdp.net import Address, Network, Packet, Protocol


class Truth(IntEnum):
    """Three-valued truth: AND is the minimum, OR the maximum."""

    NO = 0
    MAYBE = 1
    YES = 2

    @staticmethod
    def of(value: object) -> Truth:
        """Return YES for what Python takes as true, otherwise NO."""
        return Truth.YES if value else Truth.NO

    def negated(self) -> Truth:
        """Return NO for YES, YES for NO; MAYBE stays."""
        return Truth(Truth.YES - self)


class _Side(NamedTuple):
    """One side of a rule and that of the packet."""

    entity: EntityRule
    address: Address
    port: int | None


def match_rule(rule: Rule, packet: Packet, membership: Membership) -> tuple[Truth, str]:
    """Tell whether a rule matches a packet, and if not, the first condition that fails.

    The HTTP match of a rule is not looked at: it belongs to the application layer (spec section 1.9).
    """
    overall = Truth.YES
    for name, truth in _conditions(rule, packet, membership):
        if truth is Truth.NO:
            return Truth.NO, name
        overall = min(overall, truth)
    return overall, ""


def _conditions(rule: Rule, packet: Packet, membership: Membership) -> Iterator[tuple[str, Truth]]:
    if rule.ipVersion is not None:
        yield "ipVersion", Truth.of(rule.ipVersion == packet.family)
    if rule.protocol is not None:
        yield "protocol", Truth.of(_is_protocol(rule.protocol, packet))
    if rule.notProtocol is not None:
        yield "notProtocol", Truth.of(rule.notProtocol.number != packet.protocol)
    if rule.icmp is not None:
        yield "icmp", _is_icmp(rule.icmp, packet)
    if rule.notICMP is not None:
        yield "notICMP", _is_icmp(rule.notICMP, packet).negated()
    if rule.icmp is not None and rule.notICMP is not None and packet.later_fragment:
        yield "notICMP", Truth.MAYBE if _leaves_any_icmp(rule.icmp, rule.notICMP) else Truth.NO
    source = _Side(rule.source, packet.source, packet.source_port)
    destination = _Side(rule.destination, packet.destination, packet.destination_port)
    for name, side in (("source", source), ("destination", destination)):
        for field, truth in _side_conditions(side, packet, membership):
            yield f"{name}.{field}", truth


def _side_conditions(side: _Side, packet: Packet, membership: Membership) -> Iterator[tuple[str, Truth]]:
    entity = side.entity
    if entity.nets:
        yield "nets", Truth.of(_is_in(side.address, entity.nets))
    if entity.notNets:
        yield "notNets", Truth.of(_is_outside(side.address, entity.notNets))
    if is_restricted(entity):
        yield "selector", Truth.of(membership.holders(entity, side.address))
    elif entity.notSelector:
        yield "notSelector", Truth.of(not membership.is_unwanted(entity, side.address))
    if entity.ports:
        yield "ports", _is_port(entity.ports, side, packet, membership)
    if entity.notPorts:
        yield "notPorts", _is_port(entity.notPorts, side, packet, membership).negated()
    if entity.ports and entity.notPorts and packet.later_fragment:
        yield "notPorts", Truth.MAYBE if _leaves_any_port(side, packet, membership) else Truth.NO


def _is_protocol(protocol: Protocol, packet: Packet) -> bool:
    """A protocol written by name may imply an IP version; one written by number does not (spec section 8.1)."""
    return protocol.number == packet.protocol and protocol.implied_family in (None, packet.family)


def _is_icmp(icmp: IcmpMatch, packet: Packet) -> Truth:
    if packet.protocol not in (ICMP, ICMPV6):
        return Truth.NO
    if icmp.type is None:
        return Truth.YES
    if packet.later_fragment:
        return Truth.MAYBE
    return Truth.of(packet.icmp_type == icmp.type and icmp.code in (None, packet.icmp_code))


def _leaves_any_icmp(wanted: IcmpMatch, unwanted: IcmpMatch) -> bool:
    """Tell whether some type and code is wanted and not unwanted: otherwise no first fragment can match either."""

    def covers(match: IcmpMatch, kind: int, code: int) -> bool:
        return match.type in (None, kind) and match.code in (None, code)

    every = ((kind, code) for kind in range(256) for code in range(256))
    return any(covers(wanted, *one) and not covers(unwanted, *one) for one in every)


def _is_in(address: Address, nets: tuple[Network, ...]) -> bool:
    return any(address in net for net in nets)


def _is_outside(address: Address, nets: tuple[Network, ...]) -> bool:
    """A list that names no prefix of the packet's family makes the rule one of the other family (spec section 8.4)."""
    same_family = any(address_family(net) == address_family(address) for net in nets)
    return same_family and not _is_in(address, nets)


def _is_port(ports: tuple[PortRange | str, ...], side: _Side, packet: Packet, membership: Membership) -> Truth:
    if packet.protocol not in PORT_PROTOCOLS:
        return Truth.NO
    possible = [number for wanted in ports for number in _ranges(wanted, side, packet.protocol, membership)]
    if packet.later_fragment:
        return Truth.MAYBE if possible else Truth.NO
    return Truth.of(any(side.port in numbers for numbers in possible if side.port is not None))


def _leaves_any_port(side: _Side, packet: Packet, membership: Membership) -> bool:
    """Tell whether some port is wanted and not unwanted."""
    wanted, unwanted = (
        [numbers for port in ports for numbers in _ranges(port, side, packet.protocol, membership)]
        for ports in (side.entity.ports, side.entity.notPorts)
    )
    # If there is one, so is one at which a wanted range begins or behind which an unwanted one ends.
    candidates = [*(numbers.first for numbers in wanted), *(numbers.last + 1 for numbers in unwanted)]
    return any(
        any(port in numbers for numbers in wanted) and not any(port in numbers for numbers in unwanted)
        for port in candidates
    )


def _ranges(wanted: PortRange | str, side: _Side, protocol: int, membership: Membership) -> Iterator[PortRange]:
    """Go through the numbers that a port stands for; a name's depend on the address (spec section 7.5)."""
    if isinstance(wanted, PortRange):
        yield wanted
        return
    for member in membership.holders(side.entity, side.address):
        for port in member.ports:
            if port.name == wanted and port.protocol.number == protocol:
                yield PortRange(port.port, port.port)
