"""The engine that matters: the shipped object, on the running kernel, by BPF_PROG_TEST_RUN."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pyxdp.compiler import compile_policy
from pyxdp.dataplane.trial import DEFAULT_CAPACITIES
from pyxdp.model import PolicyType
from pyxdp.resolver import resolve
from pyxdp.trial import TrialHost
from tests.verdicts.engines import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from pyxdp.trial import Judgement
    from tests.verdicts.table import Case, Scenario


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
        self._host = TrialHost(capacities=self._capacities, counters=self._counters)
        self._scenario: tuple[Scenario, str] | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._host.__exit__()

    def verdict(self, case: Case) -> Outcome:
        """Run what the packet would meet, with XDP and without, and the short way too: all must say the same."""
        self._enter(case.scenario, case.interface)
        judgement = self._judge(case)
        outcome = Outcome.of(judgement, case.scenario)
        _expect_counted_once(judgement)
        quick = self._host.verdict(case.packet, direction=case.direction, context=case.context, stage=case.stage)
        assert quick == (outcome.verdict, outcome.untracked), "the short way leads elsewhere"
        if case.direction is PolicyType.INGRESS:
            # What XDP dropped is counted, and told, by the raw table instead; of other packets XDP alone knows.
            stand_in = self._judge(case, xdp=False)
            assert (stand_in.verdict, stand_in.untracked) == quick, "the raw table does not stand in for XDP"
        return outcome

    def _judge(self, case: Case, *, xdp: bool = True) -> Judgement:
        return self._host.judge(case.packet, direction=case.direction, context=case.context, stage=case.stage, xdp=xdp)

    def _enter(self, scenario: Scenario, interface: str) -> None:
        if self._scenario == (scenario, interface):
            return
        policy = resolve(scenario.resources, scenario.node, scenario.interfaces)
        self._host.enforce(compile_policy(policy), interface, policy.actions)
        self._scenario = (scenario, interface)


def _expect_counted_once(judgement: Judgement) -> None:
    """Every hook counts a rule once at most, and one deciding rule at most; and it counts one reason."""
    for passage in judgement.passages:
        assert all(times == 1 for _, times in passage.counted), "a packet was counted twice"
        deciding = [name for name, _ in passage.counted if name.action not in {"Log", "Pass"}]
        assert len(deciding) <= 1, "a packet was counted for more than one deciding rule"
        reasons = Counter(dict(passage.reasons))
        assert all(times == 1 for times in reasons.values()), "a reason was counted twice"
        assert len(reasons.keys() - {"UNTRACKED"}) <= 1, "a packet was counted for more than one reason"
