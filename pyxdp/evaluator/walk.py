"""The way of one packet through the rules of one class: what it meets, and the first rule that decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.evaluator.matching import Truth, match_rule
from pyxdp.evaluator.outcome import ClassResult, Direction, PolicyClass, Reason, RuleRef, Step, Verdict
from pyxdp.evaluator.tiers import (
    ends_with_deny,
    find_profile,
    ordered_tiers,
    refuse_services,
    rules_of,
    tier_policies,
)
from pyxdp.model import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyxdp.model import GlobalNetworkPolicy, Resources, Rule
    from pyxdp.net import Packet

_VERDICTS: Final = {Action.ALLOW: Verdict.ALLOW, Action.DENY: Verdict.DENY}


class Hit(NamedTuple):
    """The rule that decides a list of rules.

    Attributes:
        rule: which one; its action is not Log.
        certain: false when it only might match a later fragment.
    """

    rule: RuleRef
    certain: bool


@dataclass(slots=True, kw_only=True)
class Walk:
    """One packet, one class, one direction, one endpoint.

    Attributes:
        resources: all resources.
        policy_class: the class.
        direction: ingress or egress.
        packet: the packet.
        labels: of the endpoint.
        logs: Log rules that matched so far.
        trace: rules that were looked at so far.
    """

    resources: Resources
    policy_class: PolicyClass
    direction: Direction
    packet: Packet
    labels: Mapping[str, str]
    logs: list[RuleRef] = field(default_factory=list)
    trace: list[Step] = field(default_factory=list)

    def result(self, verdict: Verdict, reason: Reason, rule: RuleRef | None = None, *, tier: str = "") -> ClassResult:
        """Conclude the walk."""
        return ClassResult(
            policy_class=self.policy_class,
            verdict=verdict,
            reason=reason,
            rule=rule,
            tier=rule.tier if rule else tier,
            logs=tuple(self.logs),
            trace=tuple(self.trace),
        )

    def through_tiers(self) -> ClassResult | None:
        """Walk all tiers; ``None`` when the packet comes out behind the last one."""
        for tier in ordered_tiers(self.resources):
            policies = tier_policies(
                self.resources,
                tier,
                policy_class=self.policy_class,
                direction=self.direction,
                labels=self.labels,
            )
            if not policies:
                continue
            hit = self._through_policies(policies)
            if hit is None:
                if ends_with_deny(tier, self.policy_class):
                    return self.result(Verdict.DENY, Reason.END_OF_TIER, tier=tier.metadata.name)
            elif not hit.certain and hit.rule.action is not Action.ALLOW:
                return self.result(Verdict.NO_VERDICT, Reason.FRAGMENT, hit.rule)
            elif hit.rule.action is not Action.PASS:
                return self.result(_VERDICTS[hit.rule.action], Reason.RULE, hit.rule)
        return None

    def through_profiles(self, names: Sequence[str]) -> ClassResult:
        """Walk an endpoint's profiles. Pass goes on with the next profile (spec section 11.1)."""
        for name in names:
            profile = find_profile(self.resources, name)
            if profile is None:
                return self.result(Verdict.DENY, Reason.MISSING_PROFILE)
            rules = rules_of(profile, self.direction)
            refuse_services("Profile", name, rules)
            hit = self._through_rules("Profile", name, "", rules)
            if hit is not None and hit.rule.action is not Action.PASS:
                return self.result(_VERDICTS[hit.rule.action], Reason.RULE, hit.rule)
        return self.result(Verdict.DENY, Reason.END_OF_PROFILES)

    def _through_policies(self, policies: Sequence[GlobalNetworkPolicy]) -> Hit | None:
        for policy in policies:
            rules = rules_of(policy, self.direction)
            hit = self._through_rules("GlobalNetworkPolicy", policy.metadata.name, policy.tier, rules)
            if hit is not None:
                return hit
        return None

    def _through_rules(self, kind: str, name: str, tier: str, rules: Sequence[Rule]) -> Hit | None:
        for number, rule in enumerate(rules):
            ref = RuleRef(
                kind=kind, policy=name, direction=self.direction, number=number, action=rule.action, tier=tier
            )
            matched, why = match_rule(rule, self.packet, self.resources)
            self.trace.append(Step(ref, matched.name.lower(), why))
            if matched is Truth.NO:
                continue
            if rule.action is not Action.LOG:
                return Hit(ref, certain=matched is Truth.YES)
            if matched is Truth.YES:
                self.logs.append(ref)
        return None
