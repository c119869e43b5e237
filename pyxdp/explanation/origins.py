"""Where things are written: rules, policies, tiers, endpoints, failsafe ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.evaluator import Direction, RuleRef
from pyxdp.evaluator.tiers import rules_of
from pyxdp.explanation.values import NOWHERE
from pyxdp.model import Profile

if TYPE_CHECKING:
    from pyxdp.model import FelixConfiguration, GlobalNetworkPolicy, Origin, Resource, Resources, Rule

FAILSAFE_KIND = "FelixConfiguration"


def title_of(resource: Resource) -> str:
    """Return ``Kind/name`` or ``Kind/namespace/name``."""
    metadata = resource.metadata
    parts = (type(resource).__name__, metadata.namespace, metadata.name)
    return "/".join(part for part in parts if part)


def owner_of(resources: Resources, ref: RuleRef) -> GlobalNetworkPolicy | Profile | None:
    """Return the policy or profile that holds a rule; ``None`` for failsafe ports and what is built in."""
    candidates = resources.profiles if ref.kind == "Profile" else resources.globalNetworkPolicies
    return next((owner for owner in candidates if (owner.metadata.name, ref.tier) == (ref.policy, _tier(owner))), None)


def _tier(owner: GlobalNetworkPolicy | Profile) -> str:
    return "" if isinstance(owner, Profile) else owner.tier


def rule_of(resources: Resources, ref: RuleRef) -> Rule | None:
    """Return the rule itself; ``None`` for failsafe ports and what is built in."""
    owner = owner_of(resources, ref)
    return rules_of(owner, ref.direction)[ref.number] if owner else None


def origin_of_rule(resources: Resources, ref: RuleRef, node: str) -> Origin:
    """Return where a rule is written, or else its policy; for a failsafe port the configuration that lists it."""
    if ref.kind == FAILSAFE_KIND:
        config = failsafe_configuration(resources, node, ref.direction)
        return config.metadata.origin if config else NOWHERE
    owner, rule = owner_of(resources, ref), rule_of(resources, ref)
    if rule is not None and rule.origin.line:
        return rule.origin
    return owner.metadata.origin if owner else NOWHERE


def failsafe_configuration(resources: Resources, node: str, direction: Direction) -> FelixConfiguration | None:
    """Return the configuration whose list of failsafe ports counts; ``None`` when it is the default list."""
    for name in (f"node.{node}", "default"):
        for config in resources.felixConfigurations:
            inbound = direction is Direction.INGRESS
            given = config.failsafeInboundHostPorts if inbound else config.failsafeOutboundHostPorts
            if config.metadata.name == name and given is not None:
                return config
    return None
