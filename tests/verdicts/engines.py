"""What judges the packets of the table.

An engine takes a case and says what becomes of its packet. To add one, write a class with the shape of
:class:`Engine` and add it to :data:`ENGINES`; ``test_table.py`` then runs the whole table on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pyxdp.cases.evaluating import evaluated
from pyxdp.evaluator import Evaluator
from pyxdp.trial import Judgement, RuleName, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from tests.verdicts.table import Case, Scenario

_BY_CONNECTION = ("ESTABLISHED", "DROP_INVALID")


@dataclass(frozen=True)
class Outcome:
    """What an engine says of a packet.

    Attributes:
        verdict: what becomes of it.
        untracked: it has left connection tracking.
        rule: as in the table.
        logs: Log rules that the packet met.
    """

    verdict: Verdict
    untracked: bool
    rule: str
    logs: tuple[str, ...]

    @classmethod
    def of(cls, judgement: Judgement, scenario: Scenario) -> Outcome:
        """Return a judgement in the words of the table."""
        logs = tuple(_title(log, scenario) for log in judgement.logs)
        return cls(judgement.verdict, judgement.untracked, _decided_by(judgement, scenario), logs)

    def agrees_with(self, case: Case) -> bool:
        """Tell whether this is what the case expects.

        A later fragment is not taken out of connection tracking by itself, so that for it allow and no-match mean the
        same: it passes.
        """
        if self.logs != case.logs or self.untracked != case.untracked:
            return False
        if case.packet.later_fragment and case.expect is not Verdict.DENY:
            return self.verdict is not Verdict.DENY
        return self.verdict is case.expect and self.rule == case.rule


def _decided_by(judgement: Judgement, scenario: Scenario) -> str:
    if judgement.reason in _BY_CONNECTION:
        return "connection"
    if judgement.rule is not None:
        return _title(judgement.rule, scenario)
    # The evaluator has no rule to name then.
    return "missing profile" if judgement.reason == "DROP_POLICY" else "none"


def _title(rule: RuleName, scenario: Scenario) -> str:
    if rule.kind in ("Tier", "HostEndpoint"):
        return str(rule)
    if rule.kind == "FelixConfiguration":
        return "failsafe"
    if rule.kind == "Builtin":
        return rule.policy.replace("-", " ")
    if rule.kind == "Profile" and rule.policy not in {*_DEFAULT_PROFILES, *_profiles(scenario)}:
        return "missing profile"
    return f"{rule.tier or rule.kind}/{rule.policy}/{rule.number}"


_DEFAULT_PROFILES = ("projectcalico-default-allow",)


def _profiles(scenario: Scenario) -> set[str]:
    return {profile.metadata.name for profile in scenario.resources.profiles}


class Engine(Protocol):
    """Something that judges packets. Entered once for all cases of a test module."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def verdict(self, case: Case) -> Outcome:
        """Judge the packet of one case. Cases of the same scenario come one after the other."""
        ...


class EvaluatorEngine:
    """The reference: :mod:`pyxdp.evaluator`."""

    def __init__(self) -> None:
        self._scenario: Scenario | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hold nothing."""

    def verdict(self, case: Case) -> Outcome:
        """Walk the rules."""
        scenario = case.scenario
        if self._scenario is not scenario:
            self._scenario = scenario
            self._evaluator = Evaluator(scenario.resources, node=scenario.node, interfaces=scenario.interfaces)
        judgement = evaluated(
            self._evaluator,
            case.packet,
            interface=case.interface,
            direction=case.direction,
            context=case.context,
            stage=case.stage,
        )
        return Outcome.of(judgement, scenario)


def _programs() -> Engine:
    from tests.verdicts.programs import ProgramsEngine  # noqa: PLC0415 -- the evaluator's tests run without libbpf

    return ProgramsEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"evaluator": EvaluatorEngine, "programs": _programs}
