"""One packet from hook to hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.bpf import PreparedFrame, XdpAction
from pyxdp.evaluator import Conntrack
from pyxdp.trial.hooks import STATE_BITS, UNTRACKED, Passenger, Step
from pyxdp.trial.judgement import Verdict
from pyxdp.xtables.chains import State, Table

if TYPE_CHECKING:
    from pyxdp.evaluator import Context
    from pyxdp.trial.hooks import Asked, Hook, Station

_STATES: Final = {
    Conntrack.NEW: STATE_BITS[State.NEW],
    Conntrack.ESTABLISHED: STATE_BITS[State.ESTABLISHED],
    Conntrack.RELATED: STATE_BITS[State.RELATED],
    Conntrack.INVALID: STATE_BITS[State.INVALID],
}
_DNAT: Final = STATE_BITS[State.DNAT]


class Route(NamedTuple):
    """What is on the way of the packets of one direction, path and stage.

    Attributes:
        xdp: number of the XDP program; negative: they do not pass it.
        stations: hooks, in order.
        two_sided: numbers of the programs that say what their class denies, where everything else is allowed.
        came_in_by: number of the interface that the packets came in by; 0: they are the host's own, or it is this one.
        complete: it leads to the end.
    """

    xdp: int
    stations: tuple[Station, ...]
    two_sided: frozenset[int]
    came_in_by: int
    complete: bool


class Frames(NamedTuple):
    """A packet as the hooks see it.

    Attributes:
        wire: at XDP.
        before: in the tables, before DNAT; the same object where there are no tags to take off.
        after: behind it; the same object as ``before`` where nothing is rewritten.
    """

    wire: bytes
    before: bytes
    after: bytes


class Journey:
    """A packet on its way along a route."""

    def __init__(self, route: Route, frames: Frames, context: Context) -> None:
        self._route = route
        self._wire = self._prepared(frames.wire, 0)
        self._before = self._wire if frames.before is frames.wire else self._prepared(frames.before, 0)
        rewritten = frames.after is not frames.before
        # Only a program that is asked about rewritten packets looks at it; test runs on 5.15 do not know it.
        self._after = self._prepared(frames.after, route.came_in_by) if rewritten else self._before
        self._passenger = Passenger(_STATES[context.conntrack] | (_DNAT if rewritten else 0), self._wire)

    @property
    def untracked(self) -> bool:
        """Whether the packet has left connection tracking."""
        return self._passenger.states == UNTRACKED

    def travel(self) -> Verdict:
        """Pass every hook of the route, or those up to the one that drops the packet."""
        route, passenger = self._route, self._passenger
        if route.xdp >= 0:
            dropped = self._wire.answer(route.xdp) != XdpAction.PASS
            self._leave(None, dropped=dropped)
            if dropped:
                return Verdict.DENY
        accepted = False
        for hook, before_dnat, rules in route.stations:
            # What is not tracked is not rewritten.
            passenger.frame = self._before if before_dnat or passenger.states == UNTRACKED else self._after
            step = passenger.walk(rules)
            self._leave(hook, dropped=step == Step.DROP)
            if step == Step.DROP:
                return Verdict.DENY
            accepted = accepted or (step == Step.ACCEPT and hook.table is Table.FILTER)
        untracked = passenger.states == UNTRACKED and not route.complete
        decided = untracked or passenger.marked or passenger.known or passenger.last_asked in route.two_sided
        return Verdict.ALLOW if accepted or decided else Verdict.NO_MATCH

    def _prepared(self, frame: bytes, came_in_by: int) -> Asked:
        return PreparedFrame(frame, ingress_ifindex=came_in_by)

    def _leave(self, hook: Hook | None, *, dropped: bool) -> None:
        """Take note that a hook, or XDP, is behind the packet."""
