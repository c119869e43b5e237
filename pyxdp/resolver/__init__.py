"""From resources to what one node enforces: which policies, in which order, which addresses. Pure, no I/O."""

from __future__ import annotations

from pyxdp.resolver.effective import (
    AddressSet,
    Direction,
    EffectiveEndpoint,
    EffectivePolicy,
    EffectivePolicyRules,
    EffectiveRule,
    EffectiveTier,
    EndpointResolution,
    EndpointState,
    PolicyClass,
    PortMatch,
    PortMember,
    RuleId,
    Side,
)
from pyxdp.resolver.resolve import Resolver, resolve

__all__ = [
    "AddressSet",
    "Direction",
    "EffectiveEndpoint",
    "EffectivePolicy",
    "EffectivePolicyRules",
    "EffectiveRule",
    "EffectiveTier",
    "EndpointResolution",
    "EndpointState",
    "PolicyClass",
    "PortMatch",
    "PortMember",
    "Resolver",
    "RuleId",
    "Side",
    "resolve",
]
