"""Why a rule did not match, with the values of both: ``destination.ports 8080 is not 6379``.

The evaluator says which condition failed first; this says it in words. It decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.evaluator.membership import excluded_members, selected_members
from pyxdp.explanation.origins import title_of
from pyxdp.net import PortRange, address_family
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS, PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyxdp.evaluator.membership import Member
    from pyxdp.model import EntityRule, IcmpMatch, Resources, Rule
    from pyxdp.net import Address, Packet

_NAMES: Final = {number: name for name, number in PROTOCOL_NUMBERS.items()}
#: Entries of a list that are named; the rest is counted.
_MOST: Final = 4


def protocol_name(number: int) -> str:
    """Return ``TCP``, or ``protocol 47`` for one that Calico has no name for."""
    return _NAMES.get(number, f"protocol {number}")


def icmp_name(kind: int | None, code: int | None) -> str:
    """Return ``type 8 code 0``; what is not given is left out."""
    parts = (("type", kind), ("code", code))
    return " ".join(f"{name} {value}" for name, value in parts if value is not None) or "any type"


def why_not(condition: str, rule: Rule, packet: Packet, resources: Resources) -> str:
    """Say in one line why a condition of a rule is not met.

    Args:
        condition: as the evaluator names it, ``protocol`` or ``source.nets``.
        rule: the rule.
        packet: the packet that the rule was held against.
        resources: what selectors select from.
    """
    side, dot, field = condition.partition(".")
    if not dot:
        return f"{condition} {_OF_RULE[condition](rule, packet)}"
    entity = rule.source if side == "source" else rule.destination
    address = packet.source if side == "source" else packet.destination
    if field in ("ports", "notPorts"):
        port = packet.source_port if side == "source" else packet.destination_port
        return f"{condition} {_PORTS[field](entity, packet, address, port, resources)}"
    return f"{condition} {_OF_SIDE[field](entity, address, resources)}"


def _one_of(entries: Sequence[object]) -> str:
    """``is not 80`` or ``is none of 80, 443, 8080, 8443 and 12 more``."""
    if len(entries) == 1:
        return f"is not {entries[0]}"
    return f"is none of {_listed(entries)}"


def _listed(entries: Sequence[object]) -> str:
    named = ", ".join(str(entry) for entry in entries[:_MOST])
    return f"{named} and {len(entries) - _MOST} more" if len(entries) > _MOST else named


def _ip_version(rule: Rule, packet: Packet) -> str:
    return f"{packet.family} is not {rule.ipVersion}"


def _protocol(rule: Rule, packet: Packet) -> str:
    assert rule.protocol is not None  # noqa: S101 - it failed, so it is there
    if rule.protocol.number == packet.protocol:
        return f"{rule.protocol} is IPv{rule.protocol.implied_family} only, the packet is IPv{packet.family}"
    wanted = str(rule.protocol) if rule.protocol.name else protocol_name(rule.protocol.number)
    return f"{protocol_name(packet.protocol)} is not {wanted}"


def _not_protocol(_: Rule, packet: Packet) -> str:
    return f"excludes {protocol_name(packet.protocol)}"


def _icmp(rule: Rule, packet: Packet) -> str:
    if packet.protocol not in (ICMP, ICMPV6):
        return f"is not in {protocol_name(packet.protocol)}"
    wanted: IcmpMatch | None = rule.icmp
    assert wanted is not None  # noqa: S101 - it failed, so it is there
    return f"{icmp_name(packet.icmp_type, packet.icmp_code)} is not {icmp_name(wanted.type, wanted.code)}"


def _not_icmp(_: Rule, packet: Packet) -> str:
    return f"excludes {icmp_name(packet.icmp_type, packet.icmp_code)}"


_OF_RULE: Final[dict[str, Callable[[Rule, Packet], str]]] = {
    "ipVersion": _ip_version,
    "protocol": _protocol,
    "notProtocol": _not_protocol,
    "icmp": _icmp,
    "notICMP": _not_icmp,
}


def _nets(entity: EntityRule, address: Address, _: Resources) -> str:
    if len(entity.nets) == 1:
        return f"{address} is not in {entity.nets[0]}"
    return f"{address} is in none of {_listed(entity.nets)}"


def _not_nets(entity: EntityRule, address: Address, _: Resources) -> str:
    holding = [net for net in entity.notNets if address in net]
    if holding:
        return f"excludes {address}, which is in {holding[0]}"
    family = address_family(entity.notNets[0])
    return f"{_listed(entity.notNets)} makes the rule one of IPv{family}, the packet is IPv{address_family(address)}"


def _selector(entity: EntityRule, address: Address, resources: Resources) -> str:
    chosen = list(selected_members(resources, entity))
    said = _selector_text(entity)
    if not chosen:
        return f"{said} selects no network set and no host endpoint"
    silent = [_name(member) for member in chosen if not member.nets and not member.addresses]
    if len(silent) == len(chosen):
        return f"{said} selects {_listed(silent)}, without any address (expectedIPs, nets)"
    return f"{address} is not in what {said} selects: {_listed([_name(member) for member in chosen])}"


def _selector_text(entity: EntityRule) -> str:
    accounts = entity.serviceAccounts
    parts = [
        entity.selector,
        f"namespaceSelector {entity.namespaceSelector}" if entity.namespaceSelector else "",
        f"serviceAccounts {', '.join(accounts.names)}{accounts.selector}" if accounts else "",
        f"notSelector {entity.notSelector}" if entity.notSelector else "",
    ]
    return " and ".join(part for part in parts if part)


def _not_selector(entity: EntityRule, address: Address, resources: Resources) -> str:
    return f"{entity.notSelector} excludes {address}: {_holders(excluded_members(resources, entity), address)}"


def _holders(members: Iterable[Member], address: Address) -> str:
    return _listed([_name(member) for member in members if member.holds(address)])


def _name(member: Member) -> str:
    return title_of(member.resource)


_OF_SIDE: Final[dict[str, Callable[[EntityRule, Address, Resources], str]]] = {
    "nets": _nets,
    "notNets": _not_nets,
    "selector": _selector,
    "notSelector": _not_selector,
}


def _ports(entity: EntityRule, packet: Packet, address: Address, port: int | None, resources: Resources) -> str:
    wanted = [_port(entry, entity, packet, address, resources) for entry in entity.ports]
    if packet.protocol not in PORT_PROTOCOLS:
        return f"is not in {protocol_name(packet.protocol)}"
    return f"{'of a later fragment' if port is None else port} {_one_of(wanted)}"


def _not_ports(entity: EntityRule, packet: Packet, address: Address, port: int | None, resources: Resources) -> str:
    unwanted = _listed([_port(entry, entity, packet, address, resources) for entry in entity.notPorts])
    if port is None:
        return f"{unwanted} leaves none of the ports {_listed(entity.ports)}"
    return f"excludes {port}: {unwanted}"


def _port(entry: PortRange | str, entity: EntityRule, packet: Packet, address: Address, resources: Resources) -> str:
    """Return the number, or a name with what it stands for at this address."""
    if isinstance(entry, PortRange):
        return str(entry)
    numbers = {
        port.port
        for member in selected_members(resources, entity)
        if member.holds(address)
        for port in member.ports
        if port.name == entry and port.protocol.number == packet.protocol
    }
    meaning = ", ".join(str(number) for number in sorted(numbers))
    return f"{entry} ({meaning or f'which {address} does not have for {protocol_name(packet.protocol)}'})"


_PORTS: Final[dict[str, Callable[[EntityRule, Packet, Address, int | None, Resources], str]]] = {
    "ports": _ports,
    "notPorts": _not_ports,
}
