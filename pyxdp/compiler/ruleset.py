"""One ordered list of rules with final verdicts for each endpoint, class and direction (spec sections 3.5 and 3.7).

=========  ==================================================  =========================================================
class      list                                                end
=========  ==================================================  =========================================================
untracked  failsafes and their mirror images, tiers            no verdict
pre-DNAT   inbound failsafes, tiers                            no verdict
normal     failsafes, neighbour discovery, tiers, profiles     Deny
forward    tiers                                               Allow without any forward policy, else no verdict
=========  ==================================================  =========================================================

Every list ends with a rule that matches everything, so that a packet always finds one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from pyxdp.abi import Limit, RulesetFlag
from pyxdp.compiler.blocks import CompiledRule, KnownRules
from pyxdp.compiler.sequence import RuleSequence
from pyxdp.compiler.unwritten import end_of_endpoint, end_of_tier, failsafe_rules, neighbour_discovery
from pyxdp.errors import CapacityError
from pyxdp.model import Action
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp import abi
    from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy, EffectiveRule, EffectiveTier

_Hook: TypeAlias = tuple[PolicyClass, Direction]

# Pre-DNAT policy has no egress (spec section 1.3).
_HOST: Final[tuple[_Hook, ...]] = (
    (PolicyClass.UNTRACKED, Direction.INGRESS),
    (PolicyClass.UNTRACKED, Direction.EGRESS),
    (PolicyClass.PREDNAT, Direction.INGRESS),
    (PolicyClass.NORMAL, Direction.INGRESS),
    (PolicyClass.NORMAL, Direction.EGRESS),
    (PolicyClass.FORWARD, Direction.INGRESS),
    (PolicyClass.FORWARD, Direction.EGRESS),
)
_WORKLOADS: Final = tuple(hook for hook in _HOST if hook[0] in {PolicyClass.PREDNAT, PolicyClass.FORWARD})


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of one endpoint, class and direction, in order.

    Attributes:
        flags: enum pyxdp_ruleset_flag.
    """

    policy_class: PolicyClass
    direction: Direction
    rules: tuple[CompiledRule, ...]
    flags: int = 0


@dataclass(frozen=True, slots=True)
class EndpointRulesets:
    """Everything that governs one interface."""

    interface: str
    name: str
    rulesets: tuple[Ruleset, ...]


@dataclass(frozen=True, slots=True)
class Rulesets:
    """A node's whole policy.

    Attributes:
        endpoints: sorted by interface.
        identities: every identity that occurs, with the record that names it, in order of first appearance.
    """

    endpoints: tuple[EndpointRulesets, ...]
    identities: dict[int, abi.Name] = field(default_factory=dict)


def compile_rulesets(effective: EffectivePolicy, known: KnownRules | None = None) -> Rulesets:
    """Flatten the policy of every endpoint.

    Args:
        effective: the policy.
        known: what is remembered of other policies.

    Raises:
        CapacityError: more endpoints than there can be; a list with more rules, or more Log and Pass rules, than the
            programs can handle.
    """
    if len(effective.endpoints) > Limit.ENDPOINTS:
        hint = "governed interfaces, of host endpoints for this node; with a * every interface is one"
        raise CapacityError("endpoints", needed=len(effective.endpoints), limit=int(Limit.ENDPOINTS), hint=hint)
    known = known or KnownRules()
    known.turn()
    compiler = _Compiler(effective, known)
    return Rulesets(tuple(compiler.endpoint(endpoint) for endpoint in effective.endpoints), compiler.names)


