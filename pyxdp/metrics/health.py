"""Is the process alive, and is the node protected? Answers are reasons why not; none means yes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.agent import AgentView

#: Seconds without a sign of life after which a loop counts as stuck. The largest policy is applied in less.
_PATIENCE: Final = 120.0


class Pulse:
    """Signs of life of a loop that has to turn.

    Args:
        patience: seconds between two of them after which something is wrong.
        clock: seconds that never go back.
    """

    def __init__(self, patience: float = _PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Give a sign of life."""
        self._last = self._clock()

    def reasons(self) -> tuple[str, ...]:
        """Why the loop is not alive."""
        silence = self._clock() - self._last
        return (f"the agent has been stuck for {silence:.0f} seconds",) if silence > self._patience else ()


def not_ready(view: AgentView | None) -> tuple[str, ...]:
    """Why a node is not protected as its sources say."""
    if view is None:
        return ("the agent is starting",)
    reasons = []
    if not view.synced:
        waiting = ", ".join(name for name, source in sorted(view.sources.items()) if not source.synced)
        reasons.append(
            f"sources have not said everything yet: {waiting}" if waiting else "no source has said anything yet"
        )
    if not view.enforcing:
        reasons += ["the policy of the sources is not in force", *view.degraded]
    return tuple(reasons)
