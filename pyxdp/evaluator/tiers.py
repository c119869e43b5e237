"""Which policies a class holds for an endpoint, in order (spec sections 3.2 to 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.evaluator.membership import policy_selects
from pyxdp.evaluator.outcome import Direction, PolicyClass
from pyxdp.model import Action, Metadata, Profile, Rule, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.model import GlobalNetworkPolicy, Resources

#: Tiers that exist without being written (spec section 1.6).
BUILT_IN_TIERS: Final = (
    Tier(metadata=Metadata(name="kube-admin"), order=1e3, defaultAction=Action.PASS),
    Tier(metadata=Metadata(name="default"), order=1e6, defaultAction=Action.DENY),
    Tier(metadata=Metadata(name="kube-baseline"), order=1e7, defaultAction=Action.PASS),
)

#: The profile that exists without being written (spec section 1.8).
DEFAULT_ALLOW: Final = Profile(
    metadata=Metadata(name="projectcalico-default-allow"),
    ingress=(Rule(action=Action.ALLOW),),
    egress=(Rule(action=Action.ALLOW),),
)


def ordered_tiers(resources: Resources) -> list[Tier]:
    """Return every tier in the order of evaluation.

    A tier that policies name and that does not exist comes after those that do, and denies at its end.
    """
    existing = {tier.metadata.name: tier for tier in (*BUILT_IN_TIERS, *resources.tiers)}
    named = {policy.tier for policy in resources.globalNetworkPolicies} - existing.keys()
    missing = [Tier(metadata=Metadata(name=name), order=None) for name in named]
    return [*sorted(existing.values(), key=_tier_order), *sorted(missing, key=_tier_order)]


def _tier_order(tier: Tier) -> tuple[bool, float, bytes]:
    return tier.order is None, tier.order or 0.0, tier.metadata.name.encode()


def tier_policies(
    resources: Resources,
    tier: Tier,
    *,
    policy_class: PolicyClass,
    direction: Direction,
    labels: Mapping[str, str],
) -> list[GlobalNetworkPolicy]:
    """Return the policies that a tier holds for an endpoint in one class and direction, in order.

    Staged policies are not enforced, and a tier without an enforced policy is passed through either way, so they are
    not among them.
    """
    policies = [
        policy
        for policy in resources.globalNetworkPolicies
        if policy.tier == tier.metadata.name
        and direction in policy.types
        and policy_class in policy_classes(policy)
        and policy_selects(policy, labels)
    ]
    return sorted(policies, key=_policy_order)


def _policy_order(policy: GlobalNetworkPolicy) -> tuple[bool, float, bytes]:
    """Order by ``order``, then by the text ``name/namespace/kind``, in which ``a-b`` and ``a.b`` come before ``a``."""
    tie_break = f"{policy.metadata.name}/{policy.metadata.namespace}/GlobalNetworkPolicy".encode()
    return policy.order is None, policy.order or 0.0, tie_break


def policy_classes(policy: GlobalNetworkPolicy) -> set[PolicyClass]:
    """Return the classes that a policy belongs to."""
    if policy.doNotTrack:
        return {PolicyClass.UNTRACKED}
    if policy.preDNAT:
        return {PolicyClass.PRE_DNAT}
    return {PolicyClass.NORMAL, PolicyClass.FORWARD} if policy.applyOnForward else {PolicyClass.NORMAL}


def has_forward_policy(resources: Resources, labels: Mapping[str, str]) -> bool:
    """Tell whether a forward policy, of whatever direction, selects an endpoint with these labels."""
    return any(
        PolicyClass.FORWARD in policy_classes(policy) and policy_selects(policy, labels)
        for policy in resources.globalNetworkPolicies
    )


def ends_with_deny(tier: Tier, policy_class: PolicyClass) -> bool:
    """Tell whether a tier of this class denies what none of its rules decided (spec section 3.5)."""
    return policy_class in (PolicyClass.NORMAL, PolicyClass.FORWARD) and tier.defaultAction is not Action.PASS


def find_profile(resources: Resources, name: str) -> Profile | None:
    """Return the profile of that name, or ``None``."""
    for profile in (*resources.profiles, DEFAULT_ALLOW):
        if profile.metadata.name == name:
            return profile
    return None


def rules_of(owner: GlobalNetworkPolicy | Profile, direction: Direction) -> tuple[Rule, ...]:
    """Return the rules of one direction."""
    return owner.ingress if direction is Direction.INGRESS else owner.egress


def refuse_services(kind: str, name: str, rules: Iterable[Rule]) -> None:
    """Refuse rules that match services: their endpoints are not among the resources (spec section 7.3).

    Raises:
        UnsupportedPolicyError: there is such a rule.
    """
    for number, rule in enumerate(rules):
        if rule.source.services is not None or rule.destination.services is not None:
            raise UnsupportedPolicyError([(f"{kind}/{name}", f"rule {number} matches Kubernetes services")])
