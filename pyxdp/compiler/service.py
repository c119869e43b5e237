"""Conditions on protocol, destination port and ICMP type as sets of service keys.

A service key is a number below :data:`KEYS`: the kind of transport (``enum pyxdp_service``) in the upper bits, and
below them the destination port, ``type << 8 | code`` of ICMP, or for other transports the IP protocol number. Every
packet has exactly one key, so a rule's protocol, ports and ICMP fields together are one set of keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.abi import Service
from pyxdp.compiler.intervals import Intervals, complement, intersection, shifted, union
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.model import IcmpMatch

KEY_BITS: Final = 16
KEYS: Final = int(Service.SERVICES) << KEY_BITS
LAST_PORT: Final = 0xFFFF
PROTOCOLS: Final = frozenset(range(256))

#: IP protocols that have a key space of their own.
SPACES: Final = {
    6: Service.TCP,
    17: Service.UDP,
    132: Service.SCTP,
    136: Service.UDPLITE,
    1: Service.ICMP,
    58: Service.ICMPV6,
}
_WITH_TYPES: Final = frozenset({ICMP, ICMPV6})


def space(protocol: int) -> tuple[int, int]:
    """Return the first and last key that a packet of this protocol can have, unless it is a later fragment."""
    if protocol in SPACES:
        first = SPACES[protocol] << KEY_BITS
        return first, first + LAST_PORT
    key = (Service.OTHER << KEY_BITS) + protocol
    return key, key


def service_keys(
    protocols: Iterable[int], ports: Intervals | None, icmp: IcmpMatch | None, not_icmp: IcmpMatch | None
) -> Intervals:
    """Return the keys of whole packets and first fragments that satisfy all conditions.

    Args:
        protocols: IP protocol numbers.
        ports: destination ports; ``None`` if the rule does not ask, also for packets that have none.
        icmp: likewise.
        not_icmp: excludes this type and code; does not concern packets that are not ICMP.
    """
    pieces: list[Intervals] = []
    for protocol in protocols:
        first, last = space(protocol)
        keys: Intervals = ((0, last - first),)
        if ports is not None:
            keys = ports if protocol in PORT_PROTOCOLS else ()
        if icmp is not None:
            keys = intersection(keys, _icmp_keys(icmp), LAST_PORT) if protocol in _WITH_TYPES else ()
        if not_icmp is not None and protocol in _WITH_TYPES:
            keys = intersection(keys, complement(_icmp_keys(not_icmp), LAST_PORT), LAST_PORT)
        pieces.append(shifted(keys, first))
    return union(*pieces)


def fragment_keys(protocols: Iterable[int]) -> Intervals:
    """Return the keys of fragments that are not the first of their datagram."""
    first = Service.FRAGMENT << KEY_BITS
    return union((first + protocol, first + protocol) for protocol in protocols)


def _icmp_keys(match: IcmpMatch) -> Intervals:
    if match.type is None:
        return ((0, LAST_PORT),)
    if match.code is None:
        return ((match.type << 8, match.type << 8 | 0xFF),)
    key = match.type << 8 | match.code
    return ((key, key),)
