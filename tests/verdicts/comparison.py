"""Both readings of a packet, side by side: what the evaluator says, and what the programs and the tables' rules do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp import trial
from pyxdp.compiler import compile_policy
from pyxdp.evaluator import Evaluator, Reason, Verdict
from pyxdp.resolver import resolve

if TYPE_CHECKING:
    from pyxdp.evaluator import Evaluation, RuleRef
    from tests.verdicts.boundaries import Question
    from tests.verdicts.table import Scenario

_VERDICTS: Final = {
    Verdict.ALLOW: trial.Verdict.ALLOW,
    Verdict.DENY: trial.Verdict.DENY,
    Verdict.NO_VERDICT: trial.Verdict.NO_MATCH,
}
DEFAULT_ALLOW: Final = "projectcalico-default-allow"


@dataclass(frozen=True, slots=True)
class Reading:
    """What becomes of a packet. Of a later fragment only whether it is denied: it is not taken out of tracking.

    Attributes:
        verdict: allow, deny or no match.
        untracked: it leaves connection tracking.
        rule: what decided, in the words of :class:`pyxdp.trial.RuleName`; empty for nothing.
        logs: Log rules that it met, sorted: the counters do not tell their order.
    """

    verdict: trial.Verdict
    untracked: bool
    rule: str
    logs: tuple[str, ...]


class Comparison:
    """One scenario for the evaluator and for the programs.

    Args:
        host: runs the programs.
        scenario: what is judged by.
        interface: of the packets to come; see :meth:`enter`.
    """

    def __init__(self, host: trial.TrialHost, scenario: Scenario, interface: str) -> None:
        self._host = host
        self._scenario = scenario
        self._evaluator = Evaluator(scenario.resources, node=scenario.node, interfaces=scenario.interfaces)
        effective = resolve(scenario.resources, scenario.node, scenario.interfaces)
        self._settings = effective.actions
        self._image = compile_policy(effective)
        self.enter(interface)

    def enter(self, interface: str) -> None:
        """Go on with packets of this interface. The host enforces this scenario from now on."""
        self._host.enforce(self._image, interface, self._settings)

    def agree(self, question: Question) -> bool:
        """Tell whether both give the same verdict."""
        evaluation = self.evaluate(question)
        verdict, untracked = self._host.verdict(question.packet, direction=question.direction, context=question.context)
        if question.packet.later_fragment:
            return evaluation.passes == (verdict is not trial.Verdict.DENY)
        return verdict is _VERDICTS[evaluation.verdict] and untracked is evaluation.untracked

    def readings(self, question: Question, frame: bytes | None = None) -> tuple[Reading, Reading]:
        """Return what the evaluator says, and what the programs say, with all that both know.

        Args:
            question: the packet.
            frame: how the programs get to see it, if not in the plainest way. None after DNAT.
        """
        evaluation = self.evaluate(question)
        judgement = self._host.judge(frame or question.packet, direction=question.direction, context=question.context)
        rule, logs = judgement.rule, tuple(sorted(str(log) for log in judgement.logs))
        readings = (
            Reading(
                _VERDICTS[evaluation.verdict],
                evaluation.untracked,
                self._deciding(evaluation, question),
                tuple(sorted(_name(log) for log in evaluation.logs)),
            ),
            Reading(judgement.verdict, judgement.untracked, str(rule) if rule else "", logs),
        )
        if not question.packet.later_fragment:
            return readings
        return _of_fragment(readings[0]), _of_fragment(readings[1])

    def _deciding(self, evaluation: Evaluation, question: Question) -> str:
        if evaluation.rule is not None:
            return _name(evaluation.rule)
        match evaluation.reason:
            case Reason.END_OF_TIER:
                return f"end of tier {evaluation.deciding.tier}"
            case Reason.END_OF_PROFILES | Reason.NO_FORWARD_POLICY:
                return f"HostEndpoint/{evaluation.endpoint}"
            case Reason.MISSING_PROFILE:
                return f"Profile/{self._missing_profile(evaluation.endpoint)}/{question.direction.value.lower()}[0]"
            case Reason.NEIGHBOUR_DISCOVERY:
                return "Builtin/neighbour-discovery"
        return ""

    def _missing_profile(self, endpoint: str) -> str:
        """The first profile that an endpoint names and nobody wrote denies everything, as if it had a rule."""
        known = {profile.metadata.name for profile in self._scenario.resources.profiles} | {DEFAULT_ALLOW}
        named = next(each.profiles for each in self._scenario.resources.hostEndpoints if each.metadata.name == endpoint)
        return next(name for name in named if name not in known)

    def endpoint(self, interface: str) -> str:
        """Return the name of the host endpoint that governs an interface, or nothing."""
        governance = self._evaluator.governance(interface)
        return governance.endpoint.metadata.name if governance else ""

    def evaluate(self, question: Question) -> Evaluation:
        """Return what the evaluator says."""
        return self._evaluator.evaluate(
            question.packet, interface=question.interface, direction=question.direction, context=question.context
        )


def _of_fragment(reading: Reading) -> Reading:
    if reading.verdict is trial.Verdict.DENY:
        return reading
    return Reading(trial.Verdict.NO_MATCH, untracked=False, rule="", logs=reading.logs)


def _name(rule: RuleRef) -> str:
    return f"{rule.tier or rule.kind}/{rule.policy}/{rule.direction.value.lower()}[{rule.number}]"
