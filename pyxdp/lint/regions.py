"""Which packets a rule, a failsafe port or a built-in rule matches, as boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.compiler.intervals import Intervals, union
from pyxdp.compiler.matches import matches_of
from pyxdp.compiler.service import KEY_BITS, LAST_PORT, PROTOCOLS, SPACES, space
from pyxdp.lint.boxes import Box, meet, minus
from pyxdp.net import address_family
from pyxdp.net.values import ICMPV6, Family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.compiler.matches import AddressCondition, Match
    from pyxdp.model import FailsafePort
    from pyxdp.net import Network
    from pyxdp.net.prefixes import Prefixes
    from pyxdp.resolver import AddressSet, EffectiveRule

#: Every address of an IP version.
ADDRESSES: Final[dict[Family, Intervals]] = {4: ((0, (1 << 32) - 1),), 6: ((0, (1 << 128) - 1),)}
PORTS: Final[Intervals] = ((0, LAST_PORT),)
#: Service keys of packets that are no later fragments.
SERVICES: Final[Intervals] = union(space(protocol) for protocol in PROTOCOLS)
#: Every whole packet.
EVERYTHING: Final = tuple(Box(family, addresses, addresses, SERVICES, PORTS) for family, addresses in ADDRESSES.items())

_NEIGHBOUR_DISCOVERY: Final = (130, 131, 132, 133, 135, 136)


class Regions:
    """Turns conditions into boxes, each set of addresses once."""

    def __init__(self) -> None:
        self._sets: dict[tuple[str, Family], Intervals] = {}
        self._conditions: dict[tuple[tuple[str, ...], tuple[str, ...], Family], Intervals] = {}
        self._services: dict[Intervals, Intervals] = {}
        self._rules: dict[int, tuple[EffectiveRule, list[Box]]] = {}

    def of_rule(self, rule: EffectiveRule) -> list[Box]:
        """Return the packets that a rule matches; none if it never can."""
        # By identity: the resolver shares rules, and hashing one costs more than the look-up saves.
        known = self._rules.get(id(rule))
        if known is None:
            known = self._rules[id(rule)] = (rule, [box for match in matches_of(rule) for box in self._boxes(match)])
        return known[1]

    def addresses(self, sets: tuple[AddressSet, ...], not_sets: tuple[AddressSet, ...], family: Family) -> Intervals:
        """Return the addresses that are in all of ``sets`` and in none of ``not_sets``."""
        key = (tuple(one.id for one in sets), tuple(one.id for one in not_sets), family)
        found = self._conditions.get(key)
        if found is None:
            found = ADDRESSES[family]
            for one in sets:
                found = meet(found, self._members(one, family))
            for one in not_sets:
                found = minus(found, self._members(one, family))
            self._conditions[key] = found
        return found

    def _boxes(self, match: Match) -> Iterator[Box]:
        services = self._services.get(match.services)
        if services is None:
            services = self._services[match.services] = meet(match.services, SERVICES)
        ports = PORTS if match.source_ports is None else match.source_ports
        for family in ADDRESSES:
            source, destination = (self._condition(one, family) for one in (match.source, match.destination))
            if source and destination and services and ports:
                yield Box(family, source, destination, services, ports)

    def _condition(self, condition: AddressCondition, family: Family) -> Intervals:
        if family not in condition.families:
            return ()
        return self.addresses(condition.sets, condition.not_sets, family)

    def _members(self, address_set: AddressSet, family: Family) -> Intervals:
        key = (address_set.id, family)
        if key not in self._sets:
            self._sets[key] = _merged(address_set.networks, family)
        return self._sets[key]


def failsafe_boxes(failsafe: FailsafePort, *, inbound: bool, mirrored: bool = False) -> list[Box]:
    """Return the packets of a failsafe port.

    Args:
        failsafe: the entry.
        inbound: whether these packets come in: the entry's prefix is that of their source.
        mirrored: the packets of the other half of such a connection, which come *from* the port.
    """
    first, last = space(failsafe.protocol.number)
    port = (failsafe.port, failsafe.port)
    services, ports = (
        (((first, last),), (port,)) if mirrored else (((first + failsafe.port, first + failsafe.port),), PORTS)
    )
    found = []
    for family, every in ADDRESSES.items():
        if failsafe.net is not None and address_family(failsafe.net) != family:
            continue
        remote = every if failsafe.net is None else (bounds(failsafe.net),)
        source, destination = (remote, every) if inbound else (every, remote)
        found.append(Box(family, source, destination, services, ports))
    return found


def neighbour_discovery_boxes() -> list[Box]:
    """Return what the normal class lets pass before any policy, so that IPv6 works."""
    first = SPACES[ICMPV6] << KEY_BITS
    services = union((first + (kind << 8), first + (kind << 8) + 0xFF) for kind in _NEIGHBOUR_DISCOVERY)
    return [Box(6, ADDRESSES[6], ADDRESSES[6], services, PORTS)]


def bounds(network: Network) -> tuple[int, int]:
    """Return the first and last address of a prefix as numbers."""
    first = int(network.network_address)
    return first, first + (1 << network.max_prefixlen - network.prefixlen) - 1


def _merged(networks: Prefixes, family: Family) -> Intervals:
    """Return the addresses of one IP version in prefixes."""
    if family == 6:  # noqa: PLR2004 - IP version
        return union(map(bounds, map(networks.__getitem__, range(len(networks.ipv4), len(networks)))))
    if not len(networks.ipv4):
        return ()
    first = (networks.ipv4 >> np.uint64(8)).astype(np.int64)
    last = first + (1 << 32 - (networks.ipv4 & np.uint64(0xFF)).astype(np.int64)) - 1
    highest = np.maximum.accumulate(last)
    apart = np.flatnonzero(first[1:] > highest[:-1] + 1)
    begins, ends = first[np.concatenate(([0], apart + 1))], highest[np.concatenate((apart, [-1]))]
    return tuple(zip(begins.tolist(), ends.tolist(), strict=True))
