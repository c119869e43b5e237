"""What became of the frames, by pyxdp's own counters: each was judged by one of the two policies, or is a finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp.abi import Direction, Reason
from pyxdp.bpf import Map
from tests.torture.policies import FLOWS, SIDES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyxdp.abi import Name
    from tests.torture.policies import Flow, Side


@dataclass(frozen=True)
class Counts:
    """Counters of a moment at which no frame is on its way.

    Attributes:
        rules: packets by policy and rule, of ingress.
        reasons: packets by reason, of ingress.
    """

    rules: Mapping[tuple[str, int], int]
    reasons: Mapping[Reason, int]

    @classmethod
    def read(cls, maps: Path, names: Mapping[int, Name], endpoint: int) -> Counts:
        """Read the counters of these identities, and the reasons of an endpoint."""
        with Map.from_pin(maps / "counters") as counters, Map.from_pin(maps / "reasons") as reasons:
            packets = [sums[0] for sums in counters.read_sums(0, max(names) + 1)]
            (by_reason,) = reasons.read_sums(endpoint * 2 + Direction.INGRESS, 1)
        return cls(
            {(it.policy, it.rule): packets[at] for at, it in names.items() if it.direction == Direction.INGRESS},
            {reason: by_reason[reason] for reason in Reason},
        )

    @property
    def judged(self) -> int:
        """Frames that XDP has judged; the raw table counts what it takes out of conntrack once more."""
        return sum(count for reason, count in self.reasons.items() if reason is not Reason.UNTRACKED)

    def of(self, flow: Flow) -> int:
        """Frames that a rule of the untracked class for this flow has judged."""
        return sum(self.rules[flow.rule(side, "untracked")] for side in SIDES if flow.untracked[side])

    def findings(self, sent: Mapping[Flow, int], lost: int, *, early: bool) -> dict[str, int]:
        """Return how many frames neither policy explains, by what shows it; nothing when there are none.

        Args:
            sent: frames of each flow.
            lost: how many of all of them never reached the interface.
            early: whether there is early drop.
        """
        explained = {
            flow.rule(side, kind): (flow, reason)
            for flow in FLOWS
            for side in SIDES
            for kind, reason in _explanations(flow, side, early=early)
        }
        found = {f"rule {place[0]} {place[1]}": n for place, n in self.rules.items() if place not in explained}
        by_reason = dict.fromkeys(Reason, 0)
        left = dict(sent)
        for place, (flow, reason) in explained.items():
            by_reason[reason] += self.rules[place]
            left[flow] -= self.rules[place]
        certain = {flow for flow in FLOWS if all(_explanations(flow, side, early=early) for side in SIDES)}
        missing = sum(n for flow, n in left.items() if flow in certain)
        by_reason[Reason.PASS_NO_MATCH] = sum(left.values()) - lost
        found |= {f"judged more often than sent: {flow.name}": max(0, -n) for flow, n in left.items()}
        found["judged by no rule"] = max(0, missing - lost)
        found |= {
            f"reason {reason.name}: difference to the rules": abs(n - by_reason[reason])
            for reason, n in self.reasons.items()
            if reason is not Reason.UNTRACKED
        }
        return {what: n for what, n in found.items() if n}


def _explanations(flow: Flow, side: Side, *, early: bool) -> list[tuple[str, Reason]]:
    """Class and reason by which XDP counts a frame that this policy judges; nothing: no rule matches at XDP."""
    if flow.untracked[side]:
        return [("untracked", Reason.PASS_ALLOWED if flow.untracked[side] == "Allow" else Reason.DROP_POLICY)]
    if early and not flow.prednat[side] and flow.normal[side] == "Deny":
        return [("normal", Reason.DROP_EARLY)]
    return []
