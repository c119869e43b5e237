"""The way of one packet through the rules of one class: what it meets, and the first rule that decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.evaluator.matching import Truth, match_rule
from pyxdp.evaluator.outcome import ClassResult, Reason, RuleRef, Step, Verdict
from pyxdp.model import Action

if TYPE_CHECKING:
    from pyxdp.evaluator.course import Course, Stage
    from pyxdp.evaluator.membership import Membership
    from pyxdp.net import Packet

_VERDICTS: Final = {Action.ALLOW: Verdict.ALLOW, Action.DENY: Verdict.DENY}
_MATCHED: Final = {truth: truth.name.lower() for truth in Truth}


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
        course: what the packet meets.
        packet: the packet.
        membership: who is selected by the rules.
        logs: Log rules that matched so far.
        trace: rules that were looked at so far.
    """

    course: Course
    packet: Packet
    membership: Membership
    logs: list[RuleRef] = field(default_factory=list)
    trace: list[Step] = field(default_factory=list)

    def result(self, verdict: Verdict, reason: Reason, rule: RuleRef | None = None, *, tier: str = "") -> ClassResult:
        """Conclude the walk."""
        return ClassResult(
            policy_class=self.course.policy_class,
            verdict=verdict,
            reason=reason,
            rule=rule,
            tier=rule.tier if rule else tier,
            logs=tuple(self.logs),
            trace=tuple(self.trace),
        )

    def through_tiers(self) -> ClassResult | None:
        """Walk all tiers; ``None`` when the packet comes out behind the last one."""
        for tier in self.course.tiers:
            hit = self._through(tier)
            if hit is None:
                if tier.denies:
                    return self.result(Verdict.DENY, Reason.END_OF_TIER, tier=tier.name)
            elif not hit.certain:
                return self.result(Verdict.NO_VERDICT, Reason.FRAGMENT, hit.rule)
            elif hit.rule.action is not Action.PASS:
                return self.result(_VERDICTS[hit.rule.action], Reason.RULE, hit.rule)
        return None

    def through_profiles(self) -> ClassResult:
        """Walk the endpoint's profiles. Pass goes on with the next profile (spec section 11.1)."""
        for profile in self.course.profiles:
            if not profile.exists:
                return self.result(Verdict.DENY, Reason.MISSING_PROFILE)
            hit = self._through(profile)
            if hit is not None and hit.rule.action is not Action.PASS:
                return self.result(_VERDICTS[hit.rule.action], Reason.RULE, hit.rule)
        return self.result(Verdict.DENY, Reason.END_OF_PROFILES)

    def _through(self, stage: Stage) -> Hit | None:
        for ref, rule in stage.rules:
            matched, why = match_rule(rule, self.packet, self.membership)
            self.trace.append(Step(ref, _MATCHED[matched], why))
            if matched is Truth.NO:
                continue
            if rule.action is not Action.LOG:
                return Hit(ref, certain=matched is Truth.YES)
            if matched is Truth.YES:
                self.logs.append(ref)
        return None
