"""Failsafe ports as the first rules of every list (spec section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.model import Action
from pyxdp.net import PortRange
from pyxdp.resolver import AddressSet, Direction, EffectiveRule, PortMatch, RuleId, Side

if TYPE_CHECKING:
    from pyxdp.model import FailsafePort
    from pyxdp.resolver import EffectivePolicy


def failsafe_rules(effective: EffectivePolicy, direction: Direction) -> tuple[EffectiveRule, ...]:
    """Return the failsafes that the untracked class of this direction honours.

    The list of the direction itself opens destination ports. The other direction's list opens the same ports as source
    ports, so that untracked policy does not touch half of a connection that the other half of which is a failsafe.
    """
    inbound = direction is Direction.INGRESS
    own = effective.failsafe_inbound if inbound else effective.failsafe_outbound
    other = effective.failsafe_outbound if inbound else effective.failsafe_inbound
    return tuple(
        _rule(failsafe, direction, index, mirrored=mirrored)
        for failsafes, mirrored in ((own, False), (other, True))
        for index, failsafe in enumerate(failsafes)
    )


def _rule(failsafe: FailsafePort, direction: Direction, index: int, *, mirrored: bool) -> EffectiveRule:
    network = failsafe.net
    peer = () if network is None else (AddressSet(f"nets:{network}", (network,)),)
    port = PortMatch((PortRange(failsafe.port, failsafe.port),))
    from_peer = direction is Direction.INGRESS
    return EffectiveRule(
        id=RuleId(
            tier="",
            kind="FelixConfiguration",
            policy="failsafe",
            direction=direction,
            index=index,
            content=f"{'reply' if mirrored else 'request'} {failsafe.protocol}:{network or '*'}:{failsafe.port}",
        ),
        action=Action.ALLOW,
        families=frozenset({4, 6}) if network is None else frozenset({network.version}),
        protocol=failsafe.protocol,
        source=Side(sets=peer if from_peer else (), ports=port if mirrored else None),
        destination=Side(sets=() if from_peer else peer, ports=None if mirrored else port),
    )
