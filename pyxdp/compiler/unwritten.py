"""Rules that stand in no policy: failsafe ports, neighbour discovery, and what happens behind the last written rule.

Each of them has an identity like any written rule, so that a packet that they decide is counted and can be explained.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pyxdp.compiler.intervals import union
from pyxdp.compiler.matches import AddressCondition, Match
from pyxdp.compiler.service import KEYS, fragment_keys, service_keys
from pyxdp.model import Action, IcmpMatch
from pyxdp.net import PortRange
from pyxdp.net.prefixes import Prefixes
from pyxdp.net.values import ICMPV6
from pyxdp.resolver import AddressSet, Direction, EffectiveRule, PortMatch, RuleId, Side

if TYPE_CHECKING:
    from pyxdp.model import FailsafePort
    from pyxdp.resolver import EffectivePolicy

_ANY: Final = AddressCondition(frozenset({4, 6}))
_IPV6: Final = AddressCondition(frozenset({6}))

#: Matches every packet.
EVERYTHING: Final = Match(_ANY, _ANY, ((0, KEYS - 1),), None, by_ports=False)
#: Matches no packet, and asks nothing of source ports.
NOTHING: Final = Match(_ANY, _ANY, (), None, by_ports=False)
#: Matches no packet, whatever its source port.
NO_SOURCE_PORT: Final = Match(_ANY, _ANY, (), (), by_ports=False)

# Multicast listener discovery (RFC 2710), and of neighbour discovery (RFC 4861) solicitations and neighbour
# advertisements: the types that Calico lets through from workloads to their host (spec section 3.11).
_DISCOVERY_TYPES: Final = (130, 131, 132, 133, 135, 136)
_DISCOVERY_KEYS: Final = union(
    fragment_keys((ICMPV6,)), *(service_keys((ICMPV6,), None, IcmpMatch(one), None) for one in _DISCOVERY_TYPES)
)


def failsafe_rules(effective: EffectivePolicy, direction: Direction, *, mirrored: bool) -> tuple[EffectiveRule, ...]:
    """Return the failsafes that a class honours in this direction (spec section 5).

    Args:
        effective: the node's policy.
        direction: whose list opens destination ports.
        mirrored: whether the other direction's list opens the same ports as source ports. The untracked class needs
            that, lest it touch half of a connection the other half of which is a failsafe; the classes behind it have
            connection tracking for the way back.
    """
    inbound = direction is Direction.INGRESS
    own = effective.failsafe_inbound if inbound else effective.failsafe_outbound
    other = effective.failsafe_outbound if inbound else effective.failsafe_inbound
    return _failsafes(own, other if mirrored else (), direction)


@lru_cache(maxsize=16)
def _failsafes(
    own: tuple[FailsafePort, ...], mirrored: tuple[FailsafePort, ...], direction: Direction
) -> tuple[EffectiveRule, ...]:
    """Return the same object for the same failsafes, so that whoever translates rules knows them again."""
    return tuple(
        _failsafe(failsafe, direction, index, reply=reply)
        for failsafes, reply in ((own, False), (mirrored, True))
        for index, failsafe in enumerate(failsafes)
    )


def _failsafe(failsafe: FailsafePort, direction: Direction, index: int, *, reply: bool) -> EffectiveRule:
    network = failsafe.net
    peer = () if network is None else (AddressSet(f"nets:{network}", Prefixes.of([network])),)
    port = PortMatch((PortRange(failsafe.port, failsafe.port),))
    from_peer = direction is Direction.INGRESS
    listed = Direction(1 - direction.value) if reply else direction
    content = f"{'reply' if reply else 'request'} {failsafe.protocol}:{network or '*'}:{failsafe.port}"
    return EffectiveRule(
        id=_id("FelixConfiguration", "failsafe", listed, content, index=index),
        action=Action.ALLOW,
        families=frozenset({4, 6}) if network is None else frozenset({network.version}),
        protocol=failsafe.protocol,
        source=Side(sets=peer if from_peer else (), ports=port if reply else None),
        destination=Side(sets=() if from_peer else peer, ports=None if reply else port),
    )


def neighbour_discovery(direction: Direction) -> tuple[RuleId, Match]:
    """Return the rule that keeps IPv6 working where a host endpoint denies by default (spec section 11)."""
    remote_first = (_IPV6, _ANY) if direction is Direction.INGRESS else (_ANY, _IPV6)
    rule = _id("Builtin", "neighbour-discovery", direction, f"ICMPv6 {_DISCOVERY_TYPES}")
    return rule, Match(*remote_first, _DISCOVERY_KEYS, None, by_ports=True)


def end_of_tier(tier: str, direction: Direction) -> RuleId:
    """Return the identity of a tier's default action, Deny."""
    return _id("Tier", tier, direction, "Deny", tier=tier)


def end_of_endpoint(endpoint: str, direction: Direction, action: Action) -> RuleId:
    """Return the identity of what a host endpoint does by itself.

    Deny stands behind its tiers and profiles in the normal class. Allow stands in the forward class when there is no
    forward policy.
    """
    return _id("HostEndpoint", endpoint, direction, action.value)


def _id(  # noqa: PLR0913 - as many as a rule's identity has
    kind: str, policy: str, direction: Direction, content: str, *, tier: str = "", index: int = 0
) -> RuleId:
    return RuleId(tier=tier, kind=kind, policy=policy, direction=direction, index=index, content=content)
