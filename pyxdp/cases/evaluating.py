"""The evaluator as a judge of cases: it shares nothing with the programs, and needs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pyxdp.evaluator import Direction, Path, Reason, evaluate
from pyxdp.evaluator import PolicyClass as EvaluatedClass
from pyxdp.evaluator import Verdict as EvaluatedVerdict
from pyxdp.trial import Judgement, PolicyClass, RuleName, Stage, Verdict
from pyxdp.trial.frames import arrival

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.cases.endpoints import TestedEndpoint
    from pyxdp.cases.values import Case
    from pyxdp.evaluator import ClassResult, Evaluation, RuleRef
    from pyxdp.model import Resources
    from pyxdp.net import Packet


class Judge(Protocol):
    """Something that judges cases."""

    def judge(self, case: Case) -> Judgement:
        """Say what becomes of the packet of a case."""
        ...


class Evaluator:
    """The evaluator; needs nothing. Of a frame that holds nothing to judge it knows what ``docs/packets.md`` says."""

    def __init__(self, resources: Resources, endpoints: Mapping[str, TestedEndpoint]) -> None:
        self._resources = resources
        self._endpoints = endpoints

    def judge(self, case: Case) -> Judgement:
        """Walk the policy."""
        packet = case.packet
        if isinstance(packet, bytes):
            found = arrival(packet)
            if found.packet is None:
                seen = found.in_tables or case.direction is Direction.INGRESS
                return _unreadable(found.reason, seen=seen)
            packet = found.packet
        if packet.later_fragment and (case.direction, case.context.path) == (Direction.EGRESS, Path.FORWARD):
            return Judgement(verdict=Verdict.NO_MATCH, reason="PASS_NOT_GOVERNED")
        return _in_words(self._evaluate(case, packet), case)

    def _evaluate(self, case: Case, packet: Packet) -> Evaluation:
        endpoint = self._endpoints[case.endpoint]
        return evaluate(
            self._resources,
            node=endpoint.endpoint.node,
            interfaces=[endpoint.interface],
            interface=endpoint.interface.name,
            direction=case.direction,
            packet=packet,
            context=case.context,
        )


_CLASSES: Final = {
    EvaluatedClass.UNTRACKED: PolicyClass.UNTRACKED,
    EvaluatedClass.PRE_DNAT: PolicyClass.PRE_DNAT,
    EvaluatedClass.NORMAL: PolicyClass.NORMAL,
    EvaluatedClass.FORWARD: PolicyClass.FORWARD,
}
_IN_STAGE: Final = {
    Stage.UNTRACKED: {EvaluatedClass.UNTRACKED},
    Stage.PRE_DNAT: {EvaluatedClass.UNTRACKED, EvaluatedClass.PRE_DNAT},
    Stage.ALL: set(EvaluatedClass),
}
_VERDICTS: Final = {
    EvaluatedVerdict.ALLOW: Verdict.ALLOW,
    EvaluatedVerdict.DENY: Verdict.DENY,
    EvaluatedVerdict.NO_VERDICT: Verdict.NO_MATCH,
}
_REASONS: Final = {
    Reason.FAILSAFE: "PASS_FAILSAFE",
    Reason.FRAGMENT: "PASS_FRAGMENT",
    Reason.ESTABLISHED: "ESTABLISHED",
    Reason.INVALID: "DROP_INVALID",
    Reason.NO_MATCH: "PASS_NO_MATCH",
    Reason.NOT_GOVERNED: "PASS_NOT_GOVERNED",
}


def _unreadable(reason: str, *, seen: bool) -> Judgement:
    if seen and reason.startswith("DROP_"):
        return Judgement(verdict=Verdict.DENY, policy_class=PolicyClass.UNTRACKED, reason=reason)
    return Judgement(verdict=Verdict.NO_MATCH, reason=reason)


def _in_words(evaluation: Evaluation, case: Case) -> Judgement:
    asked = [it for it in evaluation.classes if it.policy_class in _IN_STAGE[case.stage]]
    governed = [it for it in asked if it.reason is not Reason.NOT_GOVERNED]
    if not governed:
        return Judgement(verdict=Verdict.NO_MATCH, reason="PASS_NOT_GOVERNED")
    result = governed[-1]
    decided = {EvaluatedVerdict.ALLOW: "PASS_ALLOWED", EvaluatedVerdict.DENY: "DROP_POLICY"}
    return Judgement(
        verdict=_VERDICTS[result.verdict],
        untracked=evaluation.untracked,
        policy_class=_CLASSES[result.policy_class],
        reason=_REASONS.get(result.reason) or decided[result.verdict],
        rule=_rule(result, evaluation.endpoint, case.direction),
        logs=tuple(_rule_name(log) for it in asked for log in it.logs),
    )


def _rule(result: ClassResult, endpoint: str, direction: Direction) -> RuleName | None:
    """Return the rule that decided, and for what stands in no policy the name that the compiler gives it."""
    if result.rule is not None:
        return _rule_name(result.rule)
    unwritten = {
        Reason.END_OF_TIER: (result.tier, "Tier", result.tier, "Deny"),
        Reason.END_OF_PROFILES: ("", "HostEndpoint", endpoint, "Deny"),
        Reason.NO_FORWARD_POLICY: ("", "HostEndpoint", endpoint, "Allow"),
        Reason.NEIGHBOUR_DISCOVERY: ("", "Builtin", "neighbour-discovery", "Allow"),
    }.get(result.reason)
    if unwritten is None:
        return None
    tier, kind, policy, action = unwritten
    return RuleName(tier=tier, kind=kind, policy=policy, direction=direction.value.lower(), number=0, action=action)


def _rule_name(rule: RuleRef) -> RuleName:
    return RuleName(
        tier=rule.tier,
        kind=rule.kind,
        policy=rule.policy,
        direction=rule.direction.value.lower(),
        number=rule.number,
        action=rule.action.value,
    )
