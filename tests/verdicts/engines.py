"""What judges the packets of the table.

An engine takes a case and says what the untracked class does with its packet. To add one, write a class with the
shape of :class:`Engine` and add it to :data:`ENGINES`; ``test_table.py`` then runs the whole table on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pyxdp.evaluator import PolicyClass, Reason, RuleRef, Verdict, evaluate_class
from tests.verdicts.table import Expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from tests.verdicts.table import Case


@dataclass(frozen=True)
class Outcome:
    """What an engine says of a packet.

    Attributes:
        verdict: allow means that the packet also leaves connection tracking, unless it is a later fragment.
        rule: as in the table: ``tier/policy/number``, ``failsafe`` or ``none``.
        logs: Log rules that the packet met; ``None`` when the engine can not tell.
    """

    verdict: Expect
    rule: str
    logs: tuple[str, ...] | None = None

    def agrees_with(self, case: Case) -> bool:
        """Tell whether this is what the case expects.

        A later fragment is not taken out of connection tracking by itself, so that for it allow and no-match mean the
        same: it passes.
        """
        if self.logs is not None and self.logs != case.logs:
            return False
        if case.packet.later_fragment and case.expect is not Expect.DENY:
            return self.verdict is not Expect.DENY
        return self.verdict is case.expect and self.rule == case.rule


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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hold nothing."""

    def verdict(self, case: Case) -> Outcome:
        """Walk the rules."""
        result = evaluate_class(
            case.scenario.resources,
            node=case.scenario.node,
            interfaces=case.scenario.interfaces,
            interface=case.interface,
            direction=case.direction,
            packet=case.packet,
            policy_class=PolicyClass.UNTRACKED,
        )
        verdicts = {Verdict.ALLOW: Expect.ALLOW, Verdict.DENY: Expect.DENY, Verdict.NO_VERDICT: Expect.NO_MATCH}
        rule = "failsafe" if result.reason is Reason.FAILSAFE else _name(result.rule)
        return Outcome(verdicts[result.verdict], rule, tuple(_name(log) for log in result.logs))


def _name(rule: RuleRef | None) -> str:
    return "none" if rule is None else f"{rule.tier}/{rule.policy}/{rule.number}"


def _programs() -> Engine:
    from tests.verdicts.programs import ProgramsEngine  # noqa: PLC0415 -- the evaluator's tests run without libbpf

    return ProgramsEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"evaluator": EvaluatorEngine, "programs": _programs}
