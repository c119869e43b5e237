"""What the evaluator says, in the words of the programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import PolicyClass as EvaluatedClass
from pyxdp.evaluator import Reason
from pyxdp.evaluator import Verdict as EvaluatedVerdict
from pyxdp.trial import Judgement, PolicyClass, RuleName, Stage, Verdict

if TYPE_CHECKING:
    from pyxdp.evaluator import ClassResult, Direction, Evaluation, RuleRef

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


def unreadable(reason: str, reader: PolicyClass) -> Judgement:
    """Say what becomes of a frame that holds nothing to judge, as ``docs/packets.md`` has it.

    Args:
        reason: what the datapath calls it.
        reader: the first class that would judge it.
    """
    denied = reason.startswith("DROP_") and reader is not PolicyClass.NONE
    verdict = Verdict.DENY if denied else Verdict.NO_MATCH
    return Judgement(verdict=verdict, policy_class=reader, reason=reason)


def judgement_of(evaluation: Evaluation, direction: Direction, stage: Stage) -> Judgement:
    """Return what the evaluator found out in the words of the programs, up to a stage."""
    asked = [it for it in evaluation.classes if it.policy_class in _IN_STAGE[stage]]
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
        rule=_rule(result, evaluation.endpoint, direction),
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
