"""Effective policies by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pyxdp.model import Action, FailsafePort
from pyxdp.net import Interface, PortRange, Protocol
from pyxdp.resolver import (
    Direction,
    EffectiveEndpoint,
    EffectivePolicy,
    EffectivePolicyRules,
    EffectiveRule,
    EffectiveTier,
    PolicyClass,
    PortMatch,
    RuleId,
    Side,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

TCP: Final = Protocol(6, "TCP")
UDP: Final = Protocol(17, "UDP")
SSH: Final = FailsafePort(TCP, 22)


def rule(
    action: Action, *ports: int, policy: str = "p", tier: str = "default", index: int = 0, **fields: Any
) -> EffectiveRule:
    """A rule of ingress for TCP to these ports, or for everything."""
    content = f"{action.value} {ports} {sorted(fields)}"
    given: dict[str, Any] = {}
    if ports:
        ranges = tuple(PortRange(port, port) for port in ports)
        given = {"protocol": TCP, "destination": Side(ports=PortMatch(ranges))}
    return EffectiveRule(
        id=RuleId(
            tier=tier,
            kind="GlobalNetworkPolicy",
            policy=policy,
            direction=Direction.INGRESS,
            index=index,
            content=content,
        ),
        action=action,
        **{**given, **fields},
    )


def policy(name: str, *rules: EffectiveRule, staged: bool = False) -> EffectivePolicyRules:
    return EffectivePolicyRules("GlobalNetworkPolicy", name, rules, staged=staged)


def tier(name: str, *policies: EffectivePolicyRules, end: Action = Action.PASS) -> EffectiveTier:
    return EffectiveTier(name, policies, end)


def profile(name: str, *rules: EffectiveRule) -> EffectivePolicyRules:
    own = (replace(one, id=replace(one.id, tier="", kind="Profile", policy=name)) for one in rules)
    return EffectivePolicyRules("Profile", name, tuple(own))


def effective(
    *tiers: EffectiveTier,
    policy_class: PolicyClass = PolicyClass.UNTRACKED,
    interfaces: Sequence[str] = ("eth0",),
    failsafes: Sequence[FailsafePort] = (),
    profiles: Sequence[EffectivePolicyRules] = (),
) -> EffectivePolicy:
    """The same tiers and profiles for ingress on every interface."""
    return EffectivePolicy(
        node="node1",
        endpoints=tuple(
            EffectiveEndpoint(
                name=f"host-{name}",
                interface=Interface(name, number),
                tiers={(policy_class, Direction.INGRESS): tiers} if tiers else {},
                profiles={Direction.INGRESS: tuple(profiles)},
            )
            for number, name in enumerate(interfaces, start=1)
        ),
        failsafe_inbound=tuple(failsafes),
    )
