"""All that a packet meets in one class and direction at an endpoint, in order, put together before any packet comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyxdp.evaluator.endpoint import checks_invalid
from pyxdp.evaluator.failsafe import Failsafe, failsafes
from pyxdp.evaluator.labels import endpoint_labels
from pyxdp.evaluator.outcome import Direction, PolicyClass, RuleRef
from pyxdp.evaluator.tiers import (
    ends_with_deny,
    find_profile,
    has_forward_policy,
    ordered_tiers,
    refuse_services,
    rules_of,
    tier_policies,
)
from pyxdp.model import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.model import GlobalNetworkPolicy, HostEndpoint, Resources, Rule


class Stage(NamedTuple):
    """The rules of one tier, or of one profile.

    Attributes:
        name: of the tier or profile.
        rules: of all its policies, in order.
        denies: whether what none of them decided is denied.
        exists: false for a profile that the endpoint names and that does not exist.
    """

    name: str
    rules: tuple[tuple[RuleRef, Rule], ...] = ()
    denies: bool = False
    exists: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One class and direction at one endpoint.

    Attributes:
        policy_class: the class.
        direction: ingress or egress.
        checks_invalid: whether packets that connection tracking finds invalid are dropped.
        failsafes: none in the forward class.
        tiers: those that hold an enforced policy here, in order.
        profiles: of the endpoint, in order.
        has_forward_policy: whether a forward policy, of whatever direction, selects the endpoint.
    """

    policy_class: PolicyClass
    direction: Direction
    checks_invalid: bool
    failsafes: tuple[Failsafe, ...]
    tiers: tuple[Stage, ...]
    profiles: tuple[Stage, ...]
    has_forward_policy: bool


def lay_course(
    resources: Resources, *, node: str, endpoint: HostEndpoint, policy_class: PolicyClass, direction: Direction
) -> Course:
    """Put together what a class and direction holds for an endpoint.

    Raises:
        UnsupportedPolicyError: a rule matches Kubernetes services.
    """
    labels = endpoint_labels(resources, endpoint)
    tiers = []
    for tier in ordered_tiers(resources):
        policies = tier_policies(resources, tier, policy_class=policy_class, direction=direction, labels=labels)
        if policies:
            rules = tuple(one for policy in policies for one in _rules(policy, direction))
            tiers.append(Stage(tier.metadata.name, rules, denies=ends_with_deny(tier, policy_class)))
    ports = failsafes(resources, node=node, direction=direction, with_mirror=policy_class is PolicyClass.UNTRACKED)
    return Course(
        policy_class=policy_class,
        direction=direction,
        checks_invalid=checks_invalid(resources, node),
        failsafes=() if policy_class is PolicyClass.FORWARD else tuple(ports),
        tiers=tuple(tiers),
        profiles=tuple(_profile(resources, name, direction) for name in endpoint.profiles)
        if policy_class is PolicyClass.NORMAL
        else (),
        has_forward_policy=has_forward_policy(resources, labels),
    )


def _profile(resources: Resources, name: str, direction: Direction) -> Stage:
    profile = find_profile(resources, name)
    if profile is None:
        return Stage(name, exists=False)
    return Stage(name, tuple(_rules(profile, direction)))


def _rules(owner: GlobalNetworkPolicy | Profile, direction: Direction) -> Iterator[tuple[RuleRef, Rule]]:
    kind, tier = ("Profile", "") if isinstance(owner, Profile) else ("GlobalNetworkPolicy", owner.tier)
    name = owner.metadata.name
    rules = rules_of(owner, direction)
    refuse_services(kind, name, rules)
    for number, rule in enumerate(rules):
        ref = RuleRef(kind=kind, policy=name, direction=direction, number=number, action=rule.action, tier=tier)
        yield ref, rule