class _Compiler:
    """Flattens one list after the other.

    Attributes:
        names: the record of each identity, in order of first appearance.
    """

    def __init__(self, effective: EffectivePolicy, known: KnownRules) -> None:
        self.names: dict[int, abi.Name] = {}
        self._known = known
        self._effective = effective
        self._lists: dict[tuple[str, _Hook], tuple[CompiledRule, ...]] = {}
        self._failsafes = {
            (direction, mirrored): failsafe_rules(effective, direction, mirrored=mirrored)
            for direction in Direction
            for mirrored in (False, True)
        }

    def endpoint(self, endpoint: EffectiveEndpoint) -> EndpointRulesets:
        hooks = _WORKLOADS if endpoint.workloads else _HOST
        rulesets = (self._ruleset(endpoint, policy_class, direction) for policy_class, direction in hooks)
        return EndpointRulesets(endpoint.interface.name, endpoint.name, tuple(rulesets))

    def _ruleset(self, endpoint: EffectiveEndpoint, policy_class: PolicyClass, direction: Direction) -> Ruleset:
        key = endpoint.name, (policy_class, direction)
        if key not in self._lists:  # all interfaces of a host endpoint have the same policy
            rules = self._rules(endpoint, policy_class, direction)
            self._lists[key] = self._known.same_list(key, rules)
        return Ruleset(policy_class, direction, self._lists[key], self._flags(endpoint, policy_class, direction))

    def _rules(
        self, endpoint: EffectiveEndpoint, policy_class: PolicyClass, direction: Direction
    ) -> tuple[CompiledRule, ...]:
        rules = RuleSequence(self._known)
        if policy_class is not PolicyClass.FORWARD:
            rules.failsafes(self._failsafes[direction, policy_class is PolicyClass.UNTRACKED])
        if policy_class is PolicyClass.NORMAL:
            rule, match = neighbour_discovery(direction)
            rules.always(rule, Action.ALLOW, match)
        unwritten = len(rules.rules)
        for tier in endpoint.tiers.get((policy_class, direction), ()):
            denies = tier.defaultAction is Action.DENY
            rules.block(_enforced(tier), end=end_of_tier(tier.name, direction) if denies else None)
        _end(rules, endpoint, policy_class, direction)
        rules.set_apart(unwritten)
        rules.check_capacity(f"{endpoint.interface.name} {policy_class.name.lower()} {direction.name.lower()}")
        self.names.update(rules.names)
        return tuple(rules.rules)

    def _flags(self, endpoint: EffectiveEndpoint, policy_class: PolicyClass, direction: Direction) -> int:
        """Return what XDP may do, and whether there is anything untracked.

        A port of a bridge, bond or VRF hands its packets to a master, whose endpoint may be the one that judges them.
        """
        if policy_class is PolicyClass.UNTRACKED:
            opinion = RulesetFlag.OPINION if endpoint.vlans and direction is Direction.INGRESS else 0
            return opinion | (RulesetFlag.UNTRACKS if _untracks(endpoint, direction) else 0)
        if direction is Direction.EGRESS:
            return 0
        certain = not endpoint.interface.master and self._effective.actions.deny == "Drop"
        return RulesetFlag.EARLY if policy_class is PolicyClass.NORMAL and certain else 0


def _untracks(endpoint: EffectiveEndpoint, direction: Direction) -> bool:
    tiers = endpoint.tiers.get((PolicyClass.UNTRACKED, direction), ())
    return any(rule.action is Action.ALLOW for tier in tiers for rules in _enforced(tier) for rule in rules)


def _enforced(tier: EffectiveTier) -> Iterator[tuple[EffectiveRule, ...]]:
    return (policy.rules for policy in tier.policies if not policy.staged)


def _end(rules: RuleSequence, endpoint: EffectiveEndpoint, policy_class: PolicyClass, direction: Direction) -> None:
    if policy_class is PolicyClass.NORMAL:
        for profile in endpoint.profiles.get(direction, ()):
            rules.block((profile.rules,))
        rules.always(end_of_endpoint(endpoint.name, direction, Action.DENY), Action.DENY)
    elif policy_class is PolicyClass.FORWARD and not endpoint.enforces(PolicyClass.FORWARD):
        rules.always(end_of_endpoint(endpoint.name, direction, Action.ALLOW), Action.ALLOW)
    else:
        rules.undecided()
