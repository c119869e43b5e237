"""One ordered list of rules with final verdicts for each endpoint, class and direction.

Tiers, policies and Pass become positions in that list: Log goes on with the next rule, Pass with the first rule behind
its tier. Failsafes come first, and a rule that matches everything and decides nothing comes last.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pyxdp import abi
from pyxdp.abi import Limit, RuleFlag, Verdict
from pyxdp.compiler.failsafes import failsafe_rules
from pyxdp.compiler.matches import AddressCondition, Match, matches_of
from pyxdp.compiler.service import KEYS
from pyxdp.errors import CapacityError, UnsupportedPolicyError
from pyxdp.model import Action
from pyxdp.resolver import Direction, EffectiveRule, PolicyClass

if TYPE_CHECKING:
    from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy, EffectiveTier, RuleId

ENFORCED: Final = (PolicyClass.UNTRACKED,)

_ANY: Final = AddressCondition(frozenset({4, 6}))
_EVERYTHING: Final = Match(_ANY, _ANY, ((0, KEYS - 1),), None, by_ports=False)
_VERDICTS: Final = {
    Action.ALLOW: Verdict.ALLOW,
    Action.DENY: Verdict.DENY,
    Action.LOG: Verdict.CONTINUE,
    Action.PASS: Verdict.CONTINUE,
}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One conjunction with what it does.

    Attributes:
        match: when.
        verdict: what.
        flags: enum pyxdp_rule_flag.
        identity: hash of the rule it comes from; ``None`` for the end of the list.
        resume: with CONTINUE: position of the rule to go on with.
    """

    match: Match
    verdict: Verdict
    flags: int = 0
    identity: int | None = None
    resume: int = 0


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of one endpoint, class and direction, in order."""

    policy_class: PolicyClass
    direction: Direction
    rules: tuple[CompiledRule, ...]


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


def compile_rulesets(effective: EffectivePolicy) -> Rulesets:
    """Flatten the policy of every endpoint.

    Raises:
        UnsupportedPolicyError: a policy of a class that is not enforced; names each of them.
        CapacityError: a list with more rules, or more Log and Pass rules, than the programs can handle.
    """
    _refuse_other_classes(effective)
    compiler = _Compiler(effective)
    endpoints = tuple(
        EndpointRulesets(
            endpoint.interface.name,
            endpoint.name,
            tuple(compiler.ruleset(endpoint, policy_class, way) for policy_class in ENFORCED for way in Direction),
        )
        for endpoint in effective.endpoints
    )
    return Rulesets(endpoints, compiler.identities)


def _refuse_other_classes(effective: EffectivePolicy) -> None:
    refused = {
        f"{policy.kind}/{policy.name}": f"{_reason(policy_class)} (selects HostEndpoint/{endpoint.name})"
        for endpoint in effective.endpoints
        for (policy_class, _), tiers in sorted(endpoint.tiers.items(), key=lambda item: item[0][0].value, reverse=True)
        if policy_class not in ENFORCED
        for tier in tiers
        for policy in tier.policies
        if not policy.staged
    }
    if refused:
        raise UnsupportedPolicyError(
            sorted(refused.items()),
            hint="this version enforces doNotTrack policies; narrow the selector, or leave these policies out",
        )


def _reason(policy_class: PolicyClass) -> str:
    return {
        PolicyClass.PREDNAT: "pre-DNAT policy (preDNAT: true) is not enforced by this version",
        PolicyClass.NORMAL: "normal (stateful) policy is not enforced by this version; set doNotTrack: true",
        PolicyClass.FORWARD: "forward policy (applyOnForward) is not enforced by this version; set doNotTrack: true",
    }[policy_class]


class _Compiler:
    """Collects identities while it flattens one list after the other."""

    def __init__(self, effective: EffectivePolicy) -> None:
        self.identities: dict[int, abi.Name] = {}
        self._failsafes = {way: failsafe_rules(effective, way) for way in Direction}
        self._matches: dict[tuple[RuleId, int], tuple[Match, ...]] = {}

    def ruleset(self, endpoint: EffectiveEndpoint, policy_class: PolicyClass, direction: Direction) -> Ruleset:
        tiers = endpoint.tiers.get((policy_class, direction), ())
        rules: list[CompiledRule] = []
        occurrences: Counter[tuple[object, ...]] = Counter()
        for failsafe in self._failsafes[direction]:
            rules += self._compiled(failsafe, Verdict.FAILSAFE, occurrences)
        for tier in tiers:
            self._append_tier(rules, tier, occurrences)
        rules.append(CompiledRule(_EVERYTHING, Verdict.NONE))
        _check_capacity(f"{endpoint.interface.name} {direction.name.lower()}", rules, tiers)
        return Ruleset(policy_class, direction, tuple(rules))

    def _append_tier(
        self, rules: list[CompiledRule], tier: EffectiveTier, occurrences: Counter[tuple[object, ...]]
    ) -> None:
        passes: list[int] = []
        for rule in (rule for policy in tier.policies if not policy.staged for rule in policy.rules):
            compiled = self._compiled(rule, _VERDICTS[rule.action], occurrences)
            if rule.action is Action.LOG:
                behind = len(rules) + len(compiled)
                compiled = [replace(one, resume=behind, flags=one.flags | RuleFlag.LOG) for one in compiled]
            elif rule.action is Action.PASS:
                passes += range(len(rules), len(rules) + len(compiled))
            rules += compiled
        for position in passes:
            rules[position] = replace(rules[position], resume=len(rules))

    def _compiled(
        self, rule: EffectiveRule, verdict: Verdict, occurrences: Counter[tuple[object, ...]]
    ) -> list[CompiledRule]:
        named = (rule.id.tier, rule.id.kind, rule.id.policy, rule.id.direction, rule.id.content)
        occurrences[named] += 1
        identity = _identity(rule.id, occurrences[named])
        if identity not in self.identities:
            self.identities[identity] = _name(rule, identity)
        key = (rule.id, occurrences[named])
        if key not in self._matches:
            self._matches[key] = matches_of(rule)
        return [
            CompiledRule(match, verdict, RuleFlag.PORTS if match.by_ports else 0, identity)
            for match in self._matches[key]
        ]


def _check_capacity(where: str, rules: list[CompiledRule], tiers: tuple[EffectiveTier, ...]) -> None:
    if len(rules) > Limit.MAX_RULES:
        raise CapacityError(f"{where}: rules", needed=len(rules), limit=int(Limit.MAX_RULES))
    enforced = [[policy for policy in tier.policies if not policy.staged] for tier in tiers]
    actions = [[rule.action for policy in policies for rule in policy.rules] for policies in enforced]
    steps = sum(of_tier.count(Action.LOG) + (Action.PASS in of_tier) for of_tier in actions)
    if steps > Limit.MAX_CONTINUES:
        raise CapacityError(
            f"{where}: Log rules and tiers with Pass rules",
            needed=steps,
            limit=int(Limit.MAX_CONTINUES),
            hint="one packet could meet all of them; merge Log rules or tiers",
        )


def _identity(rule: RuleId, occurrence: int) -> int:
    """Return a stable number for a rule: it survives reordering, not a change of what the rule says."""
    named = [rule.tier, rule.kind, rule.policy, rule.direction.name, rule.content, occurrence]
    digest = hashlib.sha256(json.dumps(named, ensure_ascii=False).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _name(rule: EffectiveRule, identity: int) -> abi.Name:
    return abi.Name(
        tier=rule.id.tier,
        policy=rule.id.policy,
        kind=rule.id.kind,
        action=rule.action.value,
        rule=rule.id.index,
        direction=rule.id.direction.value,
        identity=identity,
    )
