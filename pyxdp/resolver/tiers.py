"""The order of tiers and policies, and the classes of a policy (spec sections 3.2 to 3.4)."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pyxdp.model import Action, GlobalNetworkPolicy, Metadata, PolicyType, Tier
from pyxdp.resolver.effective import Direction, PolicyClass
from pyxdp.resolver.labels import of_namespace, of_service_account
from pyxdp.resolver.notices import listing
from pyxdp.selector import Selector, all_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.model import Resources

# Calico makes these itself and lets nobody change them (spec section 1.6).
_BUILT_IN: Final = (
    Tier(metadata=Metadata(name="kube-admin"), order=1_000.0, defaultAction=Action.PASS),
    Tier(metadata=Metadata(name="default"), order=1_000_000.0, defaultAction=Action.DENY),
    Tier(metadata=Metadata(name="kube-baseline"), order=10_000_000.0, defaultAction=Action.PASS),
)

_DIRECTIONS: Final = {PolicyType.INGRESS: Direction.INGRESS, PolicyType.EGRESS: Direction.EGRESS}


@dataclass(frozen=True, slots=True)
class RankedPolicy:
    """A policy that stands in a tier.

    Attributes:
        kind: ``GlobalNetworkPolicy`` or ``StagedGlobalNetworkPolicy``.
        policy: what it says.
        selector: which endpoints it applies to: all of its selectors in one.
    """

    kind: str
    policy: GlobalNetworkPolicy
    selector: Selector

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.policy.metadata.name

    @property
    def staged(self) -> bool:
        """Whether it is listed but never enforced."""
        return self.kind != "GlobalNetworkPolicy"

    @property
    def classes(self) -> frozenset[PolicyClass]:
        """The classes that it is judged in."""
        if self.policy.doNotTrack:
            return frozenset({PolicyClass.UNTRACKED})
        if self.policy.preDNAT:
            return frozenset({PolicyClass.PREDNAT})
        return frozenset({PolicyClass.NORMAL} | ({PolicyClass.FORWARD} if self.policy.applyOnForward else set()))

    @property
    def directions(self) -> frozenset[Direction]:
        """The directions that it applies to, whichever rules it has; pre-DNAT policy has no egress."""
        directions = frozenset(_DIRECTIONS[policy_type] for policy_type in self.policy.types)
        return directions & {Direction.INGRESS} if PolicyClass.PREDNAT in self.classes else directions


@dataclass(frozen=True, slots=True)
class RankedTier:
    """A tier with its policies, in order."""

    name: str
    default_action: Action
    policies: tuple[RankedPolicy, ...]


def ranked_tiers(
    resources: Resources, selector_of: Callable[[GlobalNetworkPolicy], Selector], notices: set[str]
) -> tuple[RankedTier, ...]:
    """Return every tier that has policies, in the order of evaluation."""
    by_tier: dict[str, list[RankedPolicy]] = defaultdict(list)
    for ranked in _policies(resources, selector_of, notices):
        by_tier[ranked.policy.tier].append(ranked)
    tiers = {tier.metadata.name: tier for tier in (*_BUILT_IN, *resources.tiers)}
    for name in by_tier.keys() - tiers.keys():
        policies = listing(ranked.name for ranked in by_tier[name])
        notices.add(f"Tier/{name}: does not exist: its policies ({policies}) come last, and its end denies")
    return tuple(
        RankedTier(
            name,
            tiers[name].defaultAction if name in tiers else Action.DENY,
            tuple(sorted(by_tier[name], key=_policy_rank)),
        )
        for name in sorted(by_tier, key=lambda name: _tier_rank(name, tiers.get(name)))
    )


def _tier_rank(name: str, tier: Tier | None) -> tuple[bool, float, str]:
    return tier is None, math.inf if tier is None or tier.order is None else tier.order, name


def _policy_rank(ranked: RankedPolicy) -> tuple[float, str]:
    order = ranked.policy.order
    # Calico breaks ties by name/namespace/kind as one string: "a-b" comes before "a", since "-" comes before "/".
    return math.inf if order is None else order, f"{ranked.name}//{ranked.kind}"


def _policies(
    resources: Resources, selector_of: Callable[[GlobalNetworkPolicy], Selector], notices: set[str]
) -> list[RankedPolicy]:
    ranked = [
        RankedPolicy("GlobalNetworkPolicy", policy, selector_of(policy)) for policy in resources.globalNetworkPolicies
    ]
    for staged in resources.stagedGlobalNetworkPolicies:
        kind, name = "StagedGlobalNetworkPolicy", staged.metadata.name
        notices.add(f"{kind}/{name}: staged ({staged.stagedAction}): not enforced")
        if staged.stagedAction != "Delete":
            policy = replace(staged.policy, metadata=staged.metadata)
            ranked.append(RankedPolicy(kind, policy, selector_of(policy)))
    return ranked


def endpoint_selector(policy: GlobalNetworkPolicy, parse: Callable[[str], Selector]) -> Selector:
    """Return the selector on endpoints; what asks for namespaces or service accounts asks for labels no host has."""
    nodes = [parse(policy.selector).root]
    if policy.namespaceSelector:
        nodes.append(of_namespace(parse(policy.namespaceSelector)))
    if policy.serviceAccountSelector:
        nodes.append(of_service_account(parse(policy.serviceAccountSelector)))
    return Selector.of(all_of(nodes))
