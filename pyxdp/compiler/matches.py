"""A rule as the datapath sees it: a few conjunctions of independent conditions, one a field.

A rule that asks for one field at a time is one conjunction. A named port is a condition on address and port *together*,
so it becomes one conjunction for each (protocol, port) that the name stands for; a negated one likewise, see
:func:`_other_than`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pyxdp.compiler.intervals import Intervals, complement, intersection, union
from pyxdp.compiler.service import KEYS, LAST_PORT, PROTOCOLS, fragment_keys, service_keys, space
from pyxdp.net.addresses import host_network
from pyxdp.net.prefixes import Prefixes
from pyxdp.net.values import PORT_PROTOCOLS, Family
from pyxdp.resolver import AddressSet, Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxdp.model import IcmpMatch
    from pyxdp.resolver import EffectiveRule, PortMatch, PortMember, Side


_EITHER: Final[frozenset[Family]] = frozenset({4, 6})


@dataclass(frozen=True, slots=True)
class AddressCondition:
    """An address in every set of ``sets`` and in none of ``not_sets``, of one of these IP versions."""

    families: frozenset[Family]
    sets: tuple[AddressSet, ...] = ()
    not_sets: tuple[AddressSet, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """One conjunction.

    Attributes:
        source: condition on the source address.
        destination: condition on the destination address.
        services: accepted service keys, those of later fragments included.
        source_ports: or ``None`` when any packet will do, also one without ports.
        by_ports: whether it depends on what only the first fragment of a datagram holds.
    """

    source: AddressCondition
    destination: AddressCondition
    services: Intervals
    source_ports: Intervals | None
    by_ports: bool


@dataclass(frozen=True, slots=True)
class _PortChoice:
    """One way to satisfy the port conditions of one side."""

    protocols: frozenset[int] = PROTOCOLS
    ports: Intervals | None = None
    sets: tuple[AddressSet, ...] = ()
    not_sets: tuple[AddressSet, ...] = ()

    def narrowed_by(self, other: _PortChoice) -> _PortChoice:
        ports = self.ports if other.ports is None else other.ports
        if self.ports is not None and other.ports is not None:
            ports = intersection(self.ports, other.ports, LAST_PORT)
        return _PortChoice(
            self.protocols & other.protocols, ports, self.sets + other.sets, self.not_sets + other.not_sets
        )


def matches_of(rule: EffectiveRule) -> tuple[Match, ...]:
    """Return conjunctions of which at least one holds exactly when the rule matches; none if it never can.

    Those that do not depend on ports come first: where one of them holds, the rule certainly matches a later fragment.
    """
    protocols = PROTOCOLS if rule.protocol is None else frozenset({rule.protocol.number})
    if rule.notProtocol is not None:
        protocols -= {rule.notProtocol.number}
    matches = (
        match
        for source in _choices(rule.source)
        for destination in _choices(rule.destination)
        for match in _conjunctions(rule, protocols & source.protocols & destination.protocols, source, destination)
    )
    return tuple(sorted(matches, key=lambda match: match.by_ports))


def _conjunctions(
    rule: EffectiveRule, protocols: frozenset[int], source: _PortChoice, destination: _PortChoice
) -> Iterator[Match]:
    if not rule.families or source.ports == ():
        return
    if source.ports is not None:
        protocols &= PORT_PROTOCOLS
    for services, whole in _services(protocols, destination.ports, rule.icmp, rule.notICMP):
        yield Match(
            *_addresses(rule, source, destination),
            services,
            source.ports,
            not whole or source.ports is not None,
        )


@lru_cache(maxsize=4096)
def _services(
    protocols: frozenset[int], ports: Intervals | None, icmp: IcmpMatch | None, not_icmp: IcmpMatch | None
) -> tuple[tuple[Intervals, bool], ...]:
    """Return service keys, apart for protocols that are accepted whatever their ports, and for the others.

    Any protocol at all is every key, also those that no packet has: a field that no rule restricts is not looked up.
    """
    if protocols == PROTOCOLS and ports is None and icmp is None and not_icmp is None:
        return ((((0, KEYS - 1),), True),)
    groups: dict[bool, list[int]] = {True: [], False: []}
    for protocol in sorted(protocols):
        keys = service_keys((protocol,), ports, icmp, not_icmp)
        if keys:
            groups[keys == (space(protocol),)].append(protocol)
    return tuple(
        (union(service_keys(group, ports, icmp, not_icmp), fragment_keys(group)), whole)
        for whole, group in groups.items()
        if group
    )


def _addresses(
    rule: EffectiveRule, source: _PortChoice, destination: _PortChoice
) -> tuple[AddressCondition, AddressCondition]:
    """Return the conditions on source and destination.

    Both addresses of a packet have the same IP version, so one of them answers for both: one that is looked at anyway,
    or the remote one. A field that no rule restricts costs neither rows nor time.
    """
    conditions = tuple(
        AddressCondition(_EITHER, side.sets + choice.sets, side.notSets + choice.not_sets)
        for side, choice in ((rule.source, source), (rule.destination, destination))
    )
    looked_at = [bool(condition.sets or condition.not_sets) for condition in conditions]
    remote = 0 if rule.id.direction is Direction.INGRESS else 1
    asked = remote if looked_at[remote] or not any(looked_at) else 1 - remote
    first, second = (
        replace(condition, families=rule.families) if number == asked else condition
        for number, condition in enumerate(conditions)
    )
    return first, second


def _choices(side: Side) -> tuple[_PortChoice, ...]:
    wanted = (_PortChoice(),) if side.ports is None else tuple(_one_of(side.ports))
    allowed = (_PortChoice(),) if side.notPorts is None else tuple(_other_than(side.notPorts))
    return tuple(choice.narrowed_by(other) for choice in wanted for other in allowed)


def _one_of(ports: PortMatch) -> Iterator[_PortChoice]:
    if ports.ranges:
        yield _PortChoice(ports=_intervals(ports))
    for (protocol, port), addresses in _groups(ports.members):
        yield _PortChoice(frozenset({protocol}), ((port, port),), sets=(addresses,))


def _other_than(ports: PortMatch) -> Iterator[_PortChoice]:
    """Yield the ways not to be one of the ports.

    Not to be a named port is: another protocol than any that the name has; the protocol, but another port; or protocol
    and port, but an address that does not have them under this name. An address that has none of them needs no look at
    the port.
    """
    excluded = _intervals(ports)
    members: dict[int, list[tuple[int, AddressSet]]] = defaultdict(list)
    for (protocol, port), addresses in _groups(ports.members):
        members[protocol].append((port, addresses))
    for protocol, named in members.items():
        if not excluded:
            yield _PortChoice(frozenset({protocol}), not_sets=tuple(addresses for _, addresses in named))
        for port, addresses in named:
            if not any(first <= port <= last for first, last in excluded) and (excluded or len(named) > 1):
                yield _PortChoice(frozenset({protocol}), ((port, port),), not_sets=(addresses,))
        others = complement(union(excluded, ((port, port) for port, _ in named)), LAST_PORT)
        yield _PortChoice(frozenset({protocol}), others)
    rest = complement(excluded, LAST_PORT) if excluded else None
    yield _PortChoice(PROTOCOLS - frozenset(members), rest)


def _intervals(ports: PortMatch) -> Intervals:
    return union((one.first, one.last) for one in ports.ranges)


def _groups(members: Iterable[PortMember]) -> Iterator[tuple[tuple[int, int], AddressSet]]:
    """Group named ports by protocol and number, with the set of addresses that have them."""
    groups = defaultdict(set)
    for member in members:
        groups[member.protocol, member.port].add(host_network(member.address))
    for key, networks in sorted(groups.items()):
        ordered = Prefixes.of(networks)
        yield key, AddressSet("port:" + ",".join(map(str, ordered)), ordered)
