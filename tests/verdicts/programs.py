"""The engine that matters: the shipped object, on the running kernel, by BPF_PROG_TEST_RUN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.compiler import compile_policy
from pyxdp.dataplane.code import Code
from pyxdp.dataplane.trial import DEFAULT_CAPACITIES, Trial
from pyxdp.model import PolicyType
from pyxdp.net.frame import build_frame
from pyxdp.resolver import resolve
from tests.verdicts.engines import Outcome
from tests.verdicts.table import Expect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from pyxdp.abi import Name
    from tests.verdicts.table import Case, Scenario

_XDP_PASS: Final = 2


class ProgramsEngine:
    """Loads the object once and fills it anew for each scenario.

    Args:
        capacities: entries of one slot of each map.
        counters: rules of a scenario, at most.
    """

    def __init__(self, capacities: Mapping[str, int] = DEFAULT_CAPACITIES, counters: int = 4096) -> None:
        self._capacities = capacities
        self._counters = counters

    def __enter__(self) -> Self:
        self._trial = Trial(Code.shipped(log_per_second=0).data, capacities=self._capacities, counters=self._counters)
        self._scenario: tuple[Scenario, str] | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._trial.__exit__()

    def verdict(self, case: Case) -> Outcome:
        """Run what the packet would meet, and see by the counters which rule decided."""
        self._enter(case.scenario, case.interface)
        before = self._trial.packets(len(self._names))
        verdict = self._ingress(case) if case.direction is PolicyType.INGRESS else self._egress(case)
        after = self._trial.packets(len(self._names))
        rises = [new - old for old, new in zip(before, after, strict=True)]
        assert set(rises) <= {0, 1}, "a packet was counted twice"
        rules = [self._names[at] for at, rise in enumerate(rises) if rise]
        deciding = [rule for rule in rules if rule.action not in {"Log", "Pass"}]
        assert len(deciding) <= 1, "a packet was counted for more than one deciding rule"
        logs = tuple(_title(rule) for rule in rules if rule.action == "Log")
        if case.direction is PolicyType.INGRESS:
            denied = self._trial.run("in_deny", build_frame(case.packet)).retval
            assert denied == (verdict is Expect.DENY), "the raw table does not stand in for XDP"
        return Outcome(verdict, _title(deciding[0]) if deciding else "none", logs)

    def _ingress(self, case: Case) -> Expect:
        frame = build_frame(case.packet)
        untracked = self._trial.run("in_allow", frame).retval
        denied = self._trial.run("xdp", frame).retval != _XDP_PASS
        assert not (untracked and denied), "the raw table and XDP contradict each other"
        return Expect.DENY if denied else Expect.ALLOW if untracked else Expect.NO_MATCH

    def _egress(self, case: Case) -> Expect:
        frame = build_frame(case.packet)
        if self._trial.run("out_allow", frame).retval:
            return Expect.ALLOW
        return Expect.DENY if self._trial.run("out_deny", frame).retval else Expect.NO_MATCH

    def _enter(self, scenario: Scenario, interface: str) -> None:
        if self._scenario == (scenario, interface):
            return
        image = compile_policy(resolve(scenario.resources, scenario.node, scenario.interfaces))
        self._trial.fill(image, interface)
        self._names = image.names
        self._scenario = (scenario, interface)


def _title(rule: Name) -> str:
    return "failsafe" if rule.policy == "failsafe" else f"{rule.tier}/{rule.policy}/{rule.rule}"
