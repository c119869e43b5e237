"""How an agent works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Settings of an agent. Times are seconds.

    Attributes:
        quiet: events are waited for until none came for so long ...
        patience: ... but not longer than this after the first one.
        drift_every: between two looks for what others have changed.
        reconsider_every: until what was refused since it would cut something is tried again: that may have ended.
        retry_first: after a failure that may pass by itself; doubles with each ...
        retry_most: ... up to this.
        state: folder of the snapshot; ``None`` keeps none.
        confirm_within: a change of rules is taken back unless it is confirmed in this time; 0: it stays.
        iptables: variant that the dataplane was told; empty: that of the machine. For who takes a change back.
        guard: refuse what would cut failsafes, the node's own flows, or established sessions.
        allow_empty: resources that govern no interface here end enforcement.
    """

    quiet: float = 0.05
    patience: float = 0.5
    drift_every: float = 8.0
    reconsider_every: float = 30.0
    retry_first: float = 0.5
    retry_most: float = 30.0
    state: Path | None = None
    confirm_within: float = 0.0
    iptables: str = ""
    guard: bool = True
    allow_empty: bool = True
