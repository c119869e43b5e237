"""What applies to an endpoint: tiers of policies for each class and direction, and profiles (spec section 3)."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Final

from pyxdp.model import Action, Metadata, PolicyType, Profile, Rule
from pyxdp.resolver.addresses import Peers
from pyxdp.resolver.effective import (
    Direction,
    EffectiveEndpoint,
    EffectivePolicyRules,
    EffectiveTier,
    PolicyClass,
)
from pyxdp.resolver.interfaces import WILDCARD
from pyxdp.resolver.labels import endpoint_labels
from pyxdp.resolver.lists import RuleList, RuleResolver
from pyxdp.resolver.memory import Memory, are_same
from pyxdp.resolver.notices import listing
from pyxdp.resolver.tiers import endpoint_selector, ranked_tiers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyxdp.model import GlobalNetworkPolicy, HostEndpoint, Origin, Resources
    from pyxdp.net import Interface
    from pyxdp.resolver.tiers import RankedPolicy, RankedTier
    from pyxdp.selector import Selector

_ALLOW_ALL: Final = (Rule(action=Action.ALLOW),)
_DENY_ALL: Final = (Rule(action=Action.DENY),)

# Calico makes this profile itself (spec section 1.8).
_DEFAULT_ALLOW: Final = Profile(
    metadata=Metadata(name="projectcalico-default-allow"), ingress=_ALLOW_ALL, egress=_ALLOW_ALL
)

_PASSES_AT_THE_END: Final = frozenset({PolicyClass.UNTRACKED, PolicyClass.PREDNAT})
_ON_WORKLOADS: Final = (PolicyClass.PREDNAT, PolicyClass.FORWARD)


class EndpointResolver:
    """Resolves the endpoints of a node; each policy and profile in use is resolved once and shared.

    What is the same as the last time is the same object again.
    """

    def __init__(self) -> None:
        self._peers = Peers()
        self._rules = RuleResolver(self._peers)
        self._selectors: Memory[tuple[str, str, str], Selector] = Memory()
        self._policies: Memory[tuple[str, str, Direction], EffectivePolicyRules] = Memory()
        self._stages: Memory[tuple[str, Action, tuple[int, ...]], EffectiveTier] = Memory()
        self._endpoints: Memory[tuple[str, str], EffectiveEndpoint] = Memory()
        self._profiles: Mapping[str, Profile] = {}
        self._tiers: tuple[RankedTier, ...] = ()
        self._notices: set[str] = set()

    def turn(self, resources: Resources) -> None:
        """Look at other resources from now on."""
        for memory in (self._rules, self._selectors, self._policies, self._stages, self._endpoints):
            memory.turn()
        self._peers.update(resources)
        self._notices = set()
        self._profiles = {profile.metadata.name: profile for profile in (_DEFAULT_ALLOW, *resources.profiles)}
        self._tiers = ranked_tiers(resources, self._endpoint_selector, self._notices)

    @property
    def refused(self) -> list[tuple[str, str]]:
        """``(kind/name, reason)`` of each rule in use that can not be enforced, sorted."""
        return sorted(self._rules.refused)

    @property
    def notices(self) -> set[str]:
        """What was written and has no effect."""
        return self._notices | self._rules.notices

    def endpoint(self, endpoint: HostEndpoint, interface: Interface, *, vlans: bool = False) -> EffectiveEndpoint:
        """Return a host endpoint that governs an interface, with everything that applies to it."""
        found = EffectiveEndpoint(
            name=endpoint.metadata.name,
            interface=interface,
            wildcard=endpoint.interfaceName == WILDCARD,
            vlans=vlans,
            tiers=self._applying(endpoint, PolicyClass),
            profiles={
                direction: tuple(self._profile(name, direction) for name in dict.fromkeys(endpoint.profiles))
                for direction in Direction
            },
            origin=endpoint.metadata.origin,
        )
        return self._known(found)

    def workloads(self, endpoint: HostEndpoint, interface: Interface) -> EffectiveEndpoint | None:
        """Return what a wildcard endpoint asks of workload interfaces (spec section 3.10); ``None`` if nothing."""
        there = EffectiveEndpoint(
            name=endpoint.metadata.name,
            interface=interface,
            wildcard=True,
            workloads=True,
            tiers=self._applying(endpoint, _ON_WORKLOADS),
            origin=endpoint.metadata.origin,
        )
        return self._known(there) if any(there.enforces(policy_class) for policy_class in _ON_WORKLOADS) else None

    def note_idle_policies(self, endpoints: Sequence[HostEndpoint]) -> None:
        """Add notices about policies that apply to none of the endpoints."""
        labels = [endpoint_labels(endpoint, self._profiles) for endpoint in endpoints]

        def selects(selector: Selector) -> bool:
            return any(selector.matches(one) for one in labels)

        enforced = [ranked for tier in self._tiers for ranked in tier.policies if not ranked.staged]
        idle = [ranked for ranked in enforced if not selects(ranked.selector)]
        kept_away = {ranked.name for ranked in idle if selects(self._rules.parse(ranked.policy.selector))}
        what = "its namespaceSelector or serviceAccountSelector keeps it from host endpoints"
        self._notices.update(f"GlobalNetworkPolicy/{name}: {what}" for name in kept_away)
        if others := {ranked.name for ranked in idle} - kept_away:
            self._notices.add(f"GlobalNetworkPolicy: selects no active host endpoint of this node: {listing(others)}")

    def _applying(
        self, endpoint: HostEndpoint, classes: Iterable[PolicyClass]
    ) -> Mapping[tuple[PolicyClass, Direction], tuple[EffectiveTier, ...]]:
        labels = endpoint_labels(endpoint, self._profiles)
        tiers: dict[tuple[PolicyClass, Direction], list[EffectiveTier]] = defaultdict(list)
        for tier in self._tiers:
            applying = [ranked for ranked in tier.policies if ranked.selector.matches(labels)]
            for policy_class, direction in product(classes, Direction):
                here = [one for one in applying if policy_class in one.classes and direction in one.directions]
                if here:
                    tiers[policy_class, direction].append(self._tier(tier, here, policy_class, direction))
        return {key: tuple(entries) for key, entries in tiers.items()}

    def _tier(
        self, tier: RankedTier, policies: Iterable[RankedPolicy], policy_class: PolicyClass, direction: Direction
    ) -> EffectiveTier:
        resolved = tuple(self._policy(tier.name, ranked, direction) for ranked in policies)
        passes = policy_class in _PASSES_AT_THE_END or all(policy.staged for policy in resolved)
        action = Action.PASS if passes else tier.default_action
        key = tier.name, action, tuple(map(id, resolved))
        return self._stages.get(key, lambda: EffectiveTier(tier.name, resolved, action))

    def _policy(self, tier: str, ranked: RankedPolicy, direction: Direction) -> EffectivePolicyRules:
        policy = ranked.policy
        rules = policy.ingress if direction is Direction.INGRESS else policy.egress
        owner = RuleList(tier, ranked.kind, ranked.name, direction)
        self._note_inert_rules(ranked)
        return self._shared(owner, () if ranked.staged else rules, policy.metadata.origin, staged=ranked.staged)

    def _note_inert_rules(self, ranked: RankedPolicy) -> None:
        for policy_type, rules in (
            (PolicyType.INGRESS, ranked.policy.ingress),
            (PolicyType.EGRESS, ranked.policy.egress),
        ):
            if rules and policy_type not in ranked.policy.types:
                name = policy_type.value
                self._notices.add(
                    f"{ranked.kind}/{ranked.name}: its {name.lower()} rules are inert: types lacks {name}"
                )

    def _profile(self, name: str, direction: Direction) -> EffectivePolicyRules:
        profile = self._profiles.get(name)
        if profile is None:
            self._notices.add(f"Profile/{name}: does not exist: denies everything where a host endpoint names it")
            profile = Profile(metadata=Metadata(name=name), ingress=_DENY_ALL, egress=_DENY_ALL)
        rules = profile.ingress if direction is Direction.INGRESS else profile.egress
        return self._shared(RuleList("", "Profile", name, direction), rules, profile.metadata.origin)

    def _shared(
        self, owner: RuleList, rules: tuple[Rule, ...], origin: Origin, *, staged: bool = False
    ) -> EffectivePolicyRules:
        def made(before: EffectivePolicyRules | None) -> EffectivePolicyRules:
            resolved = self._rules.rules(owner, rules)
            if before and before.rules is resolved and (before.staged, before.origin) == (staged, origin):
                return before
            return EffectivePolicyRules(owner.kind, owner.name, resolved, staged, origin)

        return self._policies.update((owner.kind, owner.name, owner.direction), made)

    def _known(self, found: EffectiveEndpoint) -> EffectiveEndpoint:
        """Return what was found the last time if it consists of the same parts."""

        def made(before: EffectiveEndpoint | None) -> EffectiveEndpoint:
            return before if before and _have_same_parts(before, found) else found

        return self._endpoints.update((found.name, found.interface.name), made)

    def _endpoint_selector(self, policy: GlobalNetworkPolicy) -> Selector:
        key = (policy.selector, policy.namespaceSelector, policy.serviceAccountSelector)
        return self._selectors.get(key, partial(endpoint_selector, policy, self._rules.parse))


def _have_same_parts(one: EffectiveEndpoint, other: EffectiveEndpoint) -> bool:
    # Objects that are the same are equal at once; others may be long.
    return are_same(_parts(one), _parts(other)) and one == other and one.origin == other.origin


def _parts(endpoint: EffectiveEndpoint) -> Iterator[object]:
    for parts in (*endpoint.tiers.values(), *endpoint.profiles.values()):
        yield from parts
